package fusefs_test

import (
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// buggy is a repository that panics.
type buggy struct {
	*store.Repository
	bug atomic.Pointer[string] // where
}

func (b *buggy) at(place string) {
	if p := b.bug.Load(); p != nil && *p == place {
		panic("planted in " + place)
	}
}

func (b *buggy) Briefs(ctx context.Context) ([]*store.Brief, []error, error) {
	b.at("Briefs")
	return b.Repository.Briefs(ctx)
}

func (b *buggy) Entries(ctx context.Context, dir *tree.Node) iter.Seq2[*tree.Node, error] {
	return func(yield func(*tree.Node, error) bool) {
		b.at("Entries")
		b.Repository.Entries(ctx, dir)(yield)
	}
}

func (b *buggy) Lookup(ctx context.Context, dir *tree.Node, name []byte) (*tree.Node, error) {
	b.at("Lookup")
	return b.Repository.Lookup(ctx, dir, name)
}

func (b *buggy) OpenFile(n *tree.Node) (*store.File, error) {
	b.at("OpenFile")
	return b.Repository.OpenFile(n)
}

// buggyDisk panics in reads of data.
type buggyDisk struct {
	*backend.Local
	on atomic.Bool
}

func (b *buggyDisk) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if b.on.Load() && strings.HasPrefix(name, "data/") {
		panic("planted in the disk")
	}
	return b.Local.ReadAt(ctx, name, p, off)
}

// TestPanics: a bug in one operation is an input/output error of that one, and
// one line in the log; the program and the view live on.
func TestPanics(t *testing.T) {
	needFUSE(t)
	t.Parallel()
	place := storetest.New(t)
	dir := filepath.Join(t.TempDir(), "library")
	for _, name := range []string{"Entries", "OpenFile", "disk", "ahead"} {
		write(t, filepath.Join(dir, name, "file"), random(uint64(len(name)), 4<<20))
	}
	for i := range 300 { // so that Lookup is asked and not Entries
		write(t, filepath.Join(dir, "Lookup", strings.Repeat("x", i%200)+string(rune('a'+i/200))), nil)
	}
	first, err := place.TryOpen(t.Context())
	must(t, err)
	back(t, first, dir, "library", nil)
	must(t, first.Close())
	disk := &buggyDisk{Local: place.Backend}
	r := &buggy{Repository: openOver(t, place, store.Options{Objects: disk})}
	m := mountBy(t, nil, nil, func(o fusefs.Options) (*fusefs.Mounted, error) {
		o.Repository, o.Patience = r, 5*time.Second
		return fusefs.Mount(t.Context(), o)
	})
	root := m.path("latest", "library")
	read := func(name string) error { _, err := os.ReadFile(filepath.Join(root, name, "file")); return err }
	for where, op := range map[string]func() error{
		"Entries":  func() error { return read("Entries") },
		"Lookup":   func() error { _, err := os.Stat(root + "/Lookup/xxxa"); return err },
		"OpenFile": func() error { return read("OpenFile") },
	} {
		r.bug.Store(&where)
		for range 2 {
			if err := op(); !errors.Is(err, unix.EIO) {
				t.Errorf("a panic in %s became %v", where, err)
			}
		}
		r.bug.Store(nil)
		if err := op(); err != nil {
			t.Errorf("after a panic in %s: %v", where, err)
		}
		saidOnce(t, m, "planted in "+where)
	}

	where := "Briefs"
	r.bug.Store(&where)
	time.Sleep(1100 * time.Millisecond)
	if got := list(t, m.path("snapshots")); len(got) != 1 {
		t.Errorf("after a panic the snapshots are %q", got)
	}
	m.Refresh()
	r.bug.Store(nil)
	saidOnce(t, m, "planted in Briefs")

	disk.on.Store(true)
	if err := read("disk"); !errors.Is(err, unix.EIO) {
		t.Errorf("a panic in the disk became %v", err)
	}
	disk.on.Store(false)
	panicAhead(t, disk, root+"/ahead/file")
	for _, name := range []string{"disk", "ahead"} {
		if err := read(name); err != nil {
			t.Errorf("after a panic in the disk: %v", err)
		}
	}
	saidOnce(t, m, "planted in the disk")
}

// panicAhead lets the disk panic under what reads ahead.
func panicAhead(t *testing.T, disk *buggyDisk, name string) {
	t.Helper()
	f, err := os.Open(name)
	must(t, err)
	defer f.Close()
	must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
	if _, err := io.CopyN(io.Discard, f, 200<<10); err != nil {
		t.Fatal(err)
	}
	disk.on.Store(true)
	defer disk.on.Store(false)
	buf := make([]byte, 64<<10)
	for range 10 {
		_, err = f.Read(buf)
	}
	if !errors.Is(err, unix.EIO) {
		t.Errorf("reading on became %v", err)
	}
}

// saidOnce checks that a panic is in the log in one line, with where it happened.
func saidOnce(t *testing.T, m *mounted, what string) {
	t.Helper()
	lines := m.log.lines(what)
	bugs := 0
	for _, line := range lines {
		if strings.Contains(line, "a bug in keepsake") && strings.Contains(line, "stack=") {
			bugs++
		}
	}
	if bugs != 1 {
		t.Errorf("%q is in %d lines of the log: %q", what, bugs, lines)
	}
}
