package logs

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Options says how a Handler works. Writer is required.
type Options struct {
	// Writer gets one Write per line.
	Writer io.Writer
	// JSON writes lines of JSON instead of key=value.
	JSON bool
	// Journal says that Writer leads to the journal; see Journal.
	Journal bool
	// Level is the least level that passes; nil means slog.LevelInfo.
	Level slog.Leveler
	// Burst is how many records of one cause pass per Window; 0 means 10, which
	// shows a pattern, and 5 minutes, which people wait for.
	Burst  int
	Window time.Duration
	// Causes is how many causes are told apart; 0 means 256, several times what
	// there are in the code. Each takes under 1 KiB.
	Causes int
	// Now is the clock; nil means the real one.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.Level == nil {
		o.Level = slog.LevelInfo
	}
	if o.Burst == 0 {
		o.Burst = 10
	}
	if o.Window == 0 {
		o.Window = 5 * time.Minute
	}
	if o.Causes == 0 {
		o.Causes = 256
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Handler is a slog.Handler. Handlers made from it by With share its limits.
type Handler struct {
	*shared
	format slog.Handler
	bound  uint64 // hash of what With has bound
}

// shared is what all handlers made from one have in common.
type shared struct {
	o     Options
	limit limiter
	plain slog.Handler // has nothing bound

	mu   sync.Mutex
	line line // guarded by mu
}

// New makes a Handler.
func New(o Options) *Handler {
	o = o.withDefaults()
	s := &shared{o: o}
	s.limit = limiter{burst: o.Burst, window: o.Window, most: o.Causes, cells: map[uint64]*cell{}}
	s.line = line{w: o.Writer, journal: o.Journal}
	h := &Handler{shared: s}
	options := &slog.HandlerOptions{Level: o.Level, ReplaceAttr: s.replace}
	if o.JSON {
		h.format = slog.NewJSONHandler(&s.line, options)
	} else {
		h.format = slog.NewTextHandler(&s.line, options)
	}
	s.plain = h.format
	return h
}

// Enabled says whether records of a level pass at all.
func (h *Handler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.o.Level.Level() }

// Handle writes a record, or counts it.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	pass, due := h.limit.take(h.causeOf(r), h.o.Now(), about{r.Level, r.Message, h.format})
	err := h.summarise(due)
	if !pass {
		return err
	}
	if werr := h.write(ctx, h.format, h.discreet(r)); err == nil {
		err = werr
	}
	return err
}

// WithAttrs binds attributes; they become part of the cause.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	bound := *h
	bound.format = h.format.WithAttrs(attrs)
	for _, a := range attrs {
		bound.bound = mix(bound.bound, a.Key, a.Value.Resolve().String())
	}
	return &bound
}

// WithGroup opens a group.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	bound := *h
	bound.format = h.format.WithGroup(name)
	bound.bound = mix(bound.bound, "group", name)
	return &bound
}

func (h *Handler) causeOf(r slog.Record) uint64 {
	cause := mix(h.bound, r.Level.String(), r.Message)
	r.Attrs(func(a slog.Attr) bool {
		if slices.Contains(places, a.Key) {
			cause = mix(cause, a.Key, a.Value.Resolve().String())
		}
		return true
	})
	return cause
}

// places are the attributes that say where something happened.
var places = []string{"source", "root", "part", "parts", "destination", "verb"}

// Run writes summaries as windows end, until ctx ends; then those that are
// left.
func (h *Handler) Run(ctx context.Context) error {
	tick := time.NewTicker(h.o.Window / 2)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			// An error here is one of standard error: there is nobody to tell.
			_ = h.summarise(h.limit.ended(h.o.Now()))
		case <-ctx.Done():
			return h.Flush()
		}
	}
}

// Flush writes the summaries of all that was held back.
func (h *Handler) Flush() error { return h.summarise(h.limit.all(h.o.Now())) }

func (h *Handler) summarise(due []summary) error {
	var first error
	for _, s := range due {
		if s.format == nil {
			s.format = h.plain
		}
		err := h.write(context.Background(), s.format, slog.NewRecord(h.o.Now(), s.level, s.text(), 0))
		if first == nil {
			first = err
		}
	}
	return first
}

func (s *shared) write(ctx context.Context, format slog.Handler, r slog.Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.line.level = r.Level
	return format.Handle(ctx, r)
}
