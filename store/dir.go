package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"

	"keepsake/crypto"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// fetchPage and fetchList read metadata chunks through the cache; they are
// what the walkers of package tree are given.
func (r *Repository) fetchPage(ctx context.Context, id crypto.ChunkID) ([]byte, error) {
	return r.fetch(ctx, id, pack.Page)
}

func (r *Repository) fetchList(ctx context.Context, id crypto.ChunkID) ([]byte, error) {
	return r.fetch(ctx, id, pack.List)
}

func (r *Repository) fetch(ctx context.Context, id crypto.ChunkID, t pack.ChunkType) ([]byte, error) {
	p, err := r.locate(ctx, id)
	if err != nil {
		return nil, err
	}
	if p.Entry.Blocks() == 1 {
		b, err := r.block(ctx, id, t, 0, &p)
		if err != nil {
			return nil, err
		}
		if len(b.data) == b.plain {
			return b.data, nil
		}
	}
	return r.ReadChunk(ctx, id, t, nil)
}

// Page returns a page of a directory, for the walkers of package tree. It is
// only read.
func (r *Repository) Page(ctx context.Context, id crypto.ChunkID) ([]byte, error) {
	return r.fetchPage(ctx, id)
}

// Entries yields the entries of a directory in ascending byte order of their
// names. After an error nothing more is yielded.
func (r *Repository) Entries(ctx context.Context, dir *tree.Node) iter.Seq2[*tree.Node, error] {
	if dir.Type != tree.Dir {
		return func(yield func(*tree.Node, error) bool) { yield(nil, notDirectory(dir)) }
	}
	return tree.Entries(ctx, r.fetchPage, dir.Pages)
}

// Lookup returns the entry of a directory with a name, or fs.ErrNotExist. It
// reads one page of each level.
func (r *Repository) Lookup(ctx context.Context, dir *tree.Node, name []byte) (*tree.Node, error) {
	if dir.Type != tree.Dir {
		return nil, notDirectory(dir)
	}
	n, err := tree.Lookup(ctx, r.fetchPage, dir.Pages, name)
	if err != nil {
		return nil, err
	}
	if n == nil {
		return nil, fmt.Errorf("%q: %w", name, fs.ErrNotExist)
	}
	return n, nil
}

// Resolve walks a slash-separated path from a root node. Empty elements and
// "." are passed over; ".." is refused. Symlinks are not followed: the tree
// says what was there, not what a link pointed to.
func (r *Repository) Resolve(ctx context.Context, root *tree.Node, path string) (*tree.Node, error) {
	n := root
	for element := range strings.SplitSeq(path, "/") {
		switch element {
		case "", ".":
			continue
		case "..":
			return nil, fmt.Errorf("%q: a path inside a snapshot has no \"..\"", path)
		}
		var err error
		if n, err = r.Lookup(ctx, n, []byte(element)); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, &pathError{path}
			}
			return nil, err
		}
	}
	return n, nil
}

// pathError says that a snapshot has no such path. It is fs.ErrNotExist.
type pathError struct{ path string }

func (e *pathError) Error() string { return fmt.Sprintf("%q is not in the snapshot", e.path) }
func (e *pathError) Unwrap() error { return fs.ErrNotExist }

func notDirectory(n *tree.Node) error { return fmt.Errorf("%q is not a directory", n.Name) }

// maxXattr bounds an attribute value; Linux allows 64 KiB.
const maxXattr = 1 << 20

// Xattrs returns the extended attributes of a node with their values, those
// included that lie in chunks of their own.
func (r *Repository) Xattrs(ctx context.Context, n *tree.Node) ([]tree.Xattr, error) {
	all := make([]tree.Xattr, 0, len(n.Xattrs))
	for _, x := range n.Xattrs {
		if len(x.Large) > 0 {
			v, err := r.ReadBlob(ctx, x.Large, maxXattr)
			if err != nil {
				return nil, err
			}
			x = tree.Xattr{Name: x.Name, Value: v}
		}
		all = append(all, x)
	}
	return all, nil
}

// ReadBlob returns bytes that were stored as chunks of type Blob, at most
// limit of them.
func (r *Repository) ReadBlob(ctx context.Context, extents []tree.Extent, limit int) ([]byte, error) {
	var all []byte
	for _, e := range extents {
		if e.Hole || e.Length > uint64(limit-len(all)) {
			return nil, &DamageError{Chunk: e.Chunk, Err: fmt.Errorf("blob is longer than %d bytes", limit)}
		}
		part, err := r.ReadChunk(ctx, e.Chunk, pack.Blob, nil)
		if err != nil {
			return nil, err
		}
		if uint64(len(part)) != e.Length {
			return nil, &DamageError{Chunk: e.Chunk, Err: fmt.Errorf("blob has %d bytes, expected %d", len(part), e.Length)}
		}
		all = append(all, part...)
	}
	return all, nil
}
