package store

import (
	"context"
	"errors"
	"fmt"

	"keepsake/crypto"
	"keepsake/store/index"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// pageKey is what a survey remembers of a chunk id; the index knows no more.
type pageKey [16]byte

func keyOf(id crypto.ChunkID) pageKey { return pageKey(id[:16]) }

// taint says whether anything under a page or list cannot be read.
type taint byte

const (
	clean   taint = 1
	tainted taint = 2
)

// survey walks the trees of snapshots and follows every reference once: leaf
// pages and roots that it has met before are not entered again. The pages
// between them are, there being one to 64 leaves.
type survey struct {
	c    *check
	seen map[pageKey]taint
	// naming says that all is known, and every fault is wanted by name: what is
	// tainted is entered again.
	naming bool
	// fetched is the one chunk that was read last.
	fetched crypto.ChunkID
	data    []byte
}

func newSurvey(c *check) *survey { return &survey{c: c, seen: map[pageKey]taint{}} }

// snapshot walks one snapshot and reports whether something in it is affected.
func (s *survey) snapshot(ctx context.Context, m *Snapshot) (bool, error) {
	found := false
	hit := func(*fault) { found = true }
	if err := s.own(ctx, m, hit); err != nil {
		return false, err
	}
	if m.Root.Type != tree.Dir {
		return found, nil
	}
	below, err := s.dir(ctx, m.Root.Pages)
	return found || below, err
}

// own follows what the manifest itself refers to, besides the root's pages.
func (s *survey) own(ctx context.Context, m *Snapshot, hit func(*fault)) error {
	for _, e := range m.MissedList {
		f, err := s.readable(ctx, e.Chunk, pack.Blob, e.Length)
		if err != nil {
			return err
		}
		if f == nil {
			if _, err := tree.ParseMissedPage(s.data); err != nil {
				f = s.c.badTree(m.ID, err)
			}
		}
		if f != nil {
			hit(f)
		}
	}
	return s.node(ctx, &m.Root, hit)
}

// dir walks a directory and all below it and reports whether it is tainted.
func (s *survey) dir(ctx context.Context, root crypto.ChunkID) (bool, error) {
	if t := s.seen[keyOf(root)]; t != 0 {
		return t == tainted, nil
	}
	var leaf crypto.ChunkID
	found := false
	err := s.pages(ctx, root, func(id crypto.ChunkID, f *fault) bool {
		leaf = id
		t := s.seen[keyOf(id)]
		found = found || f != nil || t == tainted
		return f == nil && t == 0
	}, func(nodes []tree.Node) error {
		bad := false
		for i := range nodes {
			n := &nodes[i]
			if err := s.node(ctx, n, func(*fault) { bad = true }); err != nil {
				return err
			}
			if n.Type == tree.Dir {
				below, err := s.dir(ctx, n.Pages)
				if err != nil {
					return err
				}
				bad = bad || below
			}
		}
		s.mark(leaf, bad)
		found = found || bad
		return nil
	}, func(*fault) { found = true })
	s.mark(root, found)
	return found, err
}

func (s *survey) mark(id crypto.ChunkID, bad bool) {
	s.seen[keyOf(id)] = clean
	if bad {
		s.seen[keyOf(id)] = tainted
	}
}

// pages goes through the pages of one directory. enter is told of each page and
// of what keeps it from being read, and says whether to go on below it; torn is
// told that the pages do not fit together, so that the rest is unknown.
func (s *survey) pages(ctx context.Context, root crypto.ChunkID, enter func(crypto.ChunkID, *fault) bool, visit func([]tree.Node) error, torn func(*fault)) error {
	var failed error
	err := tree.VisitPages(ctx, s.fetch, root, func(id crypto.ChunkID) bool {
		if failed != nil || !enter(id, nil) {
			return false
		}
		f, err := s.readable(ctx, id, pack.Page, 0)
		if failed = err; err != nil {
			return false
		}
		if f != nil {
			enter(id, f)
		}
		return f == nil
	}, func(nodes []tree.Node) error {
		if failed == nil {
			failed = visit(nodes)
		}
		return failed
	})
	if failed != nil {
		return failed
	}
	return s.torn(err, torn)
}

// torn sorts out why a walk ended.
func (s *survey) torn(err error, hit func(*fault)) error {
	if err == nil || fatal(err) {
		return err
	}
	hit(s.c.badTree(SnapshotID{}, err))
	return nil
}

// node follows a node's own references, those of a directory's entries not
// included, and calls hit for each that cannot be read.
func (s *survey) node(ctx context.Context, n *tree.Node, hit func(*fault)) error {
	if err := s.extents(ctx, n.Content, pack.Data, hit); err != nil {
		return err
	}
	for i := range n.Xattrs {
		if err := s.extents(ctx, n.Xattrs[i].Large, pack.Blob, hit); err != nil {
			return err
		}
	}
	if n.List == nil {
		return nil
	}
	return s.list(ctx, n.List, hit)
}

// list follows a content list. hit is given nil for a part that is known to be
// tainted, unless faults are to be named.
func (s *survey) list(ctx context.Context, ref *tree.ListRef, hit func(*fault)) error {
	if s.seen[keyOf(ref.Chunk)] == clean {
		return nil
	}
	found := false
	note := func(f *fault) {
		found = true
		hit(f)
	}
	var leaf crypto.ChunkID
	var failed error
	err := tree.VisitLists(ctx, s.fetch, ref, func(id crypto.ChunkID) bool {
		switch t := s.seen[keyOf(id)]; {
		case failed != nil || t == clean:
			return false
		case t == tainted && !s.naming:
			note(nil)
			return false
		}
		leaf = id
		var f *fault
		if f, failed = s.readable(ctx, id, pack.List, 0); f != nil {
			note(f)
		}
		return f == nil && failed == nil
	}, func(extents tree.ExtentList) error {
		before := found
		found = false
		failed = s.extents(ctx, extents, pack.Data, note)
		s.mark(leaf, found)
		found = found || before
		return failed
	})
	if failed != nil {
		return failed
	}
	if err := s.torn(err, note); err != nil {
		return err
	}
	s.mark(ref.Chunk, found)
	return nil
}

func (s *survey) extents(ctx context.Context, l tree.ExtentList, t pack.ChunkType, hit func(*fault)) error {
	for i := range l {
		if l[i].Hole {
			continue
		}
		f, err := s.c.resolve(ctx, l[i].Chunk, t, l[i].Length)
		if err != nil {
			return err
		}
		if f != nil {
			hit(f)
		}
	}
	return nil
}

// readable resolves a metadata chunk and reads it, past the cache, so that
// fetch has it. length is 0 where nobody says it beforehand.
func (s *survey) readable(ctx context.Context, id crypto.ChunkID, t pack.ChunkType, length uint64) (*fault, error) {
	f, err := s.c.resolve(ctx, id, t, length)
	if f != nil || err != nil {
		return f, err
	}
	return s.read(ctx, id, t)
}

func (s *survey) read(ctx context.Context, id crypto.ChunkID, t pack.ChunkType) (*fault, error) {
	if s.fetched == id {
		return nil, nil
	}
	s.fetched = crypto.ChunkID{}
	data, err := s.c.r.ReadChunk(ctx, id, t, s.data)
	if err == nil {
		s.fetched, s.data = id, data
		return nil, nil
	}
	if !errors.Is(err, ErrDamaged) || fatal(err) {
		return nil, err
	}
	return s.c.chunkFault(id, err)
}

func (s *survey) fetch(_ context.Context, id crypto.ChunkID) ([]byte, error) {
	if s.fetched != id {
		return nil, fmt.Errorf("chunk %v was not read", id)
	}
	return s.data, nil
}

// resolve finds where a chunk lies and returns what keeps it from being read, or
// nil. length, unless 0, is what the reference says.
func (c *check) resolve(ctx context.Context, id crypto.ChunkID, t pack.ChunkType, length uint64) (*fault, error) {
	p, err := c.r.locate(ctx, id)
	if errors.Is(err, ErrDamaged) {
		c.lost.addBad(id, errNotStored)
		return c.lost, nil
	}
	if err != nil {
		return nil, err
	}
	c.used[p.Pack.ID] = struct{}{}
	c.unsettled = c.unsettled || !p.Usable()
	if p.Entry.Type != t || length != 0 && length != uint64(p.Entry.Plain) {
		// Only the pack's own table can say that the tree is wrong.
		if q, ok, err := c.r.askTable(ctx, p, id); err == nil && ok {
			p = q
		}
		if p.Entry.Type != t || length != 0 && length != uint64(p.Entry.Plain) {
			return c.badTree(SnapshotID{}, fmt.Errorf("chunk %v has type %d and %d bytes, a reference says type %d and %d bytes", id, p.Entry.Type, p.Entry.Plain, t, length)), nil
		}
	}
	f := c.faults[p.Pack.ID]
	switch {
	case f == nil:
		return nil, nil
	case f.whole:
		return f, nil
	case f.noTable:
		return c.try(ctx, f, id, t)
	case f.bad[id]:
		return f, nil
	}
	return nil, nil
}

// try reads a chunk of a pack whose table cannot be read: the index may still
// know where it is.
func (c *check) try(ctx context.Context, f *fault, id crypto.ChunkID, t pack.ChunkType) (*fault, error) {
	if bad, tried := f.bad[id]; tried {
		if bad {
			return f, nil
		}
		return nil, nil
	}
	_, err := c.r.ReadChunk(ctx, id, t, nil)
	if err != nil && (!errors.Is(err, ErrDamaged) || fatal(err)) {
		return nil, err
	}
	if err != nil {
		f.addBad(id, cause(err))
		return f, nil
	}
	if f.bad == nil {
		f.bad = map[crypto.ChunkID]bool{}
	}
	f.bad[id] = false
	return nil, nil
}

// chunkFault notes a metadata chunk that turned out damaged when it was read.
func (c *check) chunkFault(id crypto.ChunkID, damage error) (*fault, error) {
	p, ok, err := c.r.index.Lookup(id)
	if err != nil {
		return nil, err
	}
	if !ok {
		c.lost.addBad(id, errNotStored)
		return c.lost, nil
	}
	f := c.faults[p.Pack.ID]
	if f == nil {
		f = packFault(p.Pack, DamagedPack, nil)
		c.faults[p.Pack.ID] = f
		if err := c.r.index.Mark(p.Pack.ID, func(p *index.Pack) { p.Damaged = true }); err != nil {
			return nil, err
		}
	}
	f.addBad(id, cause(damage))
	return f, nil
}

// badTree notes a contradiction within what was written.
func (c *check) badTree(id SnapshotID, err error) *fault {
	if c.trees.problem.Err == nil {
		c.trees.problem.Err = err
		c.trees.problem.Kind = damageKind(BrokenTree, err)
		if id != (SnapshotID{}) {
			c.trees.problem.Object = sealedName(prefixSnapshots, id)
		}
	}
	return c.trees
}

// cause strips the name of the object off an error that is reported with it.
func cause(err error) error {
	if d, ok := errors.AsType[*DamageError](err); ok {
		return d.Err
	}
	return err
}
