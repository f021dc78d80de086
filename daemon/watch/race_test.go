package watch_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/watch"
)

// TestBurst makes 1,000 directories while files are written into them, and
// expects every one of them, and every parent, in some batch.
func TestBurst(t *testing.T) {
	h := start(t, watch.Options{})
	h.first()
	m := mirror{".": {}}
	changed, done := burst(t, h.root)
	covered := make(map[string]bool)
	deadline := time.Now().Add(patience)
	for finished := false; ; {
		b := h.next(4 * settle)
		m.apply(h.root, b)
		for _, d := range b.Dirs {
			covered[d] = true
		}
		select {
		case <-done:
			finished = true
		default:
		}
		if !finished {
			continue
		}
		missing := 0
		for d := range changed {
			if !covered[d] && !b.All {
				missing++
			}
		}
		if missing == 0 && len(m.diff(h.root)) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d directories are in no batch; %+v", missing, len(changed), h.w.Stats())
		}
	}
	if s := h.w.Stats(); s.Overflows > 0 {
		t.Errorf("events were lost %d times in an ordinary burst", s.Overflows)
	}
}

// burst has 4 writers make 250 nested directories each, filled at once. changed
// may be read when done is closed.
func burst(t *testing.T, root string) (changed map[string]bool, done <-chan struct{}) {
	changed = map[string]bool{".": true}
	var mu sync.Mutex
	var writers sync.WaitGroup
	for w := range 4 {
		writers.Go(func() {
			for i := range 50 {
				rel := fmt.Sprintf("w%d-%d", w, i)
				for depth := range 5 {
					if depth > 0 {
						rel = fmt.Sprintf("%s/n%d", rel, depth)
					}
					if err := os.Mkdir(filepath.Join(root, rel), 0o755); err != nil {
						t.Error(err)
						return
					}
					for f := range 2 {
						if err := os.WriteFile(filepath.Join(root, rel, fmt.Sprint("f", f)), []byte(rel), 0o644); err != nil {
							t.Error(err)
							return
						}
					}
					mu.Lock()
					changed[rel] = true
					mu.Unlock()
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() {
		writers.Wait()
		close(finished)
	}()
	t.Cleanup(writers.Wait)
	return changed, finished
}

// TestFilledBeforeWatched fills a new directory in the moment before its watch
// is set, when no event tells of it; without the read that follows the watch
// the contents stay unknown.
func TestFilledBeforeWatched(t *testing.T) {
	run := func(t *testing.T, patience time.Duration, sabotage func(*watch.Options)) []string {
		o := watch.Options{Root: t.TempDir()}
		o.BeforeWatch(func(rel string) {
			if rel == "new" {
				deep := filepath.Join(o.Root, "new/sub/deep")
				if err := errors.Join(os.MkdirAll(deep, 0o755), os.WriteFile(deep+"/file", nil, 0o644)); err != nil {
					t.Error(err)
				}
			}
		})
		if sabotage != nil {
			sabotage(&o)
		}
		h := start(t, o)
		h.first()
		m := mirror{".": {}}
		must(t, os.Mkdir(h.path("new"), 0o755))
		done := make(chan struct{})
		close(done)
		return h.followFor(m, done, patience)
	}
	t.Run("read after watch", func(t *testing.T) {
		if wrong := run(t, patience, nil); len(wrong) > 0 {
			t.Errorf("not covered: %q", wrong)
		}
	})
	t.Run("negative control", func(t *testing.T) {
		if wrong := run(t, 20*settle, (*watch.Options).NoReadAfterWatch); len(wrong) == 0 {
			t.Error("the test cannot fail")
		}
	})
}

// TestMovedUnseen moves a watched directory into one that is not watched yet, so
// that only reading finds it, while its old watches are still in place.
func TestMovedUnseen(t *testing.T) {
	o := watch.Options{Root: t.TempDir()}
	must(t, os.MkdirAll(filepath.Join(o.Root, "a/sub"), 0o755))
	o.BeforeWatch(func(rel string) {
		if rel == "new" {
			if err := os.Rename(filepath.Join(o.Root, "a"), filepath.Join(o.Root, "new/b")); err != nil {
				t.Error(err)
			}
		}
	})
	h := start(t, o)
	h.first()
	must(t, os.Mkdir(h.path("new"), 0o755))
	h.expect(".", "new", "new/b", "new/b/sub")
	for range 3 {
		write(t, h.path("new/b/file"), "x")
		write(t, h.path("new/b/sub/file"), "x")
		h.expect("new/b", "new/b/sub")
	}
}

// TestBindMount shows one directory in two places, of which inotify watches only
// one; the other is scanned.
func TestBindMount(t *testing.T) {
	o := watch.Options{Root: t.TempDir()}
	must(t, os.Mkdir(filepath.Join(o.Root, "a"), 0o755))
	must(t, os.Mkdir(filepath.Join(o.Root, "b"), 0o755))
	if err := syscall.Mount(filepath.Join(o.Root, "a"), filepath.Join(o.Root, "b"), "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("no bind mounts here: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(filepath.Join(o.Root, "b"), 0)) })
	h := start(t, o)
	h.first()
	if s := h.w.Stats(); s.Watches != 2 || s.NotWatchable != 1 {
		t.Errorf("%+v", s)
	}
	write(t, h.path("a/file"), "x")
	for covered := map[string]bool{}; !covered["a"] || !covered["b"]; {
		b := h.next(time.Hour)
		for _, d := range append(b.Dirs, b.Rescan...) {
			covered[d] = true
		}
	}
}
