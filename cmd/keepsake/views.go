package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
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

// viewState is what status says of a view.
type viewState struct {
	Path       string `json:"path"`
	Answers    bool   `json:"answers"`
	AllowOther bool   `json:"allow_other"`
	NoExec     bool   `json:"no_exec"`
	Cache      int64  `json:"cache_bytes"`
}

// answerTime is how long a view may take to list its sources: it does so out of
// memory, whatever the repository does.
const answerTime = 5 * time.Second

// states looks at all of them at once.
func (v *views) states() []viewState {
	all := []viewState{}
	var answers []chan bool
	for _, s := range v.list() {
		p := s.place
		all = append(all, viewState{Path: p.dir, AllowOther: p.AllowOther, NoExec: p.NoExec, Cache: p.Cache})
		answer := make(chan bool, 1)
		answers = append(answers, answer)
		go func() {
			_, err := os.ReadDir(filepath.Join(p.dir, "latest"))
			answer <- err == nil
		}()
	}
	late := make(chan struct{})
	defer time.AfterFunc(answerTime, func() { close(late) }).Stop()
	for i, answer := range answers {
		select {
		case all[i].Answers = <-answer:
		case <-late:
			select {
			case all[i].Answers = <-answer:
			default:
			}
		}
	}
	return all
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
