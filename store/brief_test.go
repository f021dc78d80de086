package store_test

import (
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/object"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// manySnapshots is how many snapshots the tests of many have.
func manySnapshots() int {
	if os.Getenv("KEEPSAKE_LONG") != "" {
		return 100_000
	}
	return 5_000 // more than manifests are kept of
}

// chainOf makes the manifests number from to number to of one chain, one a
// minute, of a source without files.
func chainOf(label string, from, to uint64) iter.Seq[*tree.Snapshot] {
	source, writer := [16]byte{1, label[0]}, [16]byte{2}
	return func(yield func(*tree.Snapshot) bool) {
		for i := from; i <= to; i++ {
			m := &tree.Snapshot{
				Source: source, Writer: writer, Number: i, Basis: tree.Events, Label: label, Host: "nas", User: "root", Version: "test",
				RootPath: []byte("/volume1/" + label), Started: tree.Time{Sec: 1_700_000_000 + 60*int64(i)}, Finished: tree.Time{Sec: 1_700_000_009 + 60*int64(i)},
				Root: tree.Node{Type: tree.Dir, Mode: 0o755, Pages: crypto.ChunkID{3}},
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

// counting counts the objects that are read.
type counting struct {
	*backend.Local
	reads *atomic.Int64
}

func (c counting) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if off == 0 {
		c.reads.Add(1)
	}
	return c.Local.ReadAt(ctx, name, p, off)
}

// TestBriefsOfMany opens a repository of many snapshots of one source: each
// manifest is read once, a new one alone when it comes, and little is kept.
func TestBriefsOfMany(t *testing.T) {
	n := manySnapshots()
	p := storetest.New(t)
	ids := storetest.Put(t, p, object.Snapshot, chainOf("weddings", 1, uint64(n)))
	var reads atomic.Int64
	r, err := store.Open(t.Context(), store.Options{
		Objects: counting{p.Backend, &reads}, StateBase: p.StateBase,
		Secret: func(context.Context, []crypto.SlotKind) (crypto.Secret, error) { return p.Secret, nil },
	})
	must(t, err)
	defer func() { must(t, r.Close()) }()
	if got := reads.Load(); got > int64(n)+20 {
		t.Errorf("opening read %d objects for %d snapshots", got, n)
	}
	step := func(what string, want, atMost int) []*store.Brief {
		t.Helper()
		reads.Store(0)
		began := time.Now()
		all, damaged, err := r.Briefs(t.Context())
		must(t, err)
		t.Logf("%s: %d snapshots in %v, %d objects read", what, len(all), time.Since(began).Round(time.Millisecond), reads.Load())
		if len(all) != want || len(damaged) > 0 || reads.Load() > int64(atMost) {
			t.Errorf("%s: %d snapshots, want %d; %d objects read, want at most %d; %v", what, len(all), want, reads.Load(), atMost, damaged)
		}
		return all
	}
	all := step("again", n, 0)
	for i, b := range all {
		if b.ID != ids[i] || b.Number != uint64(i+1) {
			t.Fatalf("snapshot %d is %d, %v", i, b.Number, b.ID)
		}
	}
	storetest.Put(t, p, object.Snapshot, chainOf("weddings", uint64(n+1), uint64(n+1)))
	step("one more", n+1, 1)
	some, err := r.Manifest(t.Context(), ids[0])
	must(t, err)
	must(t, r.Forget(t.Context(), []store.Snapshot{some}, "", ""))
	all = step("one forgotten", n, 1)
	if all[0].ID != ids[1] {
		t.Errorf("the first is %v", all[0].ID)
	}
	must(t, os.Remove(filepath.Join(p.Dir, store.SnapshotName(ids[1]))))
	step("one vanished", n-1, 0)
	if found, err := r.Find(t.Context(), "latest"); err != nil || found.Number != uint64(n+1) {
		t.Errorf("latest is %d: %v", found.Number, err)
	}
	if os.Getenv("KEEPSAKE_LONG") != "" {
		all = nil
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		t.Logf("heap with %d snapshots: %d MiB", n, m.HeapAlloc>>20)
		if m.HeapAlloc > 64<<20 {
			t.Errorf("%d bytes of heap for %d snapshots", m.HeapAlloc, n)
		}
	}
}

// TestBriefsAndDamage: a manifest that cannot be read is damage beside the
// others each time, and is there again when it can be.
func TestBriefsAndDamage(t *testing.T) {
	p := storetest.New(t)
	ids := storetest.Put(t, p, object.Snapshot, chainOf("weddings", 1, 3))
	name := filepath.Join(p.Dir, store.SnapshotName(ids[1]))
	good, err := os.ReadFile(name)
	must(t, err)
	must(t, os.WriteFile(name, slices.Concat(good[:len(good)/2], []byte{good[len(good)/2] ^ 1}, good[len(good)/2+1:]), 0o600))
	r := p.Open(t)
	look := func(snapshots, damage int) {
		t.Helper()
		all, damaged, err := r.Briefs(t.Context())
		must(t, err)
		if len(all) != snapshots || len(damaged) != damage {
			t.Errorf("%d snapshots and %v", len(all), damaged)
		}
	}
	look(2, 1)
	look(2, 1)
	must(t, os.WriteFile(name, good, 0o600))
	look(3, 0)
	// While nobody can say what there is, nothing is taken for gone.
	away := p.Dir + ".away"
	must(t, os.Rename(p.Dir, away))
	if all, _, err := r.Briefs(t.Context()); err == nil {
		t.Errorf("without a repository: %d snapshots", len(all))
	}
	must(t, os.Rename(away, p.Dir))
	look(3, 0)
	must(t, os.WriteFile(filepath.Join(p.Dir, "snapshots", "stranger"), nil, 0o600))
	look(3, 1)
}

// TestBriefTellsTheSame compares briefs with their manifests.
func TestBriefTellsTheSame(t *testing.T) {
	p := storetest.New(t)
	storetest.Put(t, p, object.Snapshot, chainOf("weddings", 1, 2))
	storetest.Put(t, p, object.Snapshot, chainOf("clients", 1, 2))
	r := p.Open(t)
	briefs, _, err := r.Briefs(t.Context())
	must(t, err)
	full, _, err := r.Snapshots(t.Context())
	must(t, err)
	if len(briefs) != 4 || len(full) != 4 {
		t.Fatalf("%d and %d", len(briefs), len(full))
	}
	for i, b := range briefs {
		s, err := r.Manifest(t.Context(), b.ID)
		must(t, err)
		o := b.Origin()
		got := fmt.Sprint(b.ID, b.Number, b.Started, b.Finished, b.Basis, b.Complete(), b.Marked, o.Source, o.Writer, o.Label, o.Host, o.RootPath, b.Zone())
		want := fmt.Sprint(s.ID, s.Number, s.Started, s.Finished, s.Basis, s.Complete(), len(s.Marks) > 0, s.Source, s.Writer, s.Label, s.Host, string(s.RootPath), s.Zone())
		if got != want || full[i].ID != b.ID {
			t.Errorf("%s\n%s", got, want)
		}
	}
}
