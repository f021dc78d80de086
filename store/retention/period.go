package retention

import (
	"fmt"
	"slices"
	"time"
)

// period is an hour, day, week, month or year of somebody's calendar.
type period struct {
	rank [5]int // orders the periods of one kind
	name string // "daily 2026-11-21"
}

// hour tells the two apart that a change of clocks gives the same name: the one
// further east of Greenwich comes first.
func hour(t time.Time) period {
	_, east := t.Zone()
	return period{[5]int{t.Year(), int(t.Month()), t.Day(), t.Hour(), -east}, t.Format("hourly 2006-01-02 15:00 -0700")}
}

func day(t time.Time) period {
	return period{[5]int{t.Year(), int(t.Month()), t.Day()}, t.Format("daily 2006-01-02")}
}

func week(t time.Time) period {
	year, week := t.ISOWeek()
	return period{[5]int{year, week}, fmt.Sprintf("weekly %d-W%02d", year, week)}
}

func month(t time.Time) period {
	return period{[5]int{t.Year(), int(t.Month())}, t.Format("monthly 2006-01")}
}

func year(t time.Time) period { return period{[5]int{t.Year()}, t.Format("yearly 2006")} }

// representatives are the items that stand for a period; -1 for none.
type representatives struct{ newest, complete int }

// periods keeps the representatives of the newest n periods. Which periods are
// newest is the calendar's affair: to somebody who travels west, yesterday may
// come after today.
func (s *selection) periods(n int, of func(time.Time) period) {
	if n <= 0 {
		return
	}
	found := map[period]*representatives{}
	var all []period
	for _, i := range s.newest {
		item := s.items[i]
		p := of(item.Time)
		r := found[p]
		if r == nil {
			r = &representatives{i, -1}
			found[p], all = r, append(all, p)
		}
		if s.items[r.newest].InProgress && !item.InProgress {
			r.newest = i
		}
		if r.complete < 0 && item.Complete {
			r.complete = i
		}
	}
	slices.SortFunc(all, func(a, b period) int { return slices.Compare(b.rank[:], a.rank[:]) })
	for _, p := range all[:min(n, len(all))] {
		r := found[p]
		s.keep(r.newest, p.name)
		if r.complete >= 0 && r.complete != r.newest {
			s.keep(r.complete, p.name+", complete")
		}
	}
}
