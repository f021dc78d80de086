package daemon

import (
	"context"
	"errors"
	"fmt"
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
	Snapshot [32]byte  `cbor:"3,keyasint"`           // the first that was marked so
	Pinned   [32]byte  `cbor:"4,keyasint,omitempty"` // the last good one before; zero if there is none
}

// guardRot is the alarm of files that changed although their times did not.
const guardRot = "rot"

// raise notes what guards found as alarms, and pins the last snapshot that is
// complete, unmarked and older. An alarm that stands already stays as it is. A
// kill in between leaves the pin, which the next finding uses again.
func (m *memory) raise(ctx context.Context, r *store.Repository, who string, found []guard.Finding, snap store.Snapshot) error {
	alarms := slices.Clone(m.alarms)
	for _, f := range found {
		if slices.ContainsFunc(alarms, func(a Alarm) bool { return a.Guard == f.Guard }) {
			continue
		}
		a := Alarm{Guard: f.Guard, Detail: f.Detail, Since: f.Since.Round(0), Snapshot: snap.ID}
		good, ok, err := lastGood(ctx, r, m.source, f, snap)
		if err != nil {
			return err
		}
		if ok {
			a.Pinned = good.ID
			if err := pin(ctx, r, good, who, f); err != nil {
				return err
			}
		}
		alarms = append(alarms, a)
	}
	if len(alarms) == len(m.alarms) {
		return nil
	}
	if err := m.note(noteAlarms, alarms); err != nil {
		return err
	}
	m.alarms = alarms
	return nil
}

// lastGood is the newest snapshot that missed nothing, that no guard marked, and
// that is older than what was found: the one that the first run with a share in
// it began with, or, if that one is not good itself, an older one.
func lastGood(ctx context.Context, r *store.Repository, source state.SourceID, f guard.Finding, bad store.Snapshot) (good store.Snapshot, ok bool, err error) {
	all, _, err := r.Snapshots(ctx)
	if err != nil {
		return good, false, err
	}
	for _, s := range all {
		mine := s.Source == source && s.Writer == bad.Writer && s.Number < bad.Number
		older := s.ID == f.Good || s.Started.Time().Before(f.Since)
		if mine && older && s.Complete() && len(s.Marks) == 0 && s.Number > good.Number {
			good, ok = s, true
		}
	}
	return good, ok, nil
}

func pin(ctx context.Context, r *store.Repository, good store.Snapshot, who string, f guard.Finding) error {
	ledger, err := r.Ledger(ctx)
	if err != nil {
		return err
	}
	if _, pinned := ledger.Pinned(good.ID, r.Now()); pinned {
		return nil
	}
	return r.Record(ctx, tree.LedgerEntry{
		Kind: tree.Pin, Snapshots: []tree.LedgerSnapshot{inLedger(good)}, Who: who, Why: pinReason(f.Guard),
	})
}

func pinReason(guard string) string { return "the last good one before " + guard }

func inLedger(s store.Snapshot) tree.LedgerSnapshot {
	return tree.LedgerSnapshot{ID: s.ID, Source: s.Source, Writer: s.Writer, Number: s.Number}
}

// Alarms returns the alarms of a source that stand.
func Alarms(r *store.Repository, source state.SourceID) ([]Alarm, error) {
	var alarms []Alarm
	_, err := r.State().Note(source, noteAlarms, &alarms)
	return alarms, err
}

// Acknowledge ends the alarms of a source: the ledger says who has seen them,
// the pins that they set go, and what the guards' window held counts no more. It
// returns the alarms that stood.
func Acknowledge(ctx context.Context, r *store.Repository, source state.SourceID, who, why string) ([]Alarm, error) {
	m := memory{state: r.State(), source: source}
	if err := m.load(); err != nil {
		return nil, err
	}
	return m.acknowledge(ctx, r, who, why)
}

func (m *memory) acknowledge(ctx context.Context, r *store.Repository, who, why string) ([]Alarm, error) {
	if len(m.alarms) == 0 {
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
	m.window, m.rot, m.alarms = guard.Window{}, rotNote{}, nil
	return stood, nil
}

// unpin takes back the pins that alarms set, and no others.
func unpin(ctx context.Context, r *store.Repository, alarms []Alarm, who string) error {
	all, _, err := r.Snapshots(ctx)
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
			entry := tree.LedgerEntry{Kind: tree.Unpin, Snapshots: []tree.LedgerSnapshot{inLedger(s)}, Who: who, Why: "acknowledged"}
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
	if err := m.raise(ctx, r, who, result.Findings, result.Snapshot); err != nil {
		return fmt.Errorf("noting an alarm: %w", err)
	}
	if len(m.rot.Mended) > 0 {
		m.rot.Mended = nil // their flag is cleared
		if err := m.note(noteRot, m.rot); err != nil {
			return err
		}
	}
	if result.Observation.Time.IsZero() {
		return nil // commands' outputs are not observed
	}
	m.window = m.window.Add(result.Observation)
	return m.note(noteWindow, m.window)
}

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
				return s.judged(ctx, result)
			}
		}
	}
	m := memory{state: r.State(), source: source}
	if err := m.load(); err != nil {
		return err
	}
	if err := m.judged(ctx, r, who, result); err != nil {
		return err
	}
	m.job.Judged = max(m.job.Judged, result.Snapshot.Number)
	return m.note(noteJob, m.job)
}

// judgeMarks raises alarms for the marks of snapshots that were published by a
// run that was killed before it could. mine are the source's snapshots.
func (s *sourceKeeper) judgeMarks(ctx context.Context, mine []store.Snapshot) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := s.memory.job.Judged
	for _, snap := range mine {
		if snap.Writer != s.k.o.Repository.State().Writer() || snap.Number <= s.memory.job.Judged {
			continue
		}
		newest = max(newest, snap.Number)
		var found []guard.Finding
		for _, mark := range snap.Marks {
			found = append(found, guard.Finding{Guard: mark, Detail: "found by a run that was killed before it could say more", Since: snap.Started.Time()})
		}
		if err := s.memory.raise(ctx, s.k.o.Repository, s.k.who(), found, snap); err != nil {
			return err
		}
	}
	s.memory.job.Judged = newest
	return s.memory.note(noteJob, s.memory.job)
}

// Acknowledge ends the alarms of some sources, and the doubt about the clock if
// all are meant.
func (k *Keeper) Acknowledge(ctx context.Context, labels []string, who, why string) (map[string][]Alarm, error) {
	found, err := k.find(labels)
	if err != nil {
		return nil, err
	}
	ended := map[string][]Alarm{}
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
		return ended, k.clock.trust()
	}
	return ended, nil
}

// who is what the ledger says of entries that the keeper makes.
func (k *Keeper) who() string { return "keepsake@" + k.o.Host }
