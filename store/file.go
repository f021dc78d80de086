package store

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sort"
	"sync"

	"keepsake/crypto"
	"keepsake/store/index"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// Extent is a piece of a file's content: one chunk or one hole.
type Extent struct {
	Offset, Length int64
	Chunk          crypto.ChunkID
	Hole           bool
}

// File reads the content of a regular file. It is safe for concurrent use.
type File struct {
	r    *Repository
	node *tree.Node

	mu sync.Mutex
	// leaves are the parts of the content list that were used last, the latest
	// first: the whole list of a 120 GB file would be megabytes per open handle.
	// Two, because who reads ahead is mostly in the next one.
	leaves [2][]Extent
	// place is that of the chunk that was read last. It is used for as long as it
	// leads to good blocks.
	place index.Place
}

// OpenFile returns a reader of a regular file's content. Nothing is read yet.
func (r *Repository) OpenFile(n *tree.Node) (*File, error) {
	if n.Type != tree.File {
		return nil, fmt.Errorf("%q is not a regular file", n.Name)
	}
	return &File{r: r, node: n}, nil
}

// Size is the length of the content in bytes, holes included.
func (f *File) Size() int64 { return int64(f.node.Size) }

// Extents yields the content from the extent that holds offset from onwards,
// in order and without gaps.
func (f *File) Extents(ctx context.Context, from int64) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		for located, err := range tree.Extents(ctx, f.r.fetchList, f.node, uint64(from)) {
			if err != nil {
				yield(Extent{}, err)
				return
			}
			if !yield(extentOf(located), nil) {
				return
			}
		}
	}
}

// ReadAt implements the contract of io.ReaderAt with a context. Damage fails
// the whole request with a *DamageError, never with fewer bytes.
func (f *File) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at negative offset %d", off)
	}
	if off >= f.Size() {
		return 0, io.EOF
	}
	short := int64(len(p)) > f.Size()-off
	if short {
		p = p[:f.Size()-off]
	}
	done := 0
	err := f.pieces(ctx, off, int64(len(p)), func(b *block, piece []byte) {
		done += copy(p[done:], piece)
		f.r.cache.release(b)
	})
	switch {
	case err != nil:
		return 0, err
	case short:
		return done, io.EOF
	}
	return done, nil
}

// pieces gives the content from off on to use, piece by piece, each with the
// block it lies in, of which use becomes a user, or nil for a piece of a hole.
func (f *File) pieces(ctx context.Context, off, n int64, use func(b *block, piece []byte)) error {
	return walk(off, n, use,
		func(off int64) (Extent, error) { return f.extentAt(ctx, off) },
		func(chunk crypto.ChunkID, off, n int) (*block, error) { return f.blockAt(ctx, chunk, off, n) })
}

// walk does what pieces says, with the extents and blocks that it is given.
func walk(off, n int64, use func(*block, []byte), extentAt func(off int64) (Extent, error), blockAt func(chunk crypto.ChunkID, off, n int) (*block, error)) error {
	for n > 0 {
		e, err := extentAt(off)
		if err != nil {
			return err
		}
		within := off - e.Offset
		wanted := min(n, e.Length-within)
		piece := zeros[:min(wanted, int64(len(zeros)))]
		var b *block
		if !e.Hole {
			if b, err = blockAt(e.Chunk, int(within), int(wanted)); err != nil {
				return err
			}
			piece = b.data[int(within)-b.off:]
			piece = piece[:min(wanted, int64(len(piece)))]
		}
		use(b, piece)
		off, n = off+int64(len(piece)), n-int64(len(piece))
	}
	return nil
}

// zeros is what holes are read from.
var zeros [pack.SegmentSize]byte

// extentAt returns the extent that holds an offset.
func (f *File) extentAt(ctx context.Context, off int64) (Extent, error) {
	if e, ok := f.extentHeld(off); ok {
		return e, nil
	}
	spans, err := tree.ExtentsAround(ctx, f.r.fetchList, f.node, uint64(off))
	if err != nil {
		return Extent{}, err
	}
	leaf := make([]Extent, len(spans))
	for i, s := range spans {
		leaf[i] = extentOf(s)
	}
	e, ok := find(leaf, off)
	if !ok {
		return Extent{}, &DamageError{Err: fmt.Errorf("content list ends before offset %d", off)}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leaves[0], f.leaves[1] = leaf, f.leaves[0]
	return e, nil
}

// extentHeld is extentAt if no list needs to be read.
func (f *File) extentHeld(off int64) (Extent, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.leaves {
		if e, ok := find(f.leaves[i], off); ok {
			f.leaves[0], f.leaves[i] = f.leaves[i], f.leaves[0]
			return e, true
		}
	}
	return Extent{}, false
}

func extentOf(s tree.Span) Extent {
	return Extent{Offset: int64(s.Offset), Length: int64(s.Length), Chunk: s.Chunk, Hole: s.Hole}
}

func find(leaf []Extent, off int64) (Extent, bool) {
	i := sort.Search(len(leaf), func(i int) bool { return leaf[i].Offset+leaf[i].Length > off })
	if i == len(leaf) || leaf[i].Offset > off {
		return Extent{}, false
	}
	return leaf[i], true
}

// blockAt returns the block of a data chunk that holds an offset, where n bytes
// are wanted. Which block that is follows from the index, so each block is asked
// whether it does: its own word is authentic.
func (f *File) blockAt(ctx context.Context, id crypto.ChunkID, off, n int) (*block, error) {
	if b := f.r.cache.held(id, off); b != nil {
		return b, nil
	}
	p, err := f.placeOf(ctx, id)
	if err != nil {
		return nil, err
	}
	for corrected := false; ; corrected = true {
		if off+n <= int(p.Entry.Plain) {
			// All blocks of a chunk but the last are as long as the first.
			_, size, _, _ := p.Entry.Block(0)
			b, err := f.r.block(ctx, id, pack.Data, off/size, &p)
			if err != nil {
				return nil, err
			}
			if b.holds(off) {
				f.keepPlace(p)
				return b, nil
			}
			f.r.cache.release(b)
		}
		ok := false
		if !corrected {
			if p, ok, err = f.r.correct(ctx, p, id); err != nil {
				return nil, err
			}
		}
		if !ok {
			return nil, &DamageError{Object: packName(p.Pack.Kind, p.Pack.ID), Chunk: id, Err: fmt.Errorf("chunk has %d bytes, the file's list says at least %d", p.Entry.Plain, off+n)}
		}
	}
}

func (f *File) placeOf(ctx context.Context, id crypto.ChunkID) (index.Place, error) {
	f.mu.Lock()
	p := f.place
	f.mu.Unlock()
	if p.Entry.Chunk == id {
		return p, nil
	}
	return f.r.locate(ctx, id)
}

func (f *File) keepPlace(p index.Place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.place = p
}
