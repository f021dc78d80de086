package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keepsake/store"
	"keepsake/store/object"
	"keepsake/store/tree"
)

func isDamage(err error) bool {
	d, ok := errors.AsType[*store.DamageError](err)
	return ok && d != nil && errors.Is(err, store.ErrDamaged)
}

func TestSoundRepository(t *testing.T) {
	l := newLibrary(t)
	l.records(t)
	r := l.Open(t)
	progress := &store.CheckProgress{}
	problems, res := check(t, r, store.CheckOptions{ReadData: true, Progress: progress})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if res.Snapshots != 3 || res.Packs < 6 || res.PacksRead != res.Packs || res.BytesRead == 0 || !res.Sound() ||
		res.Unreferenced != 0 || res.ForeignCount != 0 {
		t.Errorf("result %+v", res)
	}
	if progress.Packs.Load() != int64(res.Packs) || progress.PacksTotal.Load() != int64(res.Packs) ||
		progress.Bytes.Load() != res.BytesRead || progress.BytesTotal.Load() != res.BytesRead ||
		progress.Snapshots.Load() != 3 || progress.SnapshotsTotal.Load() != 3 {
		t.Errorf("progress %d of %d packs, %d of %d bytes", progress.Packs.Load(), progress.PacksTotal.Load(), progress.Bytes.Load(), progress.BytesTotal.Load())
	}
	if _, wrong := l.readAll(t.Context(), r); len(wrong) > 0 {
		t.Error(wrong)
	}
	if problems, res := check(t, r, store.CheckOptions{}); len(problems) > 0 || res.BytesRead != 0 {
		t.Errorf("structure alone: %v, %+v", problems, res)
	}
}

// TestStructureReadsMetadata finds a damaged tree page without reading data.
func TestStructureReadsMetadata(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	know := l.truth(t, r)
	for _, name := range l.names(t, "meta/") {
		p := l.layout(t, r, name)
		for _, e := range p.entries[:min(5, len(p.entries))] {
			undo := flip(t, l.object(name), int64(e.Offset)+3, 0x10)
			problems, _ := check(t, r, store.CheckOptions{})
			undo()
			if len(problems) != 1 || problems[0].Object != name || !same(problems[0].Paths, know[e.Chunk]) {
				t.Errorf("%s, chunk %v: %v", name, e.Chunk, problems)
			}
			if problems, res := check(t, r, store.CheckOptions{}); len(problems) > 0 || res.Healed != 1 {
				t.Errorf("%s: not healed: %v, %+v", name, problems, res)
			}
		}
	}
}

func TestMissingPack(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	know := l.truth(t, r)
	for _, name := range append(l.names(t, "data/"), l.names(t, "meta/")...) {
		var want []store.AffectedPath
		for _, e := range l.layout(t, r, name).entries {
			for _, p := range know[e.Chunk] {
				if !slices.Contains(want, p) {
					want = append(want, p)
				}
			}
		}
		must(t, l.Backend.Close()) // an open descriptor would go on serving it
		hidden := filepath.Join(t.TempDir(), "pack")
		must(t, os.Rename(l.object(name), hidden))
		problems, _ := check(t, r, store.CheckOptions{})
		must(t, os.Rename(hidden, l.object(name)))
		if len(problems) != 1 || problems[0].Object != name || problems[0].Kind != store.MissingPack {
			t.Errorf("%s: %v", name, problems)
			continue
		}
		got := problems[0]
		if strings.HasPrefix(name, "data/") && (!same(got.Paths, want) || got.PathCount != len(want)) {
			t.Errorf("%s: %d paths\n%swant\n%s", name, got.PathCount, store.FormatPaths(got.Paths), store.FormatPaths(want))
		}
		if got.PathCount == 0 {
			t.Errorf("%s affects no path", name)
		}
		if problems, res := check(t, r, store.CheckOptions{}); len(problems) > 0 || res.Healed != 1 {
			t.Errorf("%s came back: %v, %+v", name, problems, res)
		}
	}
}

