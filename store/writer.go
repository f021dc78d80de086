package store

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"keepsake/crypto"
	"keepsake/store/backend"
	"keepsake/store/index"
	"keepsake/store/object"
	"keepsake/store/pack"
)

const (
	// groupBytes is how much is written between two rounds of syncs. On a
	// spinning disk a round costs some 25 ms a flush: about 5 % at 256 MiB.
	groupBytes = 256 << 20
	// groupAge bounds how much time a kill can cost on a slow source.
	groupAge = 5 * time.Second
)

// Written counts what a Writer did.
type Written struct {
	Chunks      int64 // handed to Put
	Bytes       int64 // of them, plaintext
	NewChunks   int64 // not known before
	NewBytes    int64 // of them, plaintext
	StoredBytes int64 // of published packs, whole objects
	Packs       int64 // published
}

// Writer stores the chunks of one session and publishes its snapshots. Only
// one is open at a time. Its methods are safe for concurrent use, except
// Publish and Close, which end what the others began.
type Writer struct {
	r *Repository

	mu    sync.Mutex // guards the fields below
	rng   *rand.Rand
	data  lane
	meta  lane
	began time.Time // of the group; zero while it is empty
	// open and committing hold the chunks that the index does not know yet.
	open, committing map[crypto.ChunkID]struct{}
	err              error // first failure; sticks
	closed           bool

	commitMu sync.Mutex // held by the one commit that is under way
	catalog  catalogBuilder

	chunks, bytes, newChunks, newBytes, stored, packs atomic.Int64
}

