package tree

import (
	"context"
	"fmt"
	"iter"

	"keepsake/crypto"
)

// Span is an extent at its place in the file.
type Span struct {
	Offset uint64 // of its first byte
	Extent
}

// End is the offset after the last byte.
func (s Span) End() uint64 { return s.Offset + s.Length }

// Extents yields the extents of a file in order, beginning with the one that holds the byte at offset from; nothing if from is not below
// the file's size. List chunks before that are not fetched. An error ends the sequence.
func Extents(ctx context.Context, fetch Fetch, n *Node, from uint64) iter.Seq2[Span, error] {
	return func(yield func(Span, error) bool) {
		if from >= n.Size {
			return
		}
		w := listWalk{ctx: ctx, fetch: fetch, from: from, yield: yield}
		if n.List == nil {
			w.extents(n.Content, 0)
			return
		}
		if _, err := w.list(n.List, -1, 0); err != nil {
			yield(Span{}, err)
		}
	}
}

// ExtentsAround returns the extents of the list chunk that holds the byte at offset at, all of them, or those of the node itself if it has
// no list; nothing if at is not below the file's size. It fetches one list chunk of each level.
func ExtentsAround(ctx context.Context, fetch Fetch, n *Node, at uint64) ([]Span, error) {
	if at >= n.Size {
		return nil, nil
	}
	if n.List == nil {
		return spans(n.Content, 0), nil
	}
	ref, level, offset := n.List, -1, uint64(0)
	for {
		l, err := loadList(ctx, fetch, ref, level)
		if err != nil {
			return nil, err
		}
		if l.Level == 0 {
			return spans(l.Extents, offset), nil
		}
		i := 0
		for i < len(l.Children)-1 && offset+l.Children[i].Bytes <= at {
			offset += l.Children[i].Bytes
			i++
		}
		ref, level = &l.Children[i], l.Level-1
	}
}

func spans(l ExtentList, offset uint64) []Span {
	all := make([]Span, len(l))
	for i := range l {
		all[i] = Span{Offset: offset, Extent: l[i]}
		offset = all[i].End()
	}
	return all
}

type listWalk struct {
	ctx   context.Context
	fetch Fetch
	from  uint64
	yield func(Span, error) bool
}

// list yields what lies under the list chunk that ref names, whose first byte is at offset, and reports whether to go on.
func (w *listWalk) list(ref *ListRef, level int, offset uint64) (bool, error) {
	l, err := loadList(w.ctx, w.fetch, ref, level)
	if err != nil {
		return false, err
	}
	if l.Level == 0 {
		return w.extents(l.Extents, offset), nil
	}
	for i := range l.Children {
		c := &l.Children[i]
		if offset+c.Bytes > w.from {
			if on, err := w.list(c, l.Level-1, offset); !on || err != nil {
				return false, err
			}
		}
		offset += c.Bytes
	}
	return true, nil
}

func (w *listWalk) extents(l ExtentList, offset uint64) bool {
	for i := range l {
		s := Span{Offset: offset, Extent: l[i]}
		if offset = s.End(); offset > w.from && !w.yield(s, nil) {
			return false
		}
	}
	return true
}

// loadList fetches a list chunk and checks that it is what ref says. level -1 stands for a root, whose level is its own.
func loadList(ctx context.Context, fetch Fetch, ref *ListRef, level int) (*List, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := fetch(ctx, ref.Chunk)
	if err != nil {
		return nil, err
	}
	l, err := DecodeList(b)
	if err != nil {
		return nil, fmt.Errorf("list chunk %v: %w", ref.Chunk, err)
	}
	if level >= 0 && l.Level != level {
		return nil, structuref("list chunk %v has level %d, not %d", ref.Chunk, l.Level, level)
	}
	sum, err := l.ref()
	if err != nil {
		return nil, err
	}
	if sum.Entries != ref.Entries || sum.Bytes != ref.Bytes {
		return nil, structuref("list chunk %v covers %d entries and %d bytes, not %d and %d",
			ref.Chunk, sum.Entries, sum.Bytes, ref.Entries, ref.Bytes)
	}
	return l, nil
}

// VisitLists goes through all list chunks of a file, as VisitPages does through pages.
func VisitLists(ctx context.Context, fetch Fetch, ref *ListRef, enter func(id crypto.ChunkID) bool, visit func(extents ExtentList) error) error {
	return visitList(ctx, fetch, ref, -1, enter, visit)
}

func visitList(ctx context.Context, fetch Fetch, ref *ListRef, level int, enter func(crypto.ChunkID) bool, visit func(ExtentList) error) error {
	if !enter(ref.Chunk) {
		return nil
	}
	l, err := loadList(ctx, fetch, ref, level)
	if err != nil {
		return err
	}
	if l.Level == 0 {
		return visit(l.Extents)
	}
	for i := range l.Children {
		if err := visitList(ctx, fetch, &l.Children[i], l.Level-1, enter, visit); err != nil {
			return err
		}
	}
	return nil
}
