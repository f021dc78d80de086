package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"syscall"
	"time"

	"keepsake/daemon/capture"
	"keepsake/daemon/health"
	"keepsake/daemon/watch"
	"keepsake/store"
	"keepsake/store/tree"
)

// errRootGone says that there is no directory where the source should be.
var errRootGone = errors.New("no directory is there; its snapshots are kept, and it is looked at as soon as one is")

// do carries a task out. What it was to look at is given back to the watcher if
// it fails.
func (s *sourceKeeper) do(ctx context.Context, t *task) (Looked, error) {
	conf := s.config()
	if t.batch.RootMissing {
		return Looked{}, rootGone(conf.Path)
	}
	var result *capture.Result
	err := s.around(ctx, conf, func(ctx context.Context, unprepared error) (err error) {
		o := s.captureOptions(ctx, unprepared)
		if conf.IsCommand() {
			result, err = s.commands(ctx, conf, o)
		} else {
			result, err = s.capture(ctx, t, o)
		}
		return err
	})
	if err != nil {
		s.giveBack(t)
		return Looked{}, err
	}
	if err := s.judged(ctx, result); err != nil {
		s.giveBack(t)
		return Looked{}, err
	}
	s.clearJournal(ctx, t, result)
	s.expire(ctx)
	return s.looked(ctx, result), nil
}

func (s *sourceKeeper) giveBack(t *task) {
	if s.watcher != nil {
		s.watcher.Requeue(t.batch)
	}
}

// capture takes one snapshot of what a task names.
func (s *sourceKeeper) capture(ctx context.Context, t *task, o capture.Options) (*capture.Result, error) {
	o.Dirty = s.dirty(t)
	o.Since = s.base
	o.InFlux = set(t.batch.Unsettled)
	if _, real := s.k.o.Clock.(systemClock); real { // no other is the one that files are stamped by
		o.Settle = s.config().Settle
	}
	o.Why = t.batch.Causes
	if s.polled(t) {
		o.Basis = tree.Polled
	}
	if t.named != nil {
		o.Named = fromRoot(t.named)
	}
	result, err := s.write(ctx, o, capture.Run)
	missing := errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
	if missing && !isDir(string(o.Path)) {
		err = rootGone(string(o.Path)) // the watcher has not looked yet
	}
	if err != nil {
		return nil, err
	}
	s.base = result.Base
	s.lookAgain(t, result)
	return result, nil
}

func rootGone(path string) error { return fmt.Errorf("%s: %w", path, errRootGone) }

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// polled reports whether events do not tell all of the source. The first task
// does not wait for the watcher to know.
func (s *sourceKeeper) polled(t *task) bool {
	if t.why != causeStart {
		return s.watcher.Stats().RootPolled
	}
	_, remote := watch.Remote(s.config().Path)
	return remote
}

// lookAgain has files that were held back looked at once they may have come to
// rest. The watcher follows those that it named itself; of the others no event
// need tell. One that does not rest is left to the next task after a while.
func (s *sourceKeeper) lookAgain(t *task, r *capture.Result) {
	known, held := set(t.batch.Unsettled), map[string]bool{}
	for _, m := range r.Missed {
		switch m.Reason {
		case tree.ReasonFlux, tree.ReasonKept, tree.ReasonBundle:
			if rel := string(m.Path); !known[rel] {
				held[path.Dir(rel)] = true
			}
		}
	}
	if s.looks++; len(held) == 0 {
		s.looks = 0
	} else if s.looks <= maxLooks {
		s.watcher.Requeue(watch.Batch{Dirs: slices.Sorted(maps.Keys(held))})
	}
}

// maxLooks is how many tasks in a row files that are held back make due: with
// the usual settle time those of a minute.
const maxLooks = 12

// captureOptions are those that do not depend on the task.
func (s *sourceKeeper) captureOptions(ctx context.Context, unprepared error) capture.Options {
	conf, k := s.config(), s.k
	s.mu.Lock()
	window, suspects := s.memory.window, s.memory.rot.suspects()
	s.mu.Unlock()
	return capture.Options{
		Repository:    k.o.Repository,
		Source:        s.source,
		Path:          []byte(conf.Path),
		Host:          k.o.Host,
		User:          k.o.User,
		Own:           k.o.Own,
		Rules:         s.rules,
		Links:         s.links,
		Sightings:     s.seen,
		Require:       conf.Require,
		Unprepared:    unprepared,
		Guard:         conf.Guard,
		Window:        window,
		Suspect:       suspects,
		Read:          k.reads.now(),
		OnlyIfChanged: true,
		Progress:      k.o.Progress,
		Log:           k.o.Log.With("source", conf.Label),
		Now:           k.now,
		Published:     func(snap store.Snapshot) { s.noteNewest(ctx, snap) },
	}
}

