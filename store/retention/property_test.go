package retention_test

import (
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"keepsake/store/retention"
)

const histories = 10_000

// seed is that of this run: KEEPSAKE_SEED, or a new one.
func seed(t testing.TB) uint64 {
	t.Helper()
	s := rand.Uint64()
	if given, err := strconv.ParseUint(os.Getenv("KEEPSAKE_SEED"), 10, 64); err == nil {
		s = given
	}
	return s
}

var zones = []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu"}

// beginnings are where histories begin: shortly before something happens to
// the calendar.
var beginnings = []string{
	"2026-03-27 20:00", "2026-10-24 00:00", "2026-04-03 00:00", "2026-10-31 12:00", // clocks change
	"2027-12-29 10:00", "2026-12-30 22:00", "2020-12-28 00:00", // years end, with week 53 and without
	"2028-02-27 12:00", "2024-02-28 20:00", "2027-02-27 12:00", // leap days, and none
	"2011-12-28 12:00", // Samoa has no 30 December
	"2026-07-15 09:00",
}

// history makes one up. Times are those that the clock showed: it jumps.
func history(t testing.TB, r *rand.Rand) []retention.Item {
	where := zone(t, zones[r.IntN(len(zones))])
	now, err := time.ParseInLocation("2006-01-02 15:04", beginnings[r.IntN(len(beginnings))], where)
	if err != nil {
		t.Fatal(err)
	}
	steps := []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 5 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 40 * 24 * time.Hour}
	step := steps[r.IntN(len(steps))]
	var wrong time.Duration // how far the clock is off
	var items []retention.Item
	number := uint64(1 + r.IntN(3))
	for range r.IntN(40) {
		now = now.Add(time.Duration(r.Int64N(int64(2 * step))))
		if r.IntN(12) == 0 {
			step = steps[r.IntN(len(steps))]
		}
		if wrong != 0 && r.IntN(3) == 0 {
			wrong = 0
		} else if r.IntN(25) == 0 {
			wrong = jump(r, now)
		}
		item := retention.Item{Time: now.Add(wrong), Number: number, Complete: r.IntN(4) > 0, Pinned: r.IntN(20) == 0}
		if r.IntN(6) == 0 {
			item.Complete, item.InProgress = false, true
		}
		for _, tag := range []string{"a", "b"} {
			if r.IntN(10) == 0 {
				item.Tags = append(item.Tags, tag)
			}
		}
		if r.IntN(2) == 0 { // as manifests keep it
			_, east := item.Time.Zone()
			item.Time = item.Time.In(time.FixedZone("", east))
		}
		items = append(items, item)
		number += 1 + uint64(r.IntN(2)*r.IntN(5))
	}
	r.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	return items
}

func jump(r *rand.Rand, now time.Time) time.Duration {
	const year = 365 * 24 * time.Hour
	far := []time.Duration{time.Second, time.Hour, 24 * time.Hour, 30 * 24 * time.Hour, year, 20 * year}
	d := time.Duration(r.Int64N(int64(far[r.IntN(len(far))])))
	switch r.IntN(5) {
	case 0:
		return -now.Sub(time.Unix(0, 0))
	case 1, 2:
		return -d
	}
	return d
}

func policy(r *rand.Rand) retention.Policy {
	few := func() int { return max(0, r.IntN(8)-3) }
	p := retention.Policy{Last: few(), Hourly: few(), Daily: few(), Weekly: few(), Monthly: few(), Yearly: few()}
	if r.IntN(3) == 0 {
		p.Within = time.Duration(r.Int64N(int64(100 * time.Hour)))
	}
	if r.IntN(4) == 0 {
		p.Tags = []string{"a"}
	}
	switch r.IntN(10) {
	case 0:
		return retention.Default()
	case 1:
		return retention.Policy{}
	}
	return p
}

// agrees reports whether decisions are those of the reference.
func agrees(made []retention.Decision, want []judged) bool {
	for i, d := range made {
		if d.Keep != want[i].keep || slices.Contains(d.Reasons, retention.ReasonDoubt) != want[i].doubt || d.Keep != (len(d.Reasons) > 0) {
			return false
		}
	}
	return true
}

func TestAgainstReference(t *testing.T) {
	s := seed(t)
	r := rand.New(rand.NewPCG(s, 0))
	var items, kept, doubted int
	for n := range histories {
		p, h := policy(r), history(t, r)
		made, want := p.Apply(h), reference(p, h)
		if !agrees(made, want) {
			t.Fatalf("seed %d, history %d, policy %+v:\n%v\nmade %+v\nwant %+v", s, n, p, h, made, want)
		}
		for _, w := range want {
			items++
			if w.keep {
				kept++
			}
			if w.doubt {
				doubted++
			}
		}
	}
	t.Logf("seed %d: %d histories of %d snapshots agree; %d kept, %d in doubt", s, histories, items, kept, doubted)
	if kept == items || doubted == 0 {
		t.Error("the histories show nothing")
	}
}

