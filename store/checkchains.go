package store

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"keepsake/store/object"
	"keepsake/store/state"
	"keepsake/store/tree"
)

// chains holds what manifests, ledger and other chains say of each chain.
type chains struct {
	links map[chainID]map[uint64][]SnapshotID // manifests that are there
	// gone are numbers that the ledger explains, with the ids they had; their
	// manifests may still be there.
	gone map[chainID]map[uint64][]SnapshotID
	// purged are those of them that gave their number to another manifest.
	purged map[SnapshotID]bool
	// seen are ids that other manifests name as the holders of a number.
	seen    map[chainID]map[uint64][]SnapshotID
	damaged map[SnapshotID]bool // manifests that are there and cannot be read; true if one in seen
}

func (c *chains) see(chain chainID, number uint64, id SnapshotID) {
	if c.seen[chain] == nil {
		c.seen[chain] = map[uint64][]SnapshotID{}
	}
	if !slices.Contains(c.seen[chain][number], id) {
		c.seen[chain][number] = append(c.seen[chain][number], id)
	}
}

// nameless reports whether a manifest that cannot be read may have any number.
func (c *chains) nameless() bool {
	for _, seen := range c.seen {
		for _, ids := range seen {
			for _, id := range ids {
				if _, ok := c.damaged[id]; ok {
					c.damaged[id] = true
				}
			}
		}
	}
	for _, named := range c.damaged {
		if !named {
			return true
		}
	}
	return false
}

