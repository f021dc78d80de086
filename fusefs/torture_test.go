package fusefs_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"keepsake/packaging/torture"
)

// TestTorture compares everything that is hard to back up with what the mount
// says of it. Nothing is left out: where files hold data and where holes is
// compared as well. Then rsync is asked, in both directions, and asked again
// when something differs.
func TestTorture(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "torture")
	var o torture.Options
	if os.Getenv("KEEPSAKE_LONG") != "" {
		o = torture.Full()
	}
	view := tortured(t, dir, o)
	for _, line := range torture.Compare(dir, view, torture.CompareOptions{Holes: true}) {
		t.Error(line)
	}
	if !have(t, "rsync") {
		return
	}
	for _, way := range [][2]string{{dir, view}, {view, dir}} {
		if said := rsync(t, way[0], way[1]); said != "" {
			t.Errorf("rsync from %s would do:\n%s", way[0], said)
		}
	}
	now := time.Now()
	if err := errors.Join(os.Chmod(dir+"/sizes/empty", 0o600), os.Remove(dir+"/sizes/1"), os.Chtimes(dir, now, now)); err != nil {
		t.Fatal(err)
	}
	want := ".d..t...... ./\n*deleting   sizes/1\n.d..t...... sizes/\n.f...p..... sizes/empty\n"
	if said := rsync(t, dir, view); said != want {
		t.Errorf("rsync says of a tree that was changed:\n%swant:\n%s", said, want)
	}
}

// rsync returns what it would do to make one tree of the other, their roots included.
func rsync(t *testing.T, from, to string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "rsync", "-aHAXn", "--checksum", "--itemize-changes", "--delete", from+"/", to+"/").CombinedOutput()
	if err != nil {
		t.Errorf("rsync: %v", err)
	}
	return string(out)
}
