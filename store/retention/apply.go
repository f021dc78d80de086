package retention

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Apply decides about the items of one chain, which may come in any order. The
// decisions are parallel to the items.
func (p Policy) Apply(items []Item) []Decision {
	made := make([]Decision, len(items))
	order := make([]int, len(items))
	for i := range order {
		order[i] = i
	}
	// Two of one number are a damaged chain, which their times sort as well as
	// anything.
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Or(cmp.Compare(items[a].Number, items[b].Number), items[a].Time.Compare(items[b].Time))
	})
	times := make([]time.Time, len(items))
	for k, i := range order {
		times[k] = items[i].Time
	}
	s := &selection{policy: p, items: items, made: made}
	for k, ok := range trusted(times) {
		if i := order[k]; ok {
			s.newest = append(s.newest, i)
		} else {
			s.keep(i, ReasonDoubt)
		}
	}
	slices.Reverse(s.newest)
	s.always()
	s.rules()
	return made
}

// selection is one run of a policy.
type selection struct {
	policy Policy
	items  []Item
	made   []Decision
	newest []int // the items beyond doubt, newest first
}

func (s *selection) keep(i int, reason string) {
	d := &s.made[i]
	d.Keep = true
	if !slices.Contains(d.Reasons, reason) {
		d.Reasons = append(d.Reasons, reason)
	}
}

// always keeps what no policy removes. What is in doubt is kept anyway, and
// takes nothing's place as the newest.
func (s *selection) always() {
	for i, item := range s.items {
		if item.Pinned {
			s.keep(i, ReasonPinned)
		}
	}
	if len(s.newest) > 0 {
		s.keep(s.newest[0], ReasonNewest)
	}
	for _, i := range s.newest {
		if s.items[i].Complete {
			s.keep(i, ReasonNewestComplete)
			break
		}
	}
	for _, i := range s.newest {
		if !s.items[i].InProgress {
			break
		}
		s.keep(i, ReasonInProgress)
	}
}

// rules keeps what the policy wants.
func (s *selection) rules() {
	p := s.policy
	if p.Zero() {
		for i := range s.items {
			s.keep(i, ReasonNoRule)
		}
		return
	}
	for i, item := range s.items {
		for _, tag := range p.Tags {
			if slices.Contains(item.Tags, tag) {
				s.keep(i, "tag "+tag)
			}
		}
	}
	s.last(p.Last)
	s.within(p.Within)
	s.periods(p.Hourly, hour)
	s.periods(p.Daily, day)
	s.periods(p.Weekly, week)
	s.periods(p.Monthly, month)
	s.periods(p.Yearly, year)
}

// last keeps the newest finished ones.
func (s *selection) last(n int) {
	for _, i := range s.newest {
		if n <= 0 {
			return
		}
		if !s.items[i].InProgress {
			s.keep(i, ReasonLast)
			n--
		}
	}
}

// within keeps what is not much older than the newest.
func (s *selection) within(d time.Duration) {
	if d <= 0 || len(s.newest) == 0 {
		return
	}
	since := s.items[s.newest[0]].Time.Add(-d)
	for _, i := range s.newest {
		if !s.items[i].Time.Before(since) {
			s.keep(i, "within "+duration(d))
		}
	}
}

// duration writes a duration without the zeros at its end: 48h, not 48h0m0s.
func duration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
