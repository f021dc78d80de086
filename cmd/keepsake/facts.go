package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"keepsake/daemon"
	"keepsake/daemon/config"
	"keepsake/daemon/health"
	"keepsake/store"
)

// overview is what is known of all sources and their repository at one moment.
type overview struct {
	sources   []health.Facts // by label
	snapshots int
	damaged   int    // manifests that cannot be read
	doubt     string // why the clock is not trusted; empty if it is
}

// look gathers what the repository, the runs of this process and the keeper
// know. What the keeper knows is newer than what is stored.
func (s *session) look(ctx context.Context) (overview, error) {
	all, damaged, err := s.repo.Briefs(ctx)
	if err != nil {
		return overview{}, err
	}
	byLabel, err := s.stored(ctx, all)
	if err != nil {
		return overview{}, err
	}
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
	s.retire(byLabel)
	o := overview{snapshots: len(all), damaged: len(damaged)}
	if o.doubt, err = s.clockDoubt(); err != nil {
		return overview{}, err
	}
	for _, f := range byLabel {
		o.sources = append(o.sources, *f)
	}
	slices.SortFunc(o.sources, func(a, b health.Facts) int { return cmp.Compare(a.Label, b.Label) })
	return o, nil
}

// stored is what the snapshots tell of their sources, and that the configured
// ones exist: one that never got a snapshot must not be missing from status.
func (s *session) stored(ctx context.Context, all []*store.Brief) (map[string]*health.Facts, error) {
	byLabel := map[string]*health.Facts{}
	for _, source := range s.inForce() {
		named(byLabel, source.Label).Path = source.Path
	}
	newest := map[string]*store.Brief{}
	for _, snap := range all { // oldest first
		of := snap.Origin()
		f := named(byLabel, of.Label)
		newest[of.Label], f.Looked = snap, snap.Finished.Time()
		if f.Path = printablePath(of.RootPath); f.Path == "" {
			f.Kind = health.Command
		}
		if snap.Complete() {
			f.NewestComplete = snap.Started.Time()
		}
	}
	for label, b := range newest {
		snap, err := s.repo.Manifest(ctx, b.ID)
		if errors.Is(err, store.ErrDamaged) {
			continue // since a moment ago; the next look has the one before
		}
		if err != nil {
			return nil, err
		}
		byLabel[label].Newest = daemon.SnapshotFacts(ctx, s.repo, snap)
	}
	for label, f := range byLabel {
		was, err := daemon.RememberedFacts(s.repo, label)
		if err != nil {
			return nil, err
		}
		f.Alarms, f.Suspects, f.PausedUntil, f.AfterError = was.Alarms, was.Suspects, was.PausedUntil, was.AfterError
		if was.Looked.After(f.Looked) {
			f.Looked, f.LastEnded, f.LastError = was.Looked, was.LastEnded, was.LastError
		}
	}
	return byLabel, nil
}

func named(byLabel map[string]*health.Facts, label string) *health.Facts {
	f := byLabel[label]
	if f == nil {
		f = &health.Facts{Label: label, Kind: health.Path}
		byLabel[label] = f
	}
	return f
}

// retire marks the sources that the configuration does not name, if it names
// any, and that nobody backs up at this moment.
func (s *session) retire(byLabel map[string]*health.Facts) {
	sources := s.inForce()
	for label, f := range byLabel {
		named := func(c config.Source) bool { return c.Label == label }
		f.Retired = len(sources) > 0 && !f.Running && !slices.ContainsFunc(sources, named)
	}
}

// inForce are the sources that the configuration in force names: the keeper's,
// or that of this process.
func (s *session) inForce() []config.Source {
	if k := s.keeper.Load(); k != nil {
		return k.Config().Sources
	}
	return s.configured
}

// kept is what the keeper knows of its sources; nothing if there is none.
func (s *session) kept() []health.Facts {
	if k := s.keeper.Load(); k != nil {
		return k.Facts()
	}
	return nil
}

// clockDoubt says why the clock is not trusted, and so nothing expires.
func (s *session) clockDoubt() (string, error) {
	if k := s.keeper.Load(); k != nil {
		return k.ClockDoubt(), nil
	}
	return daemon.ClockDoubt(s.repo)
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
