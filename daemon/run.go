package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"keepsake/daemon/capture"
	"keepsake/daemon/watch"
	"keepsake/store"
	"keepsake/store/state"
	"keepsake/store/tree"
)

const (
	// atLatest is how long changes wait for the rest of a directory to settle.
	atLatest = 3 * time.Minute
	// retryAfter is the pause after a failed capture.
	retryAfter = 15 * time.Second
	// scanEvery is how often everything is scanned whatever events say: they
	// are hints, and some changes cause none.
	scanEvery = 24 * time.Hour
	// pollEvery is the same for what cannot be watched, and where events of
	// other machines never arrive.
	pollEvery = 15 * time.Minute
)

// Watched is one source as Run keeps it.
type Watched struct {
	Source state.Source
	Path   string
}

// Options says what Run does. Repository and Sources are required.
type Options struct {
	Repository *store.Repository
	Sources    []Watched
	Host, User string
	// Own are keepsake's own directories: they are left out of sources.
	Own []string
	// Settle is how long a file must be quiet; 0 means the watcher's default.
	Settle time.Duration
	// Report is told what happens, one event at a time.
	Report func(Event)
	// Progress is counted by the capture under way, whichever source's.
	Progress *capture.Progress
	Log      *slog.Logger
}

// Event is something that a person who looks on wants to know.
type Event struct {
	Label    string
	Snapshot store.Snapshot // published; zero if Err is set
	First    bool           // the first complete snapshot of this run
	Missed   []tree.Missed
	Missing  uint64
	Err      error // the capture failed, and is tried again
}

// Keeper keeps sources: it watches them and takes snapshots when they change.
type Keeper struct {
	o       Options
	report  sync.Mutex
	sources []*sourceKeeper
}

// sourceKeeper keeps one source.
type sourceKeeper struct {
	k       *Keeper
	source  Watched
	watcher *watch.Watcher
	scan    time.Time        // when everything is scanned at the latest
	base    store.SnapshotID // what the watcher's events count from

	mu   sync.Mutex // guards state
	last SourceState
}

// SourceState is how a source stands, for status.
type SourceState struct {
	Label   string
	Newest  store.Snapshot // zero before the first
	Missing uint64
	Waiting int // files still being written, as of the last look
	Err     error
	Polled  bool // some of it cannot be watched, or is changed by others
}

// New makes a Keeper. Watches are set when Run runs.
func New(o Options) (*Keeper, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Report == nil {
		o.Report = func(Event) {}
	}
	if o.Progress == nil {
		o.Progress = &capture.Progress{}
	}
	k := &Keeper{o: o}
	for i, s := range o.Sources {
		own := map[string]bool{}
		for _, path := range o.Own {
			if rel, err := filepath.Rel(s.Path, path); err == nil && filepath.IsLocal(rel) {
				own[rel] = true
			}
		}
		w, err := watch.New(watch.Options{
			Root:      s.Path,
			Exclude:   func(rel string, _ bool) bool { return own[rel] },
			Settle:    o.Settle,
			PollEvery: pollEvery,
			CookieDir: filepath.Join(o.Repository.State().Dir(), "cookies", fmt.Sprint(i)),
			Log:       o.Log,
		})
		if err != nil {
			return nil, fmt.Errorf("watching %s: %w", s.Path, err)
		}
		_, polled := watch.Remote(s.Path)
		k.sources = append(k.sources, &sourceKeeper{
			k: k, source: s, watcher: w, last: SourceState{Label: s.Source.Label, Polled: polled},
		})
	}
	return k, nil
}

// Run keeps all sources until ctx ends or one of them cannot be watched at all.
func (k *Keeper) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var work sync.WaitGroup
	for _, s := range k.sources {
		work.Go(func() {
			if err := s.watcher.Run(ctx); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("watching %s: %w", s.source.Path, err))
			}
		})
		work.Go(func() {
			if err := s.keep(ctx); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		})
	}
	work.Wait()
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// State returns how all sources stand.
func (k *Keeper) State() []SourceState {
	all := make([]SourceState, len(k.sources))
	for i, s := range k.sources {
		s.mu.Lock()
		all[i] = s.last
		s.mu.Unlock()
	}
	return all
}

func (k *Keeper) tell(e Event) {
	k.report.Lock()
	defer k.report.Unlock()
	k.o.Report(e)
}

// keep takes the first snapshot, which scans everything, and then one for each
// batch of changes.
func (s *sourceKeeper) keep(ctx context.Context) error {
	batch, first := watch.Batch{All: true}, true
	for {
		err := s.capture(ctx, batch, first)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.k.tell(Event{Label: s.source.Source.Label, Err: err})
			if err := sleep(ctx, retryAfter); err != nil {
				return nil
			}
			if first {
				continue
			}
			s.watcher.Requeue(batch)
		default:
			first = false
		}
		if batch, err = s.next(ctx); err != nil {
			return err
		}
	}
}

// next waits for changes, or until everything is due to be scanned. A source
// whose root is gone is not captured: an empty snapshot would look like deletion.
func (s *sourceKeeper) next(ctx context.Context) (watch.Batch, error) {
	for {
		due, cancel := context.WithDeadline(ctx, s.scan)
		batch, err := s.watcher.Next(due, atLatest)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return watch.Batch{All: true}, nil
		}
		if err != nil || !batch.RootMissing {
			return batch, err
		}
		err = fmt.Errorf("%s is gone; its snapshots are kept, and it is watched again when it is back", s.source.Path)
		s.note(func(l *SourceState) { l.Err = err })
		s.k.tell(Event{Label: s.source.Source.Label, Err: err})
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *sourceKeeper) note(change func(*SourceState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.last)
}
