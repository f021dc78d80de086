// Package reference is the least that a FUSE server can do: one file of zeros,
// no repository, no cryptography. What the mounted view takes is measured
// against it.
package reference

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// File is the name of the file in a mounted reference.
const File = "zeros"

// Mount mounts it at dir, which exists, with a file of this size.
func Mount(dir string, size uint64) (*fuse.Server, error) {
	root := &fs.Inode{}
	return fs.Mount(dir, root, &fs.Options{
		OnAdd: func(ctx context.Context) {
			child := root.NewPersistentInode(ctx, &zeros{size: size}, fs.StableAttr{Mode: syscall.S_IFREG})
			root.AddChild(File, child, false)
		},
		MountOptions: fuse.MountOptions{DirectMount: true, MaxWrite: 1 << 20, Name: "reference", Options: []string{"ro"}},
	})
}

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
