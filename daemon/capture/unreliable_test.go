package capture_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"keepsake/daemon/capture"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// unreliable is a file whose reads go wrong as a test wants it.
type unreliable struct {
	fs.Inode
	data  []byte
	wrong atomic.Int32 // how many reads flip a bit, a different one each time
	fail  atomic.Int32 // how many reads fail
}

var _ = (fs.NodeOpener)((*unreliable)(nil))
var _ = (fs.NodeReader)((*unreliable)(nil))
var _ = (fs.NodeGetattrer)((*unreliable)(nil))

func (u *unreliable) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (u *unreliable) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size, out.Blocks, out.Nlink = 0o644, uint64(len(u.data)), uint64(len(u.data)/512+1), 1
	out.Mtime, out.Ctime = 1_700_000_000, 1_700_000_000
	return 0
}

func (u *unreliable) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	b := bytes.Clone(u.data[min(off, int64(len(u.data))):])
	if len(b) == 0 {
		return fuse.ReadResultData(nil), 0 // the end is asked for, too
	}
	if u.fail.Add(-1) >= 0 {
		return nil, syscall.EIO
	}
	if n := u.wrong.Add(-1); n >= 0 {
		b[n] ^= 1
	}
	return fuse.ReadResultData(b[:min(len(b), len(dest))]), 0
}

// TestRereadTellsRotFromErrors: what is read wrong once is no rot.
func TestRereadTellsRotFromErrors(t *testing.T) {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("not run: %v", err)
	}
	dir := filepath.Join(t.TempDir(), "lib")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := &unreliable{data: random(1, 5000)}
	root := &fs.Inode{}
	server, err := fs.Mount(dir, root, &fs.Options{
		MountOptions: fuse.MountOptions{Name: "unreliable", FsName: "unreliable"},
		OnAdd: func(ctx context.Context) {
			root.AddChild("photo.jpg", root.NewPersistentInode(ctx, file, fs.StableAttr{Mode: syscall.S_IFREG}), false)
		},
	})
	if err != nil {
		t.Skipf("not run: no FUSE mounts here: %v", err)
	}
	t.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			t.Error(err)
		}
	})
	r := storetest.New(t).Open(t)
	if res, _ := back(t, r, dir, func(o *capture.Options) { o.Now = later }); res.Missing > 0 {
		t.Fatalf("missed %v", res.Missed)
	}
	photo := []string{"photo.jpg"}
	for _, tt := range []struct {
		name                      string
		wrong, fail               int32
		rotten, transient, unread []string
	}{
		{"all is well", 0, 0, nil, nil, nil},
		{"wrong once", 1, 0, nil, photo, nil},
		{"failed once", 0, 1, nil, photo, nil},
		{"wrong twice, differently", 2, 0, photo, nil, nil},
		{"failed twice", 0, 2, nil, nil, photo},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file.wrong.Store(tt.wrong)
			file.fail.Store(tt.fail)
			res := reread(t, r, dir, nil)
			file.wrong.Store(0)
			file.fail.Store(0)
			var unread []string
			for _, m := range res.Unreadable {
				unread = append(unread, string(m.Path))
				if m.Reason != tree.ReasonInput {
					t.Errorf("reason %v", m.Reason)
				}
			}
			if !slices.Equal(res.Rotten, tt.rotten) || !slices.Equal(res.Transient, tt.transient) || !slices.Equal(unread, tt.unread) || res.Changed > 0 || res.Cycle.IsZero() {
				t.Errorf("found %+v", res)
			}
		})
	}
}
