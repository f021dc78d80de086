package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/durable"
	"keepsake/store/index"
	"keepsake/store/object"
	"keepsake/store/pack"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

var errInjected = errors.New("injected")

// disturb opens the place's repository anew, as a new process does, over a disk
// whose operations ask fail first, one at a time; rel is the path within the
// repository.
func disturb(t *testing.T, p *storetest.Place, fail func(op durable.Op, rel string) error) {
	t.Helper()
	var mu sync.Mutex
	b, err := backend.OpenLocal(p.Dir, &durable.Disk{Hook: func(op durable.Op, path string) error {
		rel, err := filepath.Rel(p.Dir, path)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		return fail(op, rel)
	}})
	must(t, err)
	p.Backend = b
}

// another is the same repository as a second writer sees it.
func another(t *testing.T, p *storetest.Place) *storetest.Place {
	t.Helper()
	q := *p
	q.StateBase = t.TempDir()
	b, err := backend.OpenLocal(p.Dir, nil)
	must(t, err)
	q.Backend = b
	return &q
}

// TestLostConfig takes both copies of the configuration away: whatever opens or
// makes repositories refuses, and a copy that is put back opens all of it.
func TestLostConfig(t *testing.T) {
	for name, left := range map[string]string{"everything": "", "data": "data", "snapshots": "snapshots", "catalogs": "catalog", "meta": "meta"} {
		t.Run(name, func(t *testing.T) {
			l := newLibrary(t)
			saved := map[string][]byte{}
			for _, name := range []string{"config", "config.copy"} {
				b, err := os.ReadFile(l.object(name))
				must(t, err)
				saved[name] = b
				must(t, os.Remove(l.object(name)))
			}
			for _, dir := range []string{"data", "snapshots", "catalog", "meta"} {
				if left != "" && dir != left {
					must(t, os.RemoveAll(l.object(dir)))
				}
			}
			disturb(t, l.Place, func(durable.Op, string) error { return nil }) // no descriptor is pooled
			keys := l.names(t, "keys/")
			_, err := store.Identify(t.Context(), l.Backend)
			if !errors.Is(err, store.ErrConfigMissing) || !isDamage(err) || errors.Is(err, store.ErrNoRepository) {
				t.Errorf("identify: %v", err)
			}
			if _, err := l.TryOpen(t.Context()); !errors.Is(err, store.ErrConfigMissing) {
				t.Errorf("open: %v", err)
			}
			_, err = store.Create(t.Context(), store.Options{Objects: l.Backend}, store.Key{Secret: l.Secret, Label: "new"})
			if !errors.Is(err, store.ErrConfigMissing) {
				t.Errorf("create: %v", err)
			}
			if now := l.names(t, "keys/"); !slices.Equal(now, keys) {
				t.Fatalf("keys were %q and are %q", keys, now)
			}
			if left == "" {
				must(t, os.WriteFile(l.object("config.copy"), saved["config.copy"], 0o600))
				r := l.Open(t)
				if damaged, wrong := l.readAll(t.Context(), r); len(wrong) > 0 {
					t.Error(damaged, wrong)
				}
			}
		})
	}
}

