package catalogue

import (
	"slices"

	"keepsake/store"
	"keepsake/store/tree"
)

// Source is one source and its snapshots that are shown.
type Source struct {
	ID        [16]byte
	Name      string
	Snapshots []*Snapshot // oldest first
	Previous  []*Snapshot // those of them that have a name for Samba, oldest first
	Listed    []*Snapshot // those of Previous that Samba is shown
	Latest    *Snapshot

	byName   map[string]*Snapshot
	bySecond map[string]*Snapshot
}

// Snapshot is one folder below a source's.
type Snapshot struct {
	ID      store.SnapshotID
	Name    string
	Started tree.Time
	Root    *tree.Node
}

// Previous is the name for Samba, whether it has it or a later one of the same second.
func (s *Snapshot) Previous() string { return s.Started.Time().UTC().Format(previousLayout) }

func newSource(id [16]byte, name string, list []*store.Snapshot) *Source {
	src := &Source{ID: id, Name: name, byName: map[string]*Snapshot{}, bySecond: map[string]*Snapshot{}}
	given := newNames()
	named := make([]*Snapshot, len(list))
	for i, s := range list {
		// Those that are left out below have their names all the same, or the
		// names of others would depend on them.
		named[i] = &Snapshot{ID: s.ID, Name: given.give(snapshotName(s), s.ID[:]), Started: s.Started, Root: &s.Root}
	}
	newest := newestOf(list)
	finished := false
	for i, s := range slices.Backward(named) {
		running := list[i].Basis == tree.InProgress
		if running && finished {
			continue
		}
		finished = finished || !running
		src.Snapshots = append(src.Snapshots, s)
		src.byName[s.Name] = s
		if gmt := s.Previous(); src.bySecond[gmt] == nil {
			src.bySecond[gmt] = s
			src.Previous = append(src.Previous, s)
		}
		if s.ID == newest {
			src.Latest = s
		}
	}
	slices.Reverse(src.Snapshots)
	slices.Reverse(src.Previous)
	src.Listed = thinned(src.Previous)
	return src
}

func newestOf(list []*store.Snapshot) store.SnapshotID {
	some := make([]store.Snapshot, len(list))
	for i, s := range list {
		some[i] = *s
	}
	return store.Newest(some).ID
}

// Snapshot returns the snapshot of a name for people, or nil. No source at all
// has none.
func (s *Source) Snapshot(name string) *Snapshot {
	if s == nil {
		return nil
	}
	return s.byName[name]
}

// PreviousAt returns the snapshot of a name for Samba, or nil, as Snapshot does.
func (s *Source) PreviousAt(name string) *Snapshot {
	if s == nil {
		return nil
	}
	return s.bySecond[name]
}
