package daemon

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"keepsake/daemon/capture"
	"keepsake/daemon/config"
	"keepsake/daemon/rules"
	"keepsake/daemon/supervise"
	"keepsake/daemon/watch"
	"keepsake/store"
	"keepsake/store/state"
)

// atLatest is how long changes wait for the rest of a directory to settle.
const atLatest = 3 * time.Minute

// sourceKeeper keeps one source. One goroutine runs its tasks; the fields
// below mu are shared with those who ask how it stands.
type sourceKeeper struct {
	k       *Keeper
	source  state.Source
	watcher *watch.Watcher // nil if there is no directory: its content is what commands print
	rules   *rules.Rules
	links   *capture.Links
	seen    *capture.Sightings
	agenda  agenda           // of the goroutine that runs the tasks
	base    store.SnapshotID // what the watcher's events count from
	looks   int              // tasks in a row that held files back of which no event need tell
	wake    chan struct{}    // somebody asked for something
	part    *supervise.Part  // of the goroutine that runs the tasks

	mu     sync.Mutex
	conf   config.Source
	memory memory
	asked  []*request // by people; each is answered once
	facts  facts
}

// newSource binds a label and prepares a keeper for it.
func (k *Keeper) newSource(ctx context.Context, c config.Source) (*sourceKeeper, error) {
	bound, continued, err := capture.Bind(ctx, k.o.Repository, c.Label, c.Path, k.o.Host)
	if err != nil {
		return nil, err
	}
	if continued {
		k.tell(Event{Label: c.Label, Note: "is continued from the snapshots in the repository; all metadata is read once"})
	}
	s := &sourceKeeper{
		k: k, source: bound, conf: c, wake: make(chan struct{}, 1), links: &capture.Links{}, seen: &capture.Sightings{},
		memory: memory{state: k.o.Repository.State(), source: bound.ID},
		facts:  facts{first: true},
	}
	if s.rules, err = rules.New(c.Exclude, c.Presets, c.CacheDirTag); err != nil {
		return nil, fmt.Errorf("source %s: %w", c.Label, err)
	}
	s.agenda = agenda{conf: c}
	if c.IsCommand() {
		return s, nil
	}
	if err := s.watch(); err != nil {
		return nil, fmt.Errorf("watching %s: %w", c.Path, err)
	}
	return s, nil
}

// watch makes the watcher of a directory.
func (s *sourceKeeper) watch() (err error) {
	own := map[string]bool{}
	real := config.Resolve(s.conf.Path)
	for _, path := range s.k.o.Own {
		if rel, err := filepath.Rel(real, path); err == nil && filepath.IsLocal(rel) {
			own[rel] = true
		}
	}
	rules := s.rules
	s.watcher, err = watch.New(watch.Options{
		Root: s.conf.Path,
		Exclude: func(rel string, isDir bool) bool {
			if own[rel] {
				return true
			}
			_, out := rules.Match(rel, isDir)
			return out
		},
		Settle:    s.conf.Settle,
		PollEvery: s.conf.Poll,
		CookieDir: filepath.Join(s.k.o.Repository.State().Dir(), "cookies", fmt.Sprintf("%x", s.source.ID)),
		Clock:     s.k.o.Clock, WallOffset: s.k.o.WallOffset,
		Log: s.k.o.Log.With("source", s.conf.Label),
	})
	return err
}

// run keeps the source until ctx ends. The error is one that no retry mends.
func (s *sourceKeeper) run(ctx context.Context) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	if s.watcher != nil {
		work.Go(func() {
			if err := s.watcher.Run(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("watching %s: %w", s.conf.Path, err))
			}
		})
		work.Go(func() { s.keepJournal(ctx) })
		work.Go(func() { s.keepReading(ctx) })
	}
	s.part = s.k.o.Pulse.Part("source "+s.source.Label, s.k.progress)
	s.tasks(ctx)
	s.part.End()
	work.Wait()
	s.dismiss()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return s.close()
}

// tasks runs one task after the other until ctx ends.
func (s *sourceKeeper) tasks(ctx context.Context) {
	for ctx.Err() == nil {
		t, err := s.next(ctx)
		if err != nil {
			return // ctx has ended, or the watcher, whose error is told
		}
		s.begin()
		out, err := s.do(ctx, &t)
		if ctx.Err() != nil {
			t.answer(out, ctx.Err())
			return
		}
		s.end(&t, out, err)
		t.answer(out, err)
	}
}

func (s *sourceKeeper) label() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conf.Label
}

func (s *sourceKeeper) config() config.Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conf
}

func (s *sourceKeeper) now() time.Time { return s.k.now() }
