package fusefs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keepsake/crypto"
	"keepsake/fusefs"
	"keepsake/store"
	"keepsake/store/tree"
)

// TestDamageInVersions takes an old page away: what can be read is listed, and
// then comes an error.
func TestDamageInVersions(t *testing.T) {
	l := newTimed(t)
	for i := range 400 {
		l.write(fmt.Sprintf("d/f%03d", i), "old")
	}
	l.write("e/x", "kept")
	a := l.take()
	l.write("d/new", "new")
	b := l.take()
	damaged := &damagedPages{Repository: l.r}
	var later atomic.Int64
	m := mount(t, l.r, func(o *fusefs.Options) {
		o.Repository = damaged
		o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	all, _, err := l.r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	damaged.spoil(t, all[0], "d")
	entries, err := os.ReadDir(m.path("versions", "library", "d"))
	if !errors.Is(err, syscall.EIO) || len(entries) < 100 || len(entries) >= 401 {
		t.Errorf("a damaged directory lists %d names: %v", len(entries), err)
	}
	expect(t, m.path("versions", "library", "e", "x"), map[string]string{a: "kept"})
	expect(t, m.path("versions", "library", "d", "new"), map[string]string{b: "new"})
	if _, err := os.Stat(m.path("versions", "library", "d", "none")); !errors.Is(err, syscall.EIO) {
		t.Errorf("what may be in the damaged page is said not to be there: %v", err)
	}
	if lines := m.log.lines("versions:/d"); len(lines) != 1 {
		t.Errorf("logged %d times: %q", len(lines), lines)
	}

	// The page was put back.
	damaged.rotten.Store(nil)
	later.Store(int64(time.Minute))
	time.Sleep(1100 * time.Millisecond) // as long as the kernel may keep a name
	if got := list(t, m.path("versions", "library", "d")); len(got) != 401 {
		t.Errorf("a minute after the repair there are %d names", len(got))
	}
	expect(t, m.path("versions", "library", "d", "f000"), map[string]string{a: "old"})
}

// TestRepairedVersions has the root page of a snapshot between two others rotten
// and put back: then all three versions are there.
func TestRepairedVersions(t *testing.T) {
	l := newTimed(t)
	var names []string
	for _, text := range []string{"one", "two", "three"} {
		l.write("d/x", text)
		names = append(names, l.take())
	}
	all, _, err := l.r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	damaged := &damagedPages{Repository: l.r}
	damaged.rotten.Store(&all[1].Root.Pages)
	var later atomic.Int64
	m := mount(t, l.r, func(o *fusefs.Options) {
		o.Repository = damaged
		o.Now = func() time.Time { return time.Now().Add(time.Duration(later.Load())) }
	})
	dir := m.path("versions", "library", "d", "x")
	if entries, err := os.ReadDir(dir); !errors.Is(err, syscall.EIO) || len(entries) != 2 {
		t.Errorf("%d versions: %v", len(entries), err)
	}
	for i, text := range map[int]string{0: "one", 2: "three"} {
		if b, err := os.ReadFile(dir + "/" + names[i]); string(b) != text {
			t.Errorf("%s holds %q: %v", names[i], b, err)
		}
	}
	damaged.rotten.Store(nil)
	later.Store(int64(time.Minute))
	time.Sleep(1100 * time.Millisecond) // as long as the kernel may keep a name
	expect(t, dir, map[string]string{names[0]: "one", names[1]: "two", names[2]: "three"})
}

// TestVersionsComeBack unplugs the disk while a directory is read for the first
// time: it is an error, and when the disk is back it is not.
func TestVersionsComeBack(t *testing.T) {
	l := newTimed(t)
	l.write("d/x", "one")
	name := l.take()
	away := &damagedPages{Repository: l.r}
	away.away.Store(true)
	m := mount(t, l.r, func(o *fusefs.Options) { o.Repository = away })
	for range 3 {
		if _, err := os.ReadDir(m.path("versions", "library")); !errors.Is(err, syscall.EIO) {
			t.Errorf("while the disk is away: %v", err)
		}
	}
	away.away.Store(false)
	expect(t, m.path("versions", "library", "d", "x"), map[string]string{name: "one"})
}

// damagedPages is a repository in which one page of a directory is rotten.
type damagedPages struct {
	*store.Repository
	rotten atomic.Pointer[crypto.ChunkID]
	away   atomic.Bool // and all pages are
}

func (d *damagedPages) Page(ctx context.Context, id crypto.ChunkID) ([]byte, error) {
	if d.away.Load() {
		return nil, fmt.Errorf("%s: %w", id, store.ErrAway)
	}
	if r := d.rotten.Load(); r != nil && *r == id {
		return nil, &store.DamageError{Object: "meta/rotten", Chunk: id, Err: errors.New("rotten")}
	}
	return d.Repository.Page(ctx, id)
}

// spoil makes the first leaf of a directory rotten.
func (d *damagedPages) spoil(t testing.TB, s store.Snapshot, dir string) {
	t.Helper()
	n, err := d.Resolve(t.Context(), &s.Root, dir)
	if err != nil {
		t.Fatal(err)
	}
	var last crypto.ChunkID
	err = tree.VisitPages(t.Context(), d.Page, n.Pages, func(id crypto.ChunkID) bool {
		last = id
		return true
	}, func([]tree.Node) error {
		leaf := last
		d.rotten.CompareAndSwap(nil, &leaf)
		return nil
	})
	if rotten := d.rotten.Load(); err != nil || rotten == nil || *rotten == n.Pages {
		t.Fatalf("no leaf to spoil: %v", err)
	}
}
