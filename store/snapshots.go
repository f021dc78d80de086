package store

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"keepsake/store/object"
	"keepsake/store/state"
	"keepsake/store/tree"
)

// SnapshotID names a snapshot: the SHA-256 of its sealed object.
type SnapshotID [32]byte

// String returns the id in hexadecimal.
func (id SnapshotID) String() string { return hex.EncodeToString(id[:]) }

// Short returns as much of the id as people are shown.
func (id SnapshotID) Short() string { return id.String()[:8] }

// Snapshot is a manifest and its id.
type Snapshot struct {
	ID SnapshotID
	tree.Snapshot
}

// chainID names a chain: one writer's snapshots of one source.
type chainID struct{ source, writer [16]byte }

// Snapshots returns all snapshots that are still wanted, oldest first, with the
// tags that the ledger gave them, and without the heads of other chains. It is
// for those who need all of every manifest, one or two KiB each, and reads most
// of them anew; others ask for Briefs. Manifests and ledger entries that cannot
// be read are returned as damage beside the others, whose use they do not
// prevent.
func (r *Repository) Snapshots(ctx context.Context) ([]Snapshot, []error, error) {
	l, err := r.Ledger(ctx)
	if err != nil {
		return nil, nil, err
	}
	// Those that were forgotten are not even read: until a prune removes them
	// there may be a hundred for each one that is wanted.
	var all []Snapshot
	damaged, err := r.each(ctx, func(id SnapshotID) bool { return !l.Forgotten(id) }, func(s Snapshot) { all = append(all, s) })
	if err != nil {
		return nil, nil, err
	}
	slices.SortFunc(all, func(a, b Snapshot) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.Number, b.Number), bytes.Compare(a.ID[:], b.ID[:]))
	})
	return all, append(damaged, l.Damaged()...), nil
}

// each calls fn with every snapshot of a wanted id whose manifest can be read,
// in no order.
func (r *Repository) each(ctx context.Context, wanted func(SnapshotID) bool, fn func(Snapshot)) (damaged []error, err error) {
	ids, damaged, err := r.names(ctx, wanted)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		s, err := r.Manifest(ctx, id)
		switch {
		case err == nil:
			fn(s)
		case errors.Is(err, ErrDamaged):
			damaged = append(damaged, err)
		default:
			return nil, fmt.Errorf("listing snapshots: %w", err)
		}
	}
	return damaged, nil
}

// snapshot reads one manifest but for its heads. Manifests never change, so the last ones read
// are kept.
func (r *Repository) snapshot(ctx context.Context, id SnapshotID) (Snapshot, error) {
	if s, ok := r.manifests.get(id); ok {
		return s, nil
	}
	name := sealedName(prefixSnapshots, id)
	plain, err := r.openSealed(ctx, object.Snapshot, name, id)
	if err != nil {
		return Snapshot{}, err
	}
	m, err := tree.ParseSnapshot(plain)
	if err != nil {
		return Snapshot{}, &DamageError{Object: name, Err: err}
	}
	m.Heads = nil
	s := Snapshot{ID: id, Snapshot: *m}
	r.manifests.put(s)
	return s, nil
}

// Missed returns all paths that a snapshot misses, as far as they are known by
// name: the first few are in its manifest, the others in chunks of their own.
func (r *Repository) Missed(ctx context.Context, m *tree.Snapshot) ([]tree.Missed, error) {
	all := slices.Clone(m.Missed)
	for _, e := range m.MissedList {
		b, err := r.ReadBlob(ctx, []tree.Extent{e}, tree.MaxChunk)
		if err != nil {
			return nil, fmt.Errorf("paths that the snapshot misses: %w", err)
		}
		page, err := tree.ParseMissedPage(b)
		if err != nil {
			return nil, &DamageError{Chunk: e.Chunk, Err: err}
		}
		all = append(all, page.Missed...)
	}
	return all, nil
}

// heads returns the newest snapshot of every chain, whether it is still wanted
// or not: a number is never given twice. damaged are the manifests that cannot
// be read.
func (r *Repository) heads(ctx context.Context) (heads map[chainID]state.Head, damaged []error, err error) {
	all, damaged, err := r.Briefs(ctx)
	if err != nil {
		return nil, nil, err
	}
	heads = map[chainID]state.Head{}
	higher := func(h state.Head) {
		chain := chainID{h.Source, h.Writer}
		if h.Number > heads[chain].Number {
			heads[chain] = h
		}
	}
	for _, b := range all {
		chain := b.chain()
		higher(state.Head{Source: chain.source, Writer: chain.writer, Number: b.Number, ID: b.ID})
	}
	// The manifests of forgotten ones may be gone; the ledger knows them.
	r.ledger.explained(func(h state.Head, _ bool) { higher(h) })
	return heads, damaged, nil
}

// checkHeads compares the chains with what this state remembers: a chain that
// ends earlier, or in another snapshot of the same number, means that somebody
// put an old copy of the repository in place of the newer one.
func (r *Repository) checkHeads(ctx context.Context) error {
	remembered, err := r.state.Heads()
	if err != nil {
		return err
	}
	heads, damaged, err := r.heads(ctx)
	if err != nil {
		return err
	}
	unreadable := map[string]bool{}
	for _, err := range damaged {
		if d, ok := errors.AsType[*DamageError](err); ok {
			unreadable[d.Object] = true
		}
	}
	var seen []state.Head
	for _, was := range remembered {
		is := heads[chainID{was.Source, was.Writer}]
		if unreadable[sealedName(prefixSnapshots, was.ID)] {
			continue // present but damaged: the verbs report that
		}
		if is.Number < was.Number || is.Number == was.Number && is.ID != was.ID {
			return fmt.Errorf("%w: a chain ends with snapshot %d, and this machine has seen %d (%s). If an older copy of the repository was put back on purpose, remove %s and run again: a new chain will begin",
				state.ErrRolledBack, is.Number, was.Number, SnapshotID(was.ID).Short(), r.state.Dir())
		}
	}
	// A head that a power cut takes back after it was remembered would look like
	// an older copy of the repository. So would the entry that explains one.
	var news []string
	for _, h := range heads {
		seen = append(seen, h)
		if !slices.Contains(remembered, h) {
			news = append(news, sealedName(prefixSnapshots, h.ID))
			if r.ledger.Forgotten(h.ID) {
				news = append(news, sealedName(prefixLedger, h.ID)) // all entries lie in one directory
			}
		}
	}
	if err := r.objects.SyncNames(ctx, news...); err != nil {
		return fmt.Errorf("taking note of new snapshots: %w", err)
	}
	if r.state.Fresh() && r.state.SetAside() == "" && len(heads) > 0 {
		r.options.Notice("this machine has no memory of the repository yet, or has lost it; the next backup reads everything once and continues the snapshots in a new chain")
	}
	return r.state.Remember(seen...)
}
