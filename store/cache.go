package store

import (
	"container/list"
	"context"
	"sync"

	"keepsake/crypto"
)

// blockKey names one decoded block of a chunk.
type blockKey struct {
	chunk crypto.ChunkID
	block int
}

// cache holds decoded blocks, least recently used out first, within a bound of
// bytes. Callers that want the same block at the same time share one load.
type cache struct {
	limit int64

	mu      sync.Mutex // guards the fields below
	used    int64
	order   *list.List // of *cached, most recent in front
	entries map[blockKey]*list.Element
	loads   map[blockKey]*load
}

type cached struct {
	key  blockKey
	data []byte
}

// load is one read under way and those who wait for it.
type load struct {
	done chan struct{}
	data []byte
	err  error
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
func (c *cache) get(ctx context.Context, key blockKey, read func(context.Context) ([]byte, error)) ([]byte, error) {
	for {
		c.mu.Lock()
		if e, ok := c.entries[key]; ok {
			c.order.MoveToFront(e)
			data := e.Value.(*cached).data
			c.mu.Unlock()
			return data, nil
		}
		l, waiting := c.loads[key]
		if !waiting {
			l = &load{done: make(chan struct{})}
			c.loads[key] = l
			c.mu.Unlock()
			c.fill(ctx, key, l, read)
			return l.data, l.err
		}
		c.mu.Unlock()
		select {
		case <-l.done:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		// A loader that was interrupted says nothing about the block: its
		// waiters try themselves.
		if l.err == nil || !interrupted(l.err) {
			return l.data, l.err
		}
	}
}

func (c *cache) fill(ctx context.Context, key blockKey, l *load, read func(context.Context) ([]byte, error)) {
	l.data, l.err = read(ctx)
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loads, key)
	close(l.done)
	if l.err != nil || int64(len(l.data)) > c.limit {
		return
	}
	c.entries[key] = c.order.PushFront(&cached{key, l.data})
	c.used += int64(len(l.data))
	for c.used > c.limit {
		oldest := c.order.Back()
		old := c.order.Remove(oldest).(*cached)
		delete(c.entries, old.key)
		c.used -= int64(len(old.data))
	}
}
