package history

import (
	"context"
	"errors"

	"keepsake/crypto"
	"keepsake/store"
)

// pages is where tree pages are read; *store.Repository is one.
type pages interface {
	Page(ctx context.Context, id crypto.ChunkID) ([]byte, error)
}

var _ pages = (*store.Repository)(nil)

// key is as much of a chunk's id as tells it from all others.
type key [16]byte

func keyOf(id crypto.ChunkID) key { return key(id[:16]) }

// maxMet is how many pages a memory keeps: those of a directory of eight
// million names, or the changes of very many snapshots.
const maxMet = 1 << 17

// memory knows pages that were met before. When it is full it begins anew,
// which costs reading some again.
type memory map[key]struct{}

// first reports whether a page is met for the first time, and remembers it.
func (m *memory) first(id crypto.ChunkID) bool {
	k := keyOf(id)
	if _, met := (*m)[k]; met {
		return false
	}
	if *m == nil || len(*m) >= maxMet {
		*m = memory{}
	}
	(*m)[k] = struct{}{}
	return true
}

func (m memory) forget(ids []crypto.ChunkID) {
	for _, id := range ids {
		delete(m, keyOf(id))
	}
}

// reader fetches the pages of one walk after the other.
type reader struct {
	from    pages
	entered []crypto.ChunkID // pages that were met for the first time in this walk
	last    crypto.ChunkID   // the page that was asked for last
	err     error            // of fetching it
}

func (r *reader) begin() { r.entered, r.err = r.entered[:0], nil }

// enter reports whether a page is met for the first time.
func (r *reader) enter(m *memory, id crypto.ChunkID) bool {
	if !m.first(id) {
		return false
	}
	r.entered = append(r.entered, id)
	return true
}

func (r *reader) fetch(ctx context.Context, id crypto.ChunkID) ([]byte, error) {
	b, err := r.from.Page(ctx, id)
	r.last, r.err = id, err
	return b, err
}

// lasting reports whether an error of a walk means damage, which will be there
// the next time too.
func (r *reader) lasting(ctx context.Context, err error) bool {
	if errors.Is(err, store.ErrDamaged) || errors.Is(err, store.ErrAway) {
		return !errors.Is(err, store.ErrAway)
	}
	// What package tree itself finds wrong with a page is damage as well.
	return r.err == nil && ctx.Err() == nil
}