// snapshots reads all manifests past every cache, checks the chains and the
// other sealed objects, and returns the snapshots to walk, oldest first.
func (c *check) snapshots(ctx context.Context) ([]Snapshot, error) {
	ch := &chains{
		links:   map[chainID]map[uint64][]SnapshotID{},
		gone:    map[chainID]map[uint64][]SnapshotID{},
		seen:    map[chainID]map[uint64][]SnapshotID{},
		purged:  map[SnapshotID]bool{},
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
			ch.links[chain] = map[uint64][]SnapshotID{}
		}
		ch.links[chain][m.Number] = append(ch.links[chain][m.Number], id)
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
	}, func(id [32]byte) { ch.damaged[id] = false })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(wanted, func(a, b Snapshot) int {
		return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.Number, b.Number), cmp.Compare(a.ID.String(), b.ID.String()))
	})
	c.o.Progress.SnapshotsTotal.Store(int64(len(wanted)))
	if c.o.Snapshot != nil {
		if _, damaged := ch.damaged[*c.o.Snapshot]; len(wanted) == 0 && !damaged {
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
	ledger := newLedger()
	err := c.sealed(ctx, object.Ledger, prefixLedger, func(id [32]byte, plain []byte) error {
		e, err := tree.ParseLedgerEntry(plain)
		if err == nil {
			ledger.fold(id, e)
		}
		return err
	}, nil)
	if err != nil {
		return err
	}
	ledger.explained(func(h state.Head, purged bool) {
		chain := chainID{h.Source, h.Writer}
		if ch.gone[chain] == nil {
			ch.gone[chain] = map[uint64][]SnapshotID{}
		}
		ch.gone[chain][h.Number] = append(ch.gone[chain][h.Number], h.ID)
		ch.purged[h.ID] = purged
	})
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
	return eachName(ctx, c.r.objects, prefix, func(name string) error {
		id, ok := parseSealedName(prefix, name)
		if !ok {
			c.result.foreign(name)
			return nil
		}
		if c.o.Snapshot != nil && *c.o.Snapshot != id {
			return nil
		}
		err := c.openAs(ctx, kind, name, id, use)
		if err == nil || fatal(err) {
			return err
		}
		if damaged != nil {
			damaged(id)
		}
		p := Problem{Object: name, Kind: damageKind(recordDamage(kind), err), Err: err}
		c.shaken = c.shaken || kind == object.Snapshot
		c.report(p.withRemedy(remedySealed(kind)))
		return nil
	})
}

func (c *check) openAs(ctx context.Context, kind object.Kind, name string, id [32]byte, use func(id [32]byte, plain []byte) error) error {
	b, err := readObject(ctx, c.r.objects, name)
	if err != nil {
		return err
	}
	if err := checkNamed(b, kind, id); err != nil {
		return err
	}
	plain, err := object.Open(c.r.keys, kind, b)
	if err != nil {
		return err
	}
	return use(id, plain)
}

// checkNamed checks, without a key, an object that is named by its own hash.
// One that is intact and not the one of that name is errName.
func checkNamed(b []byte, kind object.Kind, id [32]byte) error {
	if err := object.CheckFrame(b, kind); err != nil {
		return err
	}
	if object.ID(b) != id {
		return errName
	}
	return nil
}

func recordDamage(kind object.Kind) ProblemKind {
	if kind == object.Snapshot {
		return DamagedSnapshot
	}
	return DamagedRecord
}

// chains checks that numbers run from 1 without gap or duplicate, as far as
// anything in the repository knows of them, and that each manifest is the one
// that its successor follows.
func (c *check) chains(ch *chains) {
	nameless := ch.nameless()
	for chain := range ch.links {
		c.chain(ch, chain, nameless)
	}
	for chain := range ch.seen {
		if ch.links[chain] == nil {
			c.chain(ch, chain, nameless)
		}
	}
}

func (c *check) chain(ch *chains, chain chainID, nameless bool) {
	name := fmt.Sprintf("the chain of source %x, writer %x", chain.source[:4], chain.writer[:4])
	// What lies between the numbers that something knows of is counted in one
	// step, since a hostile manifest may claim any number.
	set := map[uint64]bool{}
	for _, n := range slices.Concat(slices.Collect(maps.Keys(ch.links[chain])), slices.Collect(maps.Keys(ch.gone[chain])), slices.Collect(maps.Keys(ch.seen[chain]))) {
		set[n] = true
	}
	next := uint64(1)
	for _, n := range slices.Sorted(maps.Keys(set)) {
		if n > next && !nameless {
			c.broken(SnapshotID{}, fmt.Errorf("%s lacks %s", name, span(next, n-1)))
		}
		next = n + 1
		c.number(ch, chain, n, name)
	}
}

// number checks one number of a chain that something knows of.
func (c *check) number(ch *chains, chain chainID, n uint64, name string) {
	here, gone, seen := ch.links[chain][n], ch.gone[chain][n], ch.seen[chain][n]
	// What was purged is there beside its replacement until it is deleted.
	if held := slices.DeleteFunc(slices.Clone(here), func(id SnapshotID) bool { return ch.purged[id] }); len(held) > 1 {
		c.broken(held[1], fmt.Errorf("%s has %d snapshots with number %d", name, len(held), n))
		return
	}
	for _, id := range seen {
		_, damaged := ch.damaged[id]
		switch {
		case damaged || slices.Contains(here, id) || slices.Contains(gone, id):
		case len(here) > 0:
			c.broken(here[0], fmt.Errorf("%s has %s as number %d, and other snapshots know %s as that", name, here[0].Short(), n, id.Short()))
			return
		default:
			c.broken(id, fmt.Errorf("%s lacks number %d", name, n))
			return
		}
	}
}

func span(from, to uint64) string {
	if from == to {
		return fmt.Sprintf("number %d", from)
	}
	return fmt.Sprintf("numbers %d to %d", from, to)
}

func (c *check) broken(id SnapshotID, err error) {
	c.shaken = true
	p := Problem{Object: prefixSnapshots, Kind: BrokenChain, Err: err,
		Remedy: "Snapshots were removed or replaced without a record in the ledger, or an older copy of the repository was put back. Look for the missing objects in another copy of the repository."}
	if id != (SnapshotID{}) {
		p.Object = sealedName(prefixSnapshots, id)
	}
	c.report(p)
}
