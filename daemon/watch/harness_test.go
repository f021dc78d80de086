package watch_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/watch"
)

// patience is how long anything may take on a loaded machine. Tests that pass
// do not wait for it.
const patience = 60 * time.Second

const settle = 80 * time.Millisecond

type harness struct {
	t    *testing.T
	w    *watch.Watcher
	root string
	stop func() // ends Run and waits for it
}

// start runs a watcher over o.Root, by default a new directory.
func start(t *testing.T, o watch.Options) *harness {
	t.Helper()
	if o.Root == "" {
		o.Root = t.TempDir()
	}
	if o.Settle == 0 {
		o.Settle = settle
	}
	w, err := watch.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
	t.Cleanup(stop)
	return &harness{t: t, w: w, root: o.Root, stop: stop}
}

func (h *harness) path(rel string) string { return filepath.Join(h.root, rel) }

// next is Next with a deadline.
func (h *harness) next(atLatest time.Duration) watch.Batch {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b, err := h.w.Next(ctx, atLatest)
	if err != nil {
		h.t.Fatalf("Next: %v; %+v", err, h.w.Stats())
	}
	return b
}

// first takes the batch that covers everything at the start.
func (h *harness) first() {
	h.t.Helper()
	if b := h.next(time.Hour); !b.All {
		h.t.Fatalf("the first batch is %+v, want All", b)
	}
}

// expect takes batches until each of dirs was named or covered.
func (h *harness) expect(dirs ...string) {
	h.t.Helper()
	missing := make(map[string]bool)
	for _, d := range dirs {
		missing[d] = true
	}
	for len(missing) > 0 {
		b := h.next(time.Hour)
		if b.All {
			return
		}
		for _, d := range b.Dirs {
			delete(missing, d)
		}
	}
}

// eventually waits for a condition on the figures.
func (h *harness) eventually(what string, ok func(watch.Stats) bool) {
	h.t.Helper()
	deadline := time.Now().Add(patience)
	for !ok(h.w.Stats()) {
		if time.Now().After(deadline) {
			h.t.Fatalf("never: %s; %+v", what, h.w.Stats())
		}
		time.Sleep(time.Millisecond)
	}
}

// entry is what a capture would compare of one name.
type entry struct {
	ino, size    uint64
	mtime, ctime syscall.Timespec
	mode         uint32
	dir          bool
}

// mirror is a capture in small: it reads what batches name, nothing else, and
// must end up equal to the tree.
type mirror map[string]map[string]entry

func (m mirror) apply(root string, b watch.Batch) {
	if b.All {
		clear(m)
		m.tree(root, ".")
		return
	}
	for _, rel := range b.Rescan {
		m.drop(rel)
		m.tree(root, rel)
	}
	for _, rel := range b.Dirs {
		m.read(root, rel)
	}
}

// read takes one directory, and forgets the subdirectories it no longer has.
func (m mirror) read(root, rel string) {
	listing := list(filepath.Join(root, rel))
	for name, e := range m[rel] {
		if now := listing[name]; e.dir && (!now.dir || now.ino != e.ino) {
			m.drop(watch.Join(rel, name))
		}
	}
	if listing == nil {
		m.drop(rel)
		return
	}
	m[rel] = listing
}

func (m mirror) drop(rel string) {
	for name, e := range m[rel] {
		if e.dir {
			m.drop(watch.Join(rel, name))
		}
	}
	delete(m, rel)
}

func (m mirror) tree(root, rel string) {
	m.read(root, rel)
	for name, e := range m[rel] {
		if e.dir {
			m.tree(root, watch.Join(rel, name))
		}
	}
}

// diff names what m has or lacks against the disk, as reached from the root.
func (m mirror) diff(root string) []string {
	truth := make(mirror)
	truth.tree(root, ".")
	var wrong []string
	for rel, want := range truth {
		got := m[rel]
		for name, e := range want {
			if got[name] != e {
				wrong = append(wrong, fmt.Sprintf("%q: %q", rel, name))
			}
		}
		for name := range got {
			if _, ok := want[name]; !ok {
				wrong = append(wrong, fmt.Sprintf("%q: %q is gone", rel, name))
			}
		}
	}
	return wrong
}

func list(path string) map[string]entry {
	names, err := os.ReadDir(path)
	if err != nil {
		return nil
	}
	listing := make(map[string]entry)
	for _, n := range names {
		fi, err := os.Lstat(filepath.Join(path, n.Name()))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			panic("watch_test: " + err.Error())
		}
		st := fi.Sys().(*syscall.Stat_t)
		e := entry{ino: st.Ino, mode: st.Mode, dir: fi.IsDir()}
		if !e.dir { // the times of a directory change with its listing
			e.size, e.mtime, e.ctime = uint64(st.Size), st.Mtim, st.Ctim
		}
		listing[n.Name()] = e
	}
	return listing
}

// follow applies batches until the mirror equals the tree after the writers are
// done; it returns the differences that remain after patience.
func (h *harness) follow(m mirror, done <-chan struct{}) []string {
	h.t.Helper()
	return h.followFor(m, done, patience)
}

func (h *harness) followFor(m mirror, done <-chan struct{}, patience time.Duration) []string {
	h.t.Helper()
	var wrong []string
	var deadline time.Time
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 2*settle)
		b, err := h.w.Next(ctx, 4*settle)
		cancel()
		if err == nil {
			m.apply(h.root, b)
		} else if !errors.Is(err, context.DeadlineExceeded) {
			h.t.Fatal(err)
		}
		select {
		case <-done:
		default:
			continue
		}
		if deadline.IsZero() {
			deadline = time.Now().Add(patience)
		}
		if wrong = m.diff(h.root); len(wrong) == 0 || time.Now().After(deadline) {
			return wrong
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(content), 0o644))
}

// fakeClock moves only when told.
type fakeClock struct {
	mu    sync.Mutex
	now   time.Time
	armed []alarm
}

type alarm struct {
	at time.Time
	c  chan time.Time
}

func newFakeClock() *fakeClock { return &fakeClock{now: time.Unix(1_800_000_000, 0)} }

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) After(d time.Duration) <-chan time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	a := alarm{c.now.Add(d), make(chan time.Time, 1)}
	c.armed = append(c.armed, a)
	return a.c
}

// advance moves the clock in steps small enough for every timer to be armed
// again in between.
func (c *fakeClock) advance(h *harness, d time.Duration) {
	const step = 100 * time.Millisecond
	for ; d > 0; d -= step {
		c.mu.Lock()
		c.now = c.now.Add(step)
		left := c.armed[:0]
		for _, a := range c.armed {
			if a.at.After(c.now) {
				left = append(left, a)
			} else {
				a.c <- c.now
			}
		}
		c.armed = left
		c.mu.Unlock()
		h.sync()
	}
}

// sync lets the owner look at what is ready: it receives one of these only
// between two pieces of work, and picks among what is ready at random, so that
// nothing waits after 64 of them but by a chance of one in millions.
func (h *harness) sync() {
	for range 64 {
		h.w.Requeue(watch.Batch{})
	}
}
