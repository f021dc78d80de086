package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"keepsake/store/backend"
)

const (
	// lookEvery is how often a process that shows snapshots looks whether its
	// repository is there. A look reads nothing, and so keeps no disk awake.
	lookEvery = 3 * time.Second
	// lookPatience is how long the file system may take to say.
	lookPatience = 10 * time.Second
)

// watchRepository says when the repository goes away and when it is back, one
// line each, until ctx ends.
func (s *session) watchRepository(ctx context.Context, out *output) {
	answer := make(chan error, 1)
	asked, away := false, false
	for {
		select {
		case <-time.After(lookEvery):
		case <-ctx.Done():
			return
		}
		if !asked { // else the last look still hangs
			asked = true
			go func() {
				_, err := backend.OpenLocal(s.backend.Dir(), nil)
				answer <- err
			}()
		}
		err := fmt.Errorf("%s has not answered for %v", s.backend.Dir(), lookPatience)
		select {
		case err = <-answer:
			asked = false
		case <-time.After(lookPatience):
		case <-ctx.Done():
			return
		}
		switch {
		case err != nil && !away:
			out.note("the repository has gone away: %v. Opening files in the view fails until it is back", err)
		case err == nil && away:
			out.note("the repository is back: %s", s.backend.Dir())
		}
		away = err != nil
	}
}

// viewLog takes what a mounted view has to say, damage above all: to a service's
// log, else to whoever looks on. That the repository is away is said once, by
// watchRepository, and not for each file.
func viewLog(out *output) *slog.Logger {
	if out.log != nil {
		return slog.New(present{out.log.Handler()})
	}
	return slog.New(present{noteHandler{out}})
}

// present leaves out records of errors because there is no repository.
type present struct{ slog.Handler }

func (h present) Handle(ctx context.Context, r slog.Record) error {
	away := false
	r.Attrs(func(a slog.Attr) bool {
		err, ok := a.Value.Any().(error)
		away = away || ok && errors.Is(err, backend.ErrNoRepository)
		return !away
	})
	if away {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

func (h present) WithAttrs(attrs []slog.Attr) slog.Handler {
	return present{h.Handler.WithAttrs(attrs)}
}
func (h present) WithGroup(name string) slog.Handler { return present{h.Handler.WithGroup(name)} }

// noteHandler makes notes for a person of the records that need one.
type noteHandler struct{ out *output }

func (noteHandler) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (h noteHandler) Handle(_ context.Context, r slog.Record) error {
	var about []string
	r.Attrs(func(a slog.Attr) bool {
		switch text := a.Value.String(); {
		case text == "":
		case a.Key == "error":
			about = append(about, quote(text))
		default:
			about = append(about, a.Key+" "+quote(text))
		}
		return true
	})
	text := r.Message
	if len(about) > 0 {
		text += ": " + strings.Join(about, ", ")
	}
	h.out.note("%s", text)
	return nil
}

func (h noteHandler) WithAttrs([]slog.Attr) slog.Handler { return h }
func (h noteHandler) WithGroup(string) slog.Handler      { return h }
