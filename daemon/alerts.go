package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"keepsake/daemon/alert"
	"keepsake/daemon/health"
	"keepsake/store/state"
)

// Health judges all sources as they stand now.
func (k *Keeper) Health() []health.Source { return health.JudgeAll(k.Facts(), k.now()) }

// TestNotify has the configured command told something, the usual way.
func (k *Keeper) TestNotify(ctx context.Context) error { return k.teller.Test(ctx) }

// Told is how the telling of events stands.
func (k *Keeper) Told() alert.Stats { return k.teller.Stats() }

// newTeller makes what tells somebody of changes of state.
func newTeller(o *Options) (*alert.Teller, error) {
	id := o.Repository.ID()
	return alert.New(alert.Options{
		Args: o.Config.Notify.Command, Timeout: o.Config.Notify.Timeout, Host: o.Host, Repository: fmt.Sprintf("%x", id[:4]),
		Memory: toldNote{o.Repository.State()}, Log: o.Log, Now: o.Clock.Now, After: o.Clock.After,
	})
}

// ClockDoubt says why the clock is not trusted; empty if it is.
func (k *Keeper) ClockDoubt() string { return k.clock.doubt() }

// tellClock has somebody told if the clock came into doubt, or is trusted again.
func (k *Keeper) tellClock() {
	r := alert.Report{Recovered: "the clock is trusted again; old snapshots expire as before"}
	if doubt := k.clock.doubt(); doubt != "" {
		r.Standing = []alert.Condition{{State: alert.Guard, Summary: doubt + "; nothing expires until keepsake ack --all"}}
	}
	k.teller.Update("", r)
}

// tellHealth has somebody told if the source stands otherwise than it did.
func (s *sourceKeeper) tellHealth() {
	now := s.k.now()
	v := health.Judge(s.known(now), now)
	if v.First && v.LastError == "" && !v.Guarded {
		return // nothing is known yet of this run, and what was told before stands
	}
	r := alert.Report{Standing: standing(v)}
	if v.Newest != nil {
		r.Snapshot = v.Newest.ID
		r.Recovered = fmt.Sprintf("%s is complete again: %d files", v.Label, v.Newest.Files)
	}
	s.k.teller.Update(v.Label, r)
}

// standing is what a person is told of a source: everything that is wrong, not
// only the worst, which is what the word for its state says.
func standing(v health.Source) (all []alert.Condition) {
	add := func(is bool, state alert.State, summary string, detail ...string) {
		if is {
			all = append(all, alert.Condition{State: state, Summary: v.Label + ": " + summary, Detail: detail})
		}
	}
	add(v.LastError != "", alert.Failed, "no snapshot can be taken: "+v.LastError)
	var alarms []string
	for _, a := range v.Alarms {
		alarms = append(alarms, a.Guard+": "+a.Detail)
	}
	add(v.Guarded, alert.Guard, "a guard found something; nothing expires until "+v.Acknowledge(), alarms...)
	add(!v.Fresh && !v.Looked.IsZero(), alert.Stale, "no look has succeeded for longer than its schedule allows")
	add(lacks(v) != "", alert.Degraded, lacks(v), lacking(v)...)
	return all
}

// lacks says in a sentence why a source is degraded; empty if it is not. Both
// reasons are one condition, since there is one of each state.
func lacks(v health.Source) string {
	var all []string
	if n := v.Newest; n != nil && n.Missed > told(v) {
		all = append(all, "the newest snapshot misses "+countOf(int(n.Missed), "path"))
	}
	if v.AfterError != "" {
		all = append(all, "a command after the last snapshot failed")
	}
	return strings.Join(all, ", and ")
}

// told is how many of the paths that the newest snapshot misses need no word of
// their own: files being written come by themselves, and of rotten ones an alarm
// tells.
func told(v health.Source) uint64 {
	n := v.Newest.Writing
	if slices.ContainsFunc(v.Alarms, func(a health.Alarm) bool { return a.Guard == health.GuardRot }) {
		n += v.Newest.Rotten
	}
	return n
}

// lacking are the particulars of it.
func lacking(v health.Source) (all []string) {
	if v.AfterError != "" {
		all = append(all, "after the snapshot: "+v.AfterError)
	}
	if n := v.Newest; n != nil && n.Missed > told(v) {
		for _, m := range n.MissedPaths {
			all = append(all, m.Line())
		}
	}
	return all
}

// toldNote keeps in the state what has been told.
type toldNote struct{ db *state.DB }

func (q toldNote) Load(v any) (bool, error) { return q.db.Note(state.SourceID{}, noteAlerts, v) }
func (q toldNote) Save(v any) error         { return q.db.SetNote(state.SourceID{}, noteAlerts, v) }
