package capture

import (
	"context"

	"keepsake/crypto"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// One name in 64 ends a page, one chunk in 192 beyond the least number ends a
// piece of a content list (FORMAT.md, trees).
const (
	pageOdds = 64
	listOdds = 192
)

// directoryBuilder turns the captured entries of one directory into pages.
type directoryBuilder struct {
	p       *pass
	rel     string
	pages   *tree.PageBuilder
	entries uint64
	below   tree.Totals
	changes changes
}

func (p *pass) newDirectoryBuilder(ctx context.Context, rel string) *directoryBuilder {
	return &directoryBuilder{p: p, rel: rel, pages: tree.NewPageBuilder(p.cutPage, func(encoded []byte) (crypto.ChunkID, error) {
		if p.options.DryRun {
			return crypto.ChunkID{1}, nil
		}
		id, _, err := p.writer.Put(ctx, pack.Page, encoded)
		return id, stored(err)
	})}
}

func (p *pass) cutPage(level int, name []byte) bool {
	return p.pageCuts.Sum64([]byte{byte(level)}, name)%pageOdds == 0
}

func (p *pass) cutList(level int, chunk crypto.ChunkID) bool {
	return p.listCuts.Sum64([]byte{byte(level)}, chunk[:])%listOdds == 0
}

// add waits for an entry and appends it, or what stands in for it.
func (b *directoryBuilder) add(e *pending, previous *tree.Node) error {
	e.wait()
	b.changes.entry(e, previous)
	if e.err != nil || e.node == nil {
		return e.err
	}
	n := b.p.storable(join(b.rel, string(e.node.Name)), e.node, previous)
	if n == nil {
		return nil
	}
	b.entries++
	if n.Type != tree.Dir { // those compare themselves
		b.p.unnamed.compare(b.rel, n, previous)
	}
	switch n.Type {
	case tree.File:
		b.below.Files++
		b.below.Bytes += n.Size
	case tree.Dir:
		b.below.Dirs += 1 + n.Below.Dirs
		b.below.Files += n.Below.Files
		b.below.Others += n.Below.Others
		b.below.Bytes += n.Below.Bytes
		b.below.Flagged += n.Below.Flagged
	default:
		b.below.Others++
	}
	if n.Flags != 0 {
		b.below.Flagged++
	}
	return b.pages.Add(n)
}

// storable returns a node that the format has room for. Without the attributes
// it is still worth having, so too many of them do not cost the content; it is
// flagged to be looked at again, and so missed again, in every run.
func (p *pass) storable(rel string, n, previous *tree.Node) *tree.Node {
	err := n.Validate()
	if err == nil && rel != "" {
		err = tree.ValidateName(n.Name)
	}
	if err == nil {
		return n
	}
	p.miss(rel, reasonOf(err), err)
	bare := *n
	bare.Xattrs = nil
	bare.Flags |= tree.Racy
	if len(n.Xattrs) > 0 && bare.Validate() == nil {
		return &bare
	}
	return kept(previous)
}

// finish completes the directory's node.
func (b *directoryBuilder) finish(n *tree.Node) (err error) {
	n.Entries, n.Below = b.entries, b.below
	b.p.seen.add(b.changes.sum)
	n.Pages, err = b.pages.Finish()
	return err
}
