package daemon_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keepsake/daemon"
	"keepsake/daemon/alert"
	"keepsake/daemon/config"
	"keepsake/daemon/schedule"
	"keepsake/store"
	"keepsake/store/storetest"
)

// turned is a clock that goes with the real one, except that a test lets hours
// pass at once, or sets it.
type turned struct {
	began time.Time

	mu     sync.Mutex
	passed time.Duration // beyond what really did
	set    time.Duration // of the wall clock alone
	waits  map[chan time.Time]time.Duration
}

func newTurned() *turned {
	return &turned{began: time.Now(), waits: map[chan time.Time]time.Duration{}}
}

// up is how long the clock has gone; mu is held.
func (c *turned) up() time.Duration { return time.Since(c.began) + c.passed }

// Now has no monotonic reading: nobody can be told two times at once.
func (c *turned) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.began.Round(0).Add(c.up() + c.set)
}

// ahead is what daemon.Options.WallOffset wants: this machine began a day ago.
func (c *turned) ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(c.began.UnixNano()) - 24*time.Hour + c.set
}

func (c *turned) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan time.Time, 1)
	c.waits[ch] = c.up() + d
	time.AfterFunc(d, func() { c.pass(0) })
	return ch
}

// pass lets time pass, and wakes those who waited for it.
func (c *turned) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed += d
	for ch, until := range c.waits {
		if c.up() >= until {
			ch <- c.began.Add(c.up())
			delete(c.waits, ch)
		}
	}
}

func (c *turned) jump(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set += d
}

// bell is a program that writes down what it is told.
type bell struct{ file string }

func (b *bell) configure(t *testing.T, c *config.Config) {
	t.Helper()
	dir := t.TempDir()
	b.file = filepath.Join(dir, "heard")
	program := filepath.Join(dir, "tell-me")
	if err := os.WriteFile(program, []byte("#!/bin/sh\nexec cat >>"+b.file+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	c.Notify = config.Notify{Command: []string{program}, Timeout: time.Minute}
}

func (b *bell) heard(t *testing.T) (all []alert.Event) {
	t.Helper()
	text, err := os.ReadFile(b.file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var e alert.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// hears waits until exactly these kinds of events were told of a source.
func (b *bell) hears(t *testing.T, source string, kinds ...string) {
	t.Helper()
	got := func() (all []string) {
		for _, e := range b.heard(t) {
			if e.Source == source {
				all = append(all, e.Kind)
			}
		}
		return all
	}
	wait(t, "told "+strings.Join(kinds, ", "), func() bool { return len(got()) >= len(kinds) })
	if got := got(); !slices.Equal(got, kinds) {
		t.Errorf("told %q, want %q: %+v", got, kinds, b.heard(t))
	}
}

// timed is a keeper with a clock of its own, its repository's as well.
type timed struct {
	*daemon.Keeper
	clock *turned
	r     *store.Repository
	bell  bell
}

func keptBy(t *testing.T, clock *turned, c config.Config) *timed {
	t.Helper()
	place := storetest.New(t)
	place.Now = clock.Now
	k := &timed{clock: clock, r: place.Open(t)}
	k.bell.configure(t, &c)
	var err error
	k.Keeper, err = daemon.New(t.Context(), daemon.Options{Repository: k.r, Config: c, Host: "host", Clock: clock, WallOffset: clock.ahead})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := k.Run(ctx); err != nil {
			t.Errorf("keeper: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); work.Wait() })
	return k
}

// rest waits until a snapshot holds all there is, and nothing in it is in doubt
// for having been written a moment before.
func (k *timed) rest(t *testing.T) {
	t.Helper()
	wait(t, "at rest", func() bool {
		l := asked(t, k.Keeper)[0]
		return l.Err == nil && l.Snapshot.Number == 0 && k.Health()[0].Well()
	})
}

// timesOf is a schedule of times of day.
func timesOf(t *testing.T, times ...string) (s schedule.Schedule) {
	t.Helper()
	for _, text := range times {
		at, err := schedule.ParseTime(text)
		if err != nil {
			t.Fatal(err)
		}
		s.At = append(s.At, at)
	}
	return s
}
