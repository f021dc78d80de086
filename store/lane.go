package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"

	"keepsake/store/backend"
	"keepsake/store/index"
	"keepsake/store/object"
	"keepsake/store/pack"
)

const (
	// packTarget is the size at which a pack is closed: large enough for a
	// spinning disk and an object store, small enough to rewrite.
	packTarget = 64 << 20
	// packChunks closes packs of tiny chunks before their table grows beyond
	// what a reader should have to open.
	packChunks = 60_000
	// spreadFrom is how much a group writes before a second pack is opened.
	// Which of two packs a chunk went to hides the order of lengths that would
	// give known files away; a small group would only leave two small packs.
	spreadFrom = 8 << 20
)

// lane is the open packs of one kind in the current group.
type lane struct {
	kind  object.Kind
	open  []*openPack
	full  []*openPack
	bytes int64 // sealed in this group so far
}

// openPack is a pack that is being written.
type openPack struct {
	id      pack.ID
	kind    object.Kind
	staged  *backend.Staged
	w       *pack.Writer
	writing sync.WaitGroup // Adds under way; grows under Writer.mu only
}

// pick returns the pack for the next chunk. Writer.mu is held.
func (l *lane) pick(ctx context.Context, r *Repository, rng *rand.Rand) (*openPack, error) {
	want := 1
	if l.kind == object.DataPack && l.bytes >= spreadFrom {
		want = 2
	}
	for i := 0; i < len(l.open); {
		p := l.open[i]
		if p.w.Size() < packTarget && p.w.Count() < packChunks {
			i++
			continue
		}
		l.full = append(l.full, p)
		l.open = append(l.open[:i], l.open[i+1:]...)
	}
	i := rng.IntN(want)
	if i < len(l.open) {
		return l.open[i], nil
	}
	// Opened only now, so that no pack is published without a chunk.
	p, err := r.newPack(ctx, l.kind)
	if err != nil {
		return nil, err
	}
	l.open = append(l.open, p)
	return p, nil
}

// take empties the lane and returns its packs.
func (l *lane) take() []*openPack {
	all := append(l.full, l.open...)
	*l = lane{kind: l.kind}
	return all
}

func (r *Repository) newPack(ctx context.Context, kind object.Kind) (*openPack, error) {
	p := &openPack{kind: kind}
	if _, err := r.rand.Read(p.id[:]); err != nil {
		return nil, fmt.Errorf("choosing a pack id: %w", err)
	}
	staged, err := r.objects.Stage(ctx, packName(kind, p.id))
	if err != nil {
		return nil, fmt.Errorf("beginning a pack: %w", err)
	}
	p.staged = staged
	if p.w, err = pack.NewWriter(staged, r.keys, kind, p.id); err != nil {
		return nil, errors.Join(err, staged.Discard())
	}
	return p, nil
}

// seal ends the pack's writing and returns its table.
func (p *openPack) seal(r *Repository) (index.Table, error) {
	p.writing.Wait()
	entries, size, err := p.w.Close()
	if err != nil {
		return index.Table{}, fmt.Errorf("sealing a pack: %w", err)
	}
	return index.Table{
		Pack:    index.Pack{ID: p.id, Kind: p.kind, Epoch: r.keys.Newest(), Size: size, Chunks: uint32(len(entries))},
		Entries: entries,
	}, nil
}
