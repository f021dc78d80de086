package restore

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"keepsake/store"
	"keepsake/store/pack"
)

const (
	// parallelFrom is the size from which the chunks of one file are shared
	// among the workers. Smaller files run beside each other.
	parallelFrom = 8 << 20
	// cheapSum is the size up to which the SHA-256 of a file in one chunk is
	// compared though nobody asked: it is nothing beside the system calls.
	cheapSum = 64 << 10
)

// writing is one file whose content is being written.
type writing struct {
	job     *job
	fd      int
	salvage bool
	sum     *[32]byte // to be compared with the only piece; nil if it is not

	pending atomic.Int64 // the coordinator and the pieces under way
	done    chan struct{}
	failed  atomic.Bool

	mu   sync.Mutex // guards the fields below
	err  error      // the first
	gaps gaps
}

// piece is one chunk of a file.
type piece struct {
	of     *writing
	extent store.Extent
}

// content writes the data of a file. Holes are left out, which keeps them;
// nothing is allocated in advance, since that would defeat delayed allocation
// and costs a second pass over memory file systems. The caller coordinates: it
// hands pieces to idle workers and otherwise writes them itself, so that it
// never waits for one who waits.
func (r *run) content(ctx context.Context, j *job, fd int) error {
	n := j.node
	file, err := r.repository.OpenFile(n)
	if err != nil {
		return err
	}
	w := &writing{job: j, fd: fd, salvage: r.options.Salvage, done: make(chan struct{})}
	w.pending.Store(1)
	whole := len(n.Content) == 1 && !n.Content[0].Hole
	if whole && n.Size <= cheapSum {
		w.sum = n.SHA256
	}
	if !whole && n.Size > 0 {
		if err := again(func() error { return unix.Ftruncate(fd, int64(n.Size)) }); err != nil {
			return target("setting the size", err)
		}
	}
	r.spread(ctx, w, file)
	w.release()
	for {
		select {
		case p := <-r.pieces:
			r.copyPiece(ctx, p)
		case <-w.done:
			return w.result()
		}
	}
}

// spread goes through the extents of a file and has each of them written.
func (r *run) spread(ctx context.Context, w *writing, file *store.File) {
	var end int64
	for e, err := range file.Extents(ctx, 0) {
		if err != nil {
			w.fail(store.Extent{Offset: end, Length: file.Size() - end}, err)
			return
		}
		if w.failed.Load() {
			return
		}
		end = e.Offset + e.Length
		if e.Hole {
			r.advance(w.job, e.Length)
			continue
		}
		w.pending.Add(1)
		p := piece{w, e}
		if file.Size() < parallelFrom {
			r.copyPiece(ctx, p)
			continue
		}
		select {
		case r.pieces <- p:
		default:
			r.copyPiece(ctx, p)
		}
	}
}

func (r *run) advance(j *job, n int64) {
	j.copied.Add(n)
	r.progress.Bytes.Add(n)
}

// copyPiece writes one chunk to its place in its file.
func (r *run) copyPiece(ctx context.Context, p piece) {
	defer p.of.release()
	if p.of.failed.Load() {
		return
	}
	if err := r.copyChunk(ctx, p); err != nil {
		p.of.fail(p.extent, err)
	}
}

func (r *run) copyChunk(ctx context.Context, p piece) error {
	e := p.extent
	buf, err := r.buffers.take(ctx, int(e.Length))
	if err != nil {
		return err
	}
	defer r.buffers.give(buf, int(e.Length))
	data, err := r.repository.ReadChunk(ctx, e.Chunk, pack.Data, buf)
	if err != nil {
		return err
	}
	if int64(len(data)) != e.Length {
		return wrongLength(e, len(data))
	}
	if p.of.sum != nil && sha256.Sum256(data) != *p.of.sum {
		return errDigest
	}
	if err := writeAll(p.of.fd, data, e.Offset); err != nil {
		return target("writing", err)
	}
	r.advance(p.of.job, e.Length)
	return nil
}

// fail notes an error: a gap if that is what the person wants of damage, else
// the end of the file.
func (w *writing) fail(e store.Extent, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.salvage && damaged(err) {
		w.gaps.add(e.Offset, e.Length, err)
		return
	}
	if w.err == nil {
		w.err = err
	}
	w.failed.Store(true)
}

func (w *writing) release() {
	if w.pending.Add(-1) == 0 {
		close(w.done)
	}
}

// result is valid once done is closed.
func (w *writing) result() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.err
	}
	return w.gaps.salvaged()
}
