package schedule

import (
	"errors"
	"fmt"
	"time"
)

// Schedule says when a source is backed up. The zero Schedule means: as soon
// as changes have come to rest. Every and At may go together.
type Schedule struct {
	Every time.Duration // between runs, as long as something changes; 0 for never
	At    []Time
	Delay time.Duration // at most so much later, drawn at random
}

const (
	// shortest is the least distance between runs: a run takes about that.
	shortest = time.Second
	// longest is the greatest: a backup that is older than a year is a mistake
	// in the configuration.
	longest = 366 * 24 * time.Hour
	// mostTimes bounds the times of a schedule: one for each half hour. Whoever
	// wants more wants Every.
	mostTimes = 48
)

// Validate reports everything that is wrong with s.
func (s Schedule) Validate() error {
	var all []error
	wrong := func(format string, args ...any) {
		all = append(all, fmt.Errorf("%w: "+format, append([]any{ErrSchedule}, args...)...))
	}
	switch {
	case s.Every < 0:
		wrong("every %v: the distance between runs cannot be negative", s.Every)
	case s.Every > 0 && s.Every < shortest:
		wrong("every %v: the least distance between runs is %v; leave every out to run as soon as changes rest", s.Every, shortest)
	case s.Every > longest:
		wrong("every %v: a schedule that runs less than once a year is taken for a mistake", s.Every)
	}
	if len(s.At) > mostTimes {
		wrong("%d times of the day: %d are allowed; use every instead", len(s.At), mostTimes)
	} else {
		all = append(all, s.overlaps()...)
	}
	switch {
	case s.Delay < 0:
		wrong("a delay of %v: a run cannot begin before its time", s.Delay)
	case s.Delay > 0 && s.Every == 0 && len(s.At) == 0:
		wrong("a delay of %v without every or at: there is nothing to delay", s.Delay)
	case s.Delay > 0 && s.Every > 0 && s.Delay >= s.Every:
		wrong("a delay of %v with every %v: the delay must be shorter than the distance between runs", s.Delay, s.Every)
	case s.Delay > 0 && len(all) == 0 && s.Delay >= s.closest():
		wrong("a delay of %v with times that are %v apart: the delay must be shorter", s.Delay, s.closest())
	}
	return errors.Join(all...)
}

// overlaps reports times that no clock shows, and those that come at the same
// moment as another.
func (s Schedule) overlaps() (all []error) {
	for i, t := range s.At {
		if !t.valid() {
			all = append(all, fmt.Errorf("%w: %v is on no clock and would never come", ErrSchedule, t))
			continue
		}
		for _, u := range s.At[:i] {
			if t.Hour != u.Hour || t.Minute != u.Minute {
				continue
			}
			both := orAll(t.Days) & orAll(u.Days)
			switch {
			case both == 0:
			case t.Days == u.Days:
				all = append(all, fmt.Errorf("%w: %v is there twice", ErrSchedule, t))
			case both == orAll(t.Days):
				all = append(all, fmt.Errorf("%w: %v includes %v; leave the second out", ErrSchedule, u, t))
			case both == orAll(u.Days):
				all = append(all, fmt.Errorf("%w: %v includes %v; leave the second out", ErrSchedule, t, u))
			default:
				all = append(all, fmt.Errorf("%w: %v and %v both come on %v; name each day in one of them", ErrSchedule, u, t, both))
			}
		}
	}
	return all
}

func orAll(d Days) Days {
	if d == 0 {
		return everyDay
	}
	return d
}

// closest returns the least distance between two times in a week without a
// change of clocks; a week if there is one time.
func (s Schedule) closest() time.Duration {
	const weekLong = 7 * 24 * time.Hour
	least := weekLong
	quiet := time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC) // a Monday
	runs := s.between(quiet, quiet.Add(2*weekLong))
	for i := 1; i < len(runs); i++ {
		least = min(least, runs[i].Sub(runs[i-1]))
	}
	return least
}
