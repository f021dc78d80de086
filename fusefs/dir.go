package fusefs

import (
	"context"
	"errors"
	iofs "io/fs"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/tree"
)

// maxName is the longest name that a directory entry can have, in bytes.
const maxName = 255

// dir is a directory inside a snapshot, its root included.
type dir struct {
	entry
	pages   crypto.ChunkID
	entries uint64
	root    *tree.Node // of a snapshot's root, else nil
	merged  *merged    // it is not shown itself, but its entry here as a version
}

var (
	_ fs.NodeLookuper       = (*dir)(nil)
	_ fs.NodeOpendirHandler = (*dir)(nil)
	_ fs.NodeOnForgetter    = (*dir)(nil)
)

// snapshotRoot makes a folder of a snapshot with that number. A manifest that is
// gone, as after a prune, is fs.ErrNotExist.
func (v *view) snapshotRoot(request context.Context, id store.SnapshotID, no number) (*dir, error) {
	root, err := v.rootOf(request, id, no)
	if err != nil {
		return nil, err
	}
	return &dir{
		entry: entry{v: v, snap: id, no: no, attr: attrOf(root, v.acls)},
		pages: root.Pages, entries: root.Entries, root: root,
	}, nil
}

// rootOf is the root of a snapshot: of the folder with that number, if it is
// alive, else of the manifest.
func (v *view) rootOf(request context.Context, id store.SnapshotID, no number) (*tree.Node, error) {
	if d, ok := v.table.find(no).(*dir); ok && d.snap == id && d.root != nil {
		return d.root, nil
	}
	return within(v, request, func(ctx context.Context) (*tree.Node, error) {
		return v.manifestRoot(ctx, id)
	})
}

// manifestRoot reads the root of a snapshot.
func (v *view) manifestRoot(ctx context.Context, id store.SnapshotID) (*tree.Node, error) {
	s, err := v.repo.Manifest(ctx, id)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, iofs.ErrNotExist
	}
	root := s.Root // without the rest of the manifest
	return &root, err
}

func (d *dir) OnForget() {
	d.v.table.forget(d.no, d)
	d.v.runs.forget(d)
}

// treeNode is as much of the directory's node as reading its entries takes.
func (d *dir) treeNode() *tree.Node {
	return &tree.Node{Type: tree.Dir, Pages: d.pages, Entries: d.entries}
}

// find returns the node of a name in d, from the runs if they know, and an
// error that is fs.ErrNotExist if there is none.
func (d *dir) find(request context.Context, name string) (*tree.Node, error) {
	if n, known := d.v.runs.find(d, name); known {
		if n == nil {
			return nil, iofs.ErrNotExist
		}
		return n, nil
	}
	if d.entries > runLength || d.merged != nil {
		return within(d.v, request, func(ctx context.Context) (*tree.Node, error) {
			n, err := d.v.repo.Lookup(ctx, d.treeNode(), []byte(name))
			if err != nil {
				return nil, err
			}
			return n.Clone(), nil // or it would keep its whole page
		})
	}
	// A small directory costs the same whether one entry is read or all.
	nodes, err := within(d.v, request, func(ctx context.Context) ([]*tree.Node, error) {
		nodes := make([]*tree.Node, 0, d.entries)
		for n, err := range d.v.repo.Entries(ctx, d.treeNode()) {
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
		return nodes, nil
	})
	if err != nil {
		return nil, err
	}
	r := &run{dir: d, nodes: nodes, first: true, last: true}
	d.v.runs.add(r)
	if n, _ := r.find(name); n != nil {
		return n, nil
	}
	return nil, iofs.ErrNotExist
}

func (d *dir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if len(name) > maxName {
		return nil, syscall.ENAMETOOLONG
	}
	// What is alive under this name is it still: snapshots do not change.
	if child := d.GetChild(name); child != nil {
		if i, ok := child.Operations().(inside); ok {
			d.v.table.keep(i.base().no, i)
			i.base().entryOut(out)
			return child, 0
		}
	}
	n, err := d.find(ctx, name)
	if err != nil {
		if errors.Is(err, iofs.ErrNotExist) && !errors.Is(err, store.ErrDamaged) {
			return nil, syscall.ENOENT // for which Mount has set a long time-out
		}
		return nil, d.fail(err)
	}
	return d.child(ctx, n, name, d.number(n), out)
}

// child returns the inode of an entry of d, given its name and number.
func (d *dir) child(ctx context.Context, n *tree.Node, name string, no number, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	m := d.make(n, name, no)
	e := m.base()
	inode, err := d.v.table.adopt(ctx, &d.Inode, e.no, e.attr.mode&syscall.S_IFMT, m)
	if err != nil {
		return nil, e.fail(err)
	}
	e.entryOut(out)
	d.v.adopted()
	return inode, 0
}

// make makes the node of an entry of d.
func (d *dir) make(n *tree.Node, name string, no number) inside {
	var m inside
	switch n.Type {
	case tree.Dir:
		m = &dir{pages: n.Pages, entries: n.Entries}
	case tree.File:
		m = &file{}
	case tree.Symlink:
		m = &symlink{target: string(n.Target)}
	default:
		m = &special{}
	}
	e := m.base()
	e.v, e.snap, e.parent, e.name = d.v, d.snap, d, name
	e.no, e.attr = no, attrOf(n, d.v.acls)
	if n.Type != tree.Dir {
		e.group = n.LinkGroup
	}
	return m
}

// number is the inode number of an entry of d.
func (d *dir) number(n *tree.Node) number {
	if n.LinkGroup != 0 && n.Type != tree.Dir {
		return d.v.hash.links(d.snap, n)
	}
	return d.v.hash.path(d.no, string(n.Name))
}

func (e *entry) entryOut(out *fuse.EntryOut) {
	e.attr.fill(&out.Attr, e.no.ino)
	out.SetAttrTimeout(forever)
	out.SetEntryTimeout(forever)
}

// OpendirHandle begins a listing, which the kernel may keep.
func (d *dir) OpendirHandle(_ context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return &dirHandle{d: d}, fuse.FOPEN_CACHE_DIR | fuse.FOPEN_KEEP_CACHE, mayOpen(flags)
}
