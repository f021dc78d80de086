package backend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"keepsake/store/durable"
)

const defaultOpenFiles = 64

// pool keeps the most recently read objects open. Its lock covers the
// bookkeeping only, never an open, a read or a close.
type pool struct {
	limit int

	mu    sync.Mutex
	open  map[string]*handle
	clock uint64 // counts uses; orders handles by recency
}

type handle struct {
	file    *durable.File
	readers int    // guarded by pool.mu
	pooled  bool   // guarded by pool.mu; a handle out of the pool closes with its last reader
	used    uint64 // guarded by pool.mu
}

// get returns the pooled handle with one more reader, or nil.
func (p *pool) get(name string) *handle {
	p.mu.Lock()
	defer p.mu.Unlock()
	h := p.open[name]
	if h != nil {
		p.use(h)
	}
	return h
}

func (p *pool) use(h *handle) {
	p.clock++
	h.used = p.clock
	h.readers++
}

// put pools a file just opened and returns its handle with one reader. If
// another goroutine was faster, its handle is returned and the file closed.
func (p *pool) put(name string, file *durable.File) *handle {
	p.mu.Lock()
	h, spare := p.open[name], file
	if h == nil {
		spare = p.makeRoom()
		if p.open == nil {
			p.open = make(map[string]*handle)
		}
		h = &handle{file: file, pooled: true}
		p.open[name] = h
	}
	p.use(h)
	p.mu.Unlock()
	if spare != nil {
		spare.Close() // opened for reading: there is nothing to lose
	}
	return h
}

// makeRoom takes the least recently used handle out of a full pool, and
// returns its file if nobody reads from it.
func (p *pool) makeRoom() *durable.File {
	if len(p.open) < p.limit {
		return nil
	}
	var oldest string
	var least *handle
	for name, h := range p.open { // a pool is small beside the cost of an open
		if least == nil || h.used < least.used {
			oldest, least = name, h
		}
	}
	delete(p.open, oldest)
	least.pooled = false
	if least.readers > 0 {
		return nil
	}
	return least.file
}

// release ends one reader's use.
func (p *pool) release(h *handle) {
	p.mu.Lock()
	h.readers--
	last := h.readers == 0 && !h.pooled
	p.mu.Unlock()
	if last {
		h.file.Close()
	}
}

// drop takes a name out of the pool.
func (p *pool) drop(name string) {
	p.mu.Lock()
	h := p.open[name]
	p.mu.Unlock()
	if h != nil {
		p.dropHandle(name, h)
	}
}

// dropHandle takes this handle out of the pool, but not a newer one of the
// same name.
func (p *pool) dropHandle(name string, h *handle) {
	p.mu.Lock()
	if p.open[name] != h {
		p.mu.Unlock()
		return
	}
	delete(p.open, name)
	h.pooled = false
	idle := h.readers == 0
	p.mu.Unlock()
	if idle {
		h.file.Close()
	}
}

func (p *pool) clear() error {
	p.mu.Lock()
	var idle []*durable.File
	for _, h := range p.open {
		h.pooled = false
		if h.readers == 0 {
			idle = append(idle, h.file)
		}
	}
	p.open = nil
	p.mu.Unlock()
	var failed error
	for _, f := range idle {
		failed = errors.Join(failed, f.Close())
	}
	return failed
}

// ReadAt reads len(p) bytes of an object from off, with the meaning of
// io.ReaderAt: fewer bytes come with an error, io.EOF at the object's end. An
// absent object is fs.ErrNotExist. Concurrent reads do not wait for each other,
// and a read of an object that is open allocates nothing.
//
// A pooled descriptor that fails is opened anew once, since its disk may have
// been unplugged and come back.
func (l *Local) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("%s: negative offset %d", name, off)
	}
	if h := l.pool.get(name); h != nil {
		if n, err := l.readHandle(name, h, p, off); err == nil || err == io.EOF {
			return n, err
		}
	}
	h, err := l.openObject(name)
	if err != nil {
		return 0, err
	}
	return l.readHandle(name, h, p, off)
}

// readHandle reads and gives the handle back; a handle that failed leaves the
// pool.
func (l *Local) readHandle(name string, h *handle, p []byte, off int64) (int, error) {
	n, err := h.file.ReadAt(p, off)
	if err != nil && err != io.EOF {
		l.pool.dropHandle(name, h)
	}
	l.pool.release(h)
	return n, err
}

func (l *Local) openObject(name string) (*handle, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	file, err := l.disk.Open(l.path(name))
	if errors.Is(err, durable.ErrNotRegular) {
		return nil, fmt.Errorf("%s: %w", name, ErrNotObject)
	}
	if err != nil {
		return nil, l.absent(err)
	}
	return l.pool.put(name, file), nil
}
