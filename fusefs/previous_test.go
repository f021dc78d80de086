package fusefs_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/capture"
	"keepsake/store/storetest"
)

// TestPrevious looks at the folders for Samba: the same trees under names that
// it knows, one for each second.
func TestPrevious(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "library")
	write(t, dir+"/photo", []byte("1"))
	r := storetest.New(t).Open(t)
	// Summer time, where the hour of the folder is not that of the name.
	at := func(when time.Time) func(*capture.Options) {
		return func(o *capture.Options) { o.Now = func() time.Time { return when } }
	}
	berlin := time.FixedZone("", 2*3600)
	first := time.Date(2026, 7, 1, 0, 30, 0, 0, berlin)
	back(t, r, dir, "library", at(first))
	write(t, dir+"/photo", []byte("22"))
	back(t, r, dir, "library", at(first.Add(time.Minute)))
	write(t, dir+"/photo", []byte("333"))
	back(t, r, dir, "library", at(first.Add(time.Minute+time.Millisecond)))
	m := mount(t, r, nil)

	if got := list(t, m.path("previous")); !slices.Equal(got, []string{"library"}) {
		t.Errorf("previous holds %q", got)
	}
	want := []string{"@GMT-2026.06.30-22.30.00", "@GMT-2026.06.30-22.31.00"}
	if got := list(t, m.path("previous", "library")); !slices.Equal(got, want) {
		t.Errorf("previous/library holds %q, want %q", got, want)
	}
	if got := list(t, m.path("snapshots", "library")); len(got) != 3 {
		t.Errorf("snapshots/library holds %q", got)
	}
	for i, content := range []string{"1", "333"} { // the last of its second
		if got, err := os.ReadFile(m.path("previous", "library", want[i], "photo")); err != nil || string(got) != content {
			t.Errorf("%s: %q, %v", want[i], got, err)
		}
	}
	folder, err := filepath.EvalSymlinks(m.path("latest", "library"))
	if err != nil {
		t.Fatal(err)
	}
	var people, samba unix.Stat_t
	for path, st := range map[string]*unix.Stat_t{folder: &people, m.path("previous", "library", want[1]): &samba} {
		if err := unix.Stat(path, st); err != nil {
			t.Fatal(err)
		}
	}
	// The kernel moves a directory that it meets at a second place.
	if people.Ino == samba.Ino {
		t.Errorf("one directory at two places, with inode number %d", people.Ino)
	}
	if people.Mode != samba.Mode || people.Uid != samba.Uid || people.Mtim != samba.Mtim {
		t.Errorf("the folders differ: %+v, %+v", people, samba)
	}
}
