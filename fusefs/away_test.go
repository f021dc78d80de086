package fusefs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/storetest"
)

// stalled is a disk that can be made to hang, whatever a context says.
type stalled struct {
	*backend.Local
	mu   sync.Mutex
	held chan struct{} // closed when it goes on; nil if it does
}

func (s *stalled) stall() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = make(chan struct{})
}

func (s *stalled) goOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held != nil {
		close(s.held)
		s.held = nil
	}
}

func (s *stalled) wait() {
	s.mu.Lock()
	held := s.held
	s.mu.Unlock()
	if held != nil {
		<-held
	}
}

func (s *stalled) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	s.wait()
	return s.Local.ReadAt(ctx, name, p, off)
}

func (s *stalled) List(ctx context.Context, prefix string, fn func(string, int64) error) error {
	s.wait()
	return s.Local.List(ctx, prefix, fn)
}

// absence is a way for a repository to go away and come back.
type absence struct {
	name     string
	prepare  func(t *testing.T, dir string) // before it is opened; nil for nothing
	leave    func(t *testing.T, dir string, disk *stalled)
	comeBack func(t *testing.T, dir string, disk *stalled)
}

var absences = []absence{
	{
		"its directory is renamed", nil,
		func(t *testing.T, dir string, _ *stalled) { must(t, os.Rename(dir, dir+"-away")) },
		func(t *testing.T, dir string, _ *stalled) { must(t, os.Rename(dir+"-away", dir)) },
	},
	{
		"its disk is unmounted",
		func(t *testing.T, dir string) {
			must(t, os.Rename(dir, dir+"-disk"))
			must(t, os.Mkdir(dir, 0o755)) // which is there without the disk
			attachDisk(t, dir)
			t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // it may be gone
		},
		func(t *testing.T, dir string, _ *stalled) { must(t, unix.Unmount(dir, unix.MNT_DETACH)) },
		func(t *testing.T, dir string, _ *stalled) { attachDisk(t, dir) },
	},
	{
		"its disk hangs", nil,
		func(_ *testing.T, _ string, disk *stalled) { disk.stall() },
		func(_ *testing.T, _ string, disk *stalled) { disk.goOn() },
	},
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// attachDisk shows the directory beside dir at dir, as a file system of its own.
func attachDisk(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Mount(dir+"-disk", dir, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("not run: it takes root to take out a disk: %v", err)
	}
}

// patient is how long the views of these tests wait for a repository.
const patient = 2 * time.Second

// awayView mounts a library of which the folder photos was looked at, and the
// folder video was not.
func awayView(t *testing.T, a absence) (m *mounted, r *store.Repository, library string, place *storetest.Place, disk *stalled) {
	t.Helper()
	needFUSE(t)
	place = storetest.New(t)
	library = filepath.Join(t.TempDir(), "library")
	for _, dir := range []string{"photos", "video"} {
		for i := range 5 {
			write(t, fmt.Sprintf("%s/%s/%d", library, dir, i), random(uint64(i), 2<<20+i))
		}
		must(t, unix.Setxattr(library+"/"+dir+"/0", "user.rating", []byte("5"), 0))
	}
	first, err := place.TryOpen(t.Context())
	must(t, err)
	back(t, first, library, "library", nil)
	must(t, first.Close())
	if a.prepare != nil {
		a.prepare(t, place.Dir)
	}
	disk = &stalled{Local: place.Backend}
	r = openOver(t, place, store.Options{Objects: disk, Cache: 1 << 20})
	t.Cleanup(disk.goOn)
	m = mount(t, r, func(o *fusefs.Options) { o.Patience = patient })
	if got := list(t, m.path("latest", "library", "photos")); len(got) != 5 {
		t.Fatalf("photos: %q", got)
	}
	return m, r, library, place, disk
}

// soon runs an operation that must end.
func soon(t *testing.T, what string, op func() error) error {
	t.Helper()
	done := make(chan error, 1)
	begun := time.Now()
	go func() {
		err := op()
		for errors.Is(err, unix.EINTR) { // by a signal that Go's runtime sends itself
			err = op()
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Logf("%s: %v after %v", what, err, time.Since(begun).Round(time.Millisecond))
		return err
	case <-time.After(30 * time.Second):
		t.Errorf("%s does not end", what)
		return nil
	}
}

// TestRepositoryAway takes the repository away while it is mounted: what must
// be read from it is an input/output error soon, the lists stay, and all is
// well when it is back, even in files that were open all the time.
func TestRepositoryAway(t *testing.T) {
	for _, a := range absences {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			m, r, library, place, disk := awayView(t, a)
			root := m.path("latest", "library")
			folders := list(t, m.path("snapshots", "library"))
			open, err := os.Open(root + "/photos/3")
			must(t, err)
			defer open.Close()

			a.leave(t, place.Dir, disk)
			must(t, place.Backend.Close()) // or packs that are open would go on to be read
			time.Sleep(1100 * time.Millisecond)
			failsAway(t, m, open)
			listsAway(t, m, folders)
			if n := len(m.log.lines("does not answer")); n != 1 {
				t.Errorf("%d lines in the log say so: %q", n, m.log.lines(""))
			}

			a.comeBack(t, place.Dir, disk)
			equalSoon(t, library, root)
			for _, name := range []string{"video/0", "photos/4"} {
				if got := list(t, m.path("versions", "library", name)); len(got) != 1 {
					t.Errorf("%s has the versions %q", name, got)
				}
			}
			got := make([]byte, 100)
			if _, err := open.ReadAt(got, 1<<20); err != nil || !bytes.Equal(got, random(3, 2<<20+3)[1<<20:][:100]) {
				t.Errorf("a file that was open all the time: %v", err)
			}
			write(t, library+"/later", []byte("later"))
			back(t, r, library, "library", nil)
			m.Refresh()
			if got, err := os.ReadFile(root + "/later"); err != nil || string(got) != "later" {
				t.Errorf("what was backed up later: %q, %v", got, err)
			}
		})
	}
}