// TestCreateFails lets each operation of a creation fail in turn: after an error
// there is no repository and nothing of one, and the next attempt makes one.
func TestCreateFails(t *testing.T) {
	_, secret, err := crypto.GenerateKeyFile(rand.Reader)
	must(t, err)
	key := store.Key{Secret: secret, Label: "test"}
	for at := 1; ; at++ {
		dir := filepath.Join(t.TempDir(), "repository")
		_, err := backend.CreateLocal(dir, nil)
		must(t, err)
		count, what := -1<<20, "" // not before the creation
		b, err := backend.OpenLocal(dir, &durable.Disk{Hook: func(op durable.Op, path string) error {
			if count++; count == at {
				what = fmt.Sprint(op, " ", path)
				return errInjected
			}
			return nil
		}})
		must(t, err)
		count = 0
		_, err = store.Create(t.Context(), store.Options{Objects: b}, key)
		if count < at {
			if err != nil || at < 30 {
				t.Fatalf("%d operations: %v", count, err)
			}
			return
		}
		b, oerr := backend.OpenLocal(dir, nil)
		must(t, oerr)
		_, ierr := store.Identify(t.Context(), b)
		if err == nil { // it did not matter
			must(t, ierr)
			continue
		}
		if !errors.Is(err, errInjected) || !errors.Is(ierr, store.ErrNoRepository) {
			t.Errorf("failed %q: %v; then %v", what, err, ierr)
		}
		must(t, b.List(t.Context(), "", func(name string, _ int64) error {
			t.Errorf("failed %q: %s was left", what, name)
			return nil
		}))
		if _, err := store.Create(t.Context(), store.Options{Objects: b}, key); err != nil {
			t.Errorf("failed %q, and again: %v", what, err)
		}
	}
}

// lateConfig shows no configuration to the one who asks first, as if another
// Create came to its end a moment later.
type lateConfig struct {
	*backend.Local
	asked map[string]bool
}

func (l lateConfig) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if strings.HasPrefix(name, "config") && !l.asked[name] {
		l.asked[name] = true
		return 0, os.ErrNotExist
	}
	return l.Local.ReadAt(ctx, name, p, off)
}

func (l lateConfig) List(ctx context.Context, prefix string, fn func(string, int64) error) error {
	if prefix == "keys/" {
		return nil
	}
	return l.Local.List(ctx, prefix, fn)
}

func TestTwoCreate(t *testing.T) {
	p := storetest.New(t)
	names := (&library{Place: p}).names(t, "")
	_, err := store.Create(t.Context(), store.Options{Objects: lateConfig{p.Backend, map[string]bool{}}}, store.Key{Secret: p.Secret, Label: "late"})
	if !errors.Is(err, store.ErrExists) {
		t.Errorf("the second one: %v", err)
	}
	if now := (&library{Place: p}).names(t, ""); !slices.Equal(now, names) {
		t.Errorf("objects were %q and are %q", names, now)
	}
	p.Open(t)
}

// TestTakenUpPacksAreSynced lets a Writer end between the renames of its packs
// and the sync of their directory: whoever takes the packs up syncs it first,
// and not at all in the process in which that sync has failed.
func TestTakenUpPacksAreSynced(t *testing.T) {
	p := storetest.New(t)
	failing, synced := true, map[string]bool{}
	hook := func(op durable.Op, rel string) error {
		if op == durable.OpSyncDir && failing && strings.HasPrefix(rel, "data/") {
			return errInjected
		}
		if op == durable.OpSyncDir {
			synced[rel] = true
		}
		return nil
	}
	disturb(t, p, hook)
	r, err := p.TryOpen(t.Context())
	must(t, err)
	w := begin(t, r)
	id := (&builder{t, w}).put(pack.Data, []byte("hello"))
	if err := w.Commit(t.Context()); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	finish(t, w)
	failing = false
	if _, err := r.NewWriter(t.Context()); !errors.Is(err, durable.ErrSealed) {
		t.Errorf("the next session of the same process: %v", err)
	}
	if _, ok, err := r.Index().Lookup(id); ok || err != nil {
		t.Errorf("a pack in a directory that is not synced was taken up: %v", err)
	}
	must(t, r.Close())

	failing = true
	disturb(t, p, hook)
	if _, err := p.TryOpen(t.Context()); !errors.Is(err, errInjected) {
		t.Errorf("the directory cannot be synced still: %v", err)
	}
	failing = false
	clear(synced)
	disturb(t, p, hook)
	r = p.Open(t)
	place, ok, err := r.Index().Lookup(id)
	if err != nil || !ok {
		t.Fatalf("not taken up: %v", err)
	}
	if dir := filepath.Dir(store.PackName(place.Pack.Kind, place.Pack.ID)); !synced[dir] || !synced["data"] || !synced["."] {
		t.Errorf("taken up from %s; synced are %v", dir, synced)
	}
}

