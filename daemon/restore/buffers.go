package restore

import (
	"context"
	"math/bits"
	"sync"

	"golang.org/x/sync/semaphore"

	"keepsake/store/tree"
)

// bufferBytes bounds the memory for chunks under way: their plaintext here and
// their ciphertext in the store. Three chunks of the largest size, or a dozen
// of the usual 2 MiB.
const bufferBytes = 48 << 20

// buffers lends memory for chunks within bufferBytes. A borrower holds one
// buffer at a time, so that nobody waits for one who waits.
type buffers struct {
	room *semaphore.Weighted

	mu   sync.Mutex // guards the fields below
	free [classes][][]byte
	made int // bytes of all buffers, lent and free
}

// Classes are powers of two from 64 KiB, the usual size of a fine chunk, to
// the largest chunk.
const (
	smallest = 64 << 10
	classes  = 8
)

// The index is 0, or this does not compile.
var _ = [1]struct{}{}[smallest<<(classes-1)-tree.MaxChunk]

func newBuffers() *buffers { return &buffers{room: semaphore.NewWeighted(bufferBytes)} }

// class returns the class of buffers for n bytes.
func class(n int) int { return max(0, bits.Len(uint(n-1))-bits.Len(uint(smallest-1))) }

// take returns an empty buffer with room for a chunk of n bytes, at most
// tree.MaxChunk. It waits while too much is lent.
func (b *buffers) take(ctx context.Context, n int) ([]byte, error) {
	if err := b.room.Acquire(ctx, 2*int64(n)); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := class(n)
	if buf := b.pop(c); buf != nil {
		return buf, nil
	}
	// Free buffers of other sizes make room, the largest first.
	size := smallest << c
	for other := classes - 1; other >= 0 && b.made+size > bufferBytes/2; {
		if buf := b.pop(other); buf != nil {
			b.made -= cap(buf)
		} else {
			other--
		}
	}
	b.made += size
	return make([]byte, 0, size), nil
}

func (b *buffers) pop(c int) []byte {
	last := len(b.free[c]) - 1
	if last < 0 {
		return nil
	}
	buf := b.free[c][last]
	b.free[c] = b.free[c][:last]
	return buf
}

// give takes back what take(n) lent.
func (b *buffers) give(buf []byte, n int) {
	b.mu.Lock()
	c := class(n)
	b.free[c] = append(b.free[c], buf[:0])
	b.mu.Unlock()
	b.room.Release(2 * int64(n))
}
