package daemon

import (
	"context"
	"errors"
	"slices"
	"time"

	"keepsake/daemon/capture"
)

// journalEvery is how long a change may be known to the watcher alone. A kill
// in between costs that knowledge, not the change: the next start scans.
const journalEvery = 2 * time.Second

// open takes note that the source is kept from now on, and of what the last
// keeper left. Everything is scanned at a start, so the journal need not be
// heeded; how much was in doubt is worth a line.
func (s *sourceKeeper) open(ctx context.Context) error {
	// Only now: another keeper of the source may have run until a moment ago.
	s.mu.Lock()
	err := s.memory.load()
	if s.memory.job.Error == "" {
		s.agenda.remembered = s.memory.job.Looked
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if err := s.remember(ctx); err != nil {
		return err
	}
	dirs, more, err := s.memory.state.Journalled(s.source.ID)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	j := &s.memory.job
	if s.facts.unclean = j.Running; j.Running {
		s.k.o.Log.Warn("keepsake was killed; everything is scanned", "source", s.conf.Label, "directories_in_doubt", len(dirs), "and_more", more)
	}
	j.Running = true
	return s.memory.note(noteJob, *j)
}

// close takes note of an orderly end.
func (s *sourceKeeper) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory.job.Running = false
	return s.memory.note(noteJob, s.memory.job)
}

// keepJournal notes the directories that become dirty until ctx ends. While
// none does it sleeps.
func (s *sourceKeeper) keepJournal(ctx context.Context) {
	for {
		select {
		case <-s.watcher.Stirred():
		case <-ctx.Done():
			return
		}
		for more := true; more; {
			select {
			case <-s.k.o.Clock.After(journalEvery):
			case <-ctx.Done():
				return
			}
			b, err := s.watcher.Peek(ctx)
			if err != nil {
				return // ctx or the watcher has ended
			}
			if err := s.memory.state.Journal(s.source.ID, fromRoot(b.Dirs)); err != nil {
				s.k.o.Log.Error("the journal cannot be written; a scan at the next start covers it", "source", s.label(), "error", err)
			}
			more = b.Uncertain // some directories are not told yet
		}
	}
}

// clearJournal removes what a task has captured, unless it changed again, and
// counts the changes that no event had named.
func (s *sourceKeeper) clearJournal(ctx context.Context, t *task, r *capture.Result) {
	if s.watcher == nil {
		return
	}
	still, err := s.watcher.Peek(ctx)
	if err != nil {
		return // what is journalled needlessly is only looked at needlessly
	}
	again := fromRoot(still.Dirs)
	if t.batch.All {
		err = errors.Join(s.memory.state.Unjournal(s.source.ID, nil), s.memory.state.Journal(s.source.ID, again))
	} else if done := without(fromRoot(t.batch.Dirs), again); len(done) > 0 {
		err = s.memory.state.Unjournal(s.source.ID, done)
	}
	if err != nil {
		s.k.o.Log.Error("the journal cannot be cleared", "source", s.label(), "error", err)
	}
	s.countUnseen(without(r.Unnamed, again), still.All)
}

// countUnseen counts directories that a scan found changed and no event named,
// before it or while it ran.
func (s *sourceKeeper) countUnseen(dirs []string, lost bool) {
	if len(dirs) == 0 || lost {
		return
	}
	s.note(func(f *facts) { f.unseen += uint64(len(dirs)) })
	s.k.o.Log.Warn("a scan found changes that no event had told of: a memory map, or another machine?",
		"source", s.label(), "directories", len(dirs), "first", printable(dirs[0]))
}

// without returns what is in a and not in b.
func without(a, b []string) []string {
	known := set(b)
	return slices.DeleteFunc(slices.Clone(a), func(x string) bool { return known[x] })
}
