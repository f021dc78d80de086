package fusefs_test

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/crypto"
	"keepsake/fusefs/catalogue"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/object"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// chain makes manifests of a source, one a minute, all with the same root.
func chain(label string, root tree.Node, from, to uint64) iter.Seq[*tree.Snapshot] {
	return func(yield func(*tree.Snapshot) bool) {
		for i := from; i <= to; i++ {
			m := &tree.Snapshot{
				Source: [16]byte{1, label[0]}, Writer: [16]byte{2}, Number: i, Basis: tree.Events, Label: label, Host: "nas", Version: "test",
				RootPath: []byte("/volume1/" + label), Started: minute(i), Finished: minute(i), Root: root,
			}
			if i > 1 {
				m.Previous = &[32]byte{byte(i), byte(i >> 8)}
			}
			if !yield(m) {
				return
			}
		}
	}
}

func minute(i uint64) tree.Time { return tree.Time{Sec: 1_700_000_000 + 60*int64(i)} }

// folder is the name of the snapshot that chain gave a number.
func folder(i uint64) string { return minute(i).Time().UTC().Format("2006-01-02T15-04-05-0700") }

// countingObjects counts the manifests that are read.
type countingObjects struct {
	*backend.Local
	manifests *atomic.Int64
}

func (c countingObjects) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if strings.HasPrefix(name, "snapshots/") && off == 0 {
		c.manifests.Add(1)
	}
	return c.Local.ReadAt(ctx, name, p, off)
}

// TestManySnapshots shows very many snapshots of one source: each manifest is
// read once when the view begins, those that come later alone, and that of a
// folder that is entered.
func TestManySnapshots(t *testing.T) {
	n := uint64(1500)
	if long {
		n = 100_000
	}
	p := storetest.New(t)
	dir := filepath.Join(t.TempDir(), "library")
	write(t, dir+"/file", []byte("content"))
	r := p.Open(t)
	root := back(t, r, dir, "first", nil).Root
	storetest.Put(t, p, object.Snapshot, chain("many", root, 1, n))
	must(t, r.Close())
	var manifests atomic.Int64
	r, err := store.Open(t.Context(), store.Options{
		Objects: countingObjects{p.Backend, &manifests}, StateBase: p.StateBase,
		Secret: func(context.Context, []crypto.SlotKind) (crypto.Secret, error) { return p.Secret, nil },
	})
	must(t, err)
	t.Cleanup(func() { must(t, r.Close()) })
	if got := manifests.Load(); got != int64(n)+1 {
		t.Errorf("opening read %d manifests of %d", got, n+1)
	}
	m := mount(t, r, nil)
	source := m.path("snapshots", "many")
	step := func(what string, mostManifests int64, do func()) {
		t.Helper()
		manifests.Store(0)
		began := time.Now()
		do()
		t.Logf("%s: %v, %d manifests read", what, time.Since(began).Round(time.Millisecond), manifests.Load())
		if manifests.Load() > mostManifests {
			t.Errorf("%s: %d manifests read, at most %d were needed", what, manifests.Load(), mostManifests)
		}
	}
	read := func(number uint64) {
		t.Helper()
		if b, err := os.ReadFile(filepath.Join(source, folder(number), "file")); err != nil || string(b) != "content" {
			t.Errorf("snapshot %d: %q, %v", number, b, err)
		}
	}
	// Of so many, nothing but the names is asked for.
	step("listing", 0, func() {
		if got := list(t, source); uint64(len(got)) != n || got[0] != folder(1) || got[n-1] != folder(n) {
			t.Errorf("%d folders", len(got))
		}
	})
	step("listing for Samba", catalogue.MostListed, func() {
		if got := list(t, m.path("previous", "many")); len(got) > catalogue.MostListed || len(got) < 500 {
			t.Errorf("%d folders", len(got))
		}
	})
	step("one file", 1, func() { read(n / 2) })
	step("latest", 1, func() {
		if b, err := os.ReadFile(m.path("latest", "many", "file")); err != nil || string(b) != "content" {
			t.Errorf("%q, %v", b, err)
		}
	})
	step("missing names", 0, func() {
		for i := range 2000 {
			if _, err := os.Lstat(filepath.Join(source, fmt.Sprintf("desktop-%d.ini", i))); !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	})
	storetest.Put(t, p, object.Snapshot, chain("many", root, n+1, n+1))
	step("one more, told of", 1, m.Refresh)
	step("its file", 0, func() { read(n + 1) })
	storetest.Put(t, p, object.Snapshot, chain("many", root, n+2, n+2))
	step("one more, not told of", 2, func() {
		until(t, 60*time.Second, func() bool {
			_, err := os.Lstat(filepath.Join(source, folder(n+2)))
			return err == nil
		})
	})
	first, err := r.Find(t.Context(), folder(1)+"@many")
	must(t, err)
	must(t, r.Forget(t.Context(), []store.Snapshot{first}, "", ""))
	step("one forgotten", 0, m.Refresh)
	if _, err := os.Lstat(filepath.Join(source, folder(1))); !os.IsNotExist(err) {
		t.Errorf("the forgotten one: %v", err)
	}
	if long {
		step("all with attributes", 2*int64(n), func() { walkOnce(t, source) })
	}
	runtime.GC()
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	t.Logf("heap %d MiB, %d nodes alive", mem.HeapAlloc>>20, m.Live())
	if mem.HeapAlloc > 96<<20 {
		t.Errorf("%d MiB of heap with %d snapshots", mem.HeapAlloc>>20, n)
	}
}

// walkOnce stats every entry of a directory.
func walkOnce(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		return fs.SkipDir
	}))
}

// until polls for a condition.
func until(t *testing.T, patience time.Duration, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not come to that in time")
		}
	}
}
