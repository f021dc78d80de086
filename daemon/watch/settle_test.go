package watch_test

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/watch"
)

// startFake runs a watcher whose clock moves only when the test says so, with
// the default settle time of 5 s and the first batch taken.
func startFake(t *testing.T, o watch.Options) (*harness, *fakeClock) {
	t.Helper()
	clock := newFakeClock()
	o.Clock = clock
	o.Settle = 5 * time.Second
	h := start(t, o)
	h.eventually("the watches are set", func(s watch.Stats) bool { return s.Ready })
	if b := h.take(); !b.All {
		t.Fatalf("the first batch is %+v, want All", b)
	}
	return h, clock
}

func (h *harness) take() watch.Batch {
	h.t.Helper()
	b, err := h.w.Take(h.t.Context())
	must(h.t, err)
	return b
}

// event makes a change and waits until the watcher has heard of it.
func (h *harness) event(change func()) {
	h.t.Helper()
	before := h.w.Stats().Events
	change()
	h.eventually("an event", func(s watch.Stats) bool { return s.Events > before })
}

// TestSlowWriter writes a file for far longer than the settle time, pausing for
// less than it.
func TestSlowWriter(t *testing.T) {
	tests := []struct {
		name string
		step func(f *os.File, i int) error
	}{
		{"append", func(f *os.File, _ int) error {
			_, err := f.Write([]byte("frame"))
			return err
		}},
		{"fill what was preallocated", func(f *os.File, i int) error {
			if i == 0 {
				return f.Truncate(1 << 20)
			}
			_, err := f.WriteAt([]byte("frame"), int64(i)*4096)
			return err
		}},
		{"mtime set back after each write", func(f *os.File, _ int) error {
			if _, err := f.WriteAt([]byte("frame"), 0); err != nil {
				return err
			}
			return os.Chtimes(f.Name(), time.Unix(1, 0), time.Unix(1, 0))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, clock := startFake(t, watch.Options{})
			var f *os.File
			h.event(func() {
				var err error
				f, err = os.Create(h.path("render.mov"))
				must(t, err)
			})
			for i := range 20 {
				h.event(func() { must(t, test.step(f, i)) })
				clock.advance(h, 4*time.Second)
				if s := h.w.Stats(); s.InFlux != 1 {
					t.Fatalf("write %d: %d files in flux, want 1", i, s.InFlux)
				}
			}
			if b := h.take(); !slices.Equal(b.Unsettled, []string{"render.mov"}) || !slices.Contains(b.Dirs, ".") {
				t.Fatalf("while it is written: %+v", b)
			}
			must(t, f.Close())
			clock.advance(h, 8*time.Second)
			if b := h.next(time.Hour); len(b.Unsettled) > 0 || !slices.Contains(b.Dirs, ".") {
				t.Errorf("when it rests: %+v", b)
			}
			if b := h.take(); !b.Empty() {
				t.Errorf("and then: %+v", b)
			}
		})
	}
}

// TestSilentChange changes a file in flux without an event, by a memory map.
func TestSilentChange(t *testing.T) {
	h, clock := startFake(t, watch.Options{})
	name := h.path("mapped")
	h.event(func() { write(t, name, string(make([]byte, 4096))) })
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	m, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	must(t, err)
	defer func() { must(t, syscall.Munmap(m)) }()
	h.eventually("both events seen, of its creation and of its content", func(s watch.Stats) bool { return s.Events >= 2 })
	clock.advance(h, 2*time.Second)
	events := h.w.Stats().Events

	before, err := os.Stat(name)
	must(t, err)
	for after := before; after.ModTime().Equal(before.ModTime()); {
		time.Sleep(10 * time.Millisecond) // the kernel's times are coarse
		m[0]++
		must(t, f.Sync()) // clean pages, so that the next store is noticed
		after, err = os.Stat(name)
		must(t, err)
	}
	clock.advance(h, 5*time.Second)
	if s := h.w.Stats(); s.Events != events || s.InFlux != 1 {
		t.Fatalf("%d events more, %d files in flux; want none and 1", s.Events-events, s.InFlux)
	}
	clock.advance(h, 6*time.Second)
	if s := h.w.Stats(); s.InFlux != 0 {
		t.Errorf("never rests")
	}
}

