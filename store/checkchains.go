package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"keepsake/store/object"
	"keepsake/store/tree"
)

// link is what a chain says of one of its numbers.
type link struct {
	id       SnapshotID
	previous *[32]byte
}

// chains holds what manifests, ledger and other chains say of each chain.
type chains struct {
	links map[chainID]map[uint64][]link // manifests that are there
	// gone are numbers that the ledger explains, with the ids they had.
	gone map[chainID]map[uint64][]SnapshotID
	// seen are ids that some manifest names as the holder of a number.
	seen    map[chainID]map[uint64]SnapshotID
	damaged map[SnapshotID]bool // manifests that are there and cannot be read
}

func (c *chains) see(chain chainID, number uint64, id SnapshotID) {
	if c.seen[chain] == nil {
		c.seen[chain] = map[uint64]SnapshotID{}
	}
	c.seen[chain][number] = id
}

// snapshots reads all manifests past every cache, checks the chains and the
// other sealed objects, and returns the snapshots to walk, oldest first.
func (c *check) snapshots(ctx context.Context) ([]Snapshot, error) {
	ch := &chains{
		links:   map[chainID]map[uint64][]link{},
		gone:    map[chainID]map[uint64][]SnapshotID{},
		seen:    map[chainID]map[uint64]SnapshotID{},
		damaged: map[SnapshotID]bool{},
	}
	var wanted []Snapshot
	err := c.sealed(ctx, object.Snapshot, prefixSnapshots, func(id [32]byte, plain []byte) error {
		m, err := tree.ParseSnapshot(plain)
		if err != nil {
			return err
		}
		chain := chainID{m.Source, m.Writer}
		if ch.links[chain] == nil {
			ch.links[chain] = map[uint64][]link{}
		}
		ch.links[chain][m.Number] = append(ch.links[chain][m.Number], link{id, m.Previous})
		if m.Previous != nil {
			ch.see(chain, m.Number-1, *m.Previous)
		}
		for _, h := range m.Heads {
			ch.see(chainID{h.Source, h.Writer}, h.Number, h.ID)
		}
		if c.o.Snapshot == nil || *c.o.Snapshot == id {
			m.Heads = nil // of thousands of manifests, that would be most
			wanted = append(wanted, Snapshot{id, *m})
		}
		return nil
	}, func(id [32]byte) { ch.damaged[id] = true })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(wanted, func(a, b Snapshot) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.Number, b.Number), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	c.o.Progress.SnapshotsTotal.Store(int64(len(wanted)))
	if c.o.Snapshot != nil {
		if len(wanted) == 0 && !ch.damaged[*c.o.Snapshot] {
			return nil, fmt.Errorf("%w: %v", ErrNoSnapshot, *c.o.Snapshot)
		}
		return wanted, nil
	}
	if err := c.records(ctx, ch); err != nil {
		return nil, err
	}
	c.chains(ch)
	return wanted, nil
}

// records checks the ledger, which explains numbers, the catalogs and the
// records of prunes.
func (c *check) records(ctx context.Context, ch *chains) error {
	err := c.sealed(ctx, object.Ledger, prefixLedger, func(_ [32]byte, plain []byte) error {
		e, err := tree.ParseLedgerEntry(plain)
		if err != nil {
			return err
		}
		for _, s := range e.Snapshots {
			if e.Kind != tree.Forget && e.Kind != tree.Purge {
				continue
			}
			chain := chainID{s.Source, s.Writer}
			if ch.gone[chain] == nil {
				ch.gone[chain] = map[uint64][]SnapshotID{}
			}
			ch.gone[chain][s.Number] = append(ch.gone[chain][s.Number], s.ID)
		}
		return nil
	}, nil)
	if err != nil {
		return err
	}
	err = c.sealed(ctx, object.Catalog, prefixCatalog, func(_ [32]byte, plain []byte) error {
		_, err := parseTables(plain)
		return err
	}, nil)
	if err != nil {
		return err
	}
	return c.sealed(ctx, object.Condemned, prefixCondemned, func(_ [32]byte, plain []byte) error {
		_, err := tree.ParseCondemned(plain)
		return err
	}, nil)
}