// TestFoundPacksAreSynced does the same where a check comes upon a pack.
func TestFoundPacksAreSynced(t *testing.T) {
	p := storetest.New(t)
	synced := map[string]bool{}
	disturb(t, p, func(op durable.Op, rel string) error {
		if op == durable.OpSyncDir {
			synced[rel] = true
		}
		return nil
	})
	r := p.Open(t)
	other := another(t, p).Open(t)
	keep(t, other, 1, folder{"f": &document{data: noise(1, 5000), chunk: 5000}})
	clear(synced)
	mustCheck(t, r)
	for _, name := range (&library{Place: p}).names(t, "data/") {
		if _, ok, err := r.Index().Pack(idOf(t, name)); err != nil || !ok {
			t.Errorf("%s is not in the index: %v", name, err)
		}
		if !synced[filepath.Dir(name)] {
			t.Errorf("%s was taken up; synced are %v", name, synced)
		}
	}
}

// TestNewHeadsAreSynced remembers a foreign snapshot only after its name cannot
// be lost any more.
func TestNewHeadsAreSynced(t *testing.T) {
	p := storetest.New(t)
	other := another(t, p)
	r, err := other.TryOpen(t.Context())
	must(t, err)
	s := keep(t, r, 1, folder{})
	must(t, r.Close())

	failing, synced := true, 0
	hook := func(op durable.Op, rel string) error {
		if op == durable.OpSyncDir && rel == "snapshots" {
			if synced++; failing {
				return errInjected
			}
		}
		return nil
	}
	disturb(t, p, hook)
	if _, err := p.TryOpen(t.Context()); !errors.Is(err, errInjected) {
		t.Errorf("snapshots/ cannot be synced: %v", err)
	}
	// What was not remembered may be lost.
	name := (&library{Place: p}).object(store.SnapshotName(s.ID))
	b, err := os.ReadFile(name)
	must(t, err)
	must(t, os.Remove(name))
	failing = false
	disturb(t, p, hook)
	r, err = p.TryOpen(t.Context())
	must(t, err)
	must(t, r.Close())
	must(t, os.WriteFile(name, b, 0o600))
	for _, want := range []int{1, 0} { // once it is remembered, nothing is synced
		synced = 0
		r, err := p.TryOpen(t.Context())
		must(t, err)
		must(t, r.Close())
		if synced != want {
			t.Errorf("snapshots/ was synced %d times, want %d", synced, want)
		}
	}
}

// TestSessionAfterFailedOne lets a session fail with one pack of two published:
// the next one in the same process takes it up before it may call the index clean.
func TestSessionAfterFailedOne(t *testing.T) {
	p := storetest.New(t)
	failing := true
	disturb(t, p, func(op durable.Op, rel string) error {
		if op == durable.OpSyncDir && failing && strings.HasPrefix(rel, "meta/") {
			return errInjected
		}
		return nil
	})
	r, err := p.TryOpen(t.Context())
	must(t, err)
	w := begin(t, r)
	id := (&builder{t, w}).put(pack.Data, []byte("hello"))
	must(t, w.Commit(t.Context()))
	finish(t, w)
	dir := (&library{Place: p}).names(t, "data/")
	// As after a failed index.Add: published and unknown.
	must(t, r.Index().Forget(idOf(t, dir[0])))
	w = begin(t, r)
	(&builder{t, w}).put(pack.Page, []byte("page"))
	if err := w.Commit(t.Context()); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	finish(t, w)
	failing = false
	for _, name := range (&library{Place: p}).names(t, "meta/") {
		must(t, os.Remove((&library{Place: p}).object(name))) // what a power cut may do
	}
	w = begin(t, r)
	if known, err := w.Known(id); err != nil || !known {
		t.Errorf("a published pack is not known to the next session: %v", err)
	}
	finish(t, w)
	must(t, r.Close())
	r = p.Open(t)
	if _, ok, err := r.Index().Lookup(id); err != nil || !ok {
		t.Errorf("a published pack is not known to the next process: %v", err)
	}
}

