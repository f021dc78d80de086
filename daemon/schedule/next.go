package schedule

import (
	"slices"
	"time"
)

// horizon is how many days ahead the next time is looked for. It is at most
// two weeks away: a weekly one that a change of clocks leaves out once.
const horizon = 60

// Next returns the first of the At times after a moment, in that moment's zone;
// ok is false if there is none.
func (s Schedule) Next(after time.Time) (next time.Time, ok bool) {
	for _, t := range s.At {
		if n, found := t.next(after); found && (!ok || n.Before(next)) {
			next, ok = n, true
		}
	}
	return next, ok
}

// around is how far before and after a moment Gap looks: a week, since that is
// the period of every schedule.
const around = 7 * 24 * time.Hour

// Gap returns the longest regular distance between two runs around a moment,
// delays included; 0 if there are no regular runs. A source that has had no run
// for much longer is stale.
func (s Schedule) Gap(now time.Time) time.Duration {
	gap := s.Every
	// Whole gaps count, so the search begins earlier and ends later.
	runs := s.between(now.Add(-3*around), now.Add(3*around))
	var at time.Duration
	for i := 1; i < len(runs); i++ {
		if runs[i].After(now.Add(-around)) && runs[i-1].Before(now.Add(around)) {
			at = max(at, runs[i].Sub(runs[i-1]))
		}
	}
	if at > 0 && (gap == 0 || at < gap) {
		gap = at // both together are at least as close as the closer of them
	}
	if gap > 0 {
		gap += s.Delay
	}
	return gap
}

// between returns all At times after one moment and up to another, in order.
func (s Schedule) between(after, until time.Time) (all []time.Time) {
	for _, t := range s.At {
		for n, ok := t.next(after); ok && !n.After(until); n, ok = t.next(n) {
			all = append(all, n)
		}
	}
	slices.SortFunc(all, time.Time.Compare)
	return slices.CompactFunc(all, time.Time.Equal)
}

// next looks for t on the wall, day by day.
func (t Time) next(after time.Time) (time.Time, bool) {
	if !t.valid() {
		return time.Time{}, false
	}
	seen := wall(after)
	// Dates are counted in UTC, where every day has one noon.
	noon := time.Date(after.Year(), after.Month(), after.Day(), 12, 0, 0, 0, time.UTC)
	for range horizon {
		want := time.Date(noon.Year(), noon.Month(), noon.Day(), t.Hour, t.Minute, 0, 0, time.UTC)
		if t.Days.On(noon.Weekday()) && want.After(seen) {
			if n, ok := firstAfter(after, want); ok {
				return n, true
			}
		}
		noon = noon.AddDate(0, 0, 1)
	}
	return time.Time{}, false
}

// wall returns what the clock on the wall shows, as if it were in Greenwich.
func wall(t time.Time) time.Time {
	_, east := t.Zone()
	return t.UTC().Add(time.Duration(east) * time.Second)
}

// firstAfter returns the first moment after another one at which the wall shows
// want. There are none, one, or two of them on a day.
func firstAfter(after, want time.Time) (first time.Time, ok bool) {
	local := after.Location()
	guess := time.Date(want.Year(), want.Month(), want.Day(), want.Hour(), want.Minute(), 0, 0, local)
	near := []time.Time{guess} // moments with every offset that the day has
	begins, ends := guess.ZoneBounds()
	if !begins.IsZero() {
		near = append(near, begins.Add(-1))
	}
	if !ends.IsZero() {
		near = append(near, ends)
	}
	for _, there := range near {
		_, east := there.In(local).Zone()
		n := want.Add(-time.Duration(east) * time.Second).In(local)
		if wall(n).Equal(want) && n.After(after) && (!ok || n.Before(first)) {
			first, ok = n, true
		}
	}
	return first, ok
}
