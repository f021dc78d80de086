package pack

import (
	"math/bits"
	"sync"

	"keepsake/crypto"
)

// scratch is what one call needs besides its arguments. It lives on the heap, because slices of it
// go through the cipher.AEAD interface, and is pooled, so that no call allocates it.
type scratch struct {
	ad    [HeaderSize + maxRecord]byte
	nonce [crypto.NonceSize]byte
	lens  [MaxChunk / FrameSize]uint32
	// open receives what is opened or inflated in order to be compared; its capacity is FrameSize.
	open []byte
	// frame holds one zstd frame or the compressed sample.
	frame []byte
}

var scratches = sync.Pool{New: func() any {
	return &scratch{open: make([]byte, 0, FrameSize), frame: make([]byte, 0, FrameSize+maxFrameGrowth)}
}}

// buffer is a pooled slice of one of the capacities sealedLen(64 KiB << class).
type buffer struct {
	b     []byte
	class int
}

var buffers [8]sync.Pool

// grab returns an empty buffer with room for at least n stored bytes, at most a whole sealed chunk.
func grab(n int) *buffer {
	class := bits.Len(uint((n - 1) / (SegmentSize + tagSize)))
	if b, ok := buffers[class].Get().(*buffer); ok {
		b.b = b.b[:0]
		return b
	}
	return &buffer{b: make([]byte, 0, sealedLen(SegmentSize<<class)), class: class}
}

func (b *buffer) release() { buffers[b.class].Put(b) }
