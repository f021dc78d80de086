package fusefs_test

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// The reference is the least that a FUSE server can do: one file of zeros, no
// repository, no cryptography. What the view takes is measured against it.
type reference struct{ fs.Inode }

type zeros struct {
	fs.Inode
	size uint64
}

func (z *zeros) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = 0o444, z.size
	return 0
}

func (z *zeros) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, 0
}

func (z *zeros) Read(_ context.Context, _ fs.FileHandle, dest []byte, _ int64) (fuse.ReadResult, syscall.Errno) {
	return fuse.ReadResultData(dest), 0
}

// mountReference mounts the reference until the benchmark ends and returns the path of its file.
func mountReference(b *testing.B, size uint64) string {
	b.Helper()
	needFUSE(b)
	dir := b.TempDir()
	root := &reference{}
	server, err := fs.Mount(dir, root, &fs.Options{
		OnAdd: func(ctx context.Context) {
			child := root.NewPersistentInode(ctx, &zeros{size: size}, fs.StableAttr{Mode: syscall.S_IFREG})
			root.AddChild("zeros", child, false)
		},
		MountOptions: fuse.MountOptions{DirectMount: true, MaxWrite: 1 << 20, Name: "reference", Options: []string{"ro"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := server.Unmount(); err != nil {
			b.Error(err)
			_ = unix.Unmount(dir, unix.MNT_DETACH|unix.MNT_FORCE)
		}
	})
	return filepath.Join(dir, "zeros")
}
