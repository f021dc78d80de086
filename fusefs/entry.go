package fusefs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"keepsake/store"
	"keepsake/store/tree"
)

// entry is what all nodes inside a snapshot have in common. It keeps little:
// a million of them may be alive. The whole node is read again when it is
// needed.
type entry struct {
	fs.Inode
	readOnly
	v      *view
	snap   store.SnapshotID
	parent *dir // nil for the root of a snapshot
	name   string
	no     number
	group  uint64 // of hard links; 0 for none
	attr   attr
}

// base returns the entry of a node of a snapshot.
func (e *entry) base() *entry { return e }

// inside is a node of a snapshot.
type inside interface {
	member
	base() *entry
}

var (
	_ inside = (*dir)(nil)
	_ inside = (*file)(nil)
	_ inside = (*symlink)(nil)
	_ inside = (*special)(nil)

	_ fs.NodeGetattrer   = (*entry)(nil)
	_ fs.NodeStatxer     = (*entry)(nil)
	_ fs.NodeGetxattrer  = (*entry)(nil)
	_ fs.NodeListxattrer = (*entry)(nil)
	_ fs.NodeStatfser    = (*entry)(nil)
)

// same compares two entries: the same path of the same snapshot, or the same
// group of links; and both are in the tree of the snapshot, or both are versions.
func (e *entry) same(m member) bool {
	i, ok := m.(inside)
	if !ok {
		return false
	}
	o := i.base()
	for {
		switch {
		case e == o:
			return true
		case e.snap != o.snap || e.attr.mode&syscall.S_IFMT != o.attr.mode&syscall.S_IFMT:
			return false
		case e.merged() != nil || o.merged() != nil:
			return e.merged() != nil && o.versionOf(e.merged())
		case e.group != 0 || o.group != 0:
			return e.group == o.group
		case e.name != o.name || (e.parent == nil) != (o.parent == nil):
			return false
		case e.parent == nil:
			return true
		}
		e, o = &e.parent.entry, &o.parent.entry
	}
}

// merged is the merged directory that e is a version in, or nil.
func (e *entry) merged() *merged {
	if e.parent == nil {
		return nil
	}
	return e.parent.merged
}

// path is where e lies in its snapshot, for the log.
func (e *entry) path() string {
	if m := e.merged(); m != nil {
		return e.snap.Short() + ":/" + m.place.path
	}
	p := e.name
	for d := e.parent; d != nil; d = d.parent {
		if d.parent == nil {
			return d.snap.Short() + ":/" + p
		}
		p = d.name + "/" + p
	}
	return e.snap.Short() + ":/"
}

// fail logs an error and maps it to what the kernel is told.
func (e *entry) fail(err error) syscall.Errno {
	no := errno(err)
	if no == syscall.EIO {
		e.v.report(e.path(), err)
	}
	return no
}

// node returns the whole node of an entry that is not a snapshot's root.
func (e *entry) node(ctx context.Context) (*tree.Node, error) {
	return e.parent.find(ctx, e.name)
}

func (e *entry) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	e.attr.fill(&out.Attr, e.no.ino)
	out.SetTimeout(forever)
	return 0
}

func (e *entry) Statx(_ context.Context, _ fs.FileHandle, _, _ uint32, out *fuse.StatxOut) syscall.Errno {
	e.attr.statx(&out.Statx, e.no.ino)
	out.SetTimeout(forever)
	return 0
}

func (e *entry) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	return e.v.statfs(ctx, out)
}
