package catalogue

import (
	"cmp"
	"slices"

	"keepsake/store"
	"keepsake/store/tree"
)

// Catalogue is what the lists show at one moment. It never changes.
type Catalogue struct {
	Sources []*Source // by name
	Newest  tree.Time // when the newest snapshot of all was started
	Files   uint64    // in the newest snapshots of all sources together
	Bytes   uint64

	all    []*store.Brief // what it was made from
	byName map[string]*Source
	byID   map[[16]byte]*Source
}

// New sorts snapshots, oldest first, into sources and names both. It keeps the
// slice.
func New(all []*store.Brief) *Catalogue {
	c := &Catalogue{all: all, byName: map[string]*Source{}, byID: map[[16]byte]*Source{}}
	bySource := map[[16]byte][]*store.Brief{}
	var order [][16]byte // of each source's oldest snapshot
	for _, s := range all {
		id := s.Origin().Source
		if bySource[id] == nil {
			order = append(order, id)
		}
		bySource[id] = append(bySource[id], s)
	}
	given := newNames()
	for _, id := range order {
		list := bySource[id]
		last := list[len(list)-1]
		src := newSource(id, given.give(safeLabel(last.Origin().Label), id[:]), list)
		c.Sources = append(c.Sources, src)
		c.byName[src.Name], c.byID[id] = src, src
		if src.Latest.Started.Compare(c.Newest) > 0 {
			c.Newest = src.Latest.Started
		}
		c.Files += last.Paths
		c.Bytes += last.Bytes
	}
	slices.SortFunc(c.Sources, func(a, b *Source) int { return cmp.Compare(a.Name, b.Name) })
	return c
}

// Source returns the source of a name, or nil.
func (c *Catalogue) Source(name string) *Source { return c.byName[name] }

// ByID returns the source of an id, or nil.
func (c *Catalogue) ByID(id [16]byte) *Source { return c.byID[id] }

// Has reports whether the catalogue was made from these snapshots.
func (c *Catalogue) Has(all []*store.Brief) bool { return slices.Equal(c.all, all) }
