package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"keepsake/daemon/watch"
)

// slice is how long a keeper waits without looking at the wall clock: a machine
// that slept, or whose clock was set, is late by no more than this.
const slice = 30 * time.Second

// task is one reason to look at a source, and what there is to look at.
type task struct {
	why   cause
	batch watch.Batch
	// named are the directories that events named, if everything is scanned
	// nevertheless.
	named []string
	asked []*request
}

// next waits until there is something to do. The error is that of ctx or of the
// watcher.
func (s *sourceKeeper) next(ctx context.Context) (task, error) {
	for {
		s.part.Wait(2 * slice) // longer than any wait below
		s.agenda.conf = s.config()
		now := s.now()
		if asked := s.takeAsked(); len(asked) > 0 {
			return s.taken(ctx, task{why: causeAsked, asked: asked})
		}
		if left := s.paused(now); left > 0 {
			if err := s.sleep(ctx, left); err != nil {
				return task{}, err
			}
			continue
		}
		first := s.agenda.next(now)
		s.note(func(f *facts) { f.next = first.at.Round(0) })
		if !first.at.After(now) {
			return s.taken(ctx, task{why: first.why})
		}
		b, err := s.changes(ctx, first.at.Sub(now))
		if errors.Is(err, errNothing) {
			continue
		}
		return task{why: causeChanges, batch: b}, err
	}
}

// errNothing says that a wait is over and nothing has come of it.
var errNothing = errors.New("nothing to do yet")

// changes waits for changes that came to rest, as long as they are heeded.
func (s *sourceKeeper) changes(ctx context.Context, most time.Duration) (watch.Batch, error) {
	now := s.now()
	from, heeds := s.agenda.heeds(now)
	// A directory that comes back is worth a look at once, whatever the pause.
	failed := s.agenda.retries > 0 && !s.agenda.gone
	if s.watcher == nil || failed || s.agenda.started.IsZero() || !heeds {
		return watch.Batch{}, s.slept(ctx, most)
	}
	if from.After(now) {
		return watch.Batch{}, s.slept(ctx, min(most, from.Sub(now)))
	}
	wait, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		defer cancel()
		select {
		case <-s.k.o.Clock.After(min(most, slice)):
		case <-s.wake:
		case <-wait.Done():
		}
	}()
	b, err := s.watcher.Next(wait, atLatest)
	if err != nil && ctx.Err() == nil && wait.Err() != nil {
		return b, errNothing
	}
	if b.RootMissing && s.agenda.gone {
		return b, errNothing // known
	}
	return b, err
}

// slept is sleep for those who then look again.
func (s *sourceKeeper) slept(ctx context.Context, d time.Duration) error {
	if err := s.sleep(ctx, d); err != nil {
		return err
	}
	return errNothing
}

// sleep waits for a while, or until somebody asks for something.
func (s *sourceKeeper) sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-s.k.o.Clock.After(min(d, slice)):
	case <-s.wake:
	case <-ctx.Done():
	}
	return ctx.Err()
}

// taken completes a task with everything that is dirty at this moment. A cookie
// proves that no event is waiting.
func (s *sourceKeeper) taken(ctx context.Context, t task) (task, error) {
	switch {
	case s.watcher == nil:
		return t, nil
	case t.why == causeStart:
		// Begun beside the walk that sets the watches, whose first batch is
		// everything once more: a first backup need not wait for a million
		// directories to be watched.
		t.batch = watch.Batch{All: true, Causes: s.startCauses()}
		return t, nil
	}
	b, err := s.rested(ctx)
	if err != nil {
		return t, err
	}
	if t.why == causeScan {
		if !b.All && len(b.Rescan) == 0 { // else it is known that events did not tell all
			t.named = append([]string{}, b.Dirs...)
		}
		b.All, b.Dirs, b.Rescan = true, nil, nil
		b.Causes = withCause(b.Causes, string(t.why))
	}
	t.batch = b
	return t, nil
}

// rested takes everything that is dirty, having given files that are being
// written a few settle times to come to rest: who asks for a snapshot right after
// a copy wants the copy.
func (s *sourceKeeper) rested(ctx context.Context) (watch.Batch, error) {
	all, err := s.watcher.Take(ctx)
	for range patience {
		if err != nil || len(all.Unsettled) == 0 {
			break
		}
		select {
		case <-s.k.o.Clock.After(s.config().Settle):
		case <-ctx.Done():
			return all, ctx.Err()
		}
		var more watch.Batch
		if more, err = s.watcher.Take(ctx); err == nil {
			all = all.Join(more)
		}
	}
	return all, err
}

// patience is for how many settle times a task that is due waits for files.
const patience = 3

func (s *sourceKeeper) startCauses() []string {
	causes := []string{string(causeStart)}
	if s.wasKilled() {
		causes = append(causes, "unclean-stop")
	}
	return causes
}

func (s *sourceKeeper) wasKilled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.facts.unclean
}

// withCause adds a word to a sorted list of words.
func withCause(causes []string, word string) []string {
	all := append(slices.Clone(causes), word)
	slices.Sort(all)
	return slices.Compact(all)
}
