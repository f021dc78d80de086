package watch_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
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
			t.Parallel()
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
				if len(wrong) > 0 {
					return wrong, h.w.Stats(), causes
				}
				// It is watched as it is now.
				_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
					if err == nil && d.IsDir() {
						write(t, path+"/after", "x")
					}
					return err
				})
				return h.followFor(m, done, patience), h.w.Stats(), causes
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
				if wrong, _, _ := run(t, 5*settle, (*watch.Options).IgnoreMounts); len(wrong) == 0 {
					t.Error("the test cannot fail")
				}
			})
		})
	}
}

// TestMountedFile mounts a file over another: its directory is read again.
func TestMountedFile(t *testing.T) {
	h := start(t, watch.Options{})
	other := t.TempDir() + "/other"
	write(t, other, "another content")
	must(t, os.Mkdir(h.path("d"), 0o755))
	write(t, h.path("d/file"), "x")
	h.first()
	m := make(mirror)
	m.tree(h.root, ".")
	if err := syscall.Mount(other, h.path("d/file"), "", syscall.MS_BIND, ""); err != nil {
		t.Skipf("not run: nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(h.path("d/file"), syscall.MNT_DETACH)) })
	b := h.next(time.Hour)
	if !slices.Contains(b.Dirs, "d") || len(b.Rescan) > 0 {
		t.Errorf("%+v", b)
	}
	m.apply(h.root, b)
	if wrong := m.diff(h.root); len(wrong) > 0 {
		t.Errorf("not covered: %q", wrong)
	}
}

// TestSameAgain unmounts a disk, changes it elsewhere, and mounts it in the same
// place: the same device and the same inode numbers, but the kernel has dropped
// the watches.
func TestSameAgain(t *testing.T) {
	image := diskImage(t)
	run := func(t *testing.T, below string, patience time.Duration, sabotage func(*watch.Options)) ([]string, watch.Stats) {
		base := t.TempDir()
		o := watch.Options{Root: base + "/root"}
		if sabotage != nil {
			sabotage(&o)
		}
		disk, elsewhere := filepath.Join(o.Root, below), base+"/elsewhere"
		must(t, os.MkdirAll(disk, 0o755))
		must(t, os.Mkdir(elsewhere, 0o755))
		unmount := mountDisk(t, image, disk)
		must(t, os.MkdirAll(disk+"/d/e", 0o755))
		h := start(t, o)
		defer h.stop()
		h.first()
		m := make(mirror)
		m.tree(o.Root, ".")
		unmount()
		unmount = mountDisk(t, image, elsewhere)
		write(t, elsewhere+"/d/e/file", fmt.Sprint(time.Now()))
		unmount()
		mountDisk(t, image, disk)
		done := make(chan struct{})
		close(done)
		wrong := h.followFor(m, done, patience)
		if len(wrong) == 0 {
			write(t, disk+"/d/after", fmt.Sprint(time.Now()))
			wrong = h.followFor(m, done, patience)
		}
		return wrong, h.w.Stats()
	}
	for _, below := range []string{"disk", "."} {
		t.Run("at "+below, func(t *testing.T) {
			wrong, stats := run(t, below, patience, nil)
			if len(wrong) > 0 || stats.Remounts == 0 {
				t.Errorf("not covered: %q, %d remounts counted", wrong, stats.Remounts)
			}
		})
	}
	t.Run("negative control", func(t *testing.T) {
		if wrong, _ := run(t, "disk", 5*settle, (*watch.Options).IgnoreMounts); len(wrong) == 0 {
			t.Error("the test cannot fail")
		}
	})
}

// TestSameLine unmounts and mounts again before anybody looks: the list of mounts
// reads as before, number and all, because the kernel uses numbers again.
func TestSameLine(t *testing.T) {
	root := t.TempDir()
	disk := root + "/disk"
	must(t, os.Mkdir(disk, 0o755))
	image := diskImage(t)
	unmount := mountDisk(t, image, disk)
	changes, done := watch.MountChanges(root)
	defer done()
	if got := changes(); len(got) > 0 {
		t.Errorf("nothing happened, and changed has %q", got)
	}
	mountTmp(t, t.TempDir())
	if got := changes(); len(got) > 0 {
		t.Errorf("something was mounted elsewhere, and changed has %q", got)
	}
	unmount()
	mountDisk(t, image, disk)
	if !watch.KnowsMounts(root) {
		t.Skip("not run: this kernel does not number mounts uniquely (since 6.8)")
	}
	if got := changes(); !slices.Equal(got, []string{disk}) {
		t.Errorf("mounted again, and changed has %q", got)
	}
}

// diskImage is a file with an empty file system.
func diskImage(t *testing.T) string {
	t.Helper()
	image := t.TempDir() + "/image"
	must(t, os.WriteFile(image, nil, 0o600))
	must(t, os.Truncate(image, 4<<20))
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", image).CombinedOutput(); err != nil {
		t.Skipf("not run: mkfs.ext4: %v %s", err, out)
	}
	return image
}

// mountDisk mounts an image, until the test ends or calls the function.
func mountDisk(t *testing.T, image, dir string) (unmount func()) {
	t.Helper()
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		t.Skipf("not run: no loop mounts here: %v %s", err, out)
	}
	unmount = sync.OnceFunc(func() { must(t, syscall.Unmount(dir, 0)) })
	t.Cleanup(unmount)
	return unmount
}

// TestRootUnmounted unmounts the root at various moments. No batch describes
// what is left, an empty directory, as if everything had been deleted by hand.
func TestRootUnmounted(t *testing.T) {
	for _, moment := range []string{"at rest", "during the first walk", "before Take"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
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
