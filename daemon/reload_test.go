package daemon_test

import (
	"path/filepath"
	"testing"
	"time"

	"keepsake/daemon"
	"keepsake/daemon/config"
	"keepsake/daemon/schedule"
	"keepsake/store/storetest"
)

// TestReload takes over a new configuration: a source whose watch need not
// change keeps it, another is left out, a third is new; and what cannot be
// taken over changes nothing.
func TestReload(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir, other, third := library(t, "a"), library(t, "b"), library(t, "c")
	events := make(chan daemon.Event, 1000)
	c := configured(dir, hourly)
	add := func(c config.Config, label, dir string) config.Config {
		s := c.Sources[0]
		s.Label, s.Path = label, dir
		c.Sources = append(append([]config.Source(nil), c.Sources...), s)
		return c
	}
	k := kept(t, r, add(c, "other", other), events)
	<-events
	<-events
	wait(t, "watched", func() bool { return k.Facts()[0].Watch.Directories == 1 && k.Facts()[0].Totals.Runs() > 0 })
	asked(t, k) // the scan that follows the setting of the watches
	before := k.Facts()[0].Totals.Runs()

	changed := add(c, "third", third)
	changed.Sources[0].Schedule = schedule.Schedule{} // at once from now on
	changes, err := k.Reload(t.Context(), changed)
	if err != nil || len(changes.Added) != 1 || len(changes.Removed) != 1 || len(changes.Changed) != 1 {
		t.Fatalf("%+v, %v", changes, err)
	}
	await(t, events, "the new source", func(e daemon.Event) bool { return e.Label == "third" && e.First })
	put(t, filepath.Join(dir, "new"), "x")
	await(t, events, "the new file, by its event", func(e daemon.Event) bool {
		return e.Label == "lib" && e.Snapshot.Stats.NewFiles == 1 && len(e.Snapshot.Why) == 0
	})
	if f := k.Facts(); len(f) != 2 || f[0].Totals.Runs() <= before {
		t.Errorf("after the reload: %d sources, %d runs", len(f), f[0].Totals.Runs())
	}

	moved := changed
	moved.Sources = append([]config.Source(nil), changed.Sources...)
	moved.Sources[0].Path = other
	if _, err := k.Reload(t.Context(), moved); err == nil {
		t.Error("a label was given to another directory")
	}
	put(t, filepath.Join(dir, "newer"), "x")
	await(t, events, "the next file", func(e daemon.Event) bool { return e.Label == "lib" && e.Snapshot.Stats.NewFiles == 1 })

	// Another settle time needs another watcher, which begins with a scan.
	settled := changed
	settled.Sources = append([]config.Source(nil), changed.Sources...)
	settled.Sources[0].Settle = 200 * time.Millisecond
	if _, err := k.Reload(t.Context(), settled); err != nil {
		t.Fatal(err)
	}
	await(t, events, "the first look of a new keeper", func(e daemon.Event) bool { return e.Label == "lib" && e.First })
}

// await waits for an event, past others.
func await(t *testing.T, events <-chan daemon.Event, what string, is func(daemon.Event) bool) {
	t.Helper()
	deadline := time.After(time.Minute)
	for {
		select {
		case e := <-events:
			if e.Err != nil {
				t.Errorf("waiting for %s: %v", what, e.Err)
			}
			if is(e) {
				return
			}
		case <-deadline:
			t.Fatalf("after a minute: not yet %s", what)
		}
	}
}
