package daemon

import (
	"context"

	"keepsake/store"
	"keepsake/store/state"
)

// AgainstExpiry says why nothing of a source may be forgotten by a policy now:
// an alarm that nobody has acknowledged, or a clock in doubt. Empty if all is
// well. It reads what is noted, so that it holds with and without a keeper.
func AgainstExpiry(r *store.Repository, source state.SourceID) (string, error) {
	alarms, err := Alarms(r, source)
	if err != nil {
		return "", err
	}
	if len(alarms) > 0 {
		return "an alarm stands (" + alarms[0].Guard + "); look at it, then keepsake ack", nil
	}
	var n clockNote
	if _, err := r.State().Note(state.SourceID{}, noteClock, &n); err != nil {
		return "", err
	}
	if n.Doubt != "" {
		return n.Doubt + "; if it is right now, keepsake ack --all", nil
	}
	return "", nil
}

// expire lets the source's policy forget old snapshots, unless something is
// wrong. What it cannot do now it does after the next task.
func (s *sourceKeeper) expire(ctx context.Context) {
	r, conf := s.k.o.Repository, s.config()
	why, err := AgainstExpiry(r, s.source.ID)
	var made []store.Expiry
	if err == nil {
		made, err = r.Expire(ctx, store.ExpireOptions{Source: s.source.ID, Policy: conf.Keep, Who: s.k.who(), Paused: why})
	}
	if err != nil && ctx.Err() == nil {
		s.k.o.Log.Error("old snapshots were not forgotten; all of them are kept", "source", conf.Label, "error", err)
		return
	}
	for _, e := range made {
		if !e.Keep {
			s.k.o.Log.Info("snapshot forgotten by the retention policy", "source", conf.Label, "snapshot", e.ID.Short())
		}
	}
}
