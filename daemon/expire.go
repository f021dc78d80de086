package daemon

import (
	"context"
	"errors"
	"time"

	"keepsake/daemon/guard"
	"keepsake/store"
	"keepsake/store/retention"
	"keepsake/store/state"
)

// heldForGuards is why a snapshot stays that the policy no longer wants. A guard
// adds up what a day of runs did, and then pins what was there before it began:
// that has to be there still, however few snapshots the policy keeps.
const heldForGuards = "a guard may need it: less than a day ago something changed after it"

// Expiring returns how a policy is to be applied to a source now: not at all
// while an alarm stands or the clock is in doubt, and never to what guards may
// need. Policy and Who are left to the caller.
func Expiring(r *store.Repository, source state.SourceID, now time.Time) (store.ExpireOptions, error) {
	o := store.ExpireOptions{Source: source}
	var alarms []Alarm
	var window guard.Window
	_, err1 := r.State().Note(source, noteAlarms, &alarms)
	_, err2 := r.State().Note(source, noteWindow, &window)
	doubt, err3 := ClockDoubt(r)
	if err := errors.Join(err1, err2, err3); err != nil {
		return o, err // what is not known may be an alarm
	}
	switch {
	case len(alarms) > 0:
		o.Paused = "an alarm stands (" + alarms[0].Guard + "); look at it, then keepsake ack"
	case doubt != "":
		o.Paused = doubt + "; if it is right now, keepsake ack --all"
	}
	for _, base := range window.Bases(now) {
		if o.Hold == nil {
			o.Hold = map[store.SnapshotID]string{}
		}
		o.Hold[base] = heldForGuards
	}
	return o, nil
}

// expire lets the source's policy forget old snapshots, unless something is
// wrong. What it cannot do now it does after the next task.
func (s *sourceKeeper) expire(ctx context.Context) {
	conf := s.config()
	made, err := s.expired(ctx, conf.Keep)
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

func (s *sourceKeeper) expired(ctx context.Context, keep retention.Policy) ([]store.Expiry, error) {
	// The clock may have been set since the last tick.
	if err := s.k.clock.look(s.now()); err != nil {
		return nil, err
	}
	o, err := Expiring(s.k.o.Repository, s.source.ID, s.now())
	if err != nil {
		return nil, err
	}
	o.Policy, o.Who = keep, s.k.who()
	return s.k.o.Repository.Expire(ctx, o)
}
