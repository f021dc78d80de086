package store

import (
	"context"
	"errors"

	"keepsake/crypto"
)

// Loan is a piece of a file's content in memory that is shared with others. Its
// slices are only read, and not after Return.
type Loan struct {
	Slices [][]byte

	cache  *cache
	blocks []*block
}

// Return gives the memory back to be used for something else. Without it the
// memory becomes garbage in the end.
func (l *Loan) Return() {
	for _, b := range l.blocks {
		l.cache.release(b)
	}
	l.Slices, l.blocks = nil, nil
}

func (l *Loan) add(b *block, piece []byte) {
	l.Slices = append(l.Slices, piece)
	if b != nil {
		l.blocks = append(l.blocks, b)
	}
}

// Lend returns n bytes of the content from off on, all of which the file must
// have. Damage is a *DamageError, and nothing is lent.
func (f *File) Lend(ctx context.Context, off, n int64) (*Loan, error) {
	l := &Loan{cache: f.r.cache}
	if err := f.pieces(ctx, off, n, l.add); err != nil {
		l.Return()
		return nil, err
	}
	return l, nil
}

// errNotHeld says that something would have to be read.
var errNotHeld = errors.New("not in memory")

// LendHeld is Lend where all of it is in memory already, and nil elsewhere. It
// waits for nothing and nobody.
func (f *File) LendHeld(off, n int64) *Loan {
	l := &Loan{cache: f.r.cache}
	extentAt := func(off int64) (Extent, error) {
		if e, ok := f.extentHeld(off); ok {
			return e, nil
		}
		return Extent{}, errNotHeld
	}
	blockAt := func(chunk crypto.ChunkID, off, _ int) (*block, error) {
		if b := f.r.cache.held(chunk, off); b != nil {
			return b, nil
		}
		return nil, errNotHeld
	}
	if err := walk(off, n, l.add, extentAt, blockAt); err != nil {
		l.Return()
		return nil
	}
	return l
}

// Load brings a piece of the content into memory, as far as the cache has room.
func (f *File) Load(ctx context.Context, off, n int64) error {
	return f.pieces(ctx, off, n, func(b *block, _ []byte) { f.r.cache.release(b) })
}
