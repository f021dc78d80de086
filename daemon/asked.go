package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"keepsake/store"
)

// request is somebody's wish for a snapshot now.
type request struct{ done chan Looked }

// Looked is how a task that somebody asked for ended.
type Looked struct {
	Label    string
	Snapshot store.Snapshot // published; zero if nothing had changed
	Newest   store.Snapshot
	Missing  uint64
	Writing  uint64 // of them, files that are still being written
	Alarms   int    // that stand
	After    string // what a command after the snapshot failed with
	Err      error
}

// BackupNow looks at some sources now, at all if none is named, and waits for
// each of them. A pause does not count for what a person asks for.
func (k *Keeper) BackupNow(ctx context.Context, labels []string, each func(Looked)) error {
	found, err := k.find(labels)
	if err != nil {
		return err
	}
	requests := make([]*request, len(found))
	for i, s := range found {
		requests[i] = s.ask()
	}
	for i, r := range requests {
		select {
		case l := <-r.done:
			l.Label = found[i].label()
			each(l)
		case <-ctx.Done():
			return ctx.Err() // the tasks go on
		}
	}
	return nil
}

func (s *sourceKeeper) ask() *request {
	r := &request{done: make(chan Looked, 1)}
	s.mu.Lock()
	s.asked = append(s.asked, r)
	s.mu.Unlock()
	s.poke()
	return r
}

// poke ends a wait, so that what has changed is looked at.
func (s *sourceKeeper) poke() {
	select {
	case s.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (s *sourceKeeper) takeAsked() []*request {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

// errStopped ends requests that nobody will carry out any more.
var errStopped = errors.New("the source is no longer kept: keepsake is stopping, or its configuration changed")

// dismiss answers those who asked for something when the keeper ends.
func (s *sourceKeeper) dismiss() {
	for _, r := range s.takeAsked() {
		r.done <- Looked{Err: errStopped}
	}
}

func (t *task) answer(l Looked, err error) {
	l.Err = err
	for _, r := range t.asked {
		r.done <- l
	}
	t.asked = nil
}

// Pause holds sources back until a time; one that has passed lets them go on.
// They are still watched, and what changes is captured afterwards.
func (k *Keeper) Pause(labels []string, until time.Time) error {
	found, err := k.find(labels)
	if err != nil {
		return err
	}
	for _, s := range found {
		if err := s.setPause(until); err != nil {
			return fmt.Errorf("pausing %s: %w", s.label(), err)
		}
		s.poke()
	}
	return nil
}

func (s *sourceKeeper) setPause(until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory.pause.Until = until.Round(0)
	return s.memory.note(notePause, s.memory.pause)
}

// paused returns how long a source is still held back.
func (s *sourceKeeper) paused(now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, s.memory.pause.Until.Sub(now.Round(0)))
}