// write gives a capture its writer. A session that was interrupted still ends
// in order: what it published is in the index.
func (s *sourceKeeper) write(ctx context.Context, o capture.Options, run func(context.Context, capture.Options) (*capture.Result, error)) (*capture.Result, error) {
	// Whose turn it is answers for what it does meanwhile; a dump may rightly
	// take an hour without a word.
	s.part.Idle()
	w, err := s.k.o.Repository.NewWriter(ctx)
	s.part.Touch()
	if err != nil {
		return nil, err
	}
	o.Writer = w
	result, err := run(ctx, o)
	return result, errors.Join(err, w.Close(context.WithoutCancel(ctx)))
}

// dirty translates a batch, and adds the directories that hold other names of
// files whose content may have changed: no event tells of those.
func (s *sourceKeeper) dirty(t *task) *capture.Dirty {
	b := &t.batch
	if b.All {
		return nil
	}
	dirs := fromRoot(b.Dirs)
	more, unknown := s.links.Spread(dirs)
	if unknown {
		// A name was added to a file in a directory that nobody has listed
		// since; only a look at everything finds it.
		b.All, b.Causes = true, withCause(b.Causes, "hard-links")
		return nil
	}
	return capture.NewDirty(append(dirs, more...), fromRoot(b.Rescan))
}

// looked notes what a task brought.
func (s *sourceKeeper) looked(ctx context.Context, r *capture.Result) Looked {
	published := r.Snapshot.ID != store.SnapshotID{}
	if published {
		s.noteNewest(ctx, r.Snapshot)
	}
	l := Looked{Snapshot: r.Snapshot, Missing: r.Missing}
	for _, m := range r.Missed {
		if m.Reason == tree.ReasonFlux || m.Reason == tree.ReasonKept || m.Reason == tree.ReasonBundle {
			l.Writing++
		}
	}
	s.note(func(f *facts) {
		l.After = s.memory.job.After
		f.missing, f.missed, f.found = r.Missing, r.Missed, r.Findings
		if published && r.Snapshot.Complete() {
			f.whole = r.Snapshot.Started.Time()
		}
		l.Newest, l.Alarms = f.newest, len(s.memory.alarms)
	})
	return l
}

// begin notes that a task begins.
func (s *sourceKeeper) begin() {
	s.agenda.started = s.now()
	s.note(func(f *facts) { f.began, f.running = s.agenda.started.Round(0), true })
}

// end notes how a task ended, and tells those who look on.
func (s *sourceKeeper) end(t *task, l Looked, err error) {
	now := s.now()
	first := s.plan(t, now, err)
	s.mu.Lock()
	j, f := &s.memory.job, &s.facts
	j.Ended, j.Error = now.Round(0), ""
	f.totals.Took += now.Sub(s.agenda.started)
	switch {
	case err != nil:
		j.Error = err.Error()
		f.totals.Failed++
	default:
		j.Looked = j.Ended
		j.Judged = max(j.Judged, l.Snapshot.Number)
		f.first = false
		count(&f.totals, l)
	}
	f.running = false
	label, missed, found := s.conf.Label, f.missed, f.found
	noted := s.memory.note(noteJob, *j)
	s.mu.Unlock()
	if noted != nil {
		s.k.o.Log.Error("how the last task ended cannot be noted", "source", label, "error", noted)
	}
	switch {
	case err != nil:
		s.k.tell(Event{Label: label, Err: err})
	case l.Snapshot.Number > 0 || first:
		s.k.tell(Event{Label: label, Snapshot: l.Snapshot, First: first, Missed: missed, Missing: l.Missing, Findings: found})
	}
	s.tellHealth()
}

// plan notes in the agenda how a task ended, and reports whether it is the
// first of this run that ended well.
func (s *sourceKeeper) plan(t *task, now time.Time, err error) (first bool) {
	a := &s.agenda
	a.conf = s.config()
	a.gone = errors.Is(err, errRootGone)
	if err != nil {
		a.failed = now
		a.retries++
		return false
	}
	first = a.looked.IsZero()
	a.looked, a.retries = now, 0
	if t.batch.All || s.watcher == nil {
		a.scanned = now
	}
	return first
}

// count adds a task that ended well to the totals.
func count(t *health.Totals, l Looked) {
	switch {
	case l.Snapshot.Number == 0:
		t.Unchanged++
	case l.Missing > 0 || len(l.Snapshot.Marks) > 0:
		t.Degraded++
	default:
		t.Complete++
	}
	t.ReadBytes += l.Snapshot.Stats.ReadBytes
	t.AddedBytes += l.Snapshot.Stats.AddedBytes
}

func (s *sourceKeeper) note(change func(*facts)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.facts)
}

// fromRoot translates paths: the watcher calls the root ".", capture "".
func fromRoot(paths []string) []string {
	out := make([]string, len(paths))
	for i, p := range paths {
		if p != "." {
			out[i] = p
		}
	}
	return out
}

func set(paths []string) map[string]bool {
	m := make(map[string]bool, len(paths))
	for _, p := range paths {
		m[p] = true
	}
	return m
}
