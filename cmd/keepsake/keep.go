package main

import (
	"context"
	"errors"
	"time"

	"keepsake/daemon"
)

// remountEvery is the pause before a view that somebody unmounted is mounted
// again.
const remountEvery = 10 * time.Second

// keep runs a keeper until ctx ends, with the view mounted beside it: what up
// and daemon do once they own the state. ready is called when the mount stands,
// or cannot.
func (s *session) keep(ctx context.Context, k *daemon.Keeper, place viewPlace, out *output, ready func()) error {
	s.keeper.Store(k)
	defer s.keeper.Store(nil)
	m, err := s.mountAt(ctx, place.dir, place.allowOther, out)
	switch {
	case place.dir == "":
	case occupied(err):
		return err // better seen now than later
	case err != nil:
		out.note("%v; backups go on without the mounted view", err)
	default:
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
}

// stayMounted keeps the view mounted until ctx ends, and unmounts it then.
func (s *session) stayMounted(ctx context.Context, m *view, place viewPlace, out *output) error {
	for {
		s.mounted.Store(m)
		gone := make(chan struct{})
		go func() {
			defer close(gone)
			m.Wait()
		}()
		select {
		case <-ctx.Done():
			s.mounted.Store(nil)
			err := m.Unmount()
			<-gone
			return err
		case <-gone:
			s.mounted.Store(nil)
			out.note("somebody unmounted %s; it is mounted again", place.dir)
		}
		var err error
		for m = nil; m == nil; {
			select {
			case <-time.After(remountEvery):
			case <-ctx.Done():
				return nil
			}
			if m, err = s.mountAt(ctx, place.dir, place.allowOther, out); err != nil && !errors.Is(err, context.Canceled) {
				out.note("%v; trying again", err)
			}
		}
	}
}
