package catalogue

import (
	"cmp"
	"slices"
	"time"

	"keepsake/store"
)

// Source is one source and its snapshots that are shown.
type Source struct {
	ID        [16]byte
	Name      string
	Snapshots []*Snapshot // oldest first
	Previous  []*Snapshot // those of them that have a name for Samba, oldest first
	Listed    []*Snapshot // those of Previous that Samba is shown
	Latest    *Snapshot

	odd bool // a name has a year that no parser takes
}

// Snapshot is one folder below a source's. It is small: there may be 100,000.
type Snapshot struct {
	*store.Brief
	Name string
}

// Previous is the name for Samba, whether it has it or a later one of the same second.
func (s *Snapshot) Previous() string { return s.Started.Time().UTC().Format(previousLayout) }

func newSource(id [16]byte, name string, list []*store.Brief) *Source {
	named := named(list)
	newest := store.NewestBrief(list)
	src := &Source{ID: id, Name: name, Snapshots: make([]*Snapshot, 0, len(list)), Previous: make([]*Snapshot, 0, len(list))}
	finished := false
	for i := range slices.Backward(named) {
		s := &named[i]
		running := s.InProgress()
		if running && finished {
			continue
		}
		finished = finished || !running
		src.Snapshots = append(src.Snapshots, s)
		src.odd = src.odd || hasOddYear(s)
		if last := len(src.Previous) - 1; last < 0 || src.Previous[last].Started.Sec != s.Started.Sec {
			src.Previous = append(src.Previous, s)
		}
		if s.Brief == newest {
			src.Latest = s
		}
	}
	slices.Reverse(src.Snapshots)
	slices.Reverse(src.Previous)
	src.Listed = thinned(src.Previous)
	return src
}

// named gives each snapshot of a source its name. Those that are left out later
// have theirs all the same, or the names of others would depend on them. Only
// snapshots of the same second can want the same name.
func named(list []*store.Brief) []Snapshot {
	all := make([]Snapshot, len(list))
	given := newNames()
	for i, b := range list {
		if i > 0 && list[i-1].Started.Sec != b.Started.Sec {
			clear(given.taken)
		}
		all[i] = Snapshot{b, given.give(snapshotName(b), b.ID[:])}
	}
	return all
}

// Snapshot returns the snapshot of a name for people, or nil. No source at all
// has none.
func (s *Source) Snapshot(name string) *Snapshot {
	return s.find(s.Shown(), name[:min(len(name), len(timeLayout))], timeLayout, func(snap *Snapshot) bool { return snap.Name == name })
}

// ListedPrevious are those that Samba is shown.
func (s *Source) ListedPrevious() []*Snapshot {
	if s == nil {
		return nil
	}
	return s.Listed
}

// PreviousAt returns the snapshot of a name for Samba, or nil, as Snapshot does.
func (s *Source) PreviousAt(name string) *Snapshot {
	return s.find(s.ShownPrevious(), name, previousLayout, func(snap *Snapshot) bool { return snap.Previous() == name })
}

// find looks among those that were started in the second that a text says.
func (s *Source) find(some []*Snapshot, text, layout string, is func(*Snapshot) bool) *Snapshot {
	if len(some) == 0 {
		return nil
	}
	if !s.odd {
		at, err := time.Parse(layout, text)
		if err != nil {
			return nil
		}
		some = ofSecond(some, at.Unix())
	}
	if i := slices.IndexFunc(some, is); i >= 0 {
		return some[i]
	}
	return nil
}

// hasOddYear reports whether the names of a snapshot do not say when it was
// started: the year 12026 has no room in them, nor that before Christ.
func hasOddYear(s *Snapshot) bool {
	year := s.Started.Time().UTC().Year()
	return year < 1 || year > 9998 // a zone may lead to the next
}

// Shown are the snapshots, oldest first; none of no source.
func (s *Source) Shown() []*Snapshot {
	if s == nil {
		return nil
	}
	return s.Snapshots
}

// ShownPrevious are those of Shown that have a name for Samba.
func (s *Source) ShownPrevious() []*Snapshot {
	if s == nil {
		return nil
	}
	return s.Previous
}

// ofSecond are the snapshots that were started in a second.
func ofSecond(all []*Snapshot, sec int64) []*Snapshot {
	begin, _ := slices.BinarySearchFunc(all, sec, func(s *Snapshot, sec int64) int { return cmp.Compare(s.Started.Sec, sec) })
	end := begin
	for end < len(all) && all[end].Started.Sec == sec {
		end++
	}
	return all[begin:end]
}