// TestAgeDoesNotCount gives a new file the times of long ago.
func TestAgeDoesNotCount(t *testing.T) {
	h, clock := startFake(t, watch.Options{})
	h.event(func() { write(t, h.path("copy"), "x") })
	h.event(func() { must(t, os.Chtimes(h.path("copy"), time.Unix(1, 0), time.Unix(1, 0))) })
	clock.advance(h, 4*time.Second)
	if s := h.w.Stats(); s.InFlux != 1 {
		t.Errorf("settled because of its age")
	}
}

// TestBusyNeighbour expects a resting directory within three settle times while
// another one never rests, and the restless one at the latest after atLatest.
func TestBusyNeighbour(t *testing.T) {
	h, clock := startFake(t, watch.Options{})
	h.event(func() { must(t, os.Mkdir(h.path("busy"), 0o755)) })
	h.event(func() { must(t, os.Mkdir(h.path("photos"), 0o755)) })
	clock.advance(h, 20*time.Second)
	h.next(time.Hour)

	got := make(chan watch.Batch, 1)
	ask := func(atLatest time.Duration) {
		if b, err := h.w.Next(t.Context(), atLatest); err == nil {
			got <- b
		}
	}
	go ask(time.Hour)
	h.event(func() { write(t, h.path("photos/a.jpg"), "x") })
	for i := 0; ; i++ {
		h.event(func() { write(t, h.path("busy/render"), string(rune('a'+i))) })
		clock.advance(h, time.Second)
		select {
		case b := <-got:
			if !slices.Contains(b.Dirs, "photos") || !slices.Equal(b.Unsettled, []string{"busy/render"}) {
				t.Errorf("%+v", b)
			}
		default:
			if i < 20 {
				continue
			}
			t.Errorf("no photo after %d s", i)
		}
		break
	}

	go ask(30 * time.Second)
	for i := range 60 {
		h.event(func() { write(t, h.path("busy/render"), string(rune('A'+i%26))) })
		clock.advance(h, time.Second)
		select {
		case b := <-got:
			if !slices.Contains(b.Dirs, "busy") || !slices.Equal(b.Unsettled, []string{"busy/render"}) {
				t.Errorf("%+v", b)
			}
			return
		default:
		}
	}
	t.Error("nothing after twice the time that Next allows")
}

// TestMaxFlux creates more files than may be tracked: they take turns, and no
// directory is handed out before its files had theirs.
func TestMaxFlux(t *testing.T) {
	h, clock := startFake(t, watch.Options{MaxFlux: 200, CookieDir: t.TempDir()})
	m := mirror{".": {}}
	changed, done := burst(t, h.root)
	<-done
	h.eventually("all directories known", func(s watch.Stats) bool {
		return s.Directories == len(changed) && s.Unread == 0
	})
	got := make(chan watch.Batch, 1)
	go func() {
		if b, err := h.w.Take(t.Context()); err == nil {
			got <- b
		}
	}()
	early, taken := 0, 0
	for seconds := 0; len(m.diff(h.root)) > 0; seconds++ {
		if seconds > 600 {
			t.Fatalf("not covered: %q", m.diff(h.root))
		}
		clock.advance(h, time.Second)
		s := h.w.Stats()
		if s.InFlux > 202 {
			t.Fatalf("%d files in flux, want at most 200 and those of one directory", s.InFlux)
		}
		if seconds == 0 && s.InFlux < 200 {
			t.Fatalf("%d files in flux of 2,000 new ones, want 200", s.InFlux)
		}
		select {
		case b := <-got:
			if taken++; taken == 1 {
				early = len(b.Dirs)
				if !b.Uncertain {
					t.Error("files that nobody looked at, and the batch is certain")
				}
			}
			m.apply(h.root, b)
			go func() {
				if b, err := h.w.Next(t.Context(), time.Hour); err == nil {
					got <- b
				}
			}()
		default:
		}
	}
	if early > len(changed)*8/10 {
		t.Errorf("%d of %d directories were handed out unread", early, len(changed))
	}
}
