package fusefs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/store"
)

// requests counts what the kernel asks for.
type requests struct {
	fuse.RawFileSystem
	lookups, lists atomic.Int64
}

func (r *requests) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	r.lookups.Add(1)
	return r.RawFileSystem.Lookup(cancel, h, name, out)
}

func (r *requests) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	r.lists.Add(1)
	return r.RawFileSystem.ReadDirPlus(cancel, in, out)
}

func (r *requests) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	r.lists.Add(1)
	return r.RawFileSystem.ReadDir(cancel, in, out)
}

// counted mounts a repository and counts the requests, and what they make the
// view ask of the repository.
func counted(t *testing.T, repo *store.Repository, change func(*fusefs.Options)) (*mounted, *requests, *counting) {
	t.Helper()
	asked, of := &requests{}, &counting{Repository: repo}
	m := mountBy(t, repo, func(o *fusefs.Options) {
		o.Repository = of
		if change != nil {
			change(o)
		}
	}, func(o fusefs.Options) (*fusefs.Mounted, error) {
		return fusefs.MountOver(t.Context(), o, func(raw fuse.RawFileSystem) fuse.RawFileSystem {
			asked.RawFileSystem = raw
			return asked
		})
	})
	return m, asked, of
}

// absent demands that a path is not there.
func absent(t *testing.T, path string) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); !errors.Is(err, unix.ENOENT) {
		t.Fatalf("%s: %v", path, err)
	}
}

// droppings are what programs look for in every folder.
var droppings = []string{".hidden", "._x", "desktop.ini", "autorun.inf"}

// TestMissingNames looks for what is not there: the same names very often, and
// very many names. The first costs nearly no requests, and the second neither
// memory nor a look into the repository.
func TestMissingNames(t *testing.T) {
	times := 20_000
	if long {
		times = 1_000_000
	}
	_, _, _, r, _ := view(t, nil)
	m, asked, of := counted(t, r, nil)
	many := m.path("latest", "library", "many")
	if entries, err := os.ReadDir(many); err != nil || len(entries) != 600 {
		t.Fatalf("%d entries: %v", len(entries), err)
	}

	step := func(what string, do func()) (lookups int64, took time.Duration) {
		t.Helper()
		asked.lookups.Store(0)
		began := time.Now()
		do()
		lookups, took = asked.lookups.Load(), time.Since(began)
		t.Logf("%s: %d look-ups, %d requests, %v", what, times, lookups, took.Round(time.Millisecond))
		return lookups, took
	}
	everywhere := func(dirs ...string) func() {
		return func() {
			for i := range times {
				absent(t, filepath.Join(dirs[i/len(droppings)%len(dirs)], droppings[i%len(droppings)]))
			}
		}
	}
	inside := []string{many, m.path("latest", "library"), m.path("latest", "library", "photos")}
	// The way there leads through lists, which are asked for anew each second.
	if n, took := step("inside snapshots", everywhere(inside...)); n > 100+10*seconds(took) {
		t.Errorf("%d requests", n)
	}
	lists := []string{m.dir, m.path("latest"), m.path("snapshots"), m.path("snapshots", "library"), m.path("previous"), m.path("previous", "library")}
	if n, took := step("in lists", everywhere(lists...)); n > int64(1+len(lists)*(len(droppings)+2))*(seconds(took)+1) {
		t.Errorf("%d requests", n)
	}

	live, entries, reads := m.Live(), of.entries.Load(), of.lookups.Load()
	before := heap()
	_, _ = step("different names", func() {
		for i := range times {
			absent(t, fmt.Sprintf("%s/no-%d.jpg", many, i))
		}
	})
	grown := int64(heap()) - int64(before)
	t.Logf("heap grew by %d KiB", grown>>10)
	if e, l := of.entries.Load()-entries, of.lookups.Load()-reads; e+l > 0 {
		t.Errorf("the repository was asked %d times", e+l)
	}
	if m.Live() > live+10 || grown > 8<<20 {
		t.Errorf("%d nodes, %d before; %d bytes of heap more", m.Live(), live, grown)
	}
}

func seconds(d time.Duration) int64 { return int64(d/time.Second) + 1 }

// TestMissingNameAppears: what was not in a list, and was said to be missing,
// is there once there is a snapshot, at once for who is told of it.
func TestMissingNameAppears(t *testing.T) {
	m, _, _, r, _ := view(t, nil)
	folder := m.path("latest", "second")
	absent(t, folder)
	dir := filepath.Join(t.TempDir(), "second")
	write(t, dir+"/file", []byte("x"))
	back(t, r, dir, "second", nil)
	m.Refresh()
	if _, err := os.Stat(folder + "/file"); err != nil {
		t.Error(err)
	}
	absent(t, m.path("latest", "third"))
	dir = filepath.Join(t.TempDir(), "third")
	write(t, dir+"/file", []byte("x"))
	back(t, r, dir, "third", nil)
	until(t, 60*time.Second, func() bool {
		_, err := os.Stat(m.path("latest", "third") + "/file")
		return err == nil
	})
}