// sealed opens all objects of a kind that is named by its own hash. use parses
// one; damaged, if not nil, is told of those that cannot be read.
func (c *check) sealed(ctx context.Context, kind object.Kind, prefix string, use func(id [32]byte, plain []byte) error, damaged func(id [32]byte)) error {
	return c.r.objects.List(ctx, prefix, func(name string, _ int64) error {
		id, ok := parseSealedName(prefix, name)
		if !ok {
			c.result.foreign(name)
			return nil
		}
		if c.o.Snapshot != nil && *c.o.Snapshot != id {
			return nil
		}
		plain, err := c.r.openSealed(ctx, kind, name, id)
		if err == nil {
			err = use(id, plain)
		}
		if err == nil || fatal(err) {
			return err
		}
		if damaged != nil {
			damaged(id)
		}
		p := Problem{Object: name, Kind: damageKind(recordDamage(kind), cause(err)), Err: cause(err), Remedy: remedySealed(kind)}
		switch p.Kind {
		case NewerFormat:
			p.Remedy = remedyNewer
		case Misplaced:
			p.Kind = recordDamage(kind) // rot changes the hash as well
		}
		c.report(p)
		return nil
	})
}

func recordDamage(kind object.Kind) ProblemKind {
	if kind == object.Snapshot {
		return DamagedSnapshot
	}
	return DamagedRecord
}

// chains checks that numbers run from 1 without gap or duplicate, as far as
// anything in the repository knows of them, and that each manifest follows from
// the one before it.
func (c *check) chains(ch *chains) {
	all := map[chainID]uint64{} // chain → highest number that anything knows
	for chain, links := range ch.links {
		for n := range links {
			all[chain] = max(all[chain], n)
		}
	}
	for chain, seen := range ch.seen {
		for n := range seen {
			all[chain] = max(all[chain], n)
		}
	}
	for chain, last := range all {
		c.chain(ch, chain, last)
	}
}

func (c *check) chain(ch *chains, chain chainID, last uint64) {
	links, gone := ch.links[chain], ch.gone[chain]
	name := fmt.Sprintf("the chain of source %.8x, writer %.8x", fmt.Sprintf("%x", chain.source), fmt.Sprintf("%x", chain.writer))
	// Numbers are counted in steps of what is known, since a hostile manifest
	// may claim any.
	known := numbers(links, gone, ch.seen[chain])
	next := uint64(1)
	for _, n := range known {
		if n > last {
			break
		}
		if n > next {
			c.broken(SnapshotID{}, fmt.Errorf("%s lacks %s", name, span(next, n-1)))
		}
		next = n + 1
		c.number(ch, chain, n, name)
	}
}

// number checks one number of a chain that something knows of.
func (c *check) number(ch *chains, chain chainID, n uint64, name string) {
	here, gone := ch.links[chain][n], ch.gone[chain][n]
	id, named := ch.seen[chain][n]
	switch {
	case len(here) == 0 && len(gone) == 0 && !ch.damaged[id]:
		c.broken(id, fmt.Errorf("%s lacks number %d", name, n))
	case len(here) > 1+len(gone):
		c.broken(here[1].id, fmt.Errorf("%s has %d snapshots with number %d", name, len(here), n))
	case named && len(here) > 0 && !slices.ContainsFunc(here, func(l link) bool { return l.id == id }) && !slices.Contains(gone, id):
		c.broken(here[0].id, fmt.Errorf("%s has another snapshot as number %d than a later one follows: %s instead of %s", name, n, here[0].id.Short(), id.Short()))
	}
	for _, l := range here {
		if (l.previous == nil) != (n == 1) {
			c.broken(l.id, fmt.Errorf("%s has a snapshot %d without its predecessor", name, n))
		}
	}
}

// numbers returns all numbers that anything knows of, ascending.
func numbers(links map[uint64][]link, gone map[uint64][]SnapshotID, seen map[uint64]SnapshotID) []uint64 {
	set := map[uint64]bool{}
	for n := range links {
		set[n] = true
	}
	for n := range gone {
		set[n] = true
	}
	for n := range seen {
		set[n] = true
	}
	all := make([]uint64, 0, len(set))
	for n := range set {
		all = append(all, n)
	}
	slices.Sort(all)
	return all
}

func span(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("number %d", from)
	}
	return fmt.Sprintf("numbers %d to %d", from, to)
}

func (c *check) broken(id SnapshotID, err error) {
	p := Problem{Object: prefixSnapshots, Kind: BrokenChain, Err: err,
		Remedy: "Snapshots were removed or replaced without a record in the ledger, or an older copy of the repository was put back. Look for the missing objects in another copy of the repository."}
	if id != (SnapshotID{}) {
		p.Object = sealedName(prefixSnapshots, id)
	}
	c.report(p)
}
