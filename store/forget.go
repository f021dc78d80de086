package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"keepsake/store/object"
	"keepsake/store/tree"
)

// mostForgotten bounds the snapshots of one entry: 1.2 MiB of them.
const mostForgotten = 10_000

// Record publishes a ledger entry; when it returns, the entry survives a power
// cut. Writer and time are filled in, lists are sorted. The time is that of
// this machine's clock, or right after the entries about the same snapshots
// that are dated later: what is said last counts, whatever clocks say. After an
// error the entry may be there or not, but never in part. For a tree.Forget use
// Forget, which refuses what must stay.
func (r *Repository) Record(ctx context.Context, e tree.LedgerEntry) error {
	if e.Kind == tree.Forget {
		return errors.New("a forget is recorded by Forget, which knows what must stay")
	}
	return r.record(ctx, e)
}

func (r *Repository) record(ctx context.Context, e tree.LedgerEntry) error {
	l, err := r.Ledger(ctx)
	if err != nil {
		return err
	}
	e.Writer = r.state.Writer()
	e.Snapshots = slices.Clone(e.Snapshots)
	e.SortSnapshots()
	e.Tags = slices.Compact(slices.Sorted(slices.Values(e.Tags)))
	e.Paths = slices.Clone(e.Paths)
	slices.SortFunc(e.Paths, slices.Compare)
	l.follow(&e, tree.TimeOf(r.now()))
	plain, err := e.Marshal()
	if err != nil {
		return fmt.Errorf("encoding the ledger entry: %w", err)
	}
	id, err := r.putSealed(ctx, object.Ledger, prefixLedger, plain)
	if err != nil {
		return fmt.Errorf("recording the %v: %w", e.Kind, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fold(id, &e)
	return nil
}

// Name is how entries name a snapshot.
func (s *Snapshot) Name() tree.LedgerSnapshot {
	return tree.LedgerSnapshot{ID: s.ID, Source: s.Source, Writer: s.Writer, Number: s.Number}
}

// Forget records that some snapshots are no longer wanted. They vanish from
// Snapshots and Find at once; manifests and data stay until they are pruned,
// and until then Undelete brings them back. Errors are those of Forgettable,
// after which nothing is forgotten. Those that are forgotten already are
// passed over.
func (r *Repository) Forget(ctx context.Context, some []Snapshot, who, why string) error {
	wanted, err := r.Forgettable(ctx, some)
	if err != nil {
		return err
	}
	names := make([]tree.LedgerSnapshot, len(wanted))
	for i := range wanted {
		names[i] = wanted[i].Name()
	}
	return r.forget(ctx, names, who, why)
}

// Forgettable returns those of some snapshots that Forget would forget. Errors:
// ErrKept if one of them is the newest complete one of its chain or pinned,
// ErrNoSnapshot if one is not there, ErrLedger if the ledger cannot be read in
// full.
func (r *Repository) Forgettable(ctx context.Context, some []Snapshot) (wanted []Snapshot, err error) {
	l, err := r.wholeLedger(ctx)
	if err != nil {
		return nil, err
	}
	all, _, err := r.Briefs(ctx)
	if err != nil {
		return nil, err
	}
	there := map[SnapshotID]bool{}
	for _, s := range all {
		there[s.ID] = true
	}
	kept := keptAlways(all)
	var refused []error
	for i := range some {
		s := &some[i]
		pinned, isPinned := l.Pinned(s.ID, r.now())
		switch {
		case l.Forgotten(s.ID) || hasID(wanted, s.ID):
		case !there[s.ID]:
			refused = append(refused, fmt.Errorf("%w: %v", ErrNoSnapshot, s.ID))
		case kept[s.ID]:
			refused = append(refused, fmt.Errorf("%w: %s is the newest complete one of %s; it can be forgotten once there is a newer one, which keepsake backup makes", ErrKept, s.ID.Short(), cmp.Or(s.Label, "its source")))
		case isPinned:
			refused = append(refused, fmt.Errorf("%w: %s is pinned (%s)", ErrKept, s.ID.Short(), cmp.Or(pinned, "no reason was given")))
		default:
			wanted = append(wanted, *s)
		}
	}
	if len(refused) > 0 {
		return nil, errors.Join(refused...)
	}
	return wanted, nil
}

func hasID(list []Snapshot, id SnapshotID) bool {
	return slices.ContainsFunc(list, func(s Snapshot) bool { return s.ID == id })
}

func hasBrief(list []*Brief, id SnapshotID) bool {
	return slices.ContainsFunc(list, func(b *Brief) bool { return b.ID == id })
}

// forget records it without asking; each snapshot is named once.
func (r *Repository) forget(ctx context.Context, some []tree.LedgerSnapshot, who, why string) error {
	for batch := range slices.Chunk(some, mostForgotten) {
		e := tree.LedgerEntry{Kind: tree.Forget, Who: who, Why: why, Snapshots: slices.Clone(batch)}
		if err := r.record(ctx, e); err != nil {
			return err
		}
		r.manifests.drop(batch)
	}
	return nil
}

// keptAlways returns the snapshots that nothing may forget: of each chain the
// newest that missed nothing, and the newest of those that no guard has marked,
// which may be older: a source that was emptied misses nothing.
func keptAlways(all []*Brief) map[SnapshotID]bool {
	complete, unmarked := map[chainID]*Brief{}, map[chainID]*Brief{}
	for _, s := range all {
		chain := s.chain()
		for _, rule := range []struct {
			newest map[chainID]*Brief
			fits   bool
		}{{complete, s.Complete()}, {unmarked, s.sound()}} {
			if had := rule.newest[chain]; rule.fits && (had == nil || s.Number > had.Number) {
				rule.newest[chain] = s
			}
		}
	}
	kept := map[SnapshotID]bool{}
	for _, newest := range []map[chainID]*Brief{complete, unmarked} {
		for _, s := range newest {
			kept[s.ID] = true
		}
	}
	return kept
}

// sound reports whether a snapshot missed nothing and no guard has marked it.
func (b *Brief) sound() bool { return b.Complete() && !b.Marked }

// Forgotten returns the snapshots that were forgotten and whose manifests are
// still there, oldest first, and what could not be read of them.
func (r *Repository) Forgotten(ctx context.Context) (all []*Brief, damaged []error, err error) {
	l, err := r.Ledger(ctx)
	if err != nil {
		return nil, nil, err
	}
	damaged, err = r.each(ctx, l.undeletable, func(s Snapshot) { all = append(all, s.Brief()) })
	slices.SortFunc(all, older)
	return all, damaged, err
}

// undeletable reports whether a snapshot can be brought back as far as the
// ledger knows: what was purged must not.
func (l *Ledger) undeletable(id SnapshotID) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	f := l.fates[id]
	return f != nil && f.forgotten && !f.purged
}

// FindForgotten is Find among the forgotten snapshots.
func (r *Repository) FindForgotten(ctx context.Context, spec string) (Snapshot, error) {
	all, _, err := r.Forgotten(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	chosen, err := choose(all, spec, r.now().Location())
	if errors.Is(err, ErrNoSnapshot) {
		err = fmt.Errorf("%w: %q names none of the %d that were forgotten and are still here; keepsake snapshots --forgotten lists them", ErrNoSnapshot, spec, len(all))
	}
	if err != nil {
		return Snapshot{}, err
	}
	return r.Manifest(ctx, chosen.ID)
}

// Undelete takes back that some snapshots were forgotten. Those that are not
// forgotten are passed over; those whose manifests are gone are ErrNoSnapshot.
func (r *Repository) Undelete(ctx context.Context, some []Snapshot, who, why string) error {
	gone, _, err := r.Forgotten(ctx)
	if err != nil {
		return err
	}
	all, _, err := r.Briefs(ctx)
	if err != nil {
		return err
	}
	var wanted []Snapshot
	e := tree.LedgerEntry{Kind: tree.Undelete, Who: who, Why: why}
	for i := range some {
		s := &some[i]
		switch {
		case hasID(wanted, s.ID) || hasBrief(all, s.ID):
		case !hasBrief(gone, s.ID):
			return fmt.Errorf("%w: %v was not forgotten, or was pruned since", ErrNoSnapshot, s.ID)
		default:
			wanted, e.Snapshots = append(wanted, *s), append(e.Snapshots, s.Name())
		}
	}
	if len(e.Snapshots) == 0 {
		return nil
	}
	return r.record(ctx, e)
}
