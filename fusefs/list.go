package fusefs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"keepsake/fusefs/catalogue"
	"keepsake/store/tree"
)

// The kinds of lists.
const (
	listRoot byte = iota
	listLatest
	listSnapshots
	listSource // snapshots/<source>
	listPrevious
	listPreviousOf // previous/<source>
	listVersions   // of merged directories
)

// listID names a list.
type listID struct {
	kind   byte
	source [16]byte // of listSource and listPreviousOf
}

// readme is the README.txt at the root of the mount.
const readme = `This is a view of your backups by keepsake. Nothing in it can be changed.

latest/NAME               the newest snapshot of a source, as an ordinary folder
snapshots/NAME/TIME       every snapshot, named by when it was taken, local time with offset
versions/NAME/FILE/TIME   every version that a file ever had, whether it is still there or deleted
previous/NAME/@GMT-TIME   every snapshot for Samba, which shows them as "Previous Versions"

To restore, copy files out with any program, or run: keepsake restore SNAPSHOT:PATH --target DIR
New snapshots appear by themselves. "Input/output error" means damage: keepsake check --read-data
`

const (
	nameLatest    = "latest"
	nameSnapshots = "snapshots"
	namePrevious  = "previous"
	nameVersions  = "versions"
	nameReadme    = "README.txt"
)

// list is a directory that grows: the root, latest, snapshots, or one source's.
type list struct {
	fs.Inode
	readOnly
	v  *view
	id listID
	no number
}

var (
	_ fs.NodeLookuper       = (*list)(nil)
	_ fs.NodeOpendirHandler = (*list)(nil)
	_ fs.NodeGetattrer      = (*list)(nil)
	_ fs.NodeGetxattrer     = (*list)(nil)
	_ fs.NodeListxattrer    = (*list)(nil)
	_ fs.NodeStatfser       = (*list)(nil)
	_ fs.NodeOnForgetter    = (*list)(nil)
	_ member                = (*list)(nil)
)

func (v *view) list(id listID) *list {
	return &list{v: v, id: id, no: v.hash.list(id.kind, string(id.source[:]))}
}

func (l *list) same(m member) bool {
	o, ok := m.(*list)
	return ok && o.id == l.id
}

func (l *list) OnForget() { l.v.table.forget(l.no, l) }

// names are the names in a list, which may be 100,000: each is made when it is
// asked for.
type names struct {
	count int
	at    func(i int) string
}

// names lists what l holds now.
func (l *list) names(c *catalogue.Catalogue) names {
	src := c.ByID(l.id.source)
	switch l.id.kind {
	case listRoot:
		top := []string{nameReadme, nameLatest, nameSnapshots, namePrevious, nameVersions}
		return names{len(top), func(i int) string { return top[i] }}
	case listLatest, listSnapshots, listPrevious, listVersions:
		return names{len(c.Sources), func(i int) string { return c.Sources[i].Name }}
	case listSource:
		shown := src.Shown()
		return names{len(shown), func(i int) string { return shown[i].Name }}
	case listPreviousOf:
		listed := src.ListedPrevious()
		return names{len(listed), func(i int) string { return listed[i].Previous() }}
	}
	return names{}
}

// number is the inode number and the type of a name; ok is false if there is none.
func (l *list) number(c *catalogue.Catalogue, name string) (id number, mode uint32, ok bool) {
	switch l.id.kind {
	case listSource:
		if s := c.ByID(l.id.source).Snapshot(name); s != nil {
			return l.v.hash.snapshot(s.ID), unix.S_IFDIR, true
		}
	case listPreviousOf:
		// Not the node of snapshots/: a directory must have one place.
		if s := c.ByID(l.id.source).PreviousAt(name); s != nil {
			return l.v.hash.previous(s.ID), unix.S_IFDIR, true
		}
	default:
		if m, id, mode := l.still(c, name); m != nil {
			return id, mode, true
		}
	}
	return number{}, 0, false
}