// TestTruncatedAndSwappedPacks replaces packs by what else may lie in their place.
func TestTruncatedAndSwappedPacks(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	data := l.names(t, "data/")
	for what, change := range map[string]func(b []byte) []byte{
		"empty":     func([]byte) []byte { return nil },
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"longer":    func(b []byte) []byte { return append(b, 0) },
		"zeroed":    func(b []byte) []byte { return make([]byte, len(b)) },
		"swapped": func([]byte) []byte {
			b, err := os.ReadFile(l.object(data[1]))
			must(t, err)
			return b
		},
		"metadata": func([]byte) []byte {
			b, err := os.ReadFile(l.object(l.names(t, "meta/")[0]))
			must(t, err)
			return b
		},
	} {
		path := l.object(data[0])
		whole, err := os.ReadFile(path)
		must(t, err)
		must(t, os.WriteFile(path, change(slices.Clone(whole)), 0o600))
		must(t, l.Backend.Close())
		problems, _ := check(t, r, store.CheckOptions{ReadData: true})
		if len(problems) != 1 || problems[0].Object != data[0] {
			t.Errorf("%s: check says %v", what, problems)
		}
		if found, _ := scrub(t, l); len(found) != 1 || found[0].Object != data[0] {
			t.Errorf("%s: scrub says %v", what, found)
		}
		damaged, wrong := l.readAll(t.Context(), r)
		if len(wrong) > 0 {
			t.Errorf("%s: %v", what, wrong)
		}
		if len(problems) == 1 {
			for id, files := range damaged {
				for _, f := range files {
					if !slices.ContainsFunc(problems[0].Paths, func(p store.AffectedPath) bool { return affects(p, id, f) }) {
						t.Errorf("%s: %s %s cannot be read and was not named", what, id.Short(), f)
					}
				}
			}
		}
		must(t, os.WriteFile(path, whole, 0o600))
		l.sound(t, r)
	}
}

func TestCheckOneSnapshot(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	know := l.truth(t, r)
	id := l.snapshots[2].ID
	for _, name := range l.names(t, "data/") {
		p := l.layout(t, r, name)
		for _, e := range p.entries[:min(4, len(p.entries))] {
			undo := flip(t, l.object(name), int64(e.Offset), 1)
			problems, res := check(t, r, store.CheckOptions{ReadData: true, Snapshot: &id})
			undo()
			check(t, r, store.CheckOptions{ReadData: true})
			var want []store.AffectedPath
			for _, p := range know[e.Chunk] {
				if p.Snapshot == id {
					want = append(want, p)
				}
			}
			if res.Snapshots != 1 {
				t.Fatalf("%+v", res)
			}
			if len(want) > 0 && (len(problems) != 1 || !same(problems[0].Paths, want)) {
				t.Errorf("%s: %v, want %v", name, problems, want)
			}
			if len(want) == 0 && len(problems) > 0 && problems[0].PathCount > 0 {
				t.Errorf("%s: %v, want no paths", name, problems)
			}
		}
	}
	other := store.SnapshotID{1}
	if _, err := r.Check(t.Context(), store.CheckOptions{Snapshot: &other}); !errors.Is(err, store.ErrNoSnapshot) {
		t.Errorf("no such snapshot: %v", err)
	}
}

func TestSubsetsCoverAll(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	const parts = 3
	all, _ := check(t, r, store.CheckOptions{ReadData: true})
	read := 0
	for n := range uint64(parts) {
		problems, res := check(t, r, store.CheckOptions{ReadData: true, Subset: store.Subset{N: n + 1, Of: parts}})
		read += res.PacksRead
		if len(problems) > 0 || res.PacksRead == res.Packs {
			t.Errorf("part %d: %v, %+v", n+1, problems, res)
		}
	}
	if _, res := check(t, r, store.CheckOptions{}); read != res.Packs || len(all) > 0 {
		t.Errorf("the parts read %d packs of %d", read, res.Packs)
	}
	for _, s := range []store.Subset{{0, 3}, {4, 3}, {1, 0}} {
		if _, err := r.Check(t.Context(), store.CheckOptions{Subset: s}); err == nil {
			t.Errorf("part %v was accepted", s)
		}
	}
}

