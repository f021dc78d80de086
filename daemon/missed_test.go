package daemon_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"keepsake/daemon"
	"keepsake/daemon/capture"
	"keepsake/daemon/health"
	"keepsake/store/storetest"
)

// TestManyFilesInFlux: more files than a manifest names are still being written.
// That is an everyday copy, and nobody is told of it.
func TestManyFilesInFlux(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := library(t, "a")
	source, _, err := capture.Bind(t.Context(), r, "lib", dir, "host")
	if err != nil {
		t.Fatal(err)
	}
	flux := map[string]bool{}
	for i := range 300 {
		name := fmt.Sprintf("%03d", i)
		put(t, filepath.Join(dir, name), name)
		flux[name] = true
	}
	w, err := r.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	res, err := capture.Run(t.Context(), capture.Options{Repository: r, Writer: w, Source: source, Path: []byte(dir), InFlux: flux})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := daemon.SnapshotFacts(t.Context(), r, res.Snapshot)
	if n.Missed != 300 || n.Writing != 300 || len(n.MissedPaths) == 0 || len(n.MissedPaths) >= 300 {
		t.Errorf("%d missed, %d of them being written, %d named", n.Missed, n.Writing, len(n.MissedPaths))
	}
	if s := health.Judge(health.Facts{Label: "lib", Newest: n, Looked: r.Now()}, r.Now()); s.State != health.Waiting {
		t.Errorf("%s: %s", s.State, s.Reason)
	}
}
