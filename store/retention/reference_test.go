package retention_test

import (
	"fmt"
	"slices"
	"time"

	"keepsake/store/retention"
)

// The reference decides the same as the package, from its documentation, by
// counting: no sorting into buckets, no clever subsequences.

// judged is what the reference says of one item.
type judged struct{ keep, doubt bool }

func reference(p retention.Policy, items []retention.Item) []judged {
	doubted := referenceDoubt(items)
	var rules []rule
	for _, r := range []rule{{p.Hourly, nil, hourLabel}, {p.Daily, nil, dayLabel}, {p.Weekly, nil, weekLabel}, {p.Monthly, nil, monthLabel}, {p.Yearly, nil, yearLabel}} {
		for _, x := range items {
			if r.count > 0 {
				r.labels = append(r.labels, r.label(x.Time))
			}
		}
		if r.count > 0 {
			rules = append(rules, r)
		}
	}
	out := make([]judged, len(items))
	for i := range items {
		out[i] = judged{keep: doubted[i] || wanted(p, items, doubted, rules, i), doubt: doubted[i]}
	}
	return out
}

// rule keeps one item of each period; labels are parallel to the items, and
// sort as the periods do.
type rule struct {
	count  int
	labels []string
	label  func(time.Time) string
}

// comesAfter reports whether item j was taken after item i.
func comesAfter(items []retention.Item, j, i int) bool { return items[j].Number > items[i].Number }

// longest is the size of the largest set of items whose times ascend with
// their numbers, leaving one item out of the choice.
func longest(byNumber []retention.Item, without int) int {
	best := make([]int, len(byNumber))
	most := 0
	for i, x := range byNumber {
		if i == without {
			continue
		}
		best[i] = 1
		for j := range i {
			if j != without && !byNumber[j].Time.After(x.Time) {
				best[i] = max(best[i], best[j]+1)
			}
		}
		most = max(most, best[i])
	}
	return most
}

func referenceDoubt(items []retention.Item) []bool {
	sorted := slices.Clone(items)
	slices.SortFunc(sorted, func(a, b retention.Item) int {
		if a.Number < b.Number {
			return -1
		}
		return 1
	})
	// An item is in all largest sets if without it they are smaller.
	all := longest(sorted, -1)
	var sure, unsure []retention.Item
	for i, x := range sorted {
		if longest(sorted, i) < all {
			sure = append(sure, x)
		} else {
			unsure = append(unsure, x)
		}
	}
	const day = 24 * time.Hour
	behind := func(k int) bool { // sure[k] is behind a leap that is not believed
		for leap := 0; leap <= k; leap++ {
			from := sure[leap].Time
			if leap > 0 {
				from = sure[leap-1].Time
			} else {
				for _, u := range unsure {
					if u.Number < sure[0].Number && u.Time.Before(from) {
						from = u.Time
					}
				}
			}
			if sure[leap].Time.Sub(from) <= 14*day {
				continue
			}
			var gone time.Duration
			for next := leap + 1; next < len(sure); next++ {
				gone += min(sure[next].Time.Sub(sure[next-1].Time), 14*day)
			}
			if gone < 7*day {
				return true
			}
		}
		return false
	}
	trusted := map[uint64]bool{}
	for k, x := range sure {
		trusted[x.Number] = !behind(k)
	}
	out := make([]bool, len(items))
	for i, x := range items {
		out[i] = !trusted[x.Number]
	}
	return out
}

// wanted reports whether anything keeps an item whose time is beyond doubt.
func wanted(p retention.Policy, items []retention.Item, doubted []bool, rules []rule, i int) bool {
	x := items[i]
	if x.Pinned {
		return true
	}
	var newer, newerComplete, newerFinished int
	newest := x.Time
	for j, y := range items {
		if doubted[j] || !comesAfter(items, j, i) {
			continue
		}
		newer++
		if y.Complete {
			newerComplete++
		}
		if !y.InProgress {
			newerFinished++
		}
		if y.Time.After(newest) {
			newest = y.Time
		}
	}
	switch {
	case newer == 0, x.Complete && newerComplete == 0, x.InProgress && newerFinished == 0:
		return true
	case p.Last == 0 && p.Hourly == 0 && p.Daily == 0 && p.Weekly == 0 && p.Monthly == 0 && p.Yearly == 0 && p.Within == 0 && len(p.Tags) == 0:
		return true
	case !x.InProgress && newerFinished < p.Last:
		return true
	case p.Within > 0 && newest.Sub(x.Time) <= p.Within:
		return true
	}
	for _, tag := range x.Tags {
		for _, want := range p.Tags {
			if tag == want {
				return true
			}
		}
	}
	for _, r := range rules {
		if represents(items, doubted, i, r.labels) && later(doubted, r.labels[i], r.labels) < r.count {
			return true
		}
	}
	return false
}

// represents reports whether item i stands for its period.
func represents(items []retention.Item, doubted []bool, i int, labels []string) bool {
	x := items[i]
	var newer, newerFinished, newerComplete, finished int
	for j, y := range items {
		if doubted[j] || labels[j] != labels[i] {
			continue
		}
		if !y.InProgress {
			finished++
		}
		if !comesAfter(items, j, i) {
			continue
		}
		newer++
		if !y.InProgress {
			newerFinished++
		}
		if y.Complete {
			newerComplete++
		}
	}
	switch {
	case x.InProgress:
		return finished == 0 && newer == 0
	case newerFinished == 0:
		return true
	}
	return x.Complete && newerComplete == 0
}

// later counts the periods after one.
func later(doubted []bool, mine string, labels []string) int {
	var seen []string
	for j, l := range labels {
		if !doubted[j] && l > mine && !slices.Contains(seen, l) {
			seen = append(seen, l)
		}
	}
	return len(seen)
}

func yearLabel(t time.Time) string  { y, _, _ := t.Date(); return fmt.Sprintf("%04d", y) }
func monthLabel(t time.Time) string { y, m, _ := t.Date(); return fmt.Sprintf("%04d-%02d", y, m) }
func dayLabel(t time.Time) string   { y, m, d := t.Date(); return fmt.Sprintf("%04d-%02d-%02d", y, m, d) }

// hourLabel sorts the second of two hours of one name behind the first.
func hourLabel(t time.Time) string {
	_, east := t.Zone()
	return fmt.Sprintf("%s %02d %06d", dayLabel(t), t.Hour(), 100_000-east)
}

// weekLabel is the ISO week: that of the year in which its Thursday lies, which
// is the n-th Thursday of that year.
func weekLabel(t time.Time) string {
	y, m, d := t.Date()
	noon := time.Date(y, m, d, 12, 0, 0, 0, time.UTC)
	for noon.Weekday() != time.Monday {
		noon = noon.AddDate(0, 0, -1)
	}
	thursday := noon.AddDate(0, 0, 3)
	return fmt.Sprintf("%04d-%02d", thursday.Year(), (thursday.YearDay()-1)/7+1)
}
