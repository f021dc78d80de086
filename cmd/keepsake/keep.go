package main

import (
	"context"
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
		m, err := s.mountAt(ctx, place.dir, place.allowOther, out)
		if place.refuse && occupied(err) {
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

// viewPlace is where and for whom snapshots are shown; nowhere if dir is empty.
type viewPlace struct {
	dir        string
	allowOther bool
	// refuse ends everything if something else is at the place: a person who
	// looks on mends that at once. For a service backups matter more.
	refuse bool
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
			if err := s.whileMounted(ctx, m); err != nil || ctx.Err() != nil {
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
		m, err = s.mountAt(ctx, place.dir, place.allowOther, out)
		if ctx.Err() == nil || err == nil {
			s.viewFailed(err, out)
		}
		pause = min(2*pause, remountMost)
	}
}

// whileMounted returns when somebody has unmounted the view, or ctx has ended
// and it is unmounted.
func (s *session) whileMounted(ctx context.Context, m *view) error {
	s.mounted.Store(m)
	defer s.mounted.Store(nil)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		m.Wait()
	}()
	select {
	case <-ctx.Done():
		s.mounted.Store(nil) // nobody refreshes it any more
		err := m.Unmount()
		<-gone
		return err
	case <-gone:
		return nil
	}
}
