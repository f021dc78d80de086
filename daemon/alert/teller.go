package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"keepsake/daemon/command"
)

// ErrNoCommand says that nobody can be told: no command is configured.
var ErrNoCommand = errors.New("no command tells anybody: set command in [notify]")

// memory remembers one value over restarts: the keeper gives a note in the state. v is encoded by its cbor tags.
type memory interface {
	// Load reads into what v points to; ok is false if nothing was saved.
	Load(v any) (ok bool, err error)
	// Save replaces what was saved; on return it is durable.
	Save(v any) error
}

// Options says who is told, and of which machine.
type Options struct {
	// Args are the command; empty means that nobody is told, and what is due waits for a command.
	Args []string
	// Env are variables for it beyond those that every command has.
	Env []string
	// Timeout is how long it may take; 0 means 30 seconds: others may wait.
	Timeout time.Duration
	// Retry and MaxRetry are the first and the longest pause after a failure; 0 means 30 seconds and an hour.
	Retry, MaxRetry time.Duration

	Host       string
	Repository string // short id
	// Memory remembers what was told; nil forgets at the end of the process.
	Memory memory
	Log    *slog.Logger
	// Now and After are the clock.
	Now   func() time.Time
	After func(time.Duration) <-chan time.Time
}

const (
	defaultTimeout  = 30 * time.Second
	defaultRetry    = 30 * time.Second
	defaultMaxRetry = time.Hour
	maxSources      = 1000
	// lookAgain is how long Run waits at most: a clock that is set changes what is due.
	lookAgain = time.Hour
)

// Teller tells. Its methods are safe for concurrent use.
type Teller struct {
	o       Options
	changed chan struct{}

	mu      sync.Mutex // guards the following
	records map[string]*record
	stats   Stats
}

// Stats is how delivery stands.
type Stats struct {
	Queued      int       // sources of which something is to be told
	Delivered   uint64    // events, since the start
	Failures    uint64    // deliveries that failed, since the start
	FailedSince time.Time // of the first failure after the last success; zero if the last one succeeded
	LastError   string    // of the last failure, while FailedSince is set
}

// New makes a Teller with what its memory holds. A memory that cannot be read is none: it costs repeated events. A
// program that is missing is a failed delivery like others: it may be installed later.
func New(o Options) (*Teller, error) {
	if len(o.Args) > 0 {
		if err := o.command(nil).Validate(); err != nil {
			return nil, fmt.Errorf("[notify] command: %w", err)
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.After == nil {
		o.After = time.After
	}
	t := &Teller{o: o, changed: make(chan struct{}, 1), records: map[string]*record{}}
	var m memo
	if o.Memory != nil {
		if _, err := o.Memory.Load(&m); err != nil {
			o.Log.Warn("what was told before cannot be read; it may be told again", "err", err)
			m = memo{}
		}
	}
	for _, r := range m.Records {
		if r != nil && len(t.records) < maxSources {
			t.records[r.Source] = r
		}
	}
	return t, nil
}

func or(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

func (o Options) command(stdin []byte) command.Options {
	return command.Options{Args: o.Args, Env: o.Env, Timeout: or(o.Timeout, defaultTimeout), Stdin: bytes.NewReader(stdin)}
}

// Update takes a report about a source, by its label, or about all of them if that is empty. What has to be told of
// it is told by Run.
func (t *Teller) Update(source string, r Report) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rec := t.records[source]
	if rec == nil {
		if len(t.records) >= maxSources {
			t.o.Log.Error("too many sources to tell of", "source", source)
			return
		}
		rec = &record{Source: source}
		t.records[source] = rec
	}
	if rec.report(r, t.o.Now()) {
		t.save()
	}
	t.wake()
}

// Use tells by another command from now on.
func (t *Teller) Use(args []string, timeout time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.o.Args, t.o.Timeout = args, timeout
	t.wake()
}

// Keep forgets all sources but some: those that the configuration still names. What concerns all of them is kept.
func (t *Teller) Keep(labels []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.records)
	for label := range t.records {
		if label != "" && !slices.Contains(labels, label) {
			delete(t.records, label)
		}
	}
	if len(t.records) < before {
		t.save()
	}
}

// Stats returns how delivery stands.
func (t *Teller) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	for _, r := range t.records {
		if r.kind() != "" {
			s.Queued++
		}
	}
	return s
}

