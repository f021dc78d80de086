package capture

import (
	"context"
	"errors"

	"keepsake/crypto"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// Without a doubt about the repository, what an earlier snapshot refers to is
// stored. In doubt every chunk that a node is taken over with is looked up.

// contentKnown reports whether all chunks of a file are stored: its data, the
// lists that name them, and its attributes.
func (p *pass) contentKnown(ctx context.Context, n *tree.Node) bool {
	if !p.doubt {
		return true
	}
	if !p.attrsKnown(n) || !p.chunksKnown(n.Content) {
		return false
	}
	if n.List == nil {
		return true
	}
	known := true
	fetch := func(ctx context.Context, id crypto.ChunkID) ([]byte, error) {
		return p.repository.ReadChunk(ctx, id, pack.List, nil)
	}
	err := tree.VisitLists(ctx, fetch, n.List,
		func(id crypto.ChunkID) bool { known = known && p.chunkKnown(id); return known },
		func(extents tree.ExtentList) error {
			if !p.chunksKnown(extents) {
				return errUnknown
			}
			return nil
		})
	return known && err == nil
}

var errUnknown = errors.New("a chunk is not stored")

// attrsKnown reports whether the attributes that lie in chunks are stored.
func (p *pass) attrsKnown(n *tree.Node) bool {
	if !p.doubt {
		return true
	}
	for _, x := range n.Xattrs {
		if !p.chunksKnown(x.Large) {
			return false
		}
	}
	return true
}

func (p *pass) chunksKnown(extents tree.ExtentList) bool {
	for _, e := range extents {
		if !e.Hole && !p.chunkKnown(e.Chunk) {
			return false
		}
	}
	return true
}

// chunkKnown reports whether a chunk is stored. A dry run may have no writer to
// ask, and then says what it would read at most.
func (p *pass) chunkKnown(id crypto.ChunkID) bool {
	if p.writer == nil {
		return false
	}
	known, err := p.writer.Known(id)
	return err == nil && known
}
