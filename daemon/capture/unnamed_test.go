package capture_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"keepsake/daemon/capture"
	"keepsake/store/storetest"
)

// TestUnnamedChangesAreTold scans after events have named one of the directories
// in which something changed: the others are told, and those that rest are not.
func TestUnnamedChangesAreTold(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := t.TempDir()
	for _, name := range []string{"named/a", "silent/b", "gone/c", "rests/d"} {
		write(t, filepath.Join(dir, name), []byte(name))
	}
	back(t, r, dir, func(o *capture.Options) { o.Now = later })
	write(t, filepath.Join(dir, "named/a"), []byte("changed"))
	write(t, filepath.Join(dir, "silent/b"), []byte("changed, too"))
	if err := os.Remove(filepath.Join(dir, "gone/c")); err != nil {
		t.Fatal(err)
	}
	res, _ := back(t, r, dir, func(o *capture.Options) { o.Now, o.Named = later, []string{"named"} })
	if want := []string{"gone", "silent"}; !slices.Equal(res.Unnamed, want) {
		t.Errorf("told %q, want %q", res.Unnamed, want)
	}
}
