package fusefs

import (
	"cmp"
	"slices"

	"keepsake/store"
	"keepsake/store/tree"
)

// catalogue is what the lists show at one moment. It never changes.
type catalogue struct {
	all     []store.SnapshotID // everything that was there when it was made, in order
	sources []*source          // by name
	byName  map[string]*source
	byID    map[[16]byte]*source
	newest  tree.Time // when the newest snapshot of all was started
	files   uint64    // in the newest snapshots of all sources together
	bytes   uint64
}

// source is one source and its snapshots that are shown, oldest first.
type source struct {
	id        [16]byte
	name      string
	snapshots []*snapshot
	byName    map[string]*snapshot
	latest    *snapshot
}

// snapshot is one folder below a source's.
type snapshot struct {
	id      store.SnapshotID
	name    string
	started tree.Time
	root    *tree.Node
	hidden  bool // in progress, and a later one is finished
	running bool // in progress
}

// newCatalogue sorts snapshots, oldest first, into sources and names both.
func newCatalogue(all []store.Snapshot) *catalogue {
	c := &catalogue{byName: map[string]*source{}, byID: map[[16]byte]*source{}}
	bySource := map[[16]byte][]*store.Snapshot{}
	var order [][16]byte // of each source's oldest snapshot
	for i := range all {
		s := &all[i]
		c.all = append(c.all, s.ID)
		if bySource[s.Source] == nil {
			order = append(order, s.Source)
		}
		bySource[s.Source] = append(bySource[s.Source], s)
	}
	given := newNames()
	for _, id := range order {
		list := bySource[id]
		last := list[len(list)-1]
		src := newSource(id, given.give(safeLabel(last.Label), id[:]), list)
		c.sources = append(c.sources, src)
		c.byName[src.name], c.byID[id] = src, src
		if src.latest.started.Compare(c.newest) > 0 {
			c.newest = src.latest.started
		}
		c.files += last.Stats.Files + last.Stats.Dirs + last.Stats.Others
		c.bytes += last.Stats.Bytes
	}
	slices.SortFunc(c.sources, func(a, b *source) int { return cmp.Compare(a.name, b.name) })
	return c
}

func newSource(id [16]byte, name string, list []*store.Snapshot) *source {
	src := &source{id: id, name: name, byName: map[string]*snapshot{}}
	given := newNames()
	named := make([]*snapshot, len(list))
	for i, s := range list {
		named[i] = &snapshot{
			id: s.ID, name: given.give(snapshotName(s), s.ID[:]), started: s.Started,
			root: &s.Root, running: s.Basis == tree.InProgress,
		}
	}
	// From the newest to the oldest: what is in progress is hidden once a
	// finished one was seen.
	finished := false
	for _, s := range slices.Backward(named) {
		s.hidden = s.running && finished
		finished = finished || !s.running
	}
	newest := newestOf(list)
	for _, s := range named {
		if s.hidden {
			continue
		}
		src.snapshots = append(src.snapshots, s)
		src.byName[s.name] = s
		if s.id == newest {
			src.latest = s
		}
	}
	return src
}

func newestOf(list []*store.Snapshot) store.SnapshotID {
	some := make([]store.Snapshot, len(list))
	for i, s := range list {
		some[i] = *s
	}
	return store.Newest(some).ID
}

// has reports whether the catalogue was made from these snapshots.
func (c *catalogue) has(all []store.Snapshot) bool {
	return slices.EqualFunc(c.all, all, func(id store.SnapshotID, s store.Snapshot) bool { return id == s.ID })
}

// target is where the symlink latest/<source> leads.
func (s *source) target() string { return "../snapshots/" + s.name + "/" + s.latest.name }