// child makes the node of a name, or returns nil if there is none.
func (l *list) child(ctx context.Context, c *catalogue.Catalogue, name string) (m member, id number, mode uint32, err error) {
	var s *catalogue.Snapshot
	switch l.id.kind {
	case listSource:
		s = c.ByID(l.id.source).Snapshot(name)
	case listPreviousOf:
		s = c.ByID(l.id.source).PreviousAt(name)
	default:
		m, id, mode = l.still(c, name)
		return m, id, mode, nil
	}
	if s == nil {
		return nil, number{}, 0, nil
	}
	id, mode, _ = l.number(c, name)
	d, err := l.v.snapshotRoot(ctx, s.ID, id)
	if err != nil {
		return nil, id, mode, err
	}
	return d, id, mode, nil
}

// still is child for what is made without reading anything.
func (l *list) still(c *catalogue.Catalogue, name string) (m member, id number, mode uint32) {
	switch l.id.kind {
	case listRoot:
		return l.v.top(name)
	case listLatest:
		if s := c.Source(name); s != nil {
			link := &pointer{v: l.v, source: s.ID, target: target(s), when: s.Latest.Started}
			link.no = l.v.hash.latest(s.ID, link.target)
			return link, link.no, unix.S_IFLNK
		}
	case listSnapshots, listPrevious:
		if s := c.Source(name); s != nil {
			kind := listSource
			if l.id.kind == listPrevious {
				kind = listPreviousOf
			}
			child := l.v.list(listID{kind, s.ID})
			return child, child.no, unix.S_IFDIR
		}
	case listVersions:
		if s := c.Source(name); s != nil {
			child := l.v.mergedRoot(s.ID)
			return child, child.no, unix.S_IFDIR
		}
	}
	return nil, number{}, 0
}

// top makes the node of a name at the root of the view, or returns nil.
func (v *view) top(name string) (m member, id number, mode uint32) {
	kinds := map[string]byte{nameLatest: listLatest, nameSnapshots: listSnapshots, namePrevious: listPrevious, nameVersions: listVersions}
	if kind, ok := kinds[name]; ok {
		child := v.list(listID{kind: kind})
		return child, child.no, unix.S_IFDIR
	}
	if name == nameReadme {
		no := v.hash.list(listRoot, name)
		return &note{v: v, no: no, text: []byte(readme)}, no, unix.S_IFREG
	}
	return nil, number{}, 0
}

// target is where the symlink latest/<source> leads.
func target(s *catalogue.Source) string { return "../snapshots/" + s.Name + "/" + s.Latest.Name }

// Lookup answers what the repository holds, or held a while ago. The kernel
// remembers it for listAge, and so that a name is not there.
func (l *list) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	out.SetEntryTimeout(listAge)
	m, id, mode, err := l.child(ctx, l.v.catalogue(ctx), name)
	if m == nil && err == nil {
		return nil, syscall.ENOENT
	}
	var inode *fs.Inode
	if err == nil {
		inode, err = l.v.table.adopt(ctx, &l.Inode, id, mode, m)
	}
	if err != nil {
		no := errno(err)
		if no == syscall.EIO {
			l.v.report(name, err)
		}
		return nil, no
	}
	l.v.adopted()
	switch m := inode.Operations().(type) {
	case *list:
		m.stat(m.v.catalogue(ctx), &out.Attr)
		out.SetAttrTimeout(listAge)
	case *merged:
		w, err := m.who(ctx)
		if err != nil {
			return nil, m.fail(err)
		}
		w.fill(&out.Attr, m.no.ino)
		out.SetAttrTimeout(listAge)
	case *dir:
		m.attr.fill(&out.Attr, m.no.ino)
		out.SetAttrTimeout(forever)
	case *note:
		m.stat(&out.Attr)
		out.SetAttrTimeout(forever)
	case *pointer:
		m.stat(&out.Attr)
		out.SetAttrTimeout(forever)
	}
	return inode, 0
}

func (l *list) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	l.stat(l.v.catalogue(ctx), &out.Attr)
	out.SetTimeout(listAge)
	return 0
}

