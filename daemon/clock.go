package daemon

import (
	"context"
	"fmt"
	"sync"
	"time"

	"keepsake/store"
	"keepsake/store/state"
	"keepsake/store/tree"
)

const (
	// jumpTolerated is how far the wall clock may move against the time that
	// passed: more than any time daemon slews, less than matters to a policy.
	jumpTolerated = 5 * time.Minute
	// gapTolerated is for how long a machine may have been off. What looks
	// longer may be a clock that was set to another year.
	gapTolerated = 60 * 24 * time.Hour
	// bootGrace is how long after the boot a clock may still be set forward
	// without a question: boards without a battery begin in the past.
	bootGrace = 15 * time.Minute
	// noteClockEvery bounds how often the time is noted.
	noteClockEvery = 10 * time.Minute
)

// clockNote is what is remembered of the wall clock.
type clockNote struct {
	Seen  time.Time `cbor:"0,keyasint"`           // when it was looked at last
	Doubt string    `cbor:"1,keyasint,omitempty"` // why it is not trusted; empty if it is
}

// steadiness watches the wall clock against the time that passes. While it is
// in doubt nothing expires: a policy over times must not act on a wrong one.
// Only a person ends the doubt, since no machine knows what year it is.
type steadiness struct {
	clock  Clock
	state  *state.DB
	offset func() time.Duration // of the wall clock, against the time since the boot

	mu    sync.Mutex
	note  clockNote     // guarded by mu
	ahead time.Duration // at the last look; guarded by mu
	noted time.Time     // guarded by mu
}

func newSteadiness(c Clock, db *state.DB, offset func() time.Duration) (*steadiness, error) {
	s := &steadiness{clock: c, state: db, offset: offset, ahead: offset()}
	if _, err := db.Note(state.SourceID{}, noteClock, &s.note); err != nil {
		return nil, err
	}
	now := c.Now()
	switch gap := now.Round(0).Sub(s.note.Seen); {
	case s.note.Seen.IsZero():
	case gap < -jumpTolerated:
		s.suspect("it says %s, and was %s when keepsake last ran", now.Format(time.DateTime), s.note.Seen.Format(time.DateTime))
	case gap > gapTolerated:
		s.suspect("it says %s; keepsake last ran at %s", now.Format(time.DateTime), s.note.Seen.Format(time.DateTime))
	}
	return s, s.save(now)
}

// look compares the clocks. It is called every half a minute.
func (s *steadiness) look(now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ahead := s.offset()
	jump := ahead - s.ahead
	s.ahead = ahead
	uptime := time.Duration(now.UnixNano()) - ahead
	booting := uptime < bootGrace && jump > 0 && now.Round(0).Sub(s.note.Seen) < gapTolerated
	jumped := jump.Abs() > jumpTolerated
	if jumped && !booting {
		s.suspect("it was set by %v to %s", jump.Round(time.Second), now.Format(time.DateTime))
	}
	if jumped || now.Sub(s.noted).Abs() >= noteClockEvery {
		return s.save(now)
	}
	return nil
}

func (s *steadiness) suspect(format string, args ...any) {
	if s.note.Doubt == "" {
		s.note.Doubt = "the clock is in doubt: " + fmt.Sprintf(format, args...)
	}
}

// save notes the time. mu is held, or s is not shared yet.
func (s *steadiness) save(now time.Time) error {
	s.note.Seen, s.noted = now.Round(0), now
	return s.state.SetNote(state.SourceID{}, noteClock, s.note)
}

// ClockDoubt says why the clock is not trusted, as the state remembers it; empty
// if it is, or if no keeper has ever run.
func ClockDoubt(r *store.Repository) (string, error) {
	var n clockNote
	_, err := r.State().Note(state.SourceID{}, noteClock, &n)
	return n.Doubt, err
}

// guardClock is the alarm about the clock, as those are told who end it.
const guardClock = "clock"

// TrustClock ends the doubt about the clock where nobody keeps sources, and
// returns it; the ledger says who did.
func TrustClock(ctx context.Context, r *store.Repository, who, why string) ([]Alarm, error) {
	var n clockNote
	if _, err := r.State().Note(state.SourceID{}, noteClock, &n); err != nil || n.Doubt == "" {
		return nil, err
	}
	ended := []Alarm{{Guard: guardClock, Detail: n.Doubt}}
	if err := r.Record(ctx, tree.LedgerEntry{Kind: tree.Acknowledge, Who: who, Why: why}); err != nil {
		return nil, err
	}
	return ended, r.State().SetNote(state.SourceID{}, noteClock, clockNote{Seen: r.Now().Round(0)})
}

// acknowledge is TrustClock while a keeper runs.
func (s *steadiness) acknowledge(ctx context.Context, r *store.Repository, who, why string) ([]Alarm, error) {
	doubt := s.doubt()
	if doubt == "" {
		return nil, nil
	}
	if err := r.Record(ctx, tree.LedgerEntry{Kind: tree.Acknowledge, Who: who, Why: why}); err != nil {
		return nil, err
	}
	return []Alarm{{Guard: guardClock, Detail: doubt}}, s.trust()
}

// doubt says why the clock is not trusted; empty if it is.
func (s *steadiness) doubt() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.note.Doubt
}

// trust ends the doubt.
func (s *steadiness) trust() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note.Doubt = ""
	return s.save(s.clock.Now())
}
