package fusefs

import (
	"errors"
	"log/slog"
	"sync"

	"keepsake/store"
)

// damage remembers what was logged, so that a program which reads a damaged
// file over and over fills no log.
type damage struct {
	mu     sync.Mutex
	logged map[[2]string]bool
}

// maxLogged bounds what damage remembers; a repository with more than that
// needs a check and not more lines.
const maxLogged = 10_000

// report logs an error once for each file and object of the repository.
func (d *damage) report(log *slog.Logger, path string, err error) {
	if err == nil || errors.Is(err, errInterrupted) || errors.Is(err, errUnmounted) {
		return
	}
	object := ""
	if de, ok := errors.AsType[*store.DamageError](err); ok {
		object = de.Object
	}
	d.mu.Lock()
	known := d.logged[[2]string{path, object}] || len(d.logged) > maxLogged
	if !known {
		if d.logged == nil {
			d.logged = map[[2]string]bool{}
		}
		d.logged[[2]string{path, object}] = true
	}
	full := !known && len(d.logged) > maxLogged
	d.mu.Unlock()
	switch {
	case full:
		log.Error("no further damage is logged by the mounted view; run keepsake check --read-data")
	case !known:
		log.Error("the mounted view answers with an input/output error", "path", path, "object", object, "error", err)
	}
}
