package watch_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/watch"
)

// TestLostEvents loses the events of whole directories that appear and change;
// a file that changes later shows that the walk has set watches again.
func TestLostEvents(t *testing.T) {
	run := func(t *testing.T, patience time.Duration, sabotage func(*watch.Options)) ([]string, watch.Stats) {
		o := watch.Options{Root: t.TempDir()}
		var losing atomic.Bool
		last := make(chan struct{})
		once := sync.OnceFunc(func() { close(last) })
		losing.Store(true)
		o.Drop(func(name string) bool {
			if filepath.Base(name) == "last" {
				once()
			}
			return losing.Load()
		})
		if sabotage != nil {
			sabotage(&o)
		}
		h := start(t, o)
		must(t, os.MkdirAll(h.path("d/e"), 0o755))
		must(t, os.MkdirAll(h.path("d/f"), 0o755))
		h.first()
		m := make(mirror)
		m.tree(h.root, ".")

		must(t, os.Rename(h.path("d/e"), h.path("d/g")))
		must(t, os.Remove(h.path("d/f")))
		must(t, os.Mkdir(h.path("d/f"), 0o755)) // often with the same inode number
		write(t, h.path("d/f/file"), "x")
		must(t, os.MkdirAll(h.path("new/deep"), 0o755))
		write(t, h.path("new/deep/file"), "x")
		write(t, h.path("last"), "x")
		<-last
		losing.Store(false)
		done := make(chan struct{})
		close(done)
		wrong := h.followFor(m, done, patience)
		if len(wrong) > 0 {
			return wrong, h.w.Stats()
		}
		for _, d := range []string{"d/f", "d/g", "new/deep"} {
			write(t, h.path(d+"/after"), "x")
		}
		return h.followFor(m, done, patience), h.w.Stats()
	}
	t.Run("walk", func(t *testing.T) {
		wrong, stats := run(t, patience, nil)
		if len(wrong) > 0 {
			t.Errorf("not covered: %q", wrong)
		}
		if stats.Overflows == 0 || stats.Walks < 2 {
			t.Errorf("not counted: %+v", stats)
		}
	})
	t.Run("negative control", func(t *testing.T) {
		if wrong, _ := run(t, 20*settle, (*watch.Options).IgnoreLost); len(wrong) == 0 {
			t.Error("the test cannot fail")
		}
	})
}

// TestFluxSurvivesLostEvents loses an event while a file is in flux.
func TestFluxSurvivesLostEvents(t *testing.T) {
	var o watch.Options
	o.Drop(func(name string) bool { return filepath.Base(name) == "lost" })
	h, clock := startFake(t, o)
	h.event(func() { must(t, os.Mkdir(h.path("d"), 0o755)) })
	write(t, h.path("lost"), "x")
	h.eventually("the loss is known", func(s watch.Stats) bool { return s.Lost })
	clock.advance(h, 3*time.Second)
	h.event(func() { write(t, h.path("d/render"), "x") })
	for h.w.Stats().Walks < 2 {
		clock.advance(h, time.Second)
	}
	if b := h.take(); !b.All || len(b.Unsettled) != 1 || b.Unsettled[0] != "d/render" {
		t.Errorf("after the walk: %+v", b)
	}
}

// TestChaos has writers make, fill, move, swap, replace and delete directories
// for a while, with the ordinary limits and with tiny ones; what batches named
// must lead to the tree as it is.
func TestChaos(t *testing.T) {
	tests := []struct {
		name  string
		opts  watch.Options
		check func(t *testing.T, s watch.Stats)
	}{
		{"ordinary", watch.Options{}, func(t *testing.T, s watch.Stats) {
			if s.AtLimit > 0 || s.NotWatchable > 0 || s.Watches != s.Directories {
				t.Errorf("not all watched: %+v", s)
			}
		}},
		{"with cookies", watch.Options{CookieDir: "set below"}, func(t *testing.T, s watch.Stats) {
			if s.CookiesSeen == 0 || s.CookiesFailed > 0 {
				t.Errorf("cookies: %+v", s)
			}
		}},
		{"a queue of 16", watch.Options{EventBuffer: 16}, func(t *testing.T, s watch.Stats) {
			if s.Overflows == 0 {
				t.Errorf("the queue was never full: %+v", s)
			}
		}},
		{"10 watches", watch.Options{MaxWatches: 10, PollEvery: settle}, func(t *testing.T, s watch.Stats) {
			if s.LimitReached == 0 || s.Watches > 10 {
				t.Errorf("the limit was not kept: %+v", s)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := test.opts
			if o.CookieDir != "" {
				o.CookieDir = t.TempDir()
			}
			h := start(t, o)
			h.first()
			m := make(mirror)
			m.tree(h.root, ".")
			done := chaos(t, h.root, 3, 1500*time.Millisecond)
			if wrong := h.follow(m, done); len(wrong) > 0 {
				t.Errorf("%d differences, first %s; %+v", len(wrong), wrong[0], h.w.Stats())
			}
			test.check(t, h.w.Stats())
		})
	}
}

// chaos works on a tree of at most 6 names per directory and 4 levels, so that
// the writers get in each other's way. Failures of single steps are part of it.
func chaos(t *testing.T, root string, writers int, d time.Duration) <-chan struct{} {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	end := time.Now().Add(d)
	var running sync.WaitGroup
	for w := range writers {
		running.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			path := func() string {
				parts := []string{root}
				for range 1 + r.IntN(4) {
					parts = append(parts, fmt.Sprint("n", r.IntN(6)))
				}
				return strings.Join(parts, "/")
			}
			for time.Now().Before(end) {
				p := path()
				switch r.IntN(12) {
				case 0, 1:
					_ = os.MkdirAll(p, 0o755)
				case 2, 3, 4:
					_ = os.WriteFile(p+".jpg", []byte(p), 0o644)
				case 5:
					if f, err := os.OpenFile(p+".jpg", os.O_WRONLY|os.O_APPEND, 0); err == nil {
						_, _ = f.WriteString("more")
						_ = f.Close()
					}
				case 6:
					_ = os.Rename(p+".jpg", path()+".jpg")
				case 7, 8:
					_ = syscall.Rename(p, path())
				case 9:
					_ = os.RemoveAll(p)
				case 10:
					_ = os.Remove(p + ".jpg")
				case 11:
					_ = os.RemoveAll(p)
					_ = os.MkdirAll(p+"/n0/n1", 0o755)
					_ = os.WriteFile(p+"/n0/n1.jpg", nil, 0o644)
				}
				if r.IntN(50) == 0 {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() {
		running.Wait()
		close(done)
	}()
	t.Cleanup(running.Wait)
	return done
}
