package daemon_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"keepsake/daemon"
	"keepsake/daemon/health"
	"keepsake/store"
	"keepsake/store/tree"
)

// shifted is the system's clock, ahead by what a test says. Its monotonic
// reading is ahead as well: the time has passed, nobody set the clock.
type shifted struct {
	mu      sync.Mutex
	by      time.Duration
	waiting map[chan time.Time]time.Time
}

func (c *shifted) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.by)
}

func (c *shifted) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == nil {
		c.waiting = map[chan time.Time]time.Time{}
	}
	wake := make(chan time.Time, 1)
	c.waiting[wake] = time.Now().Add(c.by + d)
	time.AfterFunc(d, c.wake)
	return wake
}

func (c *shifted) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now().Add(c.by)
	for wake, at := range c.waiting {
		if !at.After(now) {
			wake <- now
			delete(c.waiting, wake)
		}
	}
}

func (c *shifted) pass(d time.Duration) {
	c.mu.Lock()
	c.by += d
	c.mu.Unlock()
	c.wake()
}

// restless writes to a file all the time, and knows its longest pause.
type restless struct {
	mu   sync.Mutex
	last time.Time
	most time.Duration
}

func (w *restless) run(ctx context.Context, s *studio, path string) {
	f := s.open(path, 0)
	defer f.Close()
	for n := byte(0); ctx.Err() == nil; n++ {
		_, err := f.WriteAt([]byte{n, byte(rand.Uint32())}, rand.Int64N(5000))
		s.ok(err)
		w.mu.Lock()
		if !w.last.IsZero() {
			w.most = max(w.most, time.Since(w.last))
		}
		w.last = time.Now()
		w.mu.Unlock()
		rest(ctx, 5*time.Millisecond)
	}
}

// TestNeverAtRest follows two files that are written all the time, one with a
// version from before and one without: for a day what there was before is
// kept, then a torn version is stored and flagged, and a newer one each hour.
func TestNeverAtRest(t *testing.T) {
	t.Parallel()
	s := newStudio(t, pace{settle: 400 * time.Millisecond}, hourly)
	old := take(1, 5000)
	put(t, s.path("log.db"), string(old))
	put(t, s.path("quiet"), "quiet")
	clock := &shifted{}
	k, stop := s.runBy(clock)
	defer stop()
	wait(t, "captured at rest", func() bool { l := asked(t, k)[0]; return l.Err == nil && l.Missing == 0 })

	put(t, s.path("new.db"), string(take(2, 5000)))
	writers := []*restless{{}, {}}
	ended := []func(){
		beside(t.Context(), func(ctx context.Context) { writers[0].run(ctx, s, s.path("log.db")) }),
		beside(t.Context(), func(ctx context.Context) { writers[1].run(ctx, s, s.path("new.db")) }),
	}
	running := true
	end := func() {
		for i, stop := range ended {
			if stop(); running && writers[i].most > s.p.settle*2/3 {
				t.Skipf("not run: the machine is so busy that a writer paused for %v", writers[i].most)
			}
		}
		running = false
	}
	defer end()

	// It is in flux: what there was before is kept, the new one waits.
	first := s.look(k)
	if n := first.files["log.db"]; n == nil || n.Flags&(tree.KeptPrevious|tree.Torn) != tree.KeptPrevious || string(contentOf(t, s.r, n)) != string(old) {
		t.Errorf("a file in flux: %+v, want its version from before", n)
	}
	if n := first.files["new.db"]; n != nil {
		t.Errorf("a new file that was never at rest is stored: flags %b", n.Flags)
	}
	first.listed(t, map[string]tree.Reason{"log.db": tree.ReasonKept, "new.db": tree.ReasonFlux})
	h := k.Health()[0]
	if h.State != health.Waiting || h.Well() || h.Newest.Writing != 2 || h.Waiting != 2 {
		t.Errorf("status: %s, %d being written, %d waiting", h.State, h.Newest.Writing, h.Waiting)
	}

	// A day later it is stored as it is, flagged and listed.
	clock.pass(25 * time.Hour)
	torn := s.look(k)
	for _, name := range []string{"log.db", "new.db"} {
		if n := torn.files[name]; n == nil || n.Flags&(tree.KeptPrevious|tree.Torn) != tree.Torn {
			t.Errorf("after a day: %s is %+v, want it torn", name, n)
		}
	}
	torn.listed(t, map[string]tree.Reason{"log.db": tree.ReasonFlux, "new.db": tree.ReasonFlux})

	// For an hour that one is kept.
	clock.pass(40 * time.Minute)
	same := s.look(k)
	for _, name := range []string{"log.db", "new.db"} {
		if n := same.files[name]; n == nil || n.Flags&tree.Torn == 0 || *n.SHA256 != *torn.files[name].SHA256 {
			t.Errorf("within the hour: %s is %+v, want the torn version from before", name, n)
		}
	}
	same.listed(t, map[string]tree.Reason{"log.db": tree.ReasonKept, "new.db": tree.ReasonKept})
	clock.pass(25 * time.Minute)
	next := s.look(k)
	for _, name := range []string{"log.db", "new.db"} {
		if n := next.files[name]; n == nil || n.Flags&(tree.KeptPrevious|tree.Torn) != tree.Torn || *n.SHA256 == *torn.files[name].SHA256 {
			t.Errorf("after an hour: %s is %+v, want a newer torn version", name, n)
		}
	}
	if h := k.Health()[0]; h.State != health.Waiting || h.Newest.Writing != 2 {
		t.Errorf("status: %s, %d being written", h.State, h.Newest.Writing)
	}

	end()
	wait(t, "complete", func() bool { return asked(t, k)[0].Missing == 0 })
	s.allGood(func(string, []byte) bool { return true })
}

// runBy runs a keeper by another clock.
func (s *studio) runBy(clock *shifted) (*daemon.Keeper, func()) {
	s.t.Helper()
	k, err := daemon.New(s.t.Context(), daemon.Options{
		Repository: s.r, Config: s.c, Host: "host", Clock: clock, WallOffset: func() time.Duration { return 0 },
	})
	must(s.t, err)
	return k, beside(s.t.Context(), func(ctx context.Context) {
		if err := k.Run(ctx); err != nil {
			s.t.Errorf("keeper: %v", err)
		}
	})
}

// looked is what the newest snapshot holds after somebody asked for one.
type looked struct {
	snap  store.Snapshot
	files map[string]*tree.Node
}

func (s *studio) look(k *daemon.Keeper) looked {
	s.t.Helper()
	l := asked(s.t, k)[0]
	if l.Err != nil {
		s.t.Fatal(l.Err)
	}
	return looked{l.Newest, filesOf(s.t, s.r, &l.Newest.Root)}
}

func (l looked) listed(t *testing.T, want map[string]tree.Reason) {
	t.Helper()
	got := map[string]tree.Reason{}
	for _, m := range l.snap.Missed {
		got[string(m.Path)] = m.Reason
	}
	if len(got) != len(want) {
		t.Errorf("snapshot %d misses %v, want %v", l.snap.Number, got, want)
	}
	for path, reason := range want {
		if got[path] != reason {
			t.Errorf("snapshot %d: %s is missed as %v, want %v", l.snap.Number, path, got[path], reason)
		}
	}
}