// wake makes Run look again.
func (t *Teller) wake() {
	select {
	case t.changed <- struct{}{}:
	default: // it will
	}
}

// save remembers; t.mu is held.
func (t *Teller) save() {
	if t.o.Memory == nil {
		return
	}
	m := memo{}
	for _, r := range t.records {
		m.Records = append(m.Records, r)
	}
	slices.SortFunc(m.Records, func(a, b *record) int {
		if a.Source < b.Source {
			return -1
		}
		return 1
	})
	if err := t.o.Memory.Save(&m); err != nil {
		t.o.Log.Warn("what was told cannot be remembered; after a restart it may be told again", "err", err)
	}
}

// Run tells what is due until ctx ends. What is not told by then is told after the next start.
func (t *Teller) Run(ctx context.Context) {
	for ctx.Err() == nil {
		e, wait := t.next()
		if wait == 0 {
			t.tell(ctx, e)
			continue
		}
		select {
		case <-ctx.Done():
		case <-t.changed:
		case <-t.o.After(wait):
		}
	}
}

// next returns the event that is to be delivered now, or how long to wait: of several the one noticed first.
func (t *Teller) next() (e Event, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	wait = lookAgain
	if len(t.o.Args) == 0 {
		return e, wait
	}
	now := t.o.Now()
	var first *record
	for _, r := range t.records {
		kind := r.kind()
		if kind == "" {
			continue
		}
		if in := r.due(kind, now).Sub(now); in > 0 {
			wait = min(wait, in)
		} else if first == nil || r.Changed < first.Changed || r.Changed == first.Changed && r.Source < first.Source {
			first = r
		}
	}
	if first == nil {
		return e, wait
	}
	return first.event(first.kind(), now.Location()), 0
}

// tell delivers one event and notes how that went.
func (t *Teller) tell(ctx context.Context, e Event) {
	err := t.deliver(ctx, e)
	if ctx.Err() != nil && err != nil {
		return // not the command's fault; it is still due
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.o.Now()
	if err != nil {
		t.o.Log.Warn("telling failed", "kind", e.Kind, "source", e.Source, "err", err)
	} else {
		t.o.Log.Info("told", "kind", e.Kind, "source", e.Source)
	}
	t.note(err, now)
	r := t.records[e.Source]
	switch {
	case r == nil: // forgotten meanwhile
	case err == nil:
		r.delivered(e, now)
		if r.kind() == "" {
			r.Told = statesOf(r.Standing)
		}
		t.save()
	default:
		if r.retry == nil {
			r.retry = &backoff.ExponentialBackOff{
				InitialInterval: or(t.o.Retry, defaultRetry), MaxInterval: or(t.o.MaxRetry, defaultMaxRetry),
				Multiplier: 2, RandomizationFactor: 0.2, // sources that failed together do not come back together
			}
		}
		r.retryAt = now.Add(r.retry.NextBackOff())
	}
}

// note counts a delivery; t.mu is held.
func (t *Teller) note(err error, now time.Time) {
	if err == nil {
		t.stats.Delivered++
		t.stats.FailedSince, t.stats.LastError = time.Time{}, ""
		return
	}
	t.stats.Failures++
	t.stats.LastError = err.Error()
	if t.stats.FailedSince.IsZero() {
		t.stats.FailedSince = now
	}
}

// Test delivers an event of kind "test" and returns what the command failed with.
func (t *Teller) Test(ctx context.Context) error {
	now := t.o.Now()
	err := t.deliver(ctx, Event{
		Kind: KindTest, Time: now.Truncate(time.Second), Standing: []State{},
		Summary: "this is a test: keepsake on " + t.o.Host + " can tell you when something is wrong",
	})
	if ctx.Err() == nil && !errors.Is(err, ErrNoCommand) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.note(err, now)
	}
	return err
}

// deliver runs the command with an event.
func (t *Teller) deliver(ctx context.Context, e Event) error {
	t.mu.Lock()
	o := t.o
	t.mu.Unlock()
	if len(o.Args) == 0 {
		return ErrNoCommand
	}
	e.Host, e.Repository = o.Host, o.Repository
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = command.Run(ctx, o.command(append(b, '\n')))
	return err
}
