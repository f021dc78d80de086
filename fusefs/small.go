package fusefs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// note is a file of the view itself: README.txt.
type note struct {
	fs.Inode
	readOnly
	v    *view
	no   number
	text []byte
}

var (
	_ fs.NodeGetattrer   = (*note)(nil)
	_ fs.NodeOpener      = (*note)(nil)
	_ fs.NodeReader      = (*note)(nil)
	_ fs.NodeStatfser    = (*note)(nil)
	_ fs.NodeOnForgetter = (*note)(nil)
	_ member             = (*note)(nil)
)

func (n *note) same(m member) bool {
	_, ok := m.(*note)
	return ok
}

func (n *note) OnForget() { n.v.table.forget(n.no, n) }

func (n *note) stat(out *fuse.Attr) {
	when := tree.TimeOf(n.v.born)
	size := uint64(len(n.text))
	a := attr{
		mode: unix.S_IFREG | 0o444, uid: n.v.uid, gid: n.v.gid, links: 1, size: size,
		blocks: (size + blockSize - 1) / blockSize * (blockSize / 512), mtime: when, ctime: when,
	}
	a.fill(out, n.no.ino)
}

func (n *note) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.stat(&out.Attr)
	out.SetTimeout(forever)
	return 0
}

func (n *note) Open(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_KEEP_CACHE, mayOpen(flags)
}

func (n *note) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	from := min(off, int64(len(n.text)))
	return fuse.ReadResultData(n.text[from:min(from+int64(len(dest)), int64(len(n.text)))]), 0
}

func (n *note) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	return n.v.statfs(ctx, out)
}

// pointer is the symlink latest/<source>. One that leads elsewhere is another
// node, so that the kernel may keep each for ever.
type pointer struct {
	fs.Inode
	readOnly
	v      *view
	no     number
	source [16]byte
	target string
	when   tree.Time
}

var (
	_ fs.NodeGetattrer   = (*pointer)(nil)
	_ fs.NodeReadlinker  = (*pointer)(nil)
	_ fs.NodeStatfser    = (*pointer)(nil)
	_ fs.NodeOnForgetter = (*pointer)(nil)
	_ member             = (*pointer)(nil)
)

func (p *pointer) same(m member) bool {
	o, ok := m.(*pointer)
	return ok && o.source == p.source && o.target == p.target
}

func (p *pointer) OnForget() { p.v.table.forget(p.no, p) }

func (p *pointer) stat(out *fuse.Attr) {
	a := attr{mode: unix.S_IFLNK | 0o777, uid: p.v.uid, gid: p.v.gid, links: 1, size: uint64(len(p.target)), mtime: p.when, ctime: p.when}
	a.fill(out, p.no.ino)
}

func (p *pointer) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	p.stat(&out.Attr)
	out.SetTimeout(forever)
	return 0
}

func (p *pointer) Readlink(context.Context) ([]byte, syscall.Errno) { return []byte(p.target), 0 }

func (p *pointer) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	return p.v.statfs(ctx, out)
}
