package fusefs_test

import (
	"path/filepath"
	"testing"

	"keepsake/packaging/torture"
	"keepsake/store/storetest"
)

// TestTorture compares everything that is hard to back up with what the mount
// says of it. Nothing is left out: where files hold data and where holes is
// compared as well.
func TestTorture(t *testing.T) {
	needFUSE(t)
	dir := filepath.Join(t.TempDir(), "torture")
	omitted, err := torture.Build(dir, torture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range omitted {
		t.Logf("not in the tree here: %v", o)
	}
	r := storetest.New(t).Open(t)
	s := back(t, r, dir, "torture", nil)
	if s.MissedCount > 0 {
		t.Errorf("the backup missed %d paths: %v", s.MissedCount, s.Missed)
	}
	m := mount(t, r, nil)
	for _, line := range torture.Compare(dir, m.path("latest", "torture")+"/.", torture.CompareOptions{Holes: true}) {
		t.Error(line)
	}
}
