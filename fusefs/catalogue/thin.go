package catalogue

import "slices"

// MostListed bounds how many snapshots of a source Samba is shown. Its clients
// ask for the list with room for 64 KiB, which is 1,310 names, and show none at
// all if there are more.
const MostListed = 1000

// thinned are at most MostListed of some snapshots, oldest first: the newest
// half of that, and of what is older the last of each stretch of time, which is
// as short as it can be. The others are found by name all the same.
func thinned(all []*Snapshot) []*Snapshot {
	const half = MostListed / 2
	if len(all) <= MostListed {
		return all
	}
	// Clocks are set back at times, and writers have their own.
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b *Snapshot) int { return a.Started.Compare(b.Started) })
	older, recent := all[:len(all)-half], all[len(all)-half:]
	for stretch := int64(60); ; stretch *= 2 {
		if some := lastOfEach(older, stretch); len(some) <= half {
			return append(some, recent...)
		}
	}
}

// lastOfEach is the last snapshot of each stretch of so many seconds that has one.
func lastOfEach(all []*Snapshot, stretch int64) (some []*Snapshot) {
	var before int64
	for i, s := range slices.Backward(all) {
		at := s.Started.Sec / stretch
		if i == len(all)-1 || at != before {
			some = append(some, s)
		}
		before = at
	}
	slices.Reverse(some)
	return some
}
