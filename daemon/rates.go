package daemon

import (
	"sync"

	"golang.org/x/time/rate"

	"keepsake/daemon/capture"
	"keepsake/daemon/config"
)

// readBurst is how much may be read at once after a pause: what a disk gives in
// a few milliseconds.
const readBurst = 1 << 20

// rates limits what all sources together read.
type rates struct {
	mu     sync.Mutex
	limit  *rate.Limiter // nil: none
	gentle bool
}

func newRates(c config.Config) *rates {
	r := &rates{}
	r.set(c)
	return r
}

// set takes over what a configuration says; captures under way keep to it, too.
func (r *rates) set(c config.Config) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gentle = c.Gentle
	switch {
	case c.MaxRead <= 0:
		r.limit = nil
	case r.limit == nil:
		r.limit = rate.NewLimiter(rate.Limit(c.MaxRead), readBurst)
	default:
		r.limit.SetLimit(rate.Limit(c.MaxRead))
	}
}

// now is how sources are read from now on.
func (r *rates) now() capture.ReadOptions {
	r.mu.Lock()
	defer r.mu.Unlock()
	return capture.ReadOptions{Limit: r.limit, Gentle: r.gentle}
}
