package daemon

import (
	"sync"

	"golang.org/x/time/rate"

	"keepsake/daemon/config"
)

// readBurst is how much may be read at once: as much as one chunk holds.
const readBurst = 8 << 20

// rates limits what all sources together read.
type rates struct {
	mu    sync.Mutex
	limit *rate.Limiter // nil: none
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
	switch {
	case c.MaxRead <= 0:
		r.limit = nil
	case r.limit == nil:
		r.limit = rate.NewLimiter(rate.Limit(c.MaxRead), readBurst)
	default:
		r.limit.SetLimit(rate.Limit(c.MaxRead))
	}
}

// now returns the limit in force, nil if there is none.
func (r *rates) now() *rate.Limiter {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.limit
}
