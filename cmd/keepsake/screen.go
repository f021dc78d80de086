package main

import (
	"encoding/json"
	"io"
	"sync"
	"time"

	"keepsake/daemon/control"
)

// screen is where this process writes: text, and one line of progress below it
// that is overwritten, or, where that cannot be, a plain line now and then.
type screen struct {
	env  *environment
	json bool

	mu    sync.Mutex // guards the fields below and keeps lines whole
	shown bool       // a line of progress is on the terminal
	plain time.Time  // of the last plain line
}

// plainEvery is how often progress is told where it cannot be overwritten.
const plainEvery = 30 * time.Second

// stream is the standard output and error of this process.
func (a *app) stream() control.Stream {
	if a.screen == nil {
		a.screen = &screen{env: a.env, json: a.flags.json}
	}
	s := control.Stream{Stdout: printer{a.screen, a.env.stdout}, Stderr: printer{a.screen, a.env.stderr}}
	if !a.flags.quiet {
		s.Progress = a.screen.progress
	}
	return s
}

// printer writes text past the line of progress.
type printer struct {
	s *screen
	w io.Writer
}

func (p printer) Write(b []byte) (int, error) {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	p.s.clear()
	return p.w.Write(b)
}

func (s *screen) clear() {
	if s.shown {
		write(s.env.stdout, "\r\x1b[K")
		s.shown = false
	}
}

// progress shows how far a verb is; an empty one ends the display.
func (s *screen) progress(raw json.RawMessage) error {
	var p progress
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	end := p.Action == ""
	switch {
	case end:
		s.clear()
	case s.json:
		write(s.env.stdout, string(raw)+"\n")
	case s.env.terminal:
		s.clear()
		line := []rune(p.line())
		if s.env.width > 0 && len(line) >= s.env.width {
			line = line[:s.env.width-1]
		}
		write(s.env.stdout, string(line))
		s.shown = true
	case p.Elapsed >= int64(plainEvery.Seconds()) && time.Since(s.plain) >= plainEvery:
		write(s.env.stderr, p.line()+"\n")
		s.plain = time.Now()
	}
	return nil
}
