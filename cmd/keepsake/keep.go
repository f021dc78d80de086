package main

import (
	"context"
	"errors"
	"time"

	"keepsake/daemon"
)

const (
	// remountEvery is the pause before a view that somebody unmounted, or that
	// could not be mounted, is mounted again. It doubles up to remountMost while
	// that fails.
	remountEvery = 10 * time.Second
	remountMost  = 5 * time.Minute
)

// keep runs a keeper until ctx ends, with the view mounted beside it: what up
// and daemon do once they own the state. ready is called when the mount stands,
// or cannot.
func (s *session) keep(ctx context.Context, k *daemon.Keeper, place viewPlace, out *output, ready func()) error {
	s.keeper.Store(k)
	defer s.keeper.Store(nil)
	if place.dir != "" {
		m, err := s.mountAt(ctx, place, out)
		if place.refuse && (occupied(err) || errors.As(err, new(*misplacedError))) {
			return err // better seen now than later
		}
		s.viewFailed(err, out)
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- s.stayMounted(ctx, m, place, out) }()
		defer func() {
			cancel()
			if err := <-done; err != nil {
				out.note("unmounting %s: %v", place.dir, err)
			}
		}()
	}
	ready()
	return k.Run(ctx)
}

// viewFailed tells that the view cannot be mounted, once for each reason; nil
// that it is.
func (s *session) viewFailed(err error, out *output) {
	if err == nil {
		s.troubles.set(troubleView, "")
		return
	}
	text := "snapshots are not shown: " + err.Error()
	if s.troubles.set(troubleView, text) {
		out.note("%s; backups go on without the mounted view, and it is tried again", text)
	}
}

// stayMounted keeps the view mounted until ctx ends, and unmounts it then. m is
// nil if it is not mounted yet.
func (s *session) stayMounted(ctx context.Context, m *view, place viewPlace, out *output) error {
	for pause := remountEvery; ; {
		if m != nil {
			pause = remountEvery
			if err := s.show(ctx, m, place, out); err != nil || ctx.Err() != nil {
				return err
			}
			out.note("somebody unmounted %s; it is mounted again", place.dir)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		var err error
		m, err = s.mountAt(ctx, place, out)
		if ctx.Err() == nil || err == nil {
			s.viewFailed(err, out)
		}
		pause = min(2*pause, remountMost)
	}
}
