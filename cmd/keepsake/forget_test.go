package main

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"keepsake/daemon"
	"keepsake/daemon/control"
	"keepsake/store"
	"keepsake/store/retention"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// TestForgetWaitsForAlarms lets a policy forget while an alarm stands, and once
// it does not.
func TestForgetWaitsForAlarms(t *testing.T) {
	r := storetest.New(t).Open(t)
	w, err := r.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var last store.Snapshot
	for day := range 3 {
		at := tree.TimeOf(time.Date(2026, 11, 1+day, 12, 0, 0, 0, time.UTC))
		last, err = w.Publish(t.Context(), tree.Snapshot{
			Source: [16]byte{1}, Label: "weddings", Basis: tree.Scanned, Started: at, Finished: at, Root: tree.Node{Type: tree.File, Mode: 0o644, MTime: at},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := &session{repo: r}
	for _, c := range []struct {
		alarms any
		note   string
		left   int
	}{
		{[]daemon.Alarm{{Guard: "emptied"}}, "nothing of weddings is forgotten: an alarm stands (emptied)", 3},
		{nil, "", 1},
	} {
		if err := r.State().SetNote(last.Source, "alarms", c.alarms); err != nil {
			t.Fatal(err)
		}
		var told bytes.Buffer
		out := newOutput(control.Options{}, control.Stream{Stdout: io.Discard, Stderr: &told})
		if err := forgetHandler(t.Context(), s, forgetArgs{Policy: retention.Policy{Last: 1}}, out); err != nil {
			t.Fatal(err)
		}
		all, _, err := r.Snapshots(t.Context())
		if err != nil || len(all) != c.left || !strings.Contains(told.String(), c.note) {
			t.Errorf("%d snapshots are left, %v; told %q", len(all), err, told.String())
		}
	}
}