// TestInterruptedRebuild ends the rebuilding of a lost index half-way: the next
// process is in doubt as this one would have been. A new repository leaves none.
func TestInterruptedRebuild(t *testing.T) {
	l := newLibrary(t)
	must(t, os.Remove(filepath.Join(l.stateDir(t), "index.db")))
	disturb(t, l.Place, func(op durable.Op, rel string) error {
		if op == durable.OpList && strings.HasPrefix(rel, "meta/") {
			return errInjected
		}
		return nil
	})
	if _, err := l.TryOpen(t.Context()); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	disturb(t, l.Place, func(durable.Op, string) error { return nil })
	if doubt, err := l.Open(t).Doubt(); err != nil || !doubt {
		t.Errorf("no doubt about an index that was rebuilt in two goes: %v", err)
	}
	if doubt, err := storetest.New(t).Open(t).Doubt(); err != nil || doubt {
		t.Errorf("doubt about a new repository: %v", err)
	}
}

// TestCondemnedBeforeTakenUp applies a record that names packs which the index
// hears of only later.
func TestCondemnedBeforeTakenUp(t *testing.T) {
	p := storetest.New(t)
	now := clock
	p.Now = func() time.Time { return now }
	r := p.Open(t)
	other := another(t, p).Open(t)
	w := begin(t, other)
	id := (&builder{t, w}).put(pack.Data, []byte("hello"))
	must(t, w.Commit(t.Context())) // and no catalog
	name := (&library{Place: p}).names(t, "data/")[0]
	put := func(c tree.Condemned) [32]byte {
		t.Helper()
		c.Run, c.Started = [16]byte{1}, tree.Time{Sec: 1}
		b, err := c.Marshal()
		must(t, err)
		name, err := r.PutRecord(t.Context(), object.Condemned, b)
		must(t, err)
		return idOf(t, name)
	}
	packs := [][32]byte{idOf(t, name)}
	opening := put(tree.Condemned{Packs: packs})
	mine := begin(t, r)
	if _, ok, err := r.Index().Lookup(id); ok || err != nil {
		t.Fatalf("the pack is known too soon: %v", err)
	}
	if _, err := r.ReadChunk(t.Context(), id, pack.Data, nil); err != nil {
		t.Fatal(err) // takes it up
	}
	if known, err := mine.Known(id); err != nil || known {
		t.Errorf("a chunk of a condemned pack counts as stored: %v", err)
	}
	finish(t, mine)
	finish(t, w)
	put(tree.Condemned{Opens: &opening, Spared: packs})
	mine = begin(t, r)
	for _, when := range []string{"taken up before", "taken up after"} {
		if known, err := mine.Known(id); err != nil || !known {
			t.Errorf("a chunk of a spared pack, %s, is not known: %v", when, err)
		}
		must(t, r.Index().Forget(idOf(t, name)))
		now = now.Add(time.Minute)
		if _, err := r.ReadChunk(t.Context(), id, pack.Data, nil); err != nil {
			t.Fatal(err)
		}
	}
	finish(t, mine)
}

