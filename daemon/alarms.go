package daemon

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"keepsake/daemon/capture"
	"keepsake/daemon/guard"
	"keepsake/store"
	"keepsake/store/state"
	"keepsake/store/tree"
)

// Alarm is what a guard found about a source, standing until a person
// acknowledges it.
type Alarm struct {
	Guard    string    `cbor:"0,keyasint"` // the mark in the manifest
	Detail   string    `cbor:"1,keyasint,omitempty"`
	Since    time.Time `cbor:"2,keyasint"`           // begin of what was found
	Snapshot [32]byte  `cbor:"3,keyasint"`           // the first that was marked so; of rot, the one compared with
	Pinned   [32]byte  `cbor:"4,keyasint,omitempty"` // the last good one before; zero if there is none
}

// raise notes what guards found as alarms, and pins the last snapshot that is
// complete, unmarked and older, of those up to a number. An alarm that stands
// already keeps its begin and its pin, and says what was found last. A kill in
// between leaves the pin, which the next finding uses again.
func (m *memory) raise(ctx context.Context, r *store.Repository, who string, found []guard.Finding, about store.Snapshot, upTo uint64) error {
	alarms := slices.Clone(m.alarms)
	for _, f := range found {
		if i := slices.IndexFunc(alarms, func(a Alarm) bool { return a.Guard == f.Guard }); i >= 0 {
			alarms[i].Detail = f.Detail
			continue
		}
		a := Alarm{Guard: f.Guard, Detail: f.Detail, Since: f.Since.Round(0), Snapshot: about.ID}
		good, err := lastGood(ctx, r, m.source, f, upTo)
		if err != nil {
			return err
		}
		if good != nil {
			a.Pinned = good.ID
			if err := pin(ctx, r, good, who, f); err != nil {
				return err
			}
		}
		alarms = append(alarms, a)
	}
	if slices.Equal(alarms, m.alarms) {
		return nil
	}
	if err := m.note(noteAlarms, alarms); err != nil {
		return err
	}
	m.alarms = alarms
	return nil
}

// lastGood is the newest snapshot up to a number that missed nothing, that no
// guard marked, and that is older than what was found: the one that the first
// run with a share in it began with, or, if that one is not good itself, an
// older one; nil if there is none.
func lastGood(ctx context.Context, r *store.Repository, source state.SourceID, f guard.Finding, upTo uint64) (good *store.Brief, err error) {
	all, _, err := r.Briefs(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		of := s.Origin()
		mine := of.Source == source && of.Writer == r.State().Writer() && s.Number <= upTo
		older := s.ID == f.Good || s.Started.Time().Before(f.Since)
		if mine && older && s.Complete() && !s.Marked && (good == nil || s.Number > good.Number) {
			good = s
		}
	}
	return good, nil
}

func pin(ctx context.Context, r *store.Repository, good *store.Brief, who string, f guard.Finding) error {
	ledger, err := r.Ledger(ctx)
	if err != nil {
		return err
	}
	if _, pinned := ledger.Pinned(good.ID, r.Now()); pinned {
		return nil
	}
	return r.Record(ctx, tree.LedgerEntry{
		Kind: tree.Pin, Snapshots: []tree.LedgerSnapshot{good.Name()}, Who: who, Why: pinReason(f.Guard),
	})
}

func pinReason(guard string) string { return "the last good one before " + guard }

// Alarms returns the alarms of a source that stand.
func Alarms(r *store.Repository, source state.SourceID) ([]Alarm, error) {
	var alarms []Alarm
	_, err := r.State().Note(source, noteAlarms, &alarms)
	return alarms, err
}

// Acknowledge ends the alarms of a source: the ledger says who has seen them,
// the pins that they set go, and what the guards' window held counts no more.
// Outputs of commands that were too short are accepted. It returns what stood.
func Acknowledge(ctx context.Context, r *store.Repository, source state.SourceID, who, why string) ([]Alarm, error) {
	m := memory{state: r.State(), source: source}
	if err := m.load(); err != nil {
		return nil, err
	}
	return m.acknowledge(ctx, r, who, why)
}

func (m *memory) acknowledge(ctx context.Context, r *store.Repository, who, why string) ([]Alarm, error) {
	short, err := m.acceptable(ctx, r)
	if err != nil {
		return nil, err
	}
	if len(m.alarms) == 0 && len(short) == 0 {
		return nil, nil
	}
	id := [16]byte(m.source)
	entry := tree.LedgerEntry{Kind: tree.Acknowledge, Source: &id, Who: who, Why: why}
	if err := r.Record(ctx, entry); err != nil {
		return nil, err
	}
	if err := unpin(ctx, r, m.alarms, who); err != nil {
		return nil, err
	}
	// The window goes first: with the alarms gone and the window there, the
	// same finding would be raised again.
	if err := errors.Join(m.note(noteWindow, nil), m.note(noteRot, nil)); err != nil {
		return nil, err
	}
	if err := m.note(noteAlarms, nil); err != nil {
		return nil, err
	}
	stood := m.alarms
	taken, err := m.take(short)
	if err != nil {
		return stood, err
	}
	stood = append(stood, taken...)
	m.window, m.rot, m.alarms = guard.Window{}, rotNote{}, nil
	return stood, nil
}