// stat fills in the attributes of a list, which changes when its newest snapshot was started.
func (l *list) stat(c *catalogue.Catalogue, out *fuse.Attr) {
	when := c.Newest
	if s := c.ByID(l.id.source); s != nil {
		when = s.Latest.Started
	}
	if when.IsZero() {
		when = tree.TimeOf(l.v.born)
	}
	// One link: the number of subdirectories is not to be concluded from it.
	a := attr{mode: unix.S_IFDIR | 0o555, uid: l.v.uid, gid: l.v.gid, links: 1, size: blockSize, blocks: blockSize / 512, mtime: when, ctime: when}
	a.fill(out, l.no.ino)
	if l.id.kind == listRoot {
		out.Ino = rootIno
		// Nothing for a group that nobody is in. The kernel makes the inode of the
		// root before it knows that there are ACLs, and never caches that it has
		// none: wherever a group has rights it asks for the ACL of the root with
		// every path that anybody but the owner walks, two requests in three of
		// those that Samba causes.
		out.Mode, out.Gid = unix.S_IFDIR|0o505, nobodysGroup
	}
}

// nobodysGroup is the largest number that a group can have.
const nobodysGroup = 1<<32 - 2

func (l *list) Getxattr(context.Context, string, []byte) (uint32, syscall.Errno) {
	return 0, unix.ENODATA
}

func (l *list) Listxattr(context.Context, []byte) (uint32, syscall.Errno) { return 0, 0 }

func (l *list) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	return l.v.statfs(ctx, out)
}

// OpendirHandle begins a listing. It is not cached: lists grow.
func (l *list) OpendirHandle(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return &listHandle{l: l}, 0, mayOpen(flags)
}

// listHandle is an open list. It shows what there was when it was first read,
// and is read anew after rewinddir.
type listHandle struct {
	l     *list
	c     *catalogue.Catalogue // nil before the first name was asked for
	names names
	at    int // in the dots, and behind them in names
}

var (
	_ fs.FileReaddirenter = (*listHandle)(nil)
	_ fs.FileLookuper     = (*listHandle)(nil)
	_ fs.FileSeekdirer    = (*listHandle)(nil)
	_ fs.FileFsyncdirer   = (*listHandle)(nil)
)

func (h *listHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if h.c == nil {
		h.c = h.l.v.catalogue(ctx)
		h.names = h.l.names(h.c)
	}
	for h.at < dotCount+h.names.count {
		at := h.at
		h.at++
		if at < dotCount {
			e := dots(&h.l.Inode)[at]
			e.Off = uint64(h.at)
			return &e, 0
		}
		name := h.names.at(at - dotCount)
		if id, mode, ok := h.l.number(h.c, name); ok {
			return &fuse.DirEntry{Name: name, Ino: id.ino, Mode: mode, Off: uint64(h.at)}, 0
		}
	}
	return nil, 0
}

// listedWithAttributes is how long a list may be for its entries to be looked up
// as they are listed: every folder of a snapshot takes reading its manifest, of
// which the store keeps a few thousand.
const listedWithAttributes = 1000

// Lookup answers for the entry that was produced last. Without attributes the
// kernel takes its name alone, and asks when somebody wants more.
func (h *listHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if h.names.count > listedWithAttributes {
		return nil, syscall.EAGAIN
	}
	return h.l.Lookup(ctx, name, out)
}

func (h *listHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off == 0 {
		h.c, h.names = nil, names{}
	} else if off > uint64(dotCount+h.names.count) {
		return syscall.EINVAL
	}
	h.at = int(off)
	return 0
}

func (h *listHandle) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }

// dots are the entries that every directory begins with.
func dots(d *fs.Inode) []fuse.DirEntry {
	up := d
	if _, parent := d.Parent(); parent != nil {
		up = parent
	}
	ino := func(n *fs.Inode) uint64 { return max(n.StableAttr().Ino, rootIno) }
	return []fuse.DirEntry{
		{Name: ".", Mode: unix.S_IFDIR, Ino: ino(d)},
		{Name: "..", Mode: unix.S_IFDIR, Ino: ino(up)},
	}
}

// statfs shows the view as a full medium: what the newest snapshots of all
// sources hold together, and nothing free.
func (v *view) statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	c := v.catalogue(ctx)
	out.Bsize, out.Frsize, out.NameLen = blockSize, blockSize, 255
	out.Blocks = (c.Bytes + blockSize - 1) / blockSize
	out.Files = c.Files
	return 0
}