// NewWriter begins a session, waiting for one that is under way to end. It
// takes the records in condemned/ into account.
func (r *Repository) NewWriter(ctx context.Context) (*Writer, error) {
	select {
	case r.writing <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w, err := r.newWriter(ctx)
	if err != nil {
		<-r.writing
		return nil, err
	}
	return w, nil
}

func (r *Repository) newWriter(ctx context.Context) (*Writer, error) {
	if s, ok := r.objects.(stager); ok {
		if err := s.CleanStaged(ctx); err != nil {
			return nil, fmt.Errorf("removing what a killed run left: %w", err)
		}
	}
	// The last session of this process may have failed: what it published must
	// be known before this one's end can be called clean.
	if err := r.freshen(ctx, false); err != nil {
		return nil, err
	}
	if err := r.applyCondemned(ctx); err != nil {
		return nil, err
	}
	if err := r.index.SetClean(false); err != nil {
		return nil, err
	}
	var seed [32]byte
	if _, err := crand.Read(seed[:]); err != nil {
		return nil, err
	}
	return &Writer{
		r:          r,
		rng:        rand.New(rand.NewChaCha8(seed)),
		data:       lane{kind: object.DataPack},
		meta:       lane{kind: object.MetaPack},
		open:       map[crypto.ChunkID]struct{}{},
		committing: map[crypto.ChunkID]struct{}{},
	}, nil
}

// Written returns the counters so far.
func (w *Writer) Written() Written {
	return Written{
		Chunks: w.chunks.Load(), Bytes: w.bytes.Load(),
		NewChunks: w.newChunks.Load(), NewBytes: w.newBytes.Load(),
		StoredBytes: w.stored.Load(), Packs: w.packs.Load(),
	}
}

// Put stores a chunk unless it is known, and returns its id and whether it was
// new. The bytes are not kept. A chunk is durable after the next Commit.
func (w *Writer) Put(ctx context.Context, t pack.ChunkType, plain []byte) (crypto.ChunkID, bool, error) {
	id := w.r.keys.ChunkID(byte(t), plain)
	w.chunks.Add(1)
	w.bytes.Add(int64(len(plain)))
	known, err := w.known(ctx, id)
	if err != nil || known {
		return id, false, err
	}
	p, err := w.reserve(ctx, id, t, int64(len(plain)))
	if err != nil || p == nil {
		return id, false, err
	}
	_, err = p.w.Add(id, t, plain)
	p.writing.Done()
	if err != nil {
		return id, false, w.fail(fmt.Errorf("storing a chunk: %w", err))
	}
	w.newChunks.Add(1)
	w.newBytes.Add(int64(len(plain)))
	return id, true, w.commitIfDue(ctx)
}

// Known reports whether a chunk is stored or about to be.
func (w *Writer) Known(id crypto.ChunkID) (bool, error) {
	return w.known(context.Background(), id)
}

func (w *Writer) known(ctx context.Context, id crypto.ChunkID) (bool, error) {
	w.mu.Lock()
	pending, err := w.isPending(id), w.err
	w.mu.Unlock()
	if pending || err != nil {
		return pending, err
	}
	p, ok, err := w.r.lookup(ctx, id)
	return ok && p.Usable(), err
}

func (w *Writer) isPending(id crypto.ChunkID) bool {
	if _, ok := w.open[id]; ok {
		return true
	}
	_, ok := w.committing[id]
	return ok
}

// reserve chooses the pack for a new chunk and counts the write that is about
// to happen there. It returns nil if somebody else stores the chunk meanwhile.
func (w *Writer) reserve(ctx context.Context, id crypto.ChunkID, t pack.ChunkType, size int64) (*openPack, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil || w.isPending(id) {
		return nil, w.err
	}
	l := &w.meta
	if t == pack.Data {
		l = &w.data
	}
	p, err := l.pick(ctx, w.r, w.rng)
	if err != nil {
		w.err = err
		return nil, err
	}
	if w.began.IsZero() {
		w.began = w.r.now()
	}
	l.bytes += size
	w.open[id] = struct{}{}
	p.writing.Add(1)
	return p, nil
}

func (w *Writer) fail(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	return w.err
}

// commitIfDue commits the group when it is large or old enough. While one
// commit syncs, others go on filling the next group; only a full next group
// makes them wait.
func (w *Writer) commitIfDue(ctx context.Context) error {
	due, full := w.due()
	switch {
	case !due:
		return nil
	case full:
		w.commitMu.Lock()
	case !w.commitMu.TryLock():
		return nil
	}
	defer w.commitMu.Unlock()
	if due, _ := w.due(); !due {
		return nil // whoever had the lock has committed it
	}
	return w.commit(ctx)
}

// due reports whether the group should be committed, or has failed, and whether
// it is so full that others must wait for that.
func (w *Writer) due() (due, full bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	filled := w.data.bytes + w.meta.bytes
	old := !w.began.IsZero() && w.r.now().Sub(w.began) >= groupAge
	return w.err != nil || filled >= groupBytes || old, filled >= groupBytes*5/4
}

// Commit makes every chunk that was put before durable and known.
func (w *Writer) Commit(ctx context.Context) error {
	w.commitMu.Lock()
	defer w.commitMu.Unlock()
	return w.commit(ctx)
}

// commit is the first half of the write order: seal → sync → rename → sync of
// directories → index. A kill before the renames leaves temporary files, which
// the next session removes; one after them leaves packs that it takes up.
func (w *Writer) commit(ctx context.Context) error {
	group, err := w.takeGroup()
	if err != nil {
		return err
	}
	if len(group) == 0 {
		return nil
	}
	tables := make([]index.Table, len(group))
	staged := make([]*backend.Staged, len(group))
	for i, p := range group {
		staged[i] = p.staged
		if tables[i], err = p.seal(w.r); err != nil {
			return w.abandon(group, err)
		}
	}
	if err := w.r.objects.Publish(ctx, staged...); err != nil {
		return w.abandon(group, fmt.Errorf("publishing packs: %w", err))
	}
	if err := w.r.index.Add(tables...); err != nil {
		// The packs are published; the index is not clean, so the next session
		// takes them up.
		return w.fail(err)
	}
	for i := range tables {
		w.stored.Add(tables[i].Pack.Size)
		w.packs.Add(1)
	}
	w.mu.Lock()
	clear(w.committing)
	w.mu.Unlock()
	if err := w.catalog.add(ctx, w.r, tables); err != nil {
		return w.fail(err)
	}
	return nil
}

// takeGroup moves the open packs out of the way of further Puts.
func (w *Writer) takeGroup() ([]*openPack, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return nil, w.err
	}
	group := append(w.data.take(), w.meta.take()...)
	w.open, w.committing = w.committing, w.open
	w.began = time.Time{}
	return group, nil
}

// abandon gives up a group that could not be published, and with it the
// session: its chunks are in no pack, so nothing built on them may be kept.
func (w *Writer) abandon(group []*openPack, err error) error {
	for _, p := range group {
		p.writing.Wait()
		err = errors.Join(err, p.staged.Discard())
	}
	return w.fail(err)
}

// Close ends the session. Chunks that no Commit covered are discarded; after
// an orderly end the index is marked clean. Closing again does nothing.
func (w *Writer) Close(ctx context.Context) error {
	w.commitMu.Lock()
	defer w.commitMu.Unlock()
	w.mu.Lock()
	again, failed := w.closed, w.err
	w.closed = true
	if w.err == nil {
		w.err = ErrClosed
	}
	group := append(w.data.take(), w.meta.take()...)
	w.mu.Unlock()
	if again {
		return nil
	}
	defer func() { <-w.r.writing }()
	var err error
	for _, p := range group {
		p.writing.Wait()
		err = errors.Join(err, p.staged.Discard())
	}
	if failed != nil || err != nil {
		return err // the failure itself was returned where it happened
	}
	if err := w.catalog.flush(ctx, w.r); err != nil {
		return err
	}
	return w.r.index.SetClean(true)
}