// unpin takes back the pins that alarms set, and no others.
func unpin(ctx context.Context, r *store.Repository, alarms []Alarm, who string) error {
	all, _, err := r.Briefs(ctx)
	if err != nil {
		return err
	}
	ledger, err := r.Ledger(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		for _, a := range alarms {
			if why, pinned := ledger.Pinned(s.ID, r.Now()); s.ID != a.Pinned || !pinned || why != pinReason(a.Guard) {
				continue
			}
			entry := tree.LedgerEntry{Kind: tree.Unpin, Snapshots: []tree.LedgerSnapshot{s.Name()}, Who: who, Why: "acknowledged"}
			if err := r.Record(ctx, entry); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// judged notes what the guards found in a task.
func (s *sourceKeeper) judged(ctx context.Context, r *capture.Result) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range r.Findings {
		s.k.o.Log.Warn("a guard found something; nothing expires until it is acknowledged", "source", s.conf.Label, "guard", f.Guard, "detail", f.Detail)
	}
	return s.memory.judged(ctx, s.k.o.Repository, s.k.who(), r)
}

// judged notes what a capture observed: alarms before all else, since what
// follows makes the next run forget.
func (m *memory) judged(ctx context.Context, r *store.Repository, who string, result *capture.Result) error {
	if err := m.raise(ctx, r, who, result.Findings, result.Snapshot, before(result.Snapshot)); err != nil {
		return fmt.Errorf("noting an alarm: %w", err)
	}
	if len(m.rot.Mended) > 0 {
		m.rot.Mended = nil // their flag is cleared
		if err := m.note(noteRot, m.rot); err != nil {
			return err
		}
	}
	if err := m.printed(result); err != nil {
		return err
	}
	if result.Observation.Time.IsZero() {
		return nil // commands' outputs are not observed
	}
	m.window = m.window.Add(result.Observation)
	return m.note(noteWindow, m.window)
}

// before is the number below a snapshot's; all are below one that was not
// published.
func before(s store.Snapshot) uint64 { return s.Number - 1 }

// Observed returns what runs of a source observed in the last day: what a
// capture outside a keeper begins with.
func Observed(r *store.Repository, source state.SourceID) (w guard.Window, err error) {
	_, err = r.State().Note(source, noteWindow, &w)
	return w, err
}

// Judged notes what a capture outside a keeper observed, and raises its alarms.
// k is the keeper of this process; nil if it has none.
func Judged(ctx context.Context, k *Keeper, r *store.Repository, source state.SourceID, who string, result *capture.Result) error {
	if k != nil {
		for _, s := range k.all() {
			if s.source.ID == source {
				return s.others(ctx, result)
			}
		}
	}
	m := memory{state: r.State(), source: source}
	if err := m.load(); err != nil {
		return err
	}
	all, _, err := r.Briefs(ctx)
	if err != nil {
		return err
	}
	// This run's own come with more than a mark; its pages in progress do not.
	if err := m.judgeMarks(ctx, r, who, all, before(result.Snapshot)); err != nil {
		return err
	}
	if err := m.judged(ctx, r, who, result); err != nil {
		return err
	}
	m.job.Judged = max(m.job.Judged, result.Snapshot.Number)
	return m.note(noteJob, m.job)
}

// others notes what another run of this process captured of the source: its
// snapshot is the newest now, and its marks are judged.
func (s *sourceKeeper) others(ctx context.Context, result *capture.Result) error {
	if err := s.judged(ctx, result); err != nil {
		return err
	}
	snap := result.Snapshot
	about := SnapshotFacts(ctx, s.k.o.Repository, snap)
	s.note(func(f *facts) {
		if store.Newest([]store.Snapshot{f.newest, snap}).ID != snap.ID {
			return // the keeper has published a later one meanwhile
		}
		f.newest, f.about = snap, about
		if snap.Complete() {
			f.whole = snap.Started.Time()
		}
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	j := &s.memory.job
	j.Judged = max(j.Judged, snap.Number)
	return s.memory.note(noteJob, *j)
}

// judgeMarks raises alarms for the marks of snapshots that were published by a
// run that was killed before it could.
func (s *sourceKeeper) judgeMarks(ctx context.Context, all []*store.Brief) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.memory.judgeMarks(ctx, s.k.o.Repository, s.k.who(), all, math.MaxUint64)
}

// judgeMarks looks at the source's snapshots up to a number that nobody has
// judged. A mark does not say when it began; the window does, which the killed
// run has not added to.
func (m *memory) judgeMarks(ctx context.Context, r *store.Repository, who string, all []*store.Brief, upTo uint64) error {
	newest := m.job.Judged
	for _, b := range all {
		of := b.Origin()
		if of.Source != m.source || of.Writer != r.State().Writer() || b.Number <= m.job.Judged || b.Number > upTo {
			continue
		}
		newest = max(newest, b.Number)
		if !b.Marked {
			continue
		}
		snap, err := r.Manifest(ctx, b.ID)
		if errors.Is(err, store.ErrDamaged) {
			continue // it tells nothing any more, neither here nor in a list
		}
		if err != nil {
			return err
		}
		since, base, ok := m.window.Began(snap.Started.Time())
		if !ok {
			since = snap.Started.Time()
		}
		var found []guard.Finding
		for _, mark := range snap.Marks {
			if slices.ContainsFunc(m.alarms, func(a Alarm) bool { return a.Guard == mark }) {
				continue // which says more
			}
			found = append(found, guard.Finding{Guard: mark, Detail: aboutMark(mark), Since: since, Good: base})
		}
		if err := m.raise(ctx, r, who, found, snap, before(snap)); err != nil {
			return err
		}
	}
	if newest == m.job.Judged {
		return nil
	}
	m.job.Judged = newest
	return m.note(noteJob, m.job)
}

// aboutMark says what a mark means where nothing else is known of it.
func aboutMark(mark string) string {
	about := map[string]string{
		guard.Emptied:    "no file is left",
		guard.Elsewhere:  "it lies on another file system than before: is the disk mounted?",
		guard.Shrunk:     "most of its files, or of its bytes, are gone",
		guard.MassChange: "many files were overwritten, renamed or deleted as no work does it",
	}[mark]
	if about == "" {
		about = mark
	}
	return about + " (found by a run that was killed before it could say more)"
}

// Acknowledge ends the alarms of some sources, and the doubt about the clock if
// all are meant, which is told under the label of none.
func (k *Keeper) Acknowledge(ctx context.Context, labels []string, who, why string) (map[string][]Alarm, error) {
	found, others, err := k.findKnown(labels)
	if err != nil {
		return nil, err
	}
	ended := map[string][]Alarm{}
	for _, source := range others {
		alarms, err := Acknowledge(ctx, k.o.Repository, source.ID, who, why)
		if err != nil {
			return ended, fmt.Errorf("acknowledging %s: %w", source.Label, err)
		}
		if len(alarms) > 0 {
			ended[source.Label] = alarms
		}
	}
	for _, s := range found {
		s.mu.Lock()
		alarms, err := s.memory.acknowledge(ctx, k.o.Repository, who, why)
		s.mu.Unlock()
		if err != nil {
			return ended, fmt.Errorf("acknowledging %s: %w", s.label(), err)
		}
		if len(alarms) > 0 {
			ended[s.label()] = alarms
		}
		s.tellHealth()
		s.poke()
	}
	if len(labels) == 0 {
		doubt, err := k.clock.acknowledge(ctx, k.o.Repository, who, why)
		if err != nil {
			return ended, fmt.Errorf("trusting the clock: %w", err)
		}
		if len(doubt) > 0 {
			ended[""] = doubt
		}
		k.tellClock()
	}
	return ended, nil
}

// findKnown is find for what the state knows of a source, too: it also returns
// sources that are no longer kept.
func (k *Keeper) findKnown(labels []string) (found []*sourceKeeper, others []state.Source, err error) {
	known, err := k.o.Repository.State().Sources()
	if err != nil {
		return nil, nil, err
	}
	all := k.all()
	for _, source := range known {
		asked := len(labels) == 0 || slices.Contains(labels, source.Label)
		if asked && indexLabel(all, source.Label) < 0 {
			others = append(others, source)
		}
	}
	if len(labels) == 0 {
		return all, others, nil
	}
	for _, label := range labels {
		if i := indexLabel(all, label); i >= 0 {
			found = append(found, all[i])
		} else if !slices.ContainsFunc(others, func(o state.Source) bool { return o.Label == label }) {
			return nil, nil, k.noSource(label)
		}
	}
	return found, others, nil
}

// who is what the ledger says of entries that the keeper makes.
func (k *Keeper) who() string { return "keepsake@" + k.o.Host }
