package retention

import (
	"sort"
	"time"
)

const (
	// leap is the longest gap between two items that is taken for a pause.
	// Backups by hand come weekly; a longer pause only keeps a little more.
	leap = 14 * 24 * time.Hour
	// settled is how long a chain must have gone on behind a leap before its
	// times are believed: somebody looks at a backup once a week.
	settled = 7 * 24 * time.Hour
)

// trusted returns those of the times, which are in the order of their numbers,
// that are beyond doubt.
func trusted(times []time.Time) []bool {
	ok := inOrder(times)
	beforeLeap(times, ok)
	return ok
}

// inOrder marks what is in every longest ascending subsequence. An item is in
// one of them if the longest that ends with it and the longest that begins with
// it make up the length; it is in all of them if no other has its place.
func inOrder(times []time.Time) []bool {
	n := len(times)
	ending := lengths(n, func(i, j int) bool { return times[i].Before(times[j]) })
	beginning := lengths(n, func(i, j int) bool { return times[n-1-i].After(times[n-1-j]) })
	longest := 0
	for _, l := range ending {
		longest = max(longest, l)
	}
	at := make([]int, longest+1) // how many items have a place
	for i := range times {
		if ending[i]+beginning[n-1-i] == longest+1 {
			at[ending[i]]++
		}
	}
	ok := make([]bool, n)
	for i := range times {
		ok[i] = ending[i]+beginning[n-1-i] == longest+1 && at[ending[i]] == 1
	}
	return ok
}

// lengths returns for each of n items the length of the longest subsequence
// that ends with it and does not descend.
func lengths(n int, less func(i, j int) bool) []int {
	lengths := make([]int, n)
	var ends []int // ends[l] is the item with which a subsequence of length l+1 ends lowest
	for i := range n {
		l := sort.Search(len(ends), func(l int) bool { return less(i, ends[l]) })
		if l == len(ends) {
			ends = append(ends, i)
		} else {
			ends[l] = i
		}
		lengths[i] = l + 1
	}
	return lengths
}

// beforeLeap takes away what stands behind the first leap after which the chain
// has not gone on for long enough. How long that is grows towards the past, so
// the walk begins with the newest.
func beforeLeap(times []time.Time, ok []bool) {
	behind := len(times)
	var gone time.Duration
	for i := len(times) - 1; i >= 0 && gone < settled; i-- {
		if !ok[i] {
			continue
		}
		gap := times[i].Sub(before(times, ok, i)) // saturates at 292 years
		if gap > leap {
			behind = i
		}
		gone += min(gap, leap)
	}
	clear(ok[behind:])
}

// before returns the time before the i-th: that of the one before it in order.
// For the first in order even those in doubt tell of a leap.
func before(times []time.Time, ok []bool, i int) time.Time {
	for j := i - 1; j >= 0; j-- {
		if ok[j] {
			return times[j]
		}
	}
	first := times[i]
	for _, t := range times[:i] {
		if t.Before(first) {
			first = t
		}
	}
	return first
}
