package fusefs

import (
	"context"
	"errors"
	iofs "io/fs"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"keepsake/fusefs/catalogue"
	"keepsake/store"
	"keepsake/store/history"
	"keepsake/store/tree"
)

// merged is a directory of versions/: what one path of a source was in all of
// its snapshots together. Where the path was a directory it holds a merged
// directory for every name that was ever in it; where it was anything else, the
// distinct versions of that. It has the rights that every single state of the
// directory gave, and no ACL.
type merged struct {
	fs.Inode
	readOnly
	v     *view
	place place
	no    number
	flat  bool         // the path was never a directory when it was looked up
	open  atomic.Int32 // handles
}

var (
	_ fs.NodeLookuper       = (*merged)(nil)
	_ fs.NodeOpendirHandler = (*merged)(nil)
	_ fs.NodeGetattrer      = (*merged)(nil)
	_ fs.NodeGetxattrer     = (*merged)(nil)
	_ fs.NodeListxattrer    = (*merged)(nil)
	_ fs.NodeStatfser       = (*merged)(nil)
	_ fs.NodeOnForgetter    = (*merged)(nil)
	_ member                = (*merged)(nil)
)

// mergedRoot makes the directory versions/<source>.
func (v *view) mergedRoot(source [16]byte) *merged {
	return &merged{v: v, place: place{source: source}, no: v.hash.merged(source)}
}

func (m *merged) same(o member) bool {
	other, ok := o.(*merged)
	return ok && other.place == m.place
}

func (m *merged) OnForget() { m.v.table.forget(m.no, m) }

// fail logs an error and maps it to what the kernel is told.
func (m *merged) fail(err error) syscall.Errno {
	no := errno(err)
	if no == syscall.EIO {
		m.v.report("versions:/"+m.place.path, err)
	}
	return no
}

// Lookup answers at most listAge later what the repository holds.
func (m *merged) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	out.SetEntryTimeout(listAge)
	if len(name) > maxName {
		return nil, syscall.ENAMETOOLONG
	}
	k, src, err := m.v.known(ctx, m.place, true)
	if err != nil {
		return nil, m.fail(err)
	}
	if w, ok := k.child(src, name); ok {
		return m.child(ctx, name, w, out)
	}
	if ver, s, ok := k.version(src, m.extension(), name); ok {
		return m.version(ctx, &ver.State, s, out)
	}
	if k.damage != nil {
		return nil, m.fail(k.damage) // it may be in what cannot be read
	}
	return nil, syscall.ENOENT
}

// extension is that of the versions in m.
func (m *merged) extension() string {
	_, name := m.place.split()
	return extension(name)
}

// child returns the inode of a merged directory in m.
func (m *merged) child(ctx context.Context, name string, w who, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	c := &merged{v: m.v, place: m.place.child(name), no: m.v.hash.path(m.no, name), flat: w.flat}
	inode, err := m.v.table.adopt(ctx, &m.Inode, c.no, unix.S_IFDIR, c)
	if err != nil {
		return nil, c.fail(err)
	}
	w.fill(&out.Attr, c.no.ino)
	out.SetEntryTimeout(listAge)
	out.SetAttrTimeout(listAge)
	m.v.adopted()
	return inode, 0
}

// version returns the inode of a version, which was first in that state of the
// directory. The version never changes, but its name may become another's.
func (m *merged) version(ctx context.Context, s *history.State, snap *catalogue.Snapshot, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	_, name := m.place.split()
	no := m.v.hash.version(snap.ID, m.no)
	out.SetEntryTimeout(listAge)
	if i, ok := m.v.table.find(no).(inside); ok && i.base().versionOf(m) && i.base().snap == snap.ID {
		m.v.table.keep(no, i)
		i.base().versionOut(out)
		return i.EmbeddedInode(), 0
	}
	n, err := within(m.v, ctx, func(ctx context.Context) (*tree.Node, error) {
		return m.v.repo.Lookup(ctx, s.Node(), []byte(name))
	})
	if err == nil && n.IsDir() || errors.Is(err, iofs.ErrNotExist) && !errors.Is(err, store.ErrDamaged) {
		err = errLost // it was there
	}
	if err != nil {
		return nil, m.fail(err)
	}
	i := m.makeVersion(n, s, snap.ID, no)
	e := i.base()
	inode, err := m.v.table.adopt(ctx, &m.Inode, no, e.attr.mode&syscall.S_IFMT, i)
	if err != nil {
		return nil, e.fail(err)
	}
	e.versionOut(out)
	m.v.adopted()
	return inode, 0
}

// makeVersion makes the node of a version: an entry of a directory that is not
// shown itself.
func (m *merged) makeVersion(n *tree.Node, s *history.State, id store.SnapshotID, no number) inside {
	d := &dir{entry: entry{v: m.v, snap: id}, pages: s.Pages, merged: m}
	i := d.make(n, string(n.Name), d.number(n))
	e := i.base()
	// Its other names are not here.
	e.no, e.group, e.attr.links = no, 0, 1
	return i
}

// versionOf reports whether e is a version in m.
func (e *entry) versionOf(m *merged) bool {
	return e.merged() != nil && e.merged().same(m)
}

func (e *entry) versionOut(out *fuse.EntryOut) {
	e.entryOut(out)
	out.SetEntryTimeout(listAge)
}

func (w who) fill(out *fuse.Attr, ino uint64) {
	// One link: the number of subdirectories is not to be concluded from it.
	a := attr{mode: unix.S_IFDIR | w.mode, uid: w.uid, gid: w.gid, links: 1, size: blockSize, blocks: blockSize / 512, mtime: w.when, ctime: w.when}
	a.fill(out, ino)
}

// who says who may enter m.
func (m *merged) who(ctx context.Context) (who, error) {
	if m.place.path == "" {
		k, _, err := m.v.known(ctx, m.place, false)
		if err != nil {
			return who{}, err
		}
		return k.who, nil
	}
	above, name := m.place.split()
	k, src, err := m.v.known(ctx, above, true)
	if err != nil {
		return who{}, err
	}
	w, ok := k.child(src, name)
	if !ok {
		return who{}, first(k.damage, iofs.ErrNotExist)
	}
	return w, nil
}

func (m *merged) Getattr(ctx context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	w, err := m.who(ctx)
	if err != nil {
		return m.fail(err)
	}
	w.fill(&out.Attr, m.no.ino)
	out.SetTimeout(listAge)
	return 0
}

func (m *merged) Getxattr(context.Context, string, []byte) (uint32, syscall.Errno) {
	return 0, noAttribute
}

func (m *merged) Listxattr(context.Context, []byte) (uint32, syscall.Errno) { return 0, 0 }

func (m *merged) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	return m.v.statfs(ctx, out)
}

// OpendirHandle begins a listing. It is not cached: merged directories grow.
func (m *merged) OpendirHandle(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if no := mayOpen(flags); no != 0 {
		return nil, 0, no
	}
	m.open.Add(1)
	return &mergedHandle{m: m}, 0, 0
}
