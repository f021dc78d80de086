package tree

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"sort"

	"keepsake/crypto"
)

// Fetch returns the plaintext of a chunk, which is only read, and not after the next call. It is called with one chunk at a time.
type Fetch func(ctx context.Context, id crypto.ChunkID) ([]byte, error)

// Entries yields the entries of a directory in order, given its root page. An error ends the sequence; entries before it are good.
// The nodes may be kept.
func Entries(ctx context.Context, fetch Fetch, root crypto.ChunkID) iter.Seq2[*Node, error] {
	return EntriesFrom(ctx, fetch, root, nil)
}

// EntriesFrom is Entries, beginning with the first entry whose name is not less than name. It fetches no page before that.
func EntriesFrom(ctx context.Context, fetch Fetch, root crypto.ChunkID, name []byte) iter.Seq2[*Node, error] {
	return func(yield func(*Node, error) bool) {
		w := pageWalk{ctx: ctx, fetch: fetch, from: name, yield: yield}
		if _, err := w.page(root, nil, nil); err != nil {
			yield(nil, err)
		}
	}
}

// pageWalk descends from one page to those below it. Since the level falls with each step, no cycle of pages can hold it.
type pageWalk struct {
	ctx   context.Context
	fetch Fetch
	from  []byte
	yield func(*Node, error) bool
}

// want is what the page above says of a page.
type want struct {
	level int
	child *Child
}

// page yields all under one page and reports whether to go on. after is the last name before it, nil if it is the first.
func (w *pageWalk) page(id crypto.ChunkID, above *want, after []byte) (bool, error) {
	p, err := loadPage(w.ctx, w.fetch, id, above, after)
	if err != nil {
		return false, err
	}
	if p.Level == 0 {
		nodes := p.Nodes
		for i := p.seek(w.from); i < len(nodes); i++ {
			if !w.yield(&nodes[i], nil) {
				return false, nil
			}
		}
		return true, nil
	}
	for i := p.seek(w.from); i < len(p.Children); i++ {
		if i > 0 {
			after = p.Children[i-1].Last
		}
		c := &p.Children[i]
		on, err := w.page(c.Chunk, &want{p.Level - 1, c}, after)
		if !on || err != nil {
			return false, err
		}
	}
	return true, nil
}

// Lookup returns the entry of that name, or ErrNotFound.
func Lookup(ctx context.Context, fetch Fetch, root crypto.ChunkID, name []byte) (*Node, error) {
	return LookupNew(ctx, fetch, root, name, func(crypto.ChunkID) bool { return true })
}

// LookupNew is Lookup for who follows one name through many states of a directory. enter is called with the id of each page below the
// root before it is fetched, and may return false because an earlier state led there already: then both results are nil.
func LookupNew(ctx context.Context, fetch Fetch, root crypto.ChunkID, name []byte, enter func(id crypto.ChunkID) bool) (*Node, error) {
	id := root
	var above *want
	var after []byte
	for {
		p, err := loadPage(ctx, fetch, id, above, after)
		if err != nil {
			return nil, err
		}
		i := p.seek(name)
		if p.Level == 0 {
			if i < len(p.Nodes) && bytes.Equal(p.Nodes[i].Name, name) {
				return &p.Nodes[i], nil
			}
			return nil, fmt.Errorf("%w: %q", ErrNotFound, name)
		}
		if i == len(p.Children) {
			return nil, fmt.Errorf("%w: %q", ErrNotFound, name)
		}
		if i > 0 {
			after = p.Children[i-1].Last
		}
		id, above = p.Children[i].Chunk, &want{p.Level - 1, &p.Children[i]}
		if !enter(id) {
			return nil, nil
		}
	}
}

// seek returns the index of the first entry or child that holds a name not less than name.
func (p *Page) seek(name []byte) int {
	if len(name) == 0 {
		return 0
	}
	if p.Level == 0 {
		return sort.Search(len(p.Nodes), func(i int) bool { return bytes.Compare(p.Nodes[i].Name, name) >= 0 })
	}
	return sort.Search(len(p.Children), func(i int) bool { return bytes.Compare(p.Children[i].Last, name) >= 0 })
}

// loadPage fetches a page and checks that it is what the page above says.
func loadPage(ctx context.Context, fetch Fetch, id crypto.ChunkID, above *want, after []byte) (*Page, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := fetch(ctx, id)
	if err != nil {
		return nil, err
	}
	p, err := DecodePage(b)
	if err != nil {
		return nil, fmt.Errorf("page %v: %w", id, err)
	}
	if above == nil {
		return p, nil
	}
	switch {
	case p.Level != above.level:
		return nil, structuref("page %v has level %d, not %d", id, p.Level, above.level)
	case p.entries() != above.child.Entries:
		return nil, structuref("page %v has %d entries, not %d", id, p.entries(), above.child.Entries)
	case !bytes.Equal(p.last(), above.child.Last):
		return nil, structuref("page %v ends with %q, not %q", id, p.last(), above.child.Last)
	case after != nil && bytes.Compare(after, p.first()) >= 0:
		return nil, fmt.Errorf("%w: page %v begins with %q after %q", ErrOrder, id, p.first(), after)
	}
	return p, nil
}

// VisitPages goes through all pages of a directory, the root first, for what marks or checks chunks. enter is called with each page's id before
// it is fetched and may return false to leave out the page and all under it, for instance because an earlier snapshot led there
// already; visit is called with the nodes of each leaf. Subdirectories are not entered.
func VisitPages(ctx context.Context, fetch Fetch, root crypto.ChunkID, enter func(id crypto.ChunkID) bool, visit func(nodes []Node) error) error {
	v := pageVisit{ctx, fetch, enter, visit}
	return v.page(root, nil, nil)
}

type pageVisit struct {
	ctx   context.Context
	fetch Fetch
	enter func(id crypto.ChunkID) bool
	visit func(nodes []Node) error
}

func (v *pageVisit) page(id crypto.ChunkID, above *want, after []byte) error {
	if !v.enter(id) {
		return nil
	}
	p, err := loadPage(v.ctx, v.fetch, id, above, after)
	if err != nil {
		return err
	}
	if p.Level == 0 {
		return v.visit(p.Nodes)
	}
	for i := range p.Children {
		if i > 0 {
			after = p.Children[i-1].Last
		}
		c := &p.Children[i]
		if err := v.page(c.Chunk, &want{p.Level - 1, c}, after); err != nil {
			return err
		}
	}
	return nil
}
