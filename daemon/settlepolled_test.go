package daemon_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"keepsake/daemon/config"
	"keepsake/daemon/health"
	"keepsake/store/tree"
)

// showBehind shows a directory at the source's place through FUSE, as a server
// would through a network: what is written there is told to nobody here, and
// answers may be a second old.
func (s *studio) showBehind(at string, clock ...time.Duration) {
	s.t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		s.t.Skipf("not run: %v", err)
	}
	behind := s.t.TempDir()
	root, err := fs.NewLoopbackRoot(behind)
	must(s.t, err)
	for _, by := range clock {
		plain := root.(*fs.LoopbackNode)
		root = &otherClock{plain, by}
		plain.RootData.RootNode = root
	}
	second := time.Second
	server, err := fs.Mount(at, root, &fs.Options{
		AttrTimeout: &second, EntryTimeout: &second,
		MountOptions: fuse.MountOptions{Name: "passthrough", FsName: "passthrough"},
	})
	if err != nil {
		s.t.Skipf("not run: no FUSE mounts here: %v", err)
	}
	s.t.Cleanup(func() { must(s.t, server.Unmount()) })
	s.work = behind
}

// otherClock is a file of a machine whose clock is ahead, or late.
type otherClock struct {
	*fs.LoopbackNode
	ahead time.Duration
}

// WrapChild makes what lies in a directory have its directory's clock.
func (n *otherClock) WrapChild(_ context.Context, child fs.InodeEmbedder) fs.InodeEmbedder {
	return &otherClock{child.(*fs.LoopbackNode), n.ahead}
}

func (n *otherClock) stamp(a *fuse.Attr) {
	a.Mtime, a.Ctime = uint64(int64(a.Mtime)+int64(n.ahead.Seconds())), uint64(int64(a.Ctime)+int64(n.ahead.Seconds()))
}

func (n *otherClock) Getattr(ctx context.Context, f fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	errno := n.LoopbackNode.Getattr(ctx, f, out)
	n.stamp(&out.Attr)
	return errno
}

func (n *otherClock) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	child, errno := n.LoopbackNode.Lookup(ctx, name, out)
	n.stamp(&out.Attr)
	return child, errno
}

func (n *otherClock) Statx(ctx context.Context, f fs.FileHandle, flags, mask uint32, out *fuse.StatxOut) syscall.Errno {
	errno := n.LoopbackNode.Statx(ctx, f, flags, mask, out)
	for _, at := range []*fuse.SxTime{&out.Mtime, &out.Ctime} {
		at.Sec = uint64(int64(at.Sec) + int64(n.ahead.Seconds()))
	}
	return errno
}

// TestPolledByAnotherClock has the files on a machine whose clock is a minute
// late, so that all changes seem to be long past, or ahead.
func TestPolledByAnotherClock(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-time.Minute, time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			s := newStudio(t, paces(), polledOften)
			s.showBehind(s.dir, ahead)
			put(t, s.path("before"), "x")
			info, err := os.Stat(filepath.Join(s.dir, "before"))
			must(t, err)
			if off := time.Until(info.ModTime()) - ahead; off.Abs() > 30*time.Second {
				t.Fatalf("the other clock is %v ahead: this test proves nothing", off+ahead)
			}
			s.keep(s.appends(s.p.pause), s.truncates(), s.backdates())
			s.allGood(func(rel string, b []byte) bool { return rel == "before" || s.isWhole(rel, b) })
		})
	}
}

func polledOften(c *config.Source) { c.Poll = 2 * c.Settle }

// TestPolled has files written behind a file system of which no events come: they
// are found, none is stored half, and the source says how it is kept.
func TestPolled(t *testing.T) {
	t.Parallel()
	s := newStudio(t, paces(), polledOften)
	s.showBehind(s.dir)
	put(t, s.path("before"), "x")
	s.keep(
		s.appends(s.p.pause),
		s.fills("sparse", func(f *os.File, size int64) error { return f.Truncate(size) }),
		s.truncates(),
		s.backdates(),
		s.replaces("by an editor", "by an editor.tmp", s.p.pause),
	)
	s.allGood(func(rel string, b []byte) bool { return rel == "before" || s.isWhole(rel, b) })
	for _, snap := range snapshots(t, s.r) {
		if snap.Basis != tree.Polled {
			t.Errorf("snapshot %d is %s", snap.Number, snap.Basis)
		}
	}
}

// TestPolledSaysSo changes a file behind the mount, with nobody who asks for a
// snapshot.
func TestPolledSaysSo(t *testing.T) {
	t.Parallel()
	for _, at := range []string{".", "nas/2026"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := newStudio(t, pace{settle: settle}, polledOften)
			mount := filepath.Join(s.dir, at)
			must(t, os.MkdirAll(mount, 0o755))
			s.showBehind(mount)
			put(t, s.path("a"), "1")
			k := kept(t, s.r, s.c, s.events)
			wait(t, "captured", func() bool { return sizeOf(t, s.r, newest(t, s.r), filepath.Join(at, "a")) == 1 })
			put(t, s.path("a"), "three")
			put(t, s.path("deep", "er", "b"), "b")
			wait(t, "found by polling", func() bool {
				newest := newest(t, s.r)
				return sizeOf(t, s.r, newest, filepath.Join(at, "a")) == 5 && sizeOf(t, s.r, newest, filepath.Join(at, "deep/er/b")) == 1
			})
			f, h := k.Facts()[0], k.Health()[0]
			if !strings.Contains(f.Polled, "no events") || at == "." && !strings.HasPrefix(f.Polled, "fuse.passthrough") || at != "." && !strings.Contains(f.Polled, at) {
				t.Errorf("why it is polled: %q", f.Polled)
			}
			if h.State != health.Polled && h.State != health.Waiting {
				t.Errorf("state %s", h.State)
			}
			if snap := newest(t, s.r); at == "." && snap.Basis != tree.Polled {
				t.Errorf("basis %s, why %v", snap.Basis, snap.Why)
			}
		})
	}
}