// TestReferenceCatches holds wrong deciders against the reference: each must
// be found out.
func TestReferenceCatches(t *testing.T) {
	for name, wrong := range map[string]func(p retention.Policy, items []retention.Item) []retention.Decision{
		"believes clocks": func(p retention.Policy, items []retention.Item) []retention.Decision {
			sorted := slices.Clone(items)
			slices.SortStableFunc(sorted, func(a, b retention.Item) int { return a.Time.Compare(b.Time) })
			for i := range items {
				items[i].Number = 1 + uint64(slices.IndexFunc(sorted, func(x retention.Item) bool { return x.Number == items[i].Number }))
			}
			return p.Apply(items)
		},
		"thinks in UTC": func(p retention.Policy, items []retention.Item) []retention.Decision {
			for i := range items {
				items[i].Time = items[i].Time.UTC()
			}
			return p.Apply(items)
		},
		"counts empty days": func(p retention.Policy, items []retention.Item) []retention.Decision {
			if p.Daily > 0 {
				p.Within, p.Daily = max(p.Within, time.Duration(p.Daily)*24*time.Hour), 0
			}
			return p.Apply(items)
		},
		"removes what is pinned": func(p retention.Policy, items []retention.Item) []retention.Decision {
			for i := range items {
				items[i].Pinned = false
			}
			return p.Apply(items)
		},
		"takes what missed something for complete": func(p retention.Policy, items []retention.Item) []retention.Decision {
			for i := range items {
				items[i].Complete = !items[i].InProgress
			}
			return p.Apply(items)
		},
	} {
		s := seed(t)
		r := rand.New(rand.NewPCG(s, 0))
		caught := -1
		for n := 0; n < histories && caught < 0; n++ {
			p, h := policy(r), history(t, r)
			want := reference(p, h)
			if !agrees(wrong(p, slices.Clone(h)), want) {
				caught = n
			}
		}
		if caught < 0 {
			t.Errorf("seed %d: nothing catches one that %s", s, name)
		} else {
			t.Logf("one that %s is caught by history %d", name, caught)
		}
	}
}

// TestJumpExpiresNothing adds to each history a snapshot that turns out to be
// out of order, or one that leaps ahead at its end: nothing that was kept goes.
func TestJumpExpiresNothing(t *testing.T) {
	s := seed(t)
	r := rand.New(rand.NewPCG(s, 1))
	var outOfOrder, leaps int
	for n := range histories {
		p, h := policy(r), history(t, r)
		for i := range h {
			h[i].Number *= 2 // room between them
		}
		was := p.Apply(h)
		added := retention.Item{Number: 1 + 2*uint64(r.IntN(80)), Complete: r.IntN(2) == 0, Time: time.Unix(r.Int64N(4e9), 0).UTC()}
		leap := r.IntN(3) == 0 && len(h) > 0
		if leap {
			added.Number = 1 << 40
			for i, d := range was {
				leap = leap && !slices.Contains(d.Reasons, retention.ReasonDoubt)
				added.Time = added.Time.Add(max(0, h[i].Time.Sub(added.Time)))
			}
			added.Time = added.Time.Add(15 * 24 * time.Hour)
		}
		now := p.Apply(append(slices.Clone(h), added))
		if !leap && !slices.Contains(now[len(h)].Reasons, retention.ReasonDoubt) || !leap && behindLeap(h, added) {
			continue
		}
		if leap {
			leaps++
		} else {
			outOfOrder++
		}
		for i, d := range was {
			if d.Keep && !now[i].Keep {
				t.Fatalf("seed %d, history %d, policy %+v:\n%v\n%+v expires\n%v", s, n, p, h, added, h[i])
			}
		}
	}
	t.Logf("seed %d: %d snapshots out of order and %d leaps were added", s, outOfOrder, leaps)
	if outOfOrder < histories/10 || leaps < histories/100 {
		t.Error("too few to show anything")
	}
}

// behindLeap reports whether an item fits into the order, and is in doubt only
// because it stands behind a leap.
func behindLeap(h []retention.Item, added retention.Item) bool {
	with := append(slices.Clone(h), added)
	slices.SortFunc(with, func(a, b retention.Item) int { return int(int64(a.Number) - int64(b.Number)) })
	at := slices.IndexFunc(with, func(x retention.Item) bool { return x.Number == added.Number })
	return longest(with, at) < longest(with, -1)
}
