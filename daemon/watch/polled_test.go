package watch_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"keepsake/daemon/watch"
)

// passThrough shows the directory behind at dir through FUSE.
func passThrough(t *testing.T, behind, dir string) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("not run: %v", err)
	}
	root, err := fs.NewLoopbackRoot(behind)
	must(t, err)
	server, err := fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{Name: "passthrough", FsName: "passthrough"}})
	if err != nil {
		t.Skipf("not run: no FUSE mounts here: %v", err)
	}
	t.Cleanup(func() { must(t, server.Unmount()) })
}

func TestRemote(t *testing.T) {
	behind, dir := t.TempDir(), t.TempDir()
	if fstype, remote := watch.Remote(behind); remote || fstype == "" {
		t.Errorf("a temporary directory: %q, %v", fstype, remote)
	}
	if fstype, remote := watch.Remote(dir + "/none"); remote || fstype != "" {
		t.Errorf("a path that does not exist: %q, %v", fstype, remote)
	}
	passThrough(t, behind, dir)
	if fstype, remote := watch.Remote(dir); !remote || fstype != "fuse.passthrough" {
		t.Errorf("a FUSE mount: %q, %v", fstype, remote)
	}
	below, err := watch.RemoteBelow(filepath.Dir(dir))
	if want := []watch.Subtree{{Rel: filepath.Base(dir), Type: "fuse.passthrough"}}; err != nil || !slices.Equal(below, want) {
		t.Errorf("below its parent: %v, %v", below, err)
	}
}

// TestNestedRemote has files change behind a FUSE file system that is mounted
// below the root: no event tells of it, the clock does. What goes through the
// mount is reported as anywhere.
func TestNestedRemote(t *testing.T) {
	o := watch.Options{Root: t.TempDir(), PollEvery: time.Minute}
	behind, remote := t.TempDir(), filepath.Join(o.Root, "lib/remote")
	must(t, os.MkdirAll(remote, 0o755))
	must(t, os.MkdirAll(behind+"/sub/deep", 0o755))
	passThrough(t, behind, remote)
	h, clock := startFake(t, o)
	s := h.w.Stats()
	if want := []watch.Subtree{{Rel: "lib/remote", Type: "fuse.passthrough"}}; s.Polled != 1 || s.RootPolled || !slices.Equal(s.PolledAt, want) {
		t.Errorf("%+v", s)
	}
	if s.Watches != 5 {
		t.Errorf("%d watches, want those of the subtree too", s.Watches)
	}
	m := make(mirror)
	m.tree(o.Root, ".")

	write(t, behind+"/sub/deep/other machine", "x")
	must(t, os.Mkdir(behind+"/new", 0o755))
	clock.advance(h, 30*time.Second)
	if s := h.w.Stats(); s.Dirty > 0 || s.All {
		t.Skipf("this kernel tells of changes behind FUSE: %+v", s)
	}
	clock.advance(h, 40*time.Second)
	b := h.next(time.Hour)
	if !slices.Equal(b.Rescan, []string{"lib/remote"}) {
		t.Errorf("after the interval: %+v", b)
	}
	wantCauses(t, b, watch.CausePolled)
	m.apply(o.Root, b)
	if wrong := m.diff(o.Root); len(wrong) > 0 {
		t.Errorf("not covered: %q", wrong)
	}

	h.event(func() { write(t, remote+"/sub/here", "x") })
	clock.advance(h, 12*time.Second)
	if b := h.next(time.Hour); !slices.Contains(b.Dirs, "lib/remote/sub") || len(b.Rescan) > 0 {
		t.Errorf("a change through the mount: %+v", b)
	}
	if b := h.take(); !slices.Equal(b.Rescan, []string{"lib/remote"}) {
		t.Errorf("what was asked for leaves out what cannot be known: %+v", b)
	}
}

// TestRemoteRoot polls everything.
func TestRemoteRoot(t *testing.T) {
	o := watch.Options{Root: t.TempDir(), PollEvery: time.Minute}
	behind := t.TempDir()
	passThrough(t, behind, o.Root)
	h, clock := startFake(t, o)
	if s := h.w.Stats(); !s.RootPolled || s.Polled != 1 {
		t.Errorf("%+v", s)
	}
	clock.advance(h, 70*time.Second)
	b := h.next(time.Hour)
	if !b.All {
		t.Errorf("after the interval: %+v", b)
	}
	wantCauses(t, b, watch.CausePolled)
}

// TestMountinfo reads lines as the kernel writes them, and passes over others.
func TestMountinfo(t *testing.T) {
	for _, test := range []struct{ line, want string }{
		{"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue", "/mnt2 ext3"},
		{"36 35 0:50 / /a\\040b\\011c\\012d\\134e rw - tmpfs none rw", "/a b\tc\nd\\e tmpfs"},
		{"36 35 0:50 / /caf\xe9 rw shared:1 master:2 propagate_from:3 - fuse.sshfs host:/x rw,user_id=0", "/caf\xe9 fuse.sshfs"},
		{"36 35 0:50 / /a\\04 rw - tmpfs none rw", "/a\\04 tmpfs"},
		{"36 35 0:50 / /a\\999 rw - tmpfs none rw", "/a\\999 tmpfs"},
		{"x 35 0:50 / /a rw - tmpfs none rw", ""},
		{"36 35 0:50 / /a", ""},
		{"36 35 0:50 / /a rw - tmpfs", ""},
		{" - ", ""},
		{"", ""},
	} {
		got := watch.MountPoints(test.line + "\n")
		if test.want == "" && len(got) == 0 {
			continue
		}
		if !slices.Equal(got, []string{test.want}) {
			t.Errorf("%q: %q, want %q", test.line, got, test.want)
		}
	}
}
