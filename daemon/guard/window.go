package guard

import "time"

const (
	// span is how long observations count: an attack that takes a night has to
	// add up, and what a person did last week explains nothing today.
	span = 24 * time.Hour
	// maxSlots bounds a window. A day has 96 quarters of an hour; those in
	// which innocent and other runs alternate take more than one slot.
	maxSlots = 192
	// slot is how far apart observations may lie to be merged.
	slot = 15 * time.Minute
)

// Window is the observations of the last 24 hours, the oldest first. The zero
// Window is empty; after a person has acknowledged an alarm the caller begins
// with an empty one. It can be kept as CBOR.
type Window struct {
	Observations []Observation `cbor:"0,keyasint,omitempty"`
}

// Add returns the window after a further observation. w is not changed.
func (w Window) Add(o Observation) Window {
	kept := w.at(o.Time)
	if n := len(kept); n > 0 && kept[n-1].innocent() == o.innocent() && o.Time.Sub(kept[n-1].Time) < slot {
		kept[n-1] = kept[n-1].Merge(o)
	} else {
		kept = append(kept, o)
	}
	for len(kept) > maxSlots {
		kept[1] = kept[0].Merge(kept[1])
		kept = kept[1:]
	}
	return Window{kept}
}

// at returns a copy of the observations that count at a time. Those from its
// future were made before the clock was set back: they count as made just now.
func (w Window) at(now time.Time) []Observation {
	kept := make([]Observation, 0, len(w.Observations)+1)
	for _, o := range w.Observations {
		if o.Time.After(now) {
			o.Time = now
		}
		if now.Sub(o.Time) < span {
			kept = append(kept, o)
		}
	}
	return kept
}

// Bases are the snapshots that runs of the last 24 hours were compared with in
// which something may count, the oldest first: one of them is the last good one
// if the next run completes a finding.
func (w Window) Bases(now time.Time) (all [][32]byte) {
	for _, o := range w.at(now) {
		if !o.innocent() {
			all = append(all, o.Base)
		}
	}
	return all
}

// Began returns when the first run of the last 24 hours began in which something
// may count, and what it was compared with; ok is false if there is none.
func (w Window) Began(now time.Time) (since time.Time, base [32]byte, ok bool) {
	for _, o := range w.at(now) {
		if !o.innocent() {
			return o.Time, o.Base, true
		}
	}
	return since, base, false
}
