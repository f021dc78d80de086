package store

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sort"
	"sync"

	"keepsake/crypto"
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

	// Large files keep a window of their content list; the whole list of a
	// 120 GB file would be megabytes per open handle.
	mu     sync.Mutex
	window []Extent
}

// windowExtents bounds the part of the content list that a File keeps.
const windowExtents = 1024

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
			e := Extent{Offset: int64(located.Offset), Length: int64(located.Length), Chunk: located.Chunk, Hole: located.Hole}
			if !yield(e, nil) {
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
	for done < len(p) {
		e, err := f.extentAt(ctx, off+int64(done))
		if err != nil {
			return 0, err
		}
		within := off + int64(done) - e.Offset
		n := min(int64(len(p)-done), e.Length-within)
		dst := p[done : done+int(n)]
		if e.Hole {
			clear(dst)
		} else if err := f.r.readRange(ctx, e.Chunk, int(within), dst); err != nil {
			return 0, err
		}
		done += int(n)
	}
	if short {
		return done, io.EOF
	}
	return done, nil
}

// extentAt returns the extent that holds an offset, from the window if it can.
func (f *File) extentAt(ctx context.Context, off int64) (Extent, error) {
	f.mu.Lock()
	window := f.window
	f.mu.Unlock()
	if e, ok := find(window, off); ok {
		return e, nil
	}
	window = make([]Extent, 0, 64)
	for e, err := range f.Extents(ctx, off) {
		if err != nil {
			return Extent{}, err
		}
		if window = append(window, e); len(window) == windowExtents {
			break
		}
	}
	e, ok := find(window, off)
	if !ok {
		return Extent{}, &DamageError{Err: fmt.Errorf("content list ends before offset %d", off)}
	}
	f.mu.Lock()
	f.window = window
	f.mu.Unlock()
	return e, nil
}

func find(window []Extent, off int64) (Extent, bool) {
	i := sort.Search(len(window), func(i int) bool { return window[i].Offset+window[i].Length > off })
	if i == len(window) || window[i].Offset > off {
		return Extent{}, false
	}
	return window[i], true
}

// readRange fills dst with the plaintext of a data chunk from an offset on.
// Which block holds an offset follows from the index, so each block is asked
// whether it does: its own word is authentic.
func (r *Repository) readRange(ctx context.Context, id crypto.ChunkID, off int, dst []byte) error {
	p, err := r.locate(ctx, id)
	if err != nil {
		return err
	}
	corrected := false
	for len(dst) > 0 {
		var b block
		if off+len(dst) <= int(p.Entry.Plain) {
			// All blocks of a chunk but the last are as long as the first.
			_, size, _, _ := p.Entry.Block(0)
			if b, err = r.block(ctx, id, pack.Data, off/size); err != nil {
				return err
			}
		}
		if b.holds(off) {
			n := copy(dst, b.data[off-b.off:])
			dst, off = dst[n:], off+n
			continue
		}
		ok := false
		if !corrected {
			corrected = true
			if p, ok, err = r.correct(ctx, p, id); err != nil {
				return err
			}
		}
		if !ok {
			return &DamageError{Object: packName(p.Pack.Kind, p.Pack.ID), Chunk: id, Err: fmt.Errorf("chunk has %d bytes, the file's list says at least %d", p.Entry.Plain, off+len(dst))}
		}
	}
	return nil
}