// failsAway tries all that takes the repository.
func failsAway(t *testing.T, m *mounted, open *os.File) {
	t.Helper()
	root := m.path("latest", "library")
	var group sync.WaitGroup
	for what, op := range map[string]func() error{
		"reading an open file":      func() error { _, err := open.ReadAt(make([]byte, 4096), 1<<20); return err },
		"looking up":                func() error { return unix.Stat(root+"/video/0", new(unix.Stat_t)) },
		"looking up what is not":    func() error { return unix.Stat(root+"/video/none", new(unix.Stat_t)) },
		"listing":                   func() error { _, err := os.ReadDir(root + "/video"); return err },
		"versions":                  func() error { _, err := os.ReadDir(m.path("versions", "library", "video")); return err },
		"attributes":                func() error { _, err := unix.Lgetxattr(root+"/video/0", "user.rating", make([]byte, 4096)); return err },
		"opening and reading whole": func() error { _, err := os.ReadFile(root + "/photos/4"); return err },
	} {
		group.Go(func() {
			if err := soon(t, what, op); !errors.Is(err, unix.EIO) {
				t.Errorf("%s while the repository is away: %v", what, err)
			}
		})
	}
	group.Wait()
}

// listsAway looks at what stays.
func listsAway(t *testing.T, m *mounted, folders []string) {
	t.Helper()
	for what, op := range map[string]func() error{
		"the root": func() error {
			if got := list(t, m.dir); !slices.Contains(got, "snapshots") {
				return fmt.Errorf("%q", got)
			}
			return nil
		},
		"the snapshots": func() error {
			if got := list(t, m.path("snapshots", "library")); !slices.Equal(got, folders) {
				return fmt.Errorf("%q", got)
			}
			return nil
		},
		"latest":     func() error { _, err := os.Readlink(m.path("latest", "library")); return err },
		"a folder":   func() error { _, err := os.Stat(m.path("snapshots", "library", folders[0])); return err },
		"README.txt": func() error { _, err := os.ReadFile(m.path("README.txt")); return err },
		"statfs":     func() error { return unix.Statfs(m.dir, new(unix.Statfs_t)) },
		"Refresh":    func() error { m.Refresh(); return nil },
		"what is not there": func() error {
			if _, err := os.Stat(m.path("snapshots", "none")); !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("%v", err)
			}
			return nil
		},
	} {
		if err := soon(t, what, op); err != nil {
			t.Errorf("%s while the repository is away: %v", what, err)
		}
	}
}

// equalSoon waits until a view shows all files of a library again.
func equalSoon(t *testing.T, library, root string) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		err = filepath.WalkDir(library, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(library, path)
			if err != nil {
				return err
			}
			want, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			got, err := os.ReadFile(filepath.Join(root, rel))
			if err == nil && !bytes.Equal(got, want) {
				t.Fatalf("%s: %d bytes, want %d", rel, len(got), len(want))
			}
			return err
		})
		if err == nil {
			return
		}
	}
	t.Errorf("the repository is back, but: %v", err)
}

// TestUnmountWhileAway unmounts while the repository is away and programs are
// reading and waiting: nothing takes longer than the view's patience.
func TestUnmountWhileAway(t *testing.T) {
	for _, a := range absences {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			m, _, _, place, disk := awayView(t, a)
			open, err := os.Open(m.path("latest", "library", "photos", "3"))
			must(t, err)
			defer open.Close()
			a.leave(t, place.Dir, disk)
			defer a.comeBack(t, place.Dir, disk)
			must(t, place.Backend.Close())
			read := func() error { _, err := open.ReadAt(make([]byte, 4096), 1<<20); return err }
			ended := make(chan error, 1)
			go func() { ended <- read() }()
			time.Sleep(100 * time.Millisecond)
			if err := soon(t, "unmounting", m.Unmount); err != nil {
				t.Error(err)
			}
			if err := soon(t, "waiting", func() error { m.Wait(); return nil }); err != nil {
				t.Error(err)
			}
			if err := soon(t, "a read that was under way", func() error { return <-ended }); err == nil {
				t.Error("it succeeded")
			}
			if err := soon(t, "a read afterwards", read); err == nil {
				t.Error("it succeeded")
			}
			if _, err := os.Lstat(m.dir); !os.IsNotExist(err) {
				t.Errorf("the mount point is still there: %v", err)
			}
		})
	}
}
