package store

import (
	"container/list"
	"context"
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"

	"keepsake/crypto"
	"keepsake/store/pack"
)

// blockKey names one decoded block of a chunk.
type blockKey struct {
	chunk crypto.ChunkID
	block int
}

// entryCost is what an entry takes besides its data: pages of small directories
// are no larger themselves.
const entryCost = 256

// cache holds decoded blocks, least recently used out first, within a bound of
// bytes. Callers that want the same block at the same time share one load.
type cache struct {
	memory memory

	mu      sync.Mutex // guards the fields below
	limit   int64
	used    int64
	order   *list.List // of *block, most recent in front
	entries map[blockKey]*list.Element
	loads   map[blockKey]*load
}

// block is one decoded block and its place in its chunk, as the entry has it
// under which it was authenticated. The index may say otherwise. Its bytes are
// never written to again before the last user has released it.
type block struct {
	data  []byte
	off   int // of its first byte in the chunk
	plain int // length of the whole chunk

	key   blockKey
	room  *room // whose bytes data are; nil if they are the garbage collector's
	users atomic.Int32
}

func (b *block) cost() int64 { return entryCost + int64(cap(b.data)) }

func (b *block) holds(off int) bool { return off >= b.off && off-b.off < len(b.data) }

// release ends one use; nil is a hole, which nobody uses. Whoever forgets it
// leaves the block's memory to the garbage collector.
func (c *cache) release(b *block) {
	if b == nil {
		return
	}
	if b.users.Add(-1) == 0 && b.room != nil {
		c.memory.put(b.room)
	}
}

// load is one read under way and those who wait for it.
type load struct {
	done    chan struct{}
	waiters int32 // guarded by the cache's mu; the block has a user for each
	block   *block
	err     error
}

func newCache(limit int64) *cache {
	return &cache{
		limit:   limit,
		order:   list.New(),
		entries: map[blockKey]*list.Element{},
		loads:   map[blockKey]*load{},
	}
}

// held returns the block of a chunk that holds an offset, if it is there, and
// nil otherwise. Which number that block has depends on the chunk's codec, which
// is not known here; the block itself tells what it holds. The caller is a user
// of it and releases it.
func (c *cache) held(chunk crypto.ChunkID, off int) *block {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, size := range [...]int{pack.SegmentSize, pack.FrameSize} {
		if e, ok := c.entries[blockKey{chunk, off / size}]; ok && e.Value.(*block).holds(off) {
			return c.use(e)
		}
	}
	return nil
}

// use makes the caller a user of an entry. c.mu is held.
func (c *cache) use(e *list.Element) *block {
	c.order.MoveToFront(e)
	b := e.Value.(*block)
	b.users.Add(1)
	return b
}

// get returns the block, calling read if nobody has it. The block is shared:
// callers never write to it, and release it.
func (c *cache) get(ctx context.Context, key blockKey, read func(context.Context) (*block, error)) (*block, error) {
	for {
		c.mu.Lock()
		if e, ok := c.entries[key]; ok {
			defer c.mu.Unlock()
			return c.use(e), nil
		}
		l, waiting := c.loads[key]
		if !waiting {
			l = &load{done: make(chan struct{})}
			c.loads[key] = l
			c.mu.Unlock()
			c.fill(ctx, key, l, read)
			return l.block, l.err
		}
		l.waiters++
		c.mu.Unlock()
		select {
		case <-l.done:
		case <-ctx.Done():
			c.leave(l)
			return nil, ctx.Err()
		}
		// A loader that was interrupted says nothing about the block: its
		// waiters try themselves.
		if l.err == nil || !interrupted(l.err) {
			return l.block, l.err
		}
	}
}

// leave is for a waiter who gives up.
func (c *cache) leave(l *load) {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-l.done:
		c.release(l.block)
	default:
		l.waiters--
	}
}

// errBug is what those get who waited for a read that ended in a panic.
var errBug = errors.New("a bug in keepsake ended the read of a block")

// fill reads a block for all who wait for it, even if the reading panics.
func (c *cache) fill(ctx context.Context, key blockKey, l *load, read func(context.Context) (*block, error)) {
	var b *block
	err := errBug
	defer func() { c.loaded(key, l, b, err) }()
	b, err = read(ctx)
}

func (c *cache) loaded(key blockKey, l *load, b *block, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loads, key)
	defer close(l.done)
	if err != nil {
		l.err = err
		return
	}
	l.block, b.key = b, key
	b.users.Store(1 + l.waiters)
	if b.cost() > c.limit {
		return
	}
	b.users.Add(1)
	c.entries[key] = c.order.PushFront(b)
	c.used += b.cost()
	c.evict()
}

// resize sets the bound. Blocks that readers hold stay theirs.
func (c *cache) resize(limit int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = limit
	c.evict()
}

// evict keeps to the bound. c.mu is held.
func (c *cache) evict() {
	for c.used > c.limit {
		old := c.order.Remove(c.order.Back()).(*block)
		delete(c.entries, old.key)
		c.used -= old.cost()
		c.release(old)
	}
}

// memory lends room for the plaintext of data blocks and takes it back, since
// the collector would otherwise have to clear and find again every byte that is
// read. It comes in powers of two.
type memory struct {
	free [maxRoom + 1]sync.Pool // of *room, by its class
	// reused is nil but in tests, which spoil with it what nobody may look at any more.
	reused func([]byte)
}

// room is bytes that are given back.
type room struct {
	bytes []byte
	class int
}

const (
	minRoom = 12 // 4 KiB
	maxRoom = 18 // pack.FrameSize
)

func (m *memory) get(n int) *room {
	class := max(bits.Len(uint(n-1)), minRoom)
	if r, ok := m.free[class].Get().(*room); ok {
		return r
	}
	return &room{bytes: make([]byte, 1<<class), class: class}
}

func (m *memory) put(r *room) {
	if m.reused != nil {
		m.reused(r.bytes)
	}
	m.free[r.class].Put(r)
}
