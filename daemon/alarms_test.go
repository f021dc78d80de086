package daemon_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keepsake/daemon"
	"keepsake/daemon/health"
	"keepsake/store"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// TestAlarmStandsUntilAcknowledged empties a source: the last good snapshot is
// pinned, nothing expires, and a person ends that.
func TestAlarmStandsUntilAcknowledged(t *testing.T) {
	r := storetest.New(t).Open(t)
	var names []string
	for i := range 40 {
		names = append(names, filepath.Join("2026", string(rune('a'+i%26)), string(rune('a'+i/26))))
	}
	dir := library(t, names...)
	events := make(chan daemon.Event, 1000)
	c := configured(dir, hourly)
	c.Sources[0].Keep.Last = 1 // everything but the newest expires, unless something holds it
	c.Sources[0].Keep.Within, c.Sources[0].Keep.Daily, c.Sources[0].Keep.Weekly, c.Sources[0].Keep.Monthly = 0, 0, 0, 0
	k := kept(t, r, c, events)
	wait(t, "well", func() bool { asked(t, k); return k.Health()[0].Well() }) // files must have rested
	good := newest(t, r)
	stood := len(snapshots(t, r))
	if err := os.RemoveAll(filepath.Join(dir, "2026")); err != nil {
		t.Fatal(err)
	}
	l := asked(t, k)
	if l[0].Err != nil || l[0].Alarms == 0 || !slices.Contains(l[0].Newest.Marks, "emptied") {
		t.Fatalf("after the source was emptied: %+v", l[0])
	}
	s := k.Health()[0]
	if s.State != health.Guarded || s.Well() || len(s.Alarms) == 0 || s.Alarms[0].PinnedID != good.ID.Short() {
		t.Fatalf("%s, alarms %+v, want %s pinned", s.State, s.Alarms, good.ID.Short())
	}
	if !isPinned(t, r, good) {
		t.Error("the last good snapshot is not pinned")
	}
	put(t, filepath.Join(dir, "new"), "x")
	asked(t, k)
	if !isThere(t, r, good) || len(snapshots(t, r)) != stood+2 {
		t.Errorf("something expired while an alarm stands: %d snapshots", len(snapshots(t, r)))
	}

	ended, err := k.Acknowledge(t.Context(), []string{"lib"}, "ann@studio", "moved to the archive")
	if err != nil || len(ended["lib"]) == 0 {
		t.Fatalf("acknowledged %v, %v", ended, err)
	}
	if isPinned(t, r, good) || k.Health()[0].Guarded {
		t.Error("an acknowledged alarm goes on")
	}
	put(t, filepath.Join(dir, "newer"), "x")
	asked(t, k)
	if k.Health()[0].Guarded {
		t.Errorf("raised again: %+v", k.Health()[0].Alarms)
	}
	if isThere(t, r, good) {
		t.Error("nothing expires although the alarm was acknowledged")
	}
}

// TestAlarmOfAKilledRun: a run was killed between publishing a marked snapshot
// and noting the alarm. The next start raises it.
func TestAlarmOfAKilledRun(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := library(t, "a")
	func() {
		events := make(chan daemon.Event, 1000)
		k := run(t, r, configured(dir, hourly), events)
		defer k.stop()
		wait(t, "well", func() bool { asked(t, k.Keeper); return k.Health()[0].Well() })
	}()
	good := newest(t, r)
	w, err := r.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m := good.Snapshot
	m.Marks = []string{"mass-change"}
	m.Started = tree.TimeOf(time.Now())
	marked, err := w.Publish(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	events := make(chan daemon.Event, 1000)
	k := kept(t, r, configured(dir, hourly), events)
	wait(t, "raised", func() bool { return k.Health()[0].Guarded })
	if a := k.Health()[0].Alarms[0]; a.Guard != "mass-change" || a.PinnedID != good.ID.Short() {
		t.Errorf("alarm %+v after snapshot %s", a, marked.ID.Short())
	}
	if _, err := k.Acknowledge(t.Context(), nil, "ann", ""); err != nil {
		t.Fatal(err)
	}
	if k.Health()[0].Guarded {
		t.Error("still guarded")
	}
}

func snapshots(t *testing.T, r *store.Repository) []store.Snapshot {
	t.Helper()
	all, damaged, err := r.Snapshots(t.Context())
	if err != nil || len(damaged) > 0 {
		t.Fatal(err, damaged)
	}
	return all
}

func isThere(t *testing.T, r *store.Repository, s store.Snapshot) bool {
	t.Helper()
	return slices.ContainsFunc(snapshots(t, r), func(x store.Snapshot) bool { return x.ID == s.ID })
}

func isPinned(t *testing.T, r *store.Repository, s store.Snapshot) bool {
	t.Helper()
	l, err := r.Ledger(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, pinned := l.Pinned(s.ID, time.Now())
	return pinned
}
