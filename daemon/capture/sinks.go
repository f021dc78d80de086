package capture

import (
	"context"
	"hash"
	"sync/atomic"

	"keepsake/crypto"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// inline stores each chunk before the next is cut: one buffer, hot in cache.
type inline struct{ listing }

func newInline(ctx context.Context, p *pass, sum hash.Hash) *inline {
	return &inline{newListing(ctx, p, sum)}
}

func (s *inline) buffer(ctx context.Context) ([]byte, error) { return s.p.takeBuffer(ctx) }

func (s *inline) add(ctx context.Context, chunk []byte) error {
	defer s.p.giveBuffer(chunk)
	s.sum.Write(chunk)
	id, _, err := s.p.writer.Put(ctx, pack.Data, chunk)
	if err != nil {
		return stored(err)
	}
	return s.extent(tree.Extent{Length: uint64(len(chunk)), Chunk: id})
}

func (s *inline) hole(length uint64) error {
	hashHole(s.sum, length)
	return s.extent(tree.Extent{Length: length, Hole: true})
}

func (s *inline) close(n *tree.Node) error { return s.finish(n) }

// pipeline hashes and stores the chunks of one large file on all cores while
// its reader cuts the next ones. The digest of the whole file, which must see
// the bytes in order, has a goroutine of its own.
type pipeline struct {
	listing
	waiting []*piece // in order of the file
	toSum   chan *piece
	summed  chan struct{}
}

// maxWaiting bounds the pieces that are remembered in order; the buffers bound
// how many of them still hold data.
const maxWaiting = 64

// piece is a chunk on its way, or a hole.
type piece struct {
	p      *pass
	ctx    context.Context
	chunk  []byte
	length uint64 // of chunk, once stored
	hole   uint64
	users  atomic.Int32 // of chunk: who is last gives it back
	id     crypto.ChunkID
	err    error
	stored chan struct{}
}

func newPipeline(ctx context.Context, p *pass, sum hash.Hash) *pipeline {
	s := &pipeline{listing: newListing(ctx, p, sum), toSum: make(chan *piece, maxWaiting), summed: make(chan struct{})}
	go s.digest()
	return s
}

func (s *pipeline) digest() {
	defer close(s.summed)
	for c := range s.toSum {
		if c.hole > 0 {
			hashHole(s.sum, c.hole)
			continue
		}
		s.sum.Write(c.chunk)
		c.release()
	}
}

func (c *piece) release() {
	if c.users.Add(-1) == 0 {
		c.p.giveBuffer(c.chunk)
	}
}

// store is run by the pass's storers.
func (c *piece) store() {
	defer close(c.stored)
	var err error
	c.length = uint64(len(c.chunk))
	c.id, _, err = c.p.writer.Put(c.ctx, pack.Data, c.chunk)
	c.err = stored(err)
	c.release()
}

func (s *pipeline) buffer(ctx context.Context) ([]byte, error) { return s.p.takeBuffer(ctx) }

func (s *pipeline) add(ctx context.Context, chunk []byte) error {
	c := &piece{p: s.p, ctx: ctx, chunk: chunk, stored: make(chan struct{})}
	c.users.Store(2)
	s.toSum <- c
	select {
	case s.p.pieces <- c:
	case <-ctx.Done():
		c.err = ctx.Err()
		close(c.stored)
		c.release()
		return c.err
	}
	return s.queue(c)
}

func (s *pipeline) hole(length uint64) error {
	c := &piece{hole: length}
	s.toSum <- c
	return s.queue(c)
}

func (s *pipeline) queue(c *piece) error {
	s.waiting = append(s.waiting, c)
	if len(s.waiting) < maxWaiting {
		return nil
	}
	return s.settle(maxWaiting / 2)
}

// settle takes pieces into the listing until at most left are waiting.
func (s *pipeline) settle(left int) error {
	for len(s.waiting) > left {
		c := s.waiting[0]
		s.waiting = s.waiting[1:]
		e := tree.Extent{Length: c.hole, Hole: true}
		if c.hole == 0 {
			<-c.stored
			if c.err != nil {
				return c.err
			}
			e = tree.Extent{Length: c.length, Chunk: c.id}
		}
		if err := s.extent(e); err != nil {
			return err
		}
	}
	return nil
}

func (s *pipeline) close(n *tree.Node) error {
	err := s.settle(0)
	for _, c := range s.waiting { // after an error
		if c.stored != nil {
			<-c.stored
		}
	}
	close(s.toSum)
	<-s.summed
	if err != nil {
		return err
	}
	return s.finish(n)
}
