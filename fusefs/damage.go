package fusefs

import (
	"errors"
	"sync"
	"time"

	"keepsake/store"
)

// damage remembers what was logged, so that a program which reads a damaged
// file over and over fills no log.
type damage struct {
	mu     sync.Mutex
	logged map[[2]string]bool
	away   time.Time // when it was last logged that the repository does not answer
}

const (
	// maxLogged bounds what damage remembers; a repository with more than that
	// needs a check and not more lines.
	maxLogged = 10_000
	// awayEvery is how often it is logged that the repository does not answer:
	// every file would have something to say about that.
	awayEvery = 10 * time.Minute
)

// report logs an error: damage once for each file and object of the repository,
// a repository that does not answer once in a while.
func (v *view) report(path string, err error) {
	if err == nil || errors.Is(err, errInterrupted) || errors.Is(err, errUnmounted) {
		return
	}
	if _, ok := errors.AsType[*bug](err); ok {
		return // logged where it happened
	}
	d, object := &v.damage, ""
	if de, ok := errors.AsType[*store.DamageError](err); ok {
		object = de.Object
	} else if errors.Is(err, store.ErrAway) || errors.Is(err, errTooSlow) {
		if d.sinceAway(v.now()) {
			v.log.Error("the repository does not answer the mounted view", "path", path, "error", err)
		}
		return
	}
	known, full := d.note(path, object)
	switch {
	case full:
		v.log.Error("no further damage is logged by the mounted view; run keepsake check --read-data")
	case !known:
		v.log.Error("the mounted view answers with an input/output error", "path", path, "object", object, "error", err)
	}
}

// note reports whether something was noted before, and whether it is the one
// with which nothing more is noted.
func (d *damage) note(path, object string) (known, full bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.logged[[2]string{path, object}] || len(d.logged) > maxLogged {
		return true, false
	}
	if d.logged == nil {
		d.logged = map[[2]string]bool{}
	}
	d.logged[[2]string{path, object}] = true
	return false, len(d.logged) > maxLogged
}

// sinceAway reports whether it is time to log that the repository is away.
func (d *damage) sinceAway(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if age := now.Sub(d.away); !d.away.IsZero() && age >= 0 && age < awayEvery {
		return false
	}
	d.away = now
	return true
}

// returned is called when the repository answers again.
func (d *damage) returned() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.away = time.Time{}
}