// TestLargeCommit publishes the tables of more full packs in one go than a
// catalog can hold.
func TestLargeCommit(t *testing.T) {
	p := storetest.New(t)
	r := p.Open(t)
	const full = 60_000
	tables := make([]index.Table, 8)
	for i := range tables {
		tb := &tables[i]
		tb.Pack = index.Pack{Kind: object.DataPack, Epoch: 1, Size: full * 1016, Chunks: full}
		rand.Read(tb.Pack.ID[:])
		for n := range uint32(full) {
			e := pack.Entry{Type: pack.Data, Codec: pack.Raw, Number: n, Offset: uint64(48 + n*1016), Plain: 1000, Stored: 1016}
			rand.Read(e.Chunk[:])
			tb.Entries = append(tb.Entries, e)
		}
	}
	must(t, r.PutCatalogs(t.Context(), tables))
	seen := map[pack.ID]int{}
	for _, name := range (&library{Place: p}).names(t, "catalog/") {
		read, err := r.Catalog(t.Context(), name)
		must(t, err)
		for _, tb := range read {
			seen[tb.Pack.ID] += len(tb.Entries)
		}
	}
	for _, tb := range tables {
		if seen[tb.Pack.ID] != full {
			t.Errorf("pack %v: %d entries in catalogs", tb.Pack.ID, seen[tb.Pack.ID])
		}
	}
}

// TestClosedTwice closes a failed Writer again while another one is open.
func TestClosedTwice(t *testing.T) {
	p := storetest.New(t)
	failing := true
	disturb(t, p, func(op durable.Op, rel string) error {
		if op == durable.OpSync && failing {
			return errInjected
		}
		return nil
	})
	r := p.Open(t)
	w := begin(t, r)
	(&builder{t, w}).put(pack.Data, []byte("hello"))
	if err := w.Commit(t.Context()); !errors.Is(err, errInjected) {
		t.Fatal(err)
	}
	finish(t, w)
	failing = false
	next := begin(t, r)
	finish(t, w)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := r.NewWriter(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("two Writers are open: %v", err)
	}
	finish(t, next)
}

// TestWaitersCommitNothingSmall lets Puts wait for a commit that takes their
// chunks along: they do not commit what little came after it.
func TestWaitersCommitNothingSmall(t *testing.T) {
	p := storetest.New(t)
	p.Now = func() time.Time { return clock }
	r := p.Open(t)
	w := begin(t, r)
	finishCommit := w.Occupy()
	big := bytes.Repeat([]byte("all work and no play"), 8<<20/20)
	var waiting sync.WaitGroup
	for i := range byte(44) { // 352 MB; from 320 MiB on Puts wait
		waiting.Go(func() {
			data := bytes.Clone(big)
			data[0] = i
			if _, _, err := w.Put(t.Context(), pack.Data, data); err != nil {
				t.Error(err)
			}
		})
	}
	for w.Written().NewChunks < 44 {
		time.Sleep(time.Millisecond)
	}
	var packs int64
	must(t, finishCommit(t.Context(), func() {
		packs = w.Written().Packs
		(&builder{t, w}).put(pack.Data, []byte("small"))
	}))
	waiting.Wait()
	if n := w.Written().Packs; n != packs || packs == 0 {
		t.Errorf("%d packs, and %d after the waiters", packs, n)
	}
	finish(t, w)
}

// TestIndexOfAnotherVersion is replaced and not called damaged; nothing of the
// old file, which may be large, is kept.
func TestIndexOfAnotherVersion(t *testing.T) {
	l := newLibrary(t)
	dir := l.stateDir(t)
	must(t, os.Remove(filepath.Join(dir, "index.db")))
	// One of another repository is told apart no better than one of another layout.
	db, _, err := index.Open(filepath.Join(dir, "index.db"), crypto.RepositoryID{9})
	must(t, err)
	must(t, db.Close())
	l.Notices = nil
	r := l.Open(t)
	if !said(l.Notices, "another version of keepsake") || said(l.Notices, "damaged") {
		t.Errorf("notices %q", l.Notices)
	}
	l.sound(t, r)
	kept, err := filepath.Glob(filepath.Join(dir, "index.db?*"))
	if err != nil || len(kept) > 0 {
		t.Errorf("kept %v, %v", kept, err)
	}
}
