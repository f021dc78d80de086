package daemon_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"keepsake/daemon"
	"keepsake/daemon/config"
	"keepsake/store/storetest"
)

// TestAlarmOfARetiredSource: sources go from the configuration while their
// alarms stand, and a person can still say that they have been seen.
func TestAlarmOfARetiredSource(t *testing.T) {
	r := storetest.New(t).Open(t)
	stays := configured(library(t, "a"), hourly)
	all := stays
	all.Sources = append([]config.Source(nil), stays.Sources...)
	for _, label := range []string{"first", "second"} {
		s := stays.Sources[0]
		s.Label, s.Path = label, library(t, "a", "b")
		all.Sources = append(all.Sources, s)
	}
	events := make(chan daemon.Event, 1000)
	k := kept(t, r, all, events)
	wait(t, "captured", func() bool { return len(snapshots(t, r)) == 3 })
	for _, s := range all.Sources[1:] {
		for _, name := range []string{"/a", "/b"} {
			if err := os.Remove(s.Path + name); err != nil {
				t.Fatal(err)
			}
		}
	}
	asked(t, k)
	if _, err := k.Reload(t.Context(), stays); err != nil {
		t.Fatal(err)
	}
	stand := func(label string) int {
		t.Helper()
		f, err := daemon.RememberedFacts(r, label)
		if err != nil {
			t.Fatal(err)
		}
		return len(f.Alarms)
	}
	if stand("first") == 0 || stand("second") == 0 {
		t.Fatal("no alarm stands") // the control
	}
	err := k.BackupNow(t.Context(), []string{"first"}, func(daemon.Looked) {})
	if want := `no such source: "first" is not in the configuration any more; its snapshots stay`; !errors.Is(err, daemon.ErrNoSource) || fmt.Sprint(err) != want {
		t.Errorf("backup-now: %v", err)
	}
	if ended, err := k.Acknowledge(t.Context(), []string{"first"}, "ann", ""); err != nil || len(ended["first"]) == 0 || stand("first") != 0 || stand("second") == 0 {
		t.Errorf("acknowledged by name: %v, %v", ended, err)
	}
	if ended, err := k.Acknowledge(t.Context(), nil, "ann", ""); err != nil || len(ended["second"]) == 0 || stand("second") != 0 {
		t.Errorf("acknowledged all: %v, %v", ended, err)
	}
	if _, err := k.Acknowledge(t.Context(), []string{"nobody"}, "ann", ""); !errors.Is(err, daemon.ErrNoSource) {
		t.Errorf("an unknown source: %v", err)
	}
}
