package fusefs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// readOnly answers every mutating operation with EROFS. All nodes embed it:
// the kernel's own ro flag can be remounted away, and go-fuse lets an Unlink
// or Rmdir that is not implemented succeed.
type readOnly struct{}

var (
	_ fs.NodeSetattrer      = readOnly{}
	_ fs.NodeCreater        = readOnly{}
	_ fs.NodeTmpfiler       = readOnly{}
	_ fs.NodeMkdirer        = readOnly{}
	_ fs.NodeMknoder        = readOnly{}
	_ fs.NodeSymlinker      = readOnly{}
	_ fs.NodeLinker         = readOnly{}
	_ fs.NodeRenamer        = readOnly{}
	_ fs.NodeUnlinker       = readOnly{}
	_ fs.NodeRmdirer        = readOnly{}
	_ fs.NodeSetxattrer     = readOnly{}
	_ fs.NodeRemovexattrer  = readOnly{}
	_ fs.NodeWriter         = readOnly{}
	_ fs.NodeWritever       = readOnly{}
	_ fs.NodeAllocater      = readOnly{}
	_ fs.NodeCopyFileRanger = readOnly{}
	_ fs.NodeIoctler        = readOnly{}
)

func (readOnly) Setattr(context.Context, fs.FileHandle, *fuse.SetAttrIn, *fuse.AttrOut) syscall.Errno {
	return syscall.EROFS
}

func (readOnly) Create(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EROFS
}

func (readOnly) Tmpfile(context.Context, uint32, uint32, *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	return nil, nil, 0, syscall.EROFS
}

func (readOnly) Mkdir(context.Context, string, uint32, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EROFS
}

func (readOnly) Mknod(context.Context, string, uint32, uint32, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EROFS
}

func (readOnly) Symlink(context.Context, string, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EROFS
}

func (readOnly) Link(context.Context, fs.InodeEmbedder, string, *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return nil, syscall.EROFS
}

func (readOnly) Rename(context.Context, string, fs.InodeEmbedder, string, uint32) syscall.Errno {
	return syscall.EROFS
}

func (readOnly) Unlink(context.Context, string) syscall.Errno { return syscall.EROFS }

func (readOnly) Rmdir(context.Context, string) syscall.Errno { return syscall.EROFS }

func (readOnly) Setxattr(context.Context, string, []byte, uint32) syscall.Errno {
	return syscall.EROFS
}

func (readOnly) Removexattr(context.Context, string) syscall.Errno { return syscall.EROFS }

func (readOnly) Write(context.Context, fs.FileHandle, []byte, int64) (uint32, syscall.Errno) {
	return 0, syscall.EROFS
}

func (readOnly) Writev(context.Context, fs.FileHandle, [][]byte, int64) (uint32, syscall.Errno) {
	return 0, syscall.EROFS
}

func (readOnly) Allocate(context.Context, fs.FileHandle, uint64, uint64, uint32) syscall.Errno {
	return syscall.EROFS
}

func (readOnly) CopyFileRange(context.Context, fs.FileHandle, uint64, *fs.Inode, fs.FileHandle, uint64, uint64, uint64) (uint32, syscall.Errno) {
	return 0, syscall.EROFS
}

// The requests by which chattr and lsattr, and file_setattr(2), ask for flags
// such as "immutable". The kernel reads them before it sets them.
const (
	getFlags  = 0x80086601 // FS_IOC_GETFLAGS
	setFlags  = 0x40086602
	getXattrs = 0x801c581f // FS_IOC_FSGETXATTR
	setXattrs = 0x401c5820
)

// Ioctl says that no flags are set and none can be.
func (readOnly) Ioctl(_ context.Context, _ fs.FileHandle, cmd uint32, _ uint64, _, out []byte) (int32, syscall.Errno) {
	switch cmd {
	case getFlags, getXattrs:
		clear(out)
		return 0, 0
	case setFlags, setXattrs:
		return 0, syscall.EROFS
	}
	return 0, syscall.ENOTTY
}

// Fsync succeeds: there is nothing that is not on disk already.
func (readOnly) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno { return 0 }

// Flush answers ENOSYS, upon which the kernel sends no more of them: one round
// trip less for every file that is closed. close(2) itself succeeds.
func (readOnly) Flush(context.Context, fs.FileHandle) syscall.Errno { return syscall.ENOSYS }

var (
	_ fs.NodeFsyncer = readOnly{}
	_ fs.NodeFlusher = readOnly{}
)

// mayOpen refuses flags that ask for more than reading.
func mayOpen(flags uint32) syscall.Errno {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY || flags&(syscall.O_TRUNC|syscall.O_CREAT) != 0 {
		return syscall.EROFS
	}
	return 0
}
