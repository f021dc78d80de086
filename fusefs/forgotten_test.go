package fusefs_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/capture"
	"keepsake/store"
	"keepsake/store/storetest"
)

// TestForgottenDisappears forgets the newest snapshot and brings it back: its
// folder goes and comes, and latest follows.
func TestForgottenDisappears(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "library")
	write(t, dir+"/first", []byte("1"))
	r := storetest.New(t).Open(t)
	back(t, r, dir, "library", nil)
	write(t, dir+"/second", []byte("2"))
	later := func(o *capture.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Hour) }
		o.Require = []string{"contracts"} // so that it is incomplete, and may be forgotten
	}
	second := back(t, r, dir, "library", later)
	m := mount(t, r, nil)
	see := func(when string, folders int, files ...string) {
		t.Helper()
		m.Refresh()
		if got := list(t, m.path("snapshots", "library")); len(got) != folders {
			t.Errorf("%s: snapshots %q", when, got)
		}
		if got := list(t, m.path("latest", "library")+"/"); !slices.Equal(got, files) {
			t.Errorf("%s: latest holds %q", when, got)
		}
	}
	see("at first", 2, "first", "second")
	folder, err := filepath.EvalSymlinks(m.path("latest", "library"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Forget(t.Context(), []store.Snapshot{second}, "", ""); err != nil {
		t.Fatal(err)
	}
	see("forgotten", 1, "first")
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("%s: %v", folder, err)
	}
	if err := r.Undelete(t.Context(), []store.Snapshot{second}, "", ""); err != nil {
		t.Fatal(err)
	}
	see("brought back", 2, "first", "second")
}

// manySnapshots backs a library up n times, an hour apart, and mounts it.
func manySnapshots(t *testing.T, n int) (m *mounted, r *store.Repository, place *storetest.Place, all []store.Snapshot) {
	t.Helper()
	needFUSE(t)
	dir := filepath.Join(t.TempDir(), "library")
	place = storetest.New(t)
	place.Cache = 1 << 20
	r = place.Open(t)
	start := time.Now()
	for i := range n {
		write(t, dir+"/photos/of-the-day", random(uint64(i), 4<<20))
		all = append(all, back(t, r, dir, "library", func(o *capture.Options) {
			o.Now = func() time.Time { return start.Add(time.Duration(i+1) * time.Hour) }
		}))
	}
	return mount(t, r, nil), r, place, all
}

// TestForgottenWhileOpen forgets a snapshot of which a file and a directory are
// open: both go on to the end as long as its packs are there, and after that
// the file cannot be read. It never seems to end early.
func TestForgottenWhileOpen(t *testing.T) {
	t.Parallel()
	m, r, place, all := manySnapshots(t, 2)
	folder := m.path("snapshots", "library", list(t, m.path("snapshots", "library"))[0])
	want := random(0, 4<<20)
	f, err := os.Open(folder + "/photos/of-the-day")
	must(t, err)
	defer f.Close()
	must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
	dir, err := os.Open(folder + "/photos")
	must(t, err)
	defer dir.Close()
	got := make([]byte, 1<<20)
	if _, err := f.ReadAt(got, 0); err != nil {
		t.Fatal(err)
	}
	must(t, r.Forget(t.Context(), all[:1], "", ""))
	m.Refresh()
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the folder of a forgotten snapshot: %v", err)
	}
	rest, err := io.ReadAll(io.NewSectionReader(f, 1<<20, 10<<20))
	if err != nil || !bytes.Equal(rest, want[1<<20:]) {
		t.Errorf("reading on: %d bytes, %v", len(rest), err)
	}
	if names, err := dir.Readdirnames(-1); err != nil || !slices.Equal(names, []string{"of-the-day"}) {
		t.Errorf("listing on: %q, %v", names, err)
	}
	if err := openat(dir, "of-the-day"); err != nil {
		t.Errorf("opening from a directory that is open: %v", err)
	}
	// A prune takes the packs that nobody else wants.
	must(t, os.Rename(place.Dir+"/data", place.Dir+"/data-gone"))
	must(t, place.Backend.Close())
	must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	for off := int64(0); off < 4<<20; off += 1 << 20 {
		n, err := f.ReadAt(got, off)
		if !bytes.Equal(got[:n], want[off:off+int64(n)]) || n < len(got) && !errors.Is(err, unix.EIO) {
			t.Errorf("reading at %d without packs: %d bytes, %v", off, n, err)
		}
	}
	if n, err := f.ReadAt(got, 2<<20); !errors.Is(err, unix.EIO) {
		t.Errorf("reading without packs: %d bytes, %v", n, err)
	}
	must(t, os.Rename(place.Dir+"/data-gone", place.Dir+"/data"))
}

// TestListingWhileForgetting lists while snapshots come and go: what stays is
// in every list, once, and nothing fails but with "no such file".
func TestListingWhileForgetting(t *testing.T) {
	t.Parallel()
	m, r, _, all := manySnapshots(t, 6)
	top := m.path("snapshots", "library")
	names := list(t, top)
	stay := []string{names[1], names[3], names[5]}
	var group sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		group.Go(func() {
			for running := true; running; {
				select {
				case <-stop:
					running = false
				default:
				}
				entries, err := os.ReadDir(top)
				if err != nil {
					t.Errorf("listing: %v", err)
					return
				}
				var seen []string
				for _, e := range entries {
					seen = append(seen, e.Name())
					if _, err := os.ReadDir(filepath.Join(top, e.Name())); err != nil && !os.IsNotExist(err) {
						t.Errorf("%s: %v", e.Name(), err)
					}
				}
				for _, name := range stay {
					if i := slices.Index(seen, name); i < 0 || slices.Index(seen[i+1:], name) >= 0 {
						t.Errorf("%s is not once in %q", name, seen)
					}
				}
				if _, err := os.ReadFile(m.path("latest", "library", "photos", "of-the-day")); err != nil {
					t.Errorf("the newest: %v", err)
				}
			}
		})
	}
	for range 5 {
		some := []store.Snapshot{all[0], all[2], all[4]}
		must(t, r.Forget(t.Context(), some, "", ""))
		m.Refresh()
		if got := list(t, top); !slices.Equal(got, stay) {
			t.Errorf("after three were forgotten: %q", got)
		}
		must(t, r.Undelete(t.Context(), some, "", ""))
		m.Refresh()
		if got := list(t, top); !slices.Equal(got, names) {
			t.Errorf("after three were brought back: %q", got)
		}
	}
	close(stop)
	group.Wait()
}
