package capture

import (
	"sync"
	"time"

	"keepsake/store/tree"
)

// The times of files on another machine are stamped by its clock, and how long
// ago a file changed by that clock is not known here. Clocks that are further
// apart than Kerberos tolerates are somebody's trouble already; within that, a
// file that may have changed just now has to be the same at two looks.
const clocksApart = 5 * time.Minute

// maxSightings bounds a table; what does not fit waits for the others.
const maxSightings = 100_000

// Sightings remember how files of other machines looked, from one run to the
// next. The zero value is ready; a source has one.
type Sightings struct {
	mu  sync.Mutex
	all map[string]sighting // by path
}

type sighting struct {
	size         uint64
	mtime, ctime tree.Time
	at           time.Time // of our own monotonic clock, when it looked so first
}

// rested reports whether a file has looked as it does for the settle time, and
// if not remembers how it looks.
func (t *Sightings) rested(rel string, s stat, settle time.Duration) bool {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	old, ok := t.all[rel]
	if ok && old.size == s.size && old.mtime == s.mtime && old.ctime == s.ctime {
		if now.Sub(old.at) < settle {
			return false
		}
		delete(t.all, rel)
		return true
	}
	if t.all == nil {
		t.all = map[string]sighting{}
	}
	if !ok && len(t.all) >= maxSightings {
		for rel, old := range t.all {
			if now.Sub(old.at) > time.Hour { // long gone
				delete(t.all, rel)
			}
		}
	}
	if ok || len(t.all) < maxSightings {
		t.all[rel] = sighting{s.size, s.mtime, s.ctime, now}
	}
	return false
}

// lately reports whether a file may have changed just now, by another clock.
func lately(s stat) bool {
	now := kernelTime(0).Time()
	return now.Sub(s.mtime.Time()).Abs() < clocksApart || now.Sub(s.ctime.Time()).Abs() < clocksApart
}

// captured reports whether a file looks as it did when it was captured at rest:
// that was a look as well.
func captured(previous *tree.Node, s stat) bool {
	return previous != nil && previous.Type == s.typ && previous.Flags&tree.Torn == 0 &&
		previous.Size == s.size && previous.MTime == s.mtime && previous.CTime == s.ctime
}
