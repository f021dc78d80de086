package fusefs_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/capture"
	"keepsake/fusefs"
	"keepsake/fusefs/catalogue"
	"keepsake/store"
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

// crowded is a repository that has taken the same snapshot every 10 seconds.
type crowded struct {
	*store.Repository
	n int
}

func (c crowded) Briefs(ctx context.Context) (all []*store.Brief, damaged []error, err error) {
	real, damaged, err := c.Repository.Briefs(ctx)
	for i := range c.n {
		s := *real[0]
		s.ID[0], s.ID[1], s.Number = byte(i), byte(i>>8), uint64(i)
		s.Started.Sec = 1_780_000_000 + int64(i)*10
		all = append(all, &s)
	}
	return all, damaged, err
}

func (c crowded) Manifest(ctx context.Context, _ store.SnapshotID) (store.Snapshot, error) {
	return c.Repository.Find(ctx, "latest")
}

// TestPreviousOfMany looks at a source with more snapshots than Samba's clients
// can take a list of.
func TestPreviousOfMany(t *testing.T) {
	const n = 5000
	m, _, _, r, _ := view(t, nil)
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	m = mount(t, r, func(o *fusefs.Options) { o.Repository = crowded{r, n} })
	listed := list(t, m.path("previous", "library"))
	if len(listed) > catalogue.MostListed || len(listed) < catalogue.MostListed/2 {
		t.Errorf("%d are listed", len(listed))
	}
	if got := list(t, m.path("snapshots", "library")); len(got) != n {
		t.Errorf("snapshots has %d", len(got))
	}
	for i := range 50 {
		name := time.Unix(1_780_000_000+int64(i)*10, 0).UTC().Format("@GMT-2006.01.02-15.04.05")
		if _, err := os.Stat(m.path("previous", "library", name, "many")); err != nil {
			t.Errorf("%s, which need not be listed: %v", name, err)
		}
	}
}
