package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/durable"
	"keepsake/store/object"
	"keepsake/store/pack"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// TestConcurrentPuts lets eight goroutines store the same chunks and chunks of
// their own at once.
func TestConcurrentPuts(t *testing.T) {
	const workers, shared, own = 8, 60, 40
	p := storetest.New(t)
	r := p.Open(t)
	w := begin(t, r)
	type put struct {
		id   crypto.ChunkID
		data []byte
	}
	puts := make([][]put, workers)
	var fresh atomic.Int64
	var group sync.WaitGroup
	for g := range workers {
		group.Go(func() {
			for i := range shared + own {
				data := noise(uint64(1000+i), 2000+i)
				if i >= shared {
					data = noise(uint64(10_000*(g+1)+i), 500+i)
				}
				id, isNew, err := w.Put(t.Context(), pack.Data, data)
				if err != nil {
					t.Error(err)
					return
				}
				if isNew {
					fresh.Add(1)
				}
				puts[g] = append(puts[g], put{id, data})
				if i == shared/2 && g%4 == 0 {
					if err := w.Commit(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	group.Wait()
	must(t, w.Commit(t.Context()))
	const distinct = shared + workers*own
	if n := w.Written(); n.Chunks != workers*(shared+own) || n.NewChunks != fresh.Load() || n.NewChunks != distinct {
		t.Errorf("%+v, %d said to be new, want %d", n, fresh.Load(), distinct)
	}
	for _, some := range puts {
		for _, p := range some {
			got, err := r.ReadChunk(t.Context(), p.id, pack.Data, nil)
			if err != nil || !bytes.Equal(got, p.data) {
				t.Fatalf("chunk %v: %v", p.id, err)
			}
		}
	}
	finish(t, w)
	problems, res := check(t, r, store.CheckOptions{ReadData: true})
	if len(problems) > 0 || res.Unreferenced != res.Packs {
		t.Errorf("%v, %+v", problems, res)
	}
}

func TestOneWriterAtATime(t *testing.T) {
	r := storetest.New(t).Open(t)
	w := begin(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.NewWriter(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("second writer: %v", err)
	}
	finish(t, w)
	if err := w.Close(t.Context()); err != nil {
		t.Errorf("closing twice: %v", err)
	}
	if _, _, err := w.Put(t.Context(), pack.Data, []byte("late")); !errors.Is(err, store.ErrClosed) {
		t.Errorf("put after close: %v", err)
	}
	finish(t, begin(t, r))
}

// TestUncommittedIsNotKnown closes a session without a commit: what it put is
// neither stored nor believed to be.
func TestUncommittedIsNotKnown(t *testing.T) {
	r := storetest.New(t).Open(t)
	w := begin(t, r)
	id, _, err := w.Put(t.Context(), pack.Data, []byte("forgotten"))
	must(t, err)
	finish(t, w)
	w = begin(t, r)
	defer finish(t, w)
	if known, err := w.Known(id); err != nil || known {
		t.Errorf("known %v, %v", known, err)
	}
	if _, err := r.ReadChunk(t.Context(), id, pack.Data, nil); !isDamage(err) {
		t.Errorf("reading it: %v", err)
	}
}

// TestFailedWrites lets each kind of disk operation fail once in the middle of a
// session: the session ends with that error, what was announced before stays
// whole, and the next session stores what this one could not.
func TestFailedWrites(t *testing.T) {
	for _, op := range []durable.Op{durable.OpCreate, durable.OpWrite, durable.OpSync, durable.OpRename, durable.OpSyncDir} {
		t.Run(fmt.Sprint(op), func(t *testing.T) {
			p := storetest.New(t)
			var fail atomic.Bool
			broken := errors.New("the disk says no")
			disk := &durable.Disk{Hook: func(o durable.Op, path string) error {
				if o == op && fail.CompareAndSwap(true, false) {
					return broken
				}
				return nil
			}}
			b, err := backend.OpenLocal(p.Dir, disk)
			must(t, err)
			p.Backend = b
			r := p.Open(t)
			old := folder{"old": &document{data: noise(40, 40_000), chunk: 9000}}
			s := keep(t, r, 1, old)
			w := begin(t, r)
			fail.Store(true)
			id, _, putErr := w.Put(t.Context(), pack.Data, noise(41, 4000))
			err = errors.Join(putErr, w.Commit(t.Context()))
			if !errors.Is(err, broken) {
				t.Fatalf("session ended with %v", err)
			}
			if _, _, err := w.Put(t.Context(), pack.Data, noise(42, 4000)); !errors.Is(err, broken) {
				t.Errorf("put after the failure: %v", err)
			}
			if err := w.Close(t.Context()); err != nil {
				t.Errorf("close: %v", err)
			}
			w = begin(t, r)
			again, isNew, err := w.Put(t.Context(), pack.Data, noise(41, 4000))
			if err != nil || (putErr == nil && again != id) {
				t.Fatalf("next session: %v", err)
			}
			must(t, w.Commit(t.Context()))
			finish(t, w)
			if got, err := r.ReadChunk(t.Context(), again, pack.Data, nil); err != nil || !bytes.Equal(got, noise(41, 4000)) {
				t.Errorf("after the next session: %v (new %v)", err, isNew)
			}
			if got, err := content(t.Context(), r, s, "old"); err != nil || !bytes.Equal(got, noise(40, 40_000)) {
				t.Errorf("what was announced before: %v", err)
			}
			if problems := mustCheck(t, r); len(problems) > 0 {
				t.Errorf("check says %v", problems)
			}
		})
	}
}

// TestDamageHeals marks a damaged pack by a check and backs the same files up
// again: their chunks are stored anew, and the old snapshot is whole again.
func TestDamageHeals(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	name := l.names(t, "data/")[0]
	p := l.layout(t, r, name)
	var offs []int64
	for _, e := range p.entries {
		offs = append(offs, int64(e.Offset))
	}
	for _, off := range offs {
		defer flip(t, l.object(name), off, 1)()
	}
	problems := mustCheck(t, r)
	if len(problems) != 1 || problems[0].Chunks != len(offs) || problems[0].PathCount == 0 {
		t.Fatalf("check says %v", problems)
	}
	if doubt, err := r.Doubt(); err != nil || !doubt {
		t.Errorf("no doubt: %v", err)
	}
	w := begin(t, r)
	publish(t, w, 1, photos(), nil)
	publish(t, w, 2, folder{"report.pdf": &document{data: noise(12, 70_000), chunk: 20_000}, "a.jpg": &document{data: noise(11, 95_000), chunk: 30_000},
		"new.xmp": &document{data: []byte("<new/>"), chunk: 100}}, nil)
	if n := w.Written().NewChunks; n < int64(len(offs)) {
		t.Errorf("%d chunks stored, %d are damaged", n, len(offs))
	}
	finish(t, w)
	damaged, wrong := l.readAll(t.Context(), r)
	for id, paths := range damaged {
		if len(paths) > 0 {
			t.Errorf("%s: not healed: %q", id.Short(), paths)
		}
	}
	if len(wrong) > 0 {
		t.Error(wrong)
	}
	problems, res := check(t, r, store.CheckOptions{ReadData: true})
	if len(problems) != 1 || problems[0].Object != name || problems[0].PathCount != 0 || res.Unreferenced != 1 {
		t.Errorf("after healing: %v, %+v", problems, res)
	}
	if doubt, err := r.Doubt(); err != nil || doubt {
		t.Errorf("doubt is left: %v", err)
	}
}

// TestTwinIsUsed rebuilds the index so that it names the damaged copy of chunks
// that are stored twice.
func TestTwinIsUsed(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	name := l.names(t, "data/")[0]
	p := l.layout(t, r, name)
	first, ok, err := r.Index().Lookup(p.entries[0].Chunk)
	if err != nil || !ok {
		t.Fatal(err)
	}
	undo := flip(t, l.object(name), int64(p.entries[0].Offset), 1)
	defer undo()
	mustCheck(t, r)
	w := begin(t, r)
	publish(t, w, 1, photos(), nil)
	publish(t, w, 2, folder{"report.pdf": &document{data: noise(12, 70_000), chunk: 20_000}, "a.jpg": &document{data: noise(11, 95_000), chunk: 30_000},
		"new.xmp": &document{data: []byte("<new/>"), chunk: 100}}, nil)
	finish(t, w)
	if now, _, _ := r.Index().Lookup(p.entries[0].Chunk); now.Pack.ID == first.Pack.ID {
		t.Fatal("the chunk was not stored again")
	}
	first.Pack.Damaged = false
	must(t, r.Index().Forget(first.Pack.ID)) // and with it the mark
	lie(t, r, first, first)
	if now, _, _ := r.Index().Lookup(p.entries[0].Chunk); now.Pack.ID != first.Pack.ID || !now.Usable() {
		t.Fatal("the index does not name the damaged copy")
	}
	for _, problem := range mustCheck(t, r) {
		if problem.PathCount > 0 {
			t.Errorf("%v affects %d paths", problem, problem.PathCount)
		}
	}
	if _, wrong := l.readAll(t.Context(), r); len(wrong) > 0 {
		t.Error(wrong)
	}
	if now, _, _ := r.Index().Lookup(p.entries[0].Chunk); now.Pack.ID == first.Pack.ID {
		t.Error("the index still names the damaged copy")
	}
}

// TestCondemnedPacks shows the writer's half of the protocol with prune: chunks
// of condemned packs are stored anew, what was spared counts again, and a record
// that appears while a snapshot is published leaves it unconfirmed.
func TestCondemnedPacks(t *testing.T) {
	l := newLibrary(t)
	r, err := l.TryOpen(t.Context())
	must(t, err)
	var packs [][32]byte
	for _, name := range l.names(t, "data/") {
		packs = append(packs, idOf(t, name))
	}
	slices.SortFunc(packs, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	put := func(c tree.Condemned) [32]byte {
		t.Helper()
		b, err := c.Marshal()
		must(t, err)
		name, err := r.PutRecord(t.Context(), object.Condemned, b)
		must(t, err)
		return idOf(t, name)
	}
	w := begin(t, r)
	opening := put(tree.Condemned{Run: [16]byte{1}, Started: tree.Time{Sec: 1}, Grace: 60, Packs: packs})
	m := tree.Snapshot{Source: [16]byte{1}, Basis: tree.Scanned, Root: *(&builder{t, w}).folder(photos())}
	if _, err := w.Publish(t.Context(), m); !errors.Is(err, store.ErrUnconfirmed) {
		t.Errorf("a record appeared meanwhile: %v", err)
	}
	finish(t, w)

	w = begin(t, r)
	id, isNew, err := w.Put(t.Context(), pack.Data, noise(1, 90_000)[:30_000])
	if err != nil || !isNew {
		t.Errorf("a chunk of a condemned pack is known: %v", err)
	}
	finish(t, w) // without a commit
	put(tree.Condemned{Run: [16]byte{1}, Started: tree.Time{Sec: 1}, Opens: &opening, Spared: packs})
	for range 2 { // in this process, and in one that reads both records at once
		w = begin(t, r)
		if known, err := w.Known(id); err != nil || !known {
			t.Errorf("a chunk of a spared pack is not known: %v", err)
		}
		finish(t, w)
		must(t, r.Close())
		r, err = l.TryOpen(t.Context())
		must(t, err)
	}
	must(t, r.Close())
}
