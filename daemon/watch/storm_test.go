package watch_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/watch"
)

// TestStorm has four writers create, edit, move, hard-link and delete in
// thousands of directories while a consumer lists what batches name. At rest the
// consumer knows the tree as it is, whatever limits the kernel had. Of files that
// had several names it may not know the last change: one made through a name
// that came and went between two batches concerns a directory that no event
// names. The scan that follows, as it does daily, leaves nothing out.
func TestStorm(t *testing.T) {
	long(t)
	tests := []struct {
		name  string
		opts  watch.Options
		queue bool // of the kernel, 16 events
		check func(s watch.Stats) bool
	}{
		{"ordinary limits", watch.Options{}, false, func(s watch.Stats) bool { return s.AtLimit == 0 }},
		{"a buffer of 16", watch.Options{EventBuffer: 16}, false, func(s watch.Stats) bool { return s.Overflows > 0 }},
		{"a kernel's queue of 16", watch.Options{}, true, func(s watch.Stats) bool { return s.Overflows > 0 }},
		{"100 watches", watch.Options{MaxWatches: 100, PollEvery: 2 * time.Second}, false, func(s watch.Stats) bool {
			return s.LimitReached > 0 && s.Watches <= 100
		}},
		{"a buffer of 16 and 100 watches", watch.Options{MaxWatches: 100, EventBuffer: 16, PollEvery: 2 * time.Second}, false, func(s watch.Stats) bool {
			return s.Overflows > 0 && s.LimitReached > 0
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.queue {
				shortQueue(t)
			}
			wrong, s := storm(t, test.opts, 20*time.Second, 2*patience)
			if len(wrong) > 0 {
				t.Errorf("%d differences, first %s; %+v", len(wrong), wrong[0], s)
			}
			if !test.check(s) {
				t.Errorf("not what this was to be: %+v", s)
			}
		})
	}
	t.Run("negative control", func(t *testing.T) {
		o := watch.Options{EventBuffer: 16}
		o.IgnoreLost()
		if wrong, s := storm(t, o, 5*time.Second, 5*time.Second); len(wrong) == 0 {
			t.Errorf("the test cannot fail: %+v", s)
		}
	})
}

func storm(t *testing.T, o watch.Options, d, patience time.Duration) ([]string, watch.Stats) {
	h := start(t, o)
	h.first()
	m := newLinked(h.root)
	var w weather
	done := w.blow(t, h.root, 4, d)
	var batches, scans int
	var deadline time.Time
	for {
		b, err := h.w.Take(t.Context())
		must(t, err)
		if !b.Empty() {
			batches++
		}
		if b.All || len(b.Rescan) > 0 {
			scans++
			if len(b.Causes) == 0 {
				t.Errorf("a scan without a cause: %+v", b)
			}
		}
		m.apply(b)
		select {
		case <-done:
		default:
			time.Sleep(settle)
			continue
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(patience)
		}
		wrong, silent := w.judge(m.mirror, h.root)
		if len(wrong) > 0 && time.Now().Before(deadline) {
			time.Sleep(settle)
			continue
		}
		s := h.w.Stats()
		t.Logf("%d steps, %d directories, %d files, %d batches, %d with scans; %d differences, %d of files with several names; %+v",
			w.steps.Load(), len(m.mirror), len(m.names), batches, scans, len(wrong), silent, s)
		h.w.Requeue(watch.Batch{All: true, Causes: []string{"daily"}})
		b, err = h.w.Take(t.Context())
		must(t, err)
		m.apply(b)
		return append(wrong, m.mirror.diff(h.root)...), s
	}
}

// weather is what the writers leave to know.
type weather struct {
	steps  atomic.Uint64
	linked sync.Map // inode numbers of files that had several names
}

// judge compares as diff does, and counts apart what only a scan can find.
func (w *weather) judge(m mirror, root string) (wrong []string, silent int) {
	truth := make(mirror)
	truth.tree(root, ".")
	for rel, want := range truth {
		for name, e := range want {
			had, known := m[rel][name]
			_, several := w.linked.Load(e.ino)
			switch {
			case had == e:
			case several && known && had.ino == e.ino:
				silent++
			default:
				wrong = append(wrong, fmt.Sprintf("%q: %q is %+v, known as %+v", rel, name, e, had))
			}
		}
		for name := range m[rel] {
			if _, ok := want[name]; !ok {
				wrong = append(wrong, fmt.Sprintf("%q: %q is gone", rel, name))
			}
		}
	}
	return wrong, silent
}

