package store

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"keepsake/store/object"
	"keepsake/store/state"
	"keepsake/store/tree"
)

// Publish is the second half of the write order: commit → snapshot → look
// again. Source, root, times and what a person should read of the manifest are
// the caller's; its place in the chain is filled in here. When Publish returns
// without error the snapshot may be announced.
func (w *Writer) Publish(ctx context.Context, m tree.Snapshot) (Snapshot, error) {
	if err := w.Commit(ctx); err != nil {
		return Snapshot{}, err
	}
	r := w.r
	if err := r.link(ctx, &m); err != nil {
		return Snapshot{}, err
	}
	plain, err := m.Marshal()
	if err != nil {
		return Snapshot{}, fmt.Errorf("encoding the snapshot: %w", err)
	}
	id, err := r.putSealed(ctx, object.Snapshot, prefixSnapshots, plain)
	if err != nil {
		return Snapshot{}, fmt.Errorf("publishing the snapshot: %w", err)
	}
	if err := r.state.Remember(state.Head{Source: m.Source, Writer: m.Writer, Number: m.Number, ID: id}); err != nil {
		return Snapshot{}, err
	}
	condemning, err := r.lookAgain(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	if condemning > 0 {
		return Snapshot{}, ErrUnconfirmed
	}
	return Snapshot{ID: id, Snapshot: m}, nil
}

// link gives a manifest its place: number and predecessor in its chain, and
// the heads of all others.
func (r *Repository) link(ctx context.Context, m *tree.Snapshot) error {
	m.Writer = r.state.Writer()
	m.Version = r.options.Version
	heads, _, err := r.heads(ctx)
	if err != nil {
		return err
	}
	remembered, err := r.state.Heads()
	if err != nil {
		return err
	}
	for _, h := range remembered {
		// A manifest that has rotted since still has its number.
		if chain := (chainID{h.Source, h.Writer}); h.Number > heads[chain].Number {
			heads[chain] = h
		}
	}
	m.Number, m.Previous, m.Heads = 1, nil, nil
	for chain, h := range heads {
		if chain == (chainID{m.Source, m.Writer}) {
			m.Number, m.Previous = h.Number+1, (*[32]byte)(&h.ID)
			continue
		}
		m.Heads = append(m.Heads, tree.Head{Source: h.Source, Writer: h.Writer, Number: h.Number, ID: h.ID})
	}
	slices.SortFunc(m.Heads, func(a, b tree.Head) int {
		return cmp.Or(bytes.Compare(a.Source[:], b.Source[:]), bytes.Compare(a.Writer[:], b.Writer[:]))
	})
	return nil
}
