package main

import (
	"context"
	"slices"
	"sync"
)

// views are the mounted views of this process: its own, and those that others
// had it mount.
type views struct {
	mu  sync.Mutex
	all []*shown // guarded by mu
}

// shown is one of them.
type shown struct {
	view  *view
	place viewPlace
}

func (v *views) list() []*shown {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.all)
}

// change adds and takes away, and returns what the largest of their caches is: they
// share one. It is 0 if nothing is shown.
func (v *views) change(add, remove *shown) (cache int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if add != nil {
		v.all = append(v.all, add)
	}
	v.all = slices.DeleteFunc(v.all, func(s *shown) bool { return s == remove })
	for _, s := range v.all {
		cache = max(cache, s.place.Cache)
	}
	return cache
}

// published makes mounted views show a new snapshot at once.
func (s *session) published() {
	for _, v := range s.views.list() {
		v.view.Refresh()
	}
}

// show keeps a view until somebody else has unmounted it, or ctx has ended and
// it is unmounted.
func (s *session) show(ctx context.Context, m *view, place viewPlace, out *output) error {
	one := &shown{m, place}
	s.repo.SetCache(s.views.change(one, nil))
	defer func() { s.repo.SetCache(s.views.change(nil, one)) }()
	defer s.env.urgent.add(m.Abandon)()
	watching, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	defer work.Wait()
	defer stop()
	work.Go(func() { s.watchRepository(watching, out) })
	gone := make(chan struct{})
	work.Go(func() {
		defer close(gone)
		m.Wait()
	})
	select {
	case <-ctx.Done():
		s.views.change(nil, one) // nobody refreshes it any more
		err := m.Unmount()
		<-gone
		return err
	case <-gone:
		return m.Unmount() // its directory
	}
}
