package capture_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"keepsake/daemon/capture"
	"keepsake/store/storetest"
)

// TestEmptiedSourceIsMarked deletes every file: the snapshot says that this is
// unlike a source, and the next one, with files again, does not.
func TestEmptiedSourceIsMarked(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	photo := filepath.Join(dir, "photo")
	write(t, photo, []byte("x"))
	back(t, r, dir, nil)
	if err := os.Remove(photo); err != nil {
		t.Fatal(err)
	}
	res, _ := back(t, r, dir, nil)
	if !slices.Equal(res.Snapshot.Marks, []string{capture.MarkEmptied}) || res.Snapshot.Stats.DeletedFiles != 1 {
		t.Errorf("marks %v, %d deleted", res.Snapshot.Marks, res.Snapshot.Stats.DeletedFiles)
	}
	write(t, photo, []byte("x"))
	if res, _ = back(t, r, dir, nil); len(res.Snapshot.Marks) != 0 {
		t.Errorf("marks %v of a source that has files again", res.Snapshot.Marks)
	}
}
