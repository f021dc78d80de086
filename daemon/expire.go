package daemon

import (
	"context"

	"keepsake/store"
)

// expire lets the source's policy forget old snapshots, unless something is
// wrong. What it cannot do now it does after the next task.
func (s *sourceKeeper) expire(ctx context.Context) {
	if why := s.expiryPaused(); why != "" {
		s.k.o.Log.Debug("nothing expires", "source", s.label(), "why", why)
		return
	}
	gone, err := s.k.o.Repository.Expire(ctx, store.ExpireOptions{Source: s.source.ID, Policy: s.config().Keep, Who: s.k.who()})
	if err != nil && ctx.Err() == nil {
		s.k.o.Log.Error("old snapshots were not forgotten; all of them are kept", "source", s.label(), "error", err)
		return
	}
	for _, e := range gone {
		if !e.Keep {
			s.k.o.Log.Info("snapshot forgotten by the retention policy", "source", s.label(), "snapshot", e.Snapshot.ID.Short())
		}
	}
}

// expiryPaused says why nothing of the source may expire now; empty if it may.
func (s *sourceKeeper) expiryPaused() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.memory.alarms) > 0 {
		return "alarm: " + s.memory.alarms[0].Guard
	}
	return s.k.clock.doubt()
}