// blow is the storm: 10 names per directory and 4 levels.
func (w *weather) blow(t *testing.T, root string, writers int, d time.Duration) <-chan struct{} {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	end := time.Now().Add(d)
	var running sync.WaitGroup
	for i := range writers {
		running.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(i)))
			for time.Now().Before(end) {
				w.gust(r, root)
				w.steps.Add(1)
				time.Sleep(100 * time.Microsecond) // two processors are shared with the consumer
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

// gust is one step. Failures are part of it.
func (w *weather) gust(r *rand.Rand, root string) {
	path := func(levels int) string {
		parts := []string{root}
		for range levels {
			parts = append(parts, fmt.Sprint("n", r.IntN(10)))
		}
		return strings.Join(parts, "/")
	}
	file := func() string { return fmt.Sprintf("%s/f%d.jpg", path(1+r.IntN(4)), r.IntN(10)) }
	p := file()
	switch r.IntN(20) {
	case 0, 1, 2, 3:
		_ = os.MkdirAll(path(4), 0o755)
	case 4, 5, 6, 7, 8, 9:
		_ = os.WriteFile(p, []byte(p), 0o644)
	case 10, 11, 12:
		if f, err := os.OpenFile(p, os.O_WRONLY|os.O_APPEND, 0); err == nil {
			_, _ = f.WriteString("more")
			_ = f.Close()
		}
	case 13, 14:
		// Other writers may replace p meanwhile: then both files are excused.
		other := file()
		w.several(p)
		_ = os.Link(p, other)
		w.several(other)
	case 15, 16:
		_ = os.Rename(p, file())
	case 17:
		_ = os.Remove(p)
	case 18:
		_ = syscall.Rename(path(2+r.IntN(3)), path(2+r.IntN(3)))
	case 19:
		if r.IntN(20) == 0 {
			_ = os.RemoveAll(path(2 + r.IntN(3)))
		} else {
			_ = os.Chmod(path(1+r.IntN(4)), 0o755)
		}
	}
}

// several notes that a file may have several names.
func (w *weather) several(path string) {
	var st syscall.Stat_t
	if syscall.Lstat(path, &st) == nil {
		w.linked.Store(st.Ino, true)
	}
}

// linked is a mirror that knows all names of each file. inotify tells of a
// change by the name it was made through only, so the others are read too, as a
// capture does.
type linked struct {
	mirror mirror
	root   string
	names  map[uint64]map[string]bool // inode number → directories
}

func newLinked(root string) *linked {
	l := &linked{mirror: mirror{}, root: root, names: map[uint64]map[string]bool{}}
	l.apply(watch.Batch{All: true})
	return l
}

func (l *linked) apply(b watch.Batch) {
	before := make(mirror, len(l.mirror))
	for rel, listing := range l.mirror {
		before[rel] = listing // listings are replaced, not changed
	}
	l.mirror.apply(l.root, b)
	for again := l.differences(before); len(again) > 0; again = l.differences(before) {
		clear(before)
		for rel := range again {
			before[rel] = l.mirror[rel]
			l.mirror.read(l.root, rel)
		}
	}
}

// differences brings names up to date and returns the directories with other
// names of what changed since before.
func (l *linked) differences(before mirror) map[string]bool {
	again := map[string]bool{}
	changed := func(ino uint64, rel string) {
		for other := range l.names[ino] {
			if other != rel && l.mirror[other] != nil {
				again[other] = true
			}
		}
	}
	for rel, was := range before {
		now := l.mirror[rel]
		for name, e := range was {
			if !e.dir && now[name] != e {
				delete(l.names[e.ino], rel)
				changed(e.ino, rel)
			}
		}
	}
	for rel, now := range l.mirror {
		was, known := before[rel]
		if !known && len(before) > 0 && l.seen(rel, now) {
			continue
		}
		for name, e := range now {
			if e.dir {
				continue
			}
			if l.names[e.ino] == nil {
				l.names[e.ino] = map[string]bool{}
			}
			l.names[e.ino][rel] = true
			if was[name] != e {
				changed(e.ino, rel)
			}
		}
	}
	return again
}

// seen reports whether all files of a listing are filed under rel already.
func (l *linked) seen(rel string, listing map[string]entry) bool {
	for _, e := range listing {
		if !e.dir && !l.names[e.ino][rel] {
			return false
		}
	}
	return true
}
