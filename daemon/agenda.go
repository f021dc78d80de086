package daemon

import (
	"hash/fnv"
	"time"

	"keepsake/daemon/config"
)

const (
	// lookEvery is how often a source whose changes are captured as soon as
	// they rest is looked at although none is known.
	lookEvery = 15 * time.Minute
	// retryFirst and retryMost bound the pause after a failed task. It doubles,
	// so that a disk that is away for a weekend fills no log.
	retryFirst = 15 * time.Second
	retryMost  = 15 * time.Minute
)

// agenda decides when a source is due. All times are as its keeper's clock gave
// them: with a monotonic reading if they are of this process.
type agenda struct {
	conf    config.Source
	started time.Time // begin of the last task; zero before the first
	looked  time.Time // end of the last one without error
	scanned time.Time // end of the last one that scanned everything
	failed  time.Time // end of the last task, if it failed
	retries int       // tasks in a row that failed
	gone    bool      // the last one did, since there was no directory
	// remembered is the end of the last task of an earlier run; zero if that one
	// failed.
	remembered time.Time
}

// cause is why a task is due.
type cause string

const (
	causeStart    cause = "start"    // nothing is known of what happened before
	causeChanges  cause = "changes"  // events told of changes
	causeSchedule cause = "schedule" // a time of day has come
	causeLook     cause = "look"     // nothing is known to have changed, and it is time to be sure
	causeScan     cause = "daily"    // everything is scanned once a day whatever events say
	causeRetry    cause = "retry"
	causeAsked    cause = "asked" // by a person
)

// due is a moment at which a task begins, whatever events say.
type due struct {
	at  time.Time
	why cause
}

// next returns what is due first.
func (a *agenda) next(now time.Time) due {
	if a.retries > 0 {
		return due{after(now, a.failed, a.pause()), causeRetry}
	}
	if a.started.IsZero() {
		return due{a.begin(now), causeStart}
	}
	first := due{after(now, a.scanned, a.conf.Scan), causeScan}
	if a.conf.IsCommand() {
		first = due{now.Add(365 * 24 * time.Hour), causeScan} // only its schedule counts
	}
	first = first.or(a.timetable(now))
	if every := a.every(); every > 0 {
		first = first.or(due{after(now, a.started, every), causeLook})
	}
	return first
}

// begin is when the first task of a run is due. A directory that is watched is
// looked at at once, since nothing is known of what happened before. Commands,
// and a directory that is wanted at times of day only, go on with their schedule
// as if keepsake had never stopped: a dump must not run at each restart. One
// that failed, or was missed, is made up for.
func (a *agenda) begin(now time.Time) time.Time {
	s, last := a.conf.Schedule, a.remembered.Round(0).In(now.Location())
	_, heeds := a.heeds(now)
	// A last run in the future says that the clock was set back since; then
	// nobody knows what was missed.
	if last.IsZero() || last.After(now) || heeds && !a.conf.IsCommand() || s.Every <= 0 && len(s.At) == 0 {
		return now
	}
	var first time.Time
	if at, ok := s.Next(last); ok {
		first = at.Add(a.delay(at))
	}
	if every := last.Add(s.Every); s.Every > 0 && (first.IsZero() || every.Before(first)) {
		first = every
	}
	if first.Before(now) {
		return now
	}
	return first
}

func (d due) or(o due) due {
	if o.at.Before(d.at) {
		return o
	}
	return d
}

// timetable is the next time of day, or one that passed since the last task
// began: while the machine slept, or another task ran.
func (a *agenda) timetable(now time.Time) due {
	never := due{now.Add(365 * 24 * time.Hour), causeSchedule}
	at, ok := a.conf.Schedule.Next(a.started.Round(0))
	if !ok {
		return never
	}
	at = at.Add(a.delay(at))
	if a.started.Round(0).After(now.Round(0)) {
		// The clock was set back beyond the last task: count from now.
		if at, ok = a.conf.Schedule.Next(now.Round(0)); !ok {
			return never
		}
	}
	return due{at, causeSchedule}
}

// delay is how much later than its time a task begins: the same for one time
// and source however often it is asked, spread evenly over others.
func (a *agenda) delay(at time.Time) time.Duration {
	if a.conf.Schedule.Delay <= 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(a.conf.Label + at.UTC().Format(time.RFC3339)))
	return time.Duration(h.Sum64() % uint64(a.conf.Schedule.Delay))
}

// every is the distance between looks without events; 0 if the schedule has
// only times of day.
func (a *agenda) every() time.Duration {
	s := a.conf.Schedule
	switch {
	case s.Every > 0:
		return s.Every
	case len(s.At) > 0:
		return 0
	}
	return lookEvery
}

// heeds returns from when on changes are captured, and whether they are at all
// before the next time of day.
func (a *agenda) heeds(now time.Time) (from time.Time, ok bool) {
	s := a.conf.Schedule
	if s.Every == 0 && len(s.At) > 0 {
		return now, false
	}
	return after(now, a.started, s.Every), true
}

// pause is how long to wait after a failure.
func (a *agenda) pause() time.Duration {
	p := retryFirst
	for range a.retries - 1 {
		if p *= 2; p >= retryMost {
			return retryMost
		}
	}
	return p
}

// after returns when d will have passed since then. Both clocks count, and
// whichever says sooner: the monotonic one stands still while the machine
// sleeps, the wall clock is set back and forth.
func after(now, then time.Time, d time.Duration) time.Time {
	elapsed := max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
	return now.Add(d - elapsed)
}
