package main

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"keepsake/daemon/health"
	"keepsake/store"
	"keepsake/store/tree"
)

// maxTold bounds the paths that the facts about a snapshot name.
const maxTold = 64

// overview is what is known of all sources and their repository at one moment.
type overview struct {
	sources   []health.Facts // by label
	snapshots int
	damaged   int // manifests that cannot be read
}

// look gathers what the repository, the runs of this process and the keeper
// know. What the keeper knows is newer than what is stored.
func (s *session) look(ctx context.Context) (overview, error) {
	all, damaged, err := s.repo.Snapshots(ctx)
	if err != nil {
		return overview{}, err
	}
	byLabel := s.stored(all)
	for label, began := range s.runs.all() {
		f := named(byLabel, label)
		f.Running, f.LastBegan, f.First = true, began, f.NewestComplete.IsZero()
	}
	for _, kept := range s.kept() {
		f := named(byLabel, kept.Label)
		if kept.Newest == nil {
			kept.Newest, kept.NewestComplete = f.Newest, f.NewestComplete
		}
		*f = kept
	}
	o := overview{snapshots: len(all), damaged: len(damaged)}
	for _, f := range byLabel {
		o.sources = append(o.sources, *f)
	}
	slices.SortFunc(o.sources, func(a, b health.Facts) int { return cmp.Compare(a.Label, b.Label) })
	return o, nil
}

// stored is what the snapshots tell of their sources, and that the configured
// ones exist: one that never got a snapshot must not be missing from status.
func (s *session) stored(all []store.Snapshot) map[string]*health.Facts {
	byLabel := map[string]*health.Facts{}
	for _, source := range s.configured {
		named(byLabel, source.Label).Path = source.Path
	}
	for _, snap := range all { // oldest first
		f := named(byLabel, snap.Label)
		f.Newest, f.Looked = manifestFacts(snap), snap.Finished.Time()
		if f.Path = printablePath(string(snap.RootPath)); f.Path == "" {
			f.Kind = health.Command
		}
		f.Alarms = nil
		for _, mark := range snap.Marks {
			f.Alarms = append(f.Alarms, health.Alarm{Guard: mark, Detail: aboutMark(mark), Since: snap.Started.Time()})
		}
		if snap.Complete() {
			f.NewestComplete = snap.Started.Time()
		}
	}
	return byLabel
}

func named(byLabel map[string]*health.Facts, label string) *health.Facts {
	f := byLabel[label]
	if f == nil {
		f = &health.Facts{Label: label, Kind: health.Path}
		byLabel[label] = f
	}
	return f
}

// kept is what the keeper knows of its sources; nothing if there is none.
func (s *session) kept() []health.Facts {
	k := s.keeper.Load()
	if k == nil {
		return nil
	}
	var all []health.Facts
	for _, state := range k.State() {
		f := health.Facts{Label: state.Label, Kind: health.Path, OnChange: true, Waiting: state.Waiting, Newest: manifestFacts(state.Newest)}
		if state.Polled {
			f.Polled = "not all of its changes are announced by events"
		}
		if state.Err != nil {
			f.LastError = state.Err.Error()
		}
		if f.Newest != nil {
			f.Path, f.Looked = printablePath(string(state.Newest.RootPath)), state.Newest.Finished.Time()
		}
		all = append(all, f)
	}
	return all
}

// manifestFacts is what a manifest tells; nil for the zero snapshot.
func manifestFacts(s store.Snapshot) *health.Snapshot {
	if s.ID == (store.SnapshotID{}) {
		return nil
	}
	h := &health.Snapshot{
		ID: s.ID.String(), Number: s.Number, Time: s.Started.Time().In(s.Zone()), Finished: s.Finished.Time().In(s.Zone()),
		Basis: s.Basis.String(), Complete: s.Complete(), Files: s.Stats.Files, Bytes: s.Stats.Bytes,
		Missed: s.MissedCount, Marks: s.Marks, Why: s.Why,
	}
	for _, m := range s.Missed {
		switch m.Reason {
		case tree.ReasonFlux, tree.ReasonKept, tree.ReasonBundle:
			h.Writing++
		case tree.ReasonPermission, tree.ReasonInput:
			h.Unreadable++
		}
		if len(h.MissedPaths) < maxTold {
			h.MissedPaths = append(h.MissedPaths, health.Missed{Path: printablePath(string(m.Path)), Reason: m.Reason.String(), Detail: m.Detail})
		}
	}
	return h
}

// printablePath is a path as JSON and a terminal can take it.
func printablePath(path string) string { return quote(path) }

// oneLine makes text from elsewhere fit into a row: an error may have several
// lines, and a name anything.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// runs are the backups under way in this process that no keeper takes.
type runs struct {
	mu    sync.Mutex
	began map[string]time.Time // by label; guarded by mu
}

// begin notes a run until the returned function is called.
func (r *runs) begin(label string, now time.Time) (end func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began == nil {
		r.began = map[string]time.Time{}
	}
	r.began[label] = now
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.began, label)
	}
}

func (r *runs) all() map[string]time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.began)
}
