package daemon

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"keepsake/daemon/alert"
	"keepsake/daemon/config"
)

// tickEvery is how often the keeper looks at what no event tells of: sources
// that became stale, the clock, the journal.
const tickEvery = 30 * time.Second

// Keeper keeps sources: it watches them, takes snapshots when they change or
// are due, judges them, lets old ones expire, and says how each source stands.
type Keeper struct {
	o      Options
	teller *alert.Teller
	clock  *steadiness
	reads  *rates

	reporting sync.Mutex // held while an event is told

	mu      sync.Mutex
	conf    config.Config            // guarded by mu
	sources []*sourceKeeper          // in the order of the configuration; guarded by mu
	ends    map[*sourceKeeper]func() // stop one and wait for its end; guarded by mu; nil unless running
	run     context.Context          // of Run; guarded by mu
	failed  context.CancelCauseFunc  // ends Run; guarded by mu
}

// New makes a keeper and binds its sources to their labels. Nothing is watched
// until Run runs.
func New(ctx context.Context, options Options) (*Keeper, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	k := &Keeper{o: o, conf: o.Config, reads: newRates(o.Config)}
	if k.clock, err = newSteadiness(o.Clock, o.Repository.State(), o.WallOffset); err != nil {
		return nil, err
	}
	if k.teller, err = newTeller(&o); err != nil {
		return nil, err
	}
	for _, c := range o.Config.Sources {
		s, err := k.newSource(ctx, c)
		if err != nil {
			return nil, err
		}
		k.sources = append(k.sources, s)
	}
	return k, nil
}

// Run keeps all sources until ctx ends, and returns when everything it started
// has ended.
func (k *Keeper) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	k.mu.Lock()
	k.run, k.failed, k.ends = ctx, cancel, map[*sourceKeeper]func(){}
	for _, s := range k.sources {
		k.start(s)
	}
	k.mu.Unlock()
	var work sync.WaitGroup
	work.Go(func() { k.teller.Run(ctx) })
	work.Go(func() { k.tick(ctx) })
	<-ctx.Done()
	work.Wait()
	k.mu.Lock()
	ends := k.ends
	k.ends, k.run = nil, nil
	k.mu.Unlock()
	for _, end := range ends {
		end()
	}
	if err := context.Cause(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// start begins to keep a source. mu is held, and Run is running.
func (k *Keeper) start(s *sourceKeeper) {
	ctx, cancel := context.WithCancel(k.run)
	fail := k.failed
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.run(ctx); err != nil && ctx.Err() == nil {
			fail(fmt.Errorf("source %s: %w", s.label(), err))
		}
	}()
	k.ends[s] = func() { cancel(); <-done }
}

// tick does what is due whatever happens.
func (k *Keeper) tick(ctx context.Context) {
	part := k.o.Pulse.Part("keeper", nil)
	defer part.End()
	for {
		part.Touch()
		if err := k.clock.look(k.now()); err != nil {
			k.o.Log.Error("the clock's state cannot be noted", "error", err)
		}
		k.tellClock()
		for _, s := range k.all() {
			s.tellHealth()
		}
		part.Wait(2 * tickEvery)
		select {
		case <-k.o.Clock.After(tickEvery):
		case <-ctx.Done():
			return
		}
	}
}

// progress is a number that grows while a capture gets somewhere, whichever
// source's: the others wait for their turn meanwhile.
func (k *Keeper) progress() uint64 {
	c := k.o.Progress.Counts()
	return uint64(c.Dirs + c.Files + c.Others + c.ReadBytes)
}

func (k *Keeper) now() time.Time { return k.o.Clock.Now() }

func (k *Keeper) all() []*sourceKeeper {
	k.mu.Lock()
	defer k.mu.Unlock()
	return append([]*sourceKeeper(nil), k.sources...)
}

// find returns the keepers of some labels, or of all if none is given.
func (k *Keeper) find(labels []string) ([]*sourceKeeper, error) {
	all := k.all()
	if len(labels) == 0 {
		return all, nil
	}
	var found []*sourceKeeper
	for _, label := range labels {
		i := indexLabel(all, label)
		if i < 0 {
			return nil, k.noSource(label)
		}
		found = append(found, all[i])
	}
	return found, nil
}

func indexLabel(all []*sourceKeeper, label string) int {
	for i, s := range all {
		if s.label() == label {
			return i
		}
	}
	return -1
}

func (k *Keeper) tell(e Event) {
	k.reporting.Lock()
	defer k.reporting.Unlock()
	k.o.Report(e)
}

func (k *Keeper) noSource(label string) error {
	// A state that cannot be read is no reason to say less.
	if _, known, err := k.o.Repository.State().Source(label); err == nil && known {
		return fmt.Errorf("%w: %q is not in the configuration any more; its snapshots stay", ErrNoSource, label)
	}
	return fmt.Errorf("%w: %q; keepsake status lists the sources", ErrNoSource, label)
}

// ErrNoSource says that a label names none of the sources.
var ErrNoSource = errors.New("no such source")
