package alert

import (
	"slices"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// record is what is known of one source. Its exported fields are remembered over restarts; the odd keys leave room.
type record struct {
	Source    string      `cbor:"1,keyasint"`
	Told      []State     `cbor:"3,keyasint,omitempty"` // what whoever is told knows to stand, the worst first
	Standing  []Condition `cbor:"5,keyasint,omitempty"` // what stands, the worst first
	Changed   int64       `cbor:"7,keyasint"`           // when Standing changed, in seconds since 1970
	Snapshot  string      `cbor:"9,keyasint,omitempty"`
	Recovered string      `cbor:"11,keyasint,omitempty"`
	Paces     []pace      `cbor:"13,keyasint,omitempty"` // by kind; there are five

	retry   *backoff.ExponentialBackOff
	retryAt time.Time // not before; zero at once
}

// memo is all that is remembered.
type memo struct {
	Records []*record `cbor:"1,keyasint"`
}

// kind returns the kind of the event that is due, or nothing.
func (r *record) kind() string {
	now := statesOf(r.Standing)
	var arose []State
	for _, s := range now {
		if !slices.Contains(r.Told, s) {
			arose = append(arose, s)
		}
	}
	switch worst := Worst(now...); {
	case len(arose) > 0:
		return string(Worst(arose...))
	case worst == Worst(r.Told...):
		return ""
	case worst == OK:
		return KindRecovered
	default:
		return string(worst)
	}
}

// report takes over what the keeper found, and says whether it must be remembered.
func (r *record) report(rep Report, now time.Time) bool {
	standing := rep.standing()
	changed := !slices.Equal(statesOf(standing), statesOf(r.Standing))
	r.Standing, r.Snapshot, r.Recovered = standing, bounded(rep.Snapshot, maxLine), bounded(rep.Recovered, maxSummary)
	if changed {
		r.Changed = now.Unix()
		r.retry, r.retryAt = nil, time.Time{} // other news
	}
	if r.kind() == "" {
		r.Told = statesOf(standing) // what ended without a word may be told when it comes again
	}
	return changed
}

// event makes the event that is due.
func (r *record) event(kind string, zone *time.Location) Event {
	e := Event{
		Kind: kind, Source: r.Source, Time: time.Unix(r.Changed, 0).In(zone), Snapshot: r.Snapshot,
		Summary: r.Recovered, Standing: statesOf(r.Standing),
	}
	if i := slices.IndexFunc(r.Standing, func(c Condition) bool { return string(c.State) == kind }); i >= 0 {
		e.Summary, e.Detail = r.Standing[i].Summary, r.Standing[i].Detail
	}
	if e.Summary == "" {
		e.Summary = generalSummary(kind, r.Source)
	}
	return e
}

// delivered notes that an event was told.
func (r *record) delivered(e Event, now time.Time) {
	r.Told = e.Standing
	r.retry, r.retryAt = nil, time.Time{}
	r.pace(e.Kind).tell(now)
}

// due returns when an event of a kind may be delivered.
func (r *record) due(kind string, now time.Time) time.Time {
	at := r.pace(kind).next(now)
	if r.retryAt.After(at) {
		at = r.retryAt
	}
	return at
}

func (r *record) pace(kind string) *pace {
	for i := range r.Paces {
		if r.Paces[i].Kind == kind {
			return &r.Paces[i]
		}
	}
	r.Paces = append(r.Paces, pace{Kind: kind})
	return &r.Paces[len(r.Paces)-1]
}

// pace slows down events of one kind about a source that flaps.
type pace struct {
	Kind  string `cbor:"1,keyasint"`
	Last  int64  `cbor:"3,keyasint"` // when one was told, in seconds since 1970
	Count uint   `cbor:"5,keyasint"` // of those told without a pause of paceForgets
}

const (
	paceFirst   = 5 * time.Minute
	paceMost    = 6 * time.Hour
	paceForgets = 24 * time.Hour
)

// next returns when the next event may be told. A clock that was set back makes none wait.
func (p *pace) next(now time.Time) time.Time {
	last := time.Unix(p.Last, 0)
	if p.Count == 0 || now.Before(last) || now.Sub(last) >= paceForgets {
		return now
	}
	gap := paceMost
	if p.Count < 8 { // 5 minutes doubled seven times are more than the most
		gap = min(paceMost, paceFirst<<(p.Count-1))
	}
	return last.Add(gap)
}

func (p *pace) tell(now time.Time) {
	last := time.Unix(p.Last, 0)
	if now.Before(last) || now.Sub(last) >= paceForgets {
		p.Count = 0
	}
	p.Count, p.Last = min(p.Count+1, 1000), now.Unix()
}