// TestChains removes manifests: a number that nothing explains is a problem, one
// that the ledger explains is not.
func TestChains(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	first := l.snapshots[0]
	name := l.object(store.SnapshotName(first.ID))
	whole, err := os.ReadFile(name)
	must(t, err)
	must(t, l.Backend.Remove(t.Context(), store.SnapshotName(first.ID)))
	problems, _ := check(t, r, store.CheckOptions{})
	if len(problems) != 1 || problems[0].Kind != store.BrokenChain || problems[0].Object != store.SnapshotName(first.ID) {
		t.Errorf("a manifest is gone: %v", problems)
	}
	e := tree.LedgerEntry{Kind: tree.Forget, Time: tree.Time{Sec: 1}, Snapshots: []tree.LedgerSnapshot{{ID: first.ID, Source: first.Source, Writer: first.Writer, Number: 1}}}
	b, err := e.Marshal()
	must(t, err)
	ledger, err := r.PutRecord(t.Context(), object.Ledger, b)
	must(t, err)
	if problems, _ := check(t, r, store.CheckOptions{}); len(problems) > 0 {
		t.Errorf("a forgotten snapshot: %v", problems)
	}
	must(t, l.Backend.Remove(t.Context(), ledger))
	must(t, os.WriteFile(name, whole, 0o600))

	// A second manifest with number 2, as an old copy of a state directory makes it.
	twin := l.snapshots[1].Snapshot
	twin.Label = "twin"
	b, err = twin.Marshal()
	must(t, err)
	double, err := r.PutRecord(t.Context(), object.Snapshot, b)
	must(t, err)
	if problems, _ := check(t, r, store.CheckOptions{}); len(problems) != 1 || problems[0].Kind != store.BrokenChain {
		t.Errorf("two with one number: %v", problems)
	}
	must(t, l.Backend.Remove(t.Context(), double))

	// A hostile number: a gap of 2^62 is one problem, found at once.
	far := l.snapshots[1].Snapshot
	far.Number = 1 << 62
	b, err = far.Marshal()
	must(t, err)
	distant, err := r.PutRecord(t.Context(), object.Snapshot, b)
	must(t, err)
	problems, _ = check(t, r, store.CheckOptions{})
	if len(problems) == 0 || len(problems) > 3 {
		t.Errorf("a distant number: %v", problems)
	}
	must(t, l.Backend.Remove(t.Context(), distant))
	l.sound(t, r)
}

// TestBrokenTree stores a file whose length is not that of its chunk: all is
// authentic, and still wrong.
func TestBrokenTree(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	w := begin(t, r)
	s := publish(t, w, 9, folder{"good": &document{data: noise(50, 3000), chunk: 1000}}, func(m *tree.Snapshot) {
		b := &builder{t, w}
		bad := b.file(&document{data: noise(51, 3000), chunk: 3000})
		bad.Name, bad.Size, bad.Content[0].Length = []byte("bad"), 2999, 2999
		p := tree.NewPageBuilder(odds, b.page)
		must(t, p.Add(bad))
		var err error
		m.Root.Pages, err = p.Finish()
		must(t, err)
	})
	finish(t, w)
	problems := mustCheck(t, r)
	want := []store.AffectedPath{{Snapshot: s.ID, Path: "bad"}}
	if len(problems) != 1 || problems[0].Kind != store.BrokenTree || !same(problems[0].Paths, want) || problems[0].Object != store.SnapshotName(s.ID) {
		t.Errorf("check says %v", problems)
	}
}

func TestPathsAreBounded(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	same := &document{data: noise(60, 500), chunk: 500}
	many := folder{}
	for i := range store.MaxPaths + 500 {
		many[fmt.Sprintf("%05d", i)] = same
	}
	before := l.names(t, "data/")
	keep(t, r, 4, many)
	for _, name := range l.names(t, "data/") {
		if slices.Contains(before, name) {
			continue
		}
		defer flip(t, l.object(name), int64(l.layout(t, r, name).entries[0].Offset), 1)()
	}
	problems := mustCheck(t, r)
	if len(problems) != 1 || len(problems[0].Paths) != store.MaxPaths || problems[0].PathCount != store.MaxPaths+500 {
		t.Errorf("%v", problems)
	}
}

func TestCheckStops(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Check(ctx, store.CheckOptions{ReadData: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled check: %v", err)
	}
	// The disk is away: nothing is called damaged.
	away := l.Dir + ".away"
	must(t, os.Rename(l.Dir, away))
	must(t, l.Backend.Close())
	if _, err := r.Check(t.Context(), store.CheckOptions{ReadData: true, Report: func(p store.Problem) { t.Errorf("reported %v", p) }}); err == nil {
		t.Error("a check without a disk succeeded")
	}
	must(t, os.Rename(away, l.Dir))
	l.sound(t, r)
}
