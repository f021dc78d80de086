package watch_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/watch"
)

// mountTmp mounts an empty file system in memory at dir, until the test ends or
// calls the function.
func mountTmp(t *testing.T, dir string) (unmount func()) {
	t.Helper()
	if err := syscall.Mount("keepsake-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("not run: nothing can be mounted here: %v", err)
	}
	unmount = sync.OnceFunc(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH)) })
	t.Cleanup(unmount)
	return unmount
}

// TestMountedBelow mounts and unmounts file systems below the root: exactly
// that subtree is scanned, and watched as it is then.
func TestMountedBelow(t *testing.T) {
	tests := []struct {
		name    string
		mounted bool // before the watcher starts
		change  func(t *testing.T, dir string, unmount func())
	}{
		{"mounted", false, func(t *testing.T, dir string, _ func()) {
			mountTmp(t, dir)
			must(t, os.MkdirAll(dir+"/inner/deep", 0o755))
		}},
		{"unmounted", true, func(_ *testing.T, _ string, unmount func()) { unmount() }},
		{"mounted over another", true, func(t *testing.T, dir string, _ func()) {
			mountTmp(t, dir)
			must(t, os.MkdirAll(dir+"/inner/deep", 0o755))
		}},
		{"with other options", true, func(t *testing.T, dir string, _ func()) {
			must(t, syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_NOEXEC, ""))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			run := func(t *testing.T, patience time.Duration, sabotage func(*watch.Options)) ([]string, watch.Stats, []string) {
				o := watch.Options{Root: t.TempDir()}
				if sabotage != nil {
					sabotage(&o)
				}
				dir := filepath.Join(o.Root, "a b/disk") // a space is escaped by the kernel
				must(t, os.MkdirAll(dir+"/below/deep", 0o755))
				must(t, os.MkdirAll(o.Root+"/other", 0o755))
				var unmount func()
				if test.mounted {
					unmount = mountTmp(t, dir)
					must(t, os.MkdirAll(dir+"/inner/deep", 0o755))
				}
				h := start(t, o)
				h.first()
				m := make(mirror)
				m.tree(o.Root, ".")
				test.change(t, dir, unmount)
				var causes []string
				done := make(chan struct{})
				close(done)
				if sabotage == nil {
					b := h.until()
					causes = b.Causes
					if !slices.Equal(b.Rescan, []string{"a b/disk"}) || slices.Contains(b.Dirs, "other") {
						t.Errorf("not exactly what changed is scanned: %+v", b)
					}
					m.apply(o.Root, b)
				}
				wrong := h.followFor(m, done, patience)
				// It is watched as it is now.
				_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
					if err == nil && d.IsDir() {
						write(t, path+"/after", "x")
					}
					return err
				})
				return append(wrong, h.followFor(m, done, patience)...), h.w.Stats(), causes
			}
			wrong, stats, causes := run(t, patience, nil)
			if len(wrong) > 0 {
				t.Errorf("not covered: %q", wrong)
			}
			if stats.Remounts == 0 || !slices.Equal(causes, []string{watch.CauseRemount}) || stats.Overflows > 0 {
				t.Errorf("causes %q; %+v", causes, stats)
			}
			if test.name == "with other options" {
				return // nothing but the count shows it
			}
			t.Run("negative control", func(t *testing.T) {
				if wrong, _, _ := run(t, 20*settle, (*watch.Options).IgnoreMounts); len(wrong) == 0 {
					t.Error("the test cannot fail")
				}
			})
		})
	}
}

// TestSameAgain unmounts a file system, changes it elsewhere, and mounts it in
// the same place: the same device, the same inode numbers, often the same number
// of the mount.
func TestSameAgain(t *testing.T) {
	base := t.TempDir()
	root, elsewhere := base+"/root", base+"/elsewhere"
	must(t, os.MkdirAll(root+"/disk", 0o755))
	must(t, os.Mkdir(elsewhere, 0o755))
	unmount := mountTmp(t, elsewhere)
	defer unmount()
	must(t, os.MkdirAll(elsewhere+"/d/e", 0o755))
	for _, at := range []string{root + "/disk", root} {
		t.Run(filepath.Base(at), func(t *testing.T) {
			bind := func() { must(t, syscall.Mount(elsewhere, at, "", syscall.MS_BIND, "")) }
			bind()
			defer func() { must(t, syscall.Unmount(at, syscall.MNT_DETACH)) }()
			h := start(t, watch.Options{Root: root})
			defer h.stop()
			h.first()
			m := make(mirror)
			m.tree(root, ".")
			must(t, syscall.Unmount(at, 0))
			write(t, elsewhere+"/d/e/elsewhere "+filepath.Base(at), "x")
			bind()
			done := make(chan struct{})
			close(done)
			if wrong := h.follow(m, done); len(wrong) > 0 {
				t.Errorf("not covered: %q", wrong)
			}
			h.eventually("it is counted", func(s watch.Stats) bool { return s.Remounts > 0 })
		})
	}
}

// TestRootUnmounted unmounts the root at various moments. No batch describes
// what is left, an empty directory, as if everything had been deleted by hand.
func TestRootUnmounted(t *testing.T) {
	for _, moment := range []string{"at rest", "during the first walk", "before Take"} {
		t.Run(moment, func(t *testing.T) {
			o := watch.Options{Root: t.TempDir()}
			unmount := mountTmp(t, o.Root)
			must(t, os.MkdirAll(o.Root+"/a/b", 0o755))
			write(t, o.Root+"/a/b/photo", "x")
			if moment == "during the first walk" {
				o.BeforeWatch(func(rel string) {
					if rel == "a/b" {
						unmount()
					}
				})
			}
			h := start(t, o)
			var b watch.Batch
			switch moment {
			case "at rest":
				h.first()
				unmount()
				b = h.next(time.Hour)
			case "during the first walk":
				b = h.next(time.Hour)
			case "before Take":
				h.first()
				write(t, o.Root+"/a/new", "x")
				unmount()
				b = h.take()
			}
			if !b.All || !slices.Contains(b.Causes, watch.CauseRootReplaced) {
				t.Errorf("%+v", b)
			}
			// What is there now is watched.
			m := make(mirror)
			m.tree(o.Root, ".")
			write(t, o.Root+"/file", "x")
			done := make(chan struct{})
			close(done)
			if wrong := h.follow(m, done); len(wrong) > 0 {
				t.Errorf("not covered: %q", wrong)
			}
		})
	}
}

// TestRootMovedAndBack does both before the watcher looks: the root is the same
// as before, but fsnotify has dropped its watch.
func TestRootMovedAndBack(t *testing.T) {
	o := watch.Options{Root: filepath.Join(t.TempDir(), "root")}
	must(t, os.MkdirAll(o.Root, 0o755))
	o.BeforeWatch(func(rel string) {
		if rel == "new" {
			if err := errors.Join(os.Rename(o.Root, o.Root+"-away"), os.Rename(o.Root+"-away", o.Root)); err != nil {
				t.Error(err)
			}
		}
	})
	h := start(t, o)
	h.first()
	m := make(mirror)
	m.tree(o.Root, ".")
	must(t, os.Mkdir(h.path("new"), 0o755))
	done := make(chan struct{})
	close(done)
	h.eventually("it is noticed", func(s watch.Stats) bool { return s.Replaced > 0 && s.Ready })
	write(t, h.path("file"), "x")
	if wrong := h.follow(m, done); len(wrong) > 0 {
		t.Errorf("not covered: %q", wrong)
	}
}
