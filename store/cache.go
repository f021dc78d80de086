package store

import (
	"container/list"
	"context"
	"errors"
	"sync"

	"keepsake/crypto"
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
	mu      sync.Mutex // guards the fields below
	limit   int64
	used    int64
	order   *list.List // of *cached, most recent in front
	entries map[blockKey]*list.Element
	loads   map[blockKey]*load
}

// block is one decoded block and its place in its chunk, as the entry has it
// under which it was authenticated. The index may say otherwise.
type block struct {
	data  []byte
	off   int // of its first byte in the chunk
	plain int // length of the whole chunk
}

func (b block) cost() int64 { return entryCost + int64(len(b.data)) }

func (b block) holds(off int) bool { return off >= b.off && off-b.off < len(b.data) }

type cached struct {
	key   blockKey
	block block
}

// load is one read under way and those who wait for it.
type load struct {
	done  chan struct{}
	block block
	err   error
}

func newCache(limit int64) *cache {
	return &cache{
		limit:   limit,
		order:   list.New(),
		entries: map[blockKey]*list.Element{},
		loads:   map[blockKey]*load{},
	}
}

// get returns the block, calling read if nobody has it. The result is shared:
// callers copy from it and never write to it.
func (c *cache) get(ctx context.Context, key blockKey, read func(context.Context) (block, error)) (block, error) {
	for {
		c.mu.Lock()
		if e, ok := c.entries[key]; ok {
			c.order.MoveToFront(e)
			b := e.Value.(*cached).block
			c.mu.Unlock()
			return b, nil
		}
		l, waiting := c.loads[key]
		if !waiting {
			l = &load{done: make(chan struct{})}
			c.loads[key] = l
			c.mu.Unlock()
			c.fill(ctx, key, l, read)
			return l.block, l.err
		}
		c.mu.Unlock()
		select {
		case <-l.done:
		case <-ctx.Done():
			return block{}, ctx.Err()
		}
		// A loader that was interrupted says nothing about the block: its
		// waiters try themselves.
		if l.err == nil || !interrupted(l.err) {
			return l.block, l.err
		}
	}
}

// errBug is what those get who waited for a read that ended in a panic.
var errBug = errors.New("a bug in keepsake ended the read of a block")

// fill reads a block for all who wait for it, even if the reading panics.
func (c *cache) fill(ctx context.Context, key blockKey, l *load, read func(context.Context) (block, error)) {
	b, err := block{}, errBug
	defer func() { c.loaded(key, l, b, err) }()
	b, err = read(ctx)
}

func (c *cache) loaded(key blockKey, l *load, b block, err error) {
	l.block, l.err = b, err
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loads, key)
	close(l.done)
	if l.err != nil || l.block.cost() > c.limit {
		return
	}
	c.entries[key] = c.order.PushFront(&cached{key, l.block})
	c.used += l.block.cost()
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
		oldest := c.order.Back()
		old := c.order.Remove(oldest).(*cached)
		delete(c.entries, old.key)
		c.used -= old.block.cost()
	}
}
