package pack

import (
	"encoding/hex"
	"fmt"

	"keepsake/crypto"
)

// Limits and sizes of the format, in bytes unless said otherwise.
const (
	// SegmentSize is the largest plaintext of a segment.
	SegmentSize = 64 << 10
	// FrameSize is the chunk plaintext in a zstd frame; the last frame of a chunk may have less.
	FrameSize = 256 << 10
	// MaxChunk is the largest plaintext of a chunk.
	MaxChunk = 8 << 20
	// MaxEntries is the largest number of chunks in a pack.
	MaxEntries = 1 << 16
	// MaxBody bounds what lies between a pack's header and its table.
	MaxBody = 1<<32 - 1

	tagSize = crypto.TagSize
	// maxPadding bounds the padding of a pack. The Padmé step below 4 GiB is 64 MiB; twice that
	// leaves room for the steps that sealing cannot reach.
	maxPadding = 128 << 20
	// maxFrameGrowth bounds how much longer than its plaintext a zstd frame may be: header and
	// block headers of a frame that did not compress.
	maxFrameGrowth = 64
)

// ID names a pack: 32 random bytes, which are also the salt of its key.
type ID [32]byte

// String returns the ID in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// ChunkType says what a chunk's plaintext is. The value is part of the chunk's id.
type ChunkType byte

// The types of chunks.
const (
	Data ChunkType = 1 // a piece of a file's content
	Page ChunkType = 2 // tree page
	List ChunkType = 3 // content list
	Blob ChunkType = 4 // other metadata: large extended attributes, lists of missed paths
)

// Valid reports whether t is a type of this format.
func (t ChunkType) Valid() bool { return t >= Data && t <= Blob }

// Codec says how a chunk's plaintext became the plaintext of segments.
type Codec byte

// The codecs.
const (
	Raw     Codec = 1 // as it is
	Zstd    Codec = 2 // zstd frames of FrameSize
	Padding Codec = 3 // zeros that hide a pack's true length; not a chunk
)

// Entry says where a chunk lies in its pack and how it is coded. Entries that come from this package
// are valid; others should pass Validate before their methods are called. An Entry is a value, but
// its Frames are shared between copies and must not be changed.
type Entry struct {
	Chunk crypto.ChunkID
	Type  ChunkType
	Codec Codec
	// Number counts the pack's entries from 0. It is part of the nonces.
	Number uint32
	// Offset is the byte, from the beginning of the pack, at which the chunk's first segment starts.
	Offset uint64
	// Plain is the chunk's length; Stored its length in the pack, authentication tags included.
	Plain, Stored uint32
	// Frames holds the stored length of each zstd frame if there is more than one; otherwise nil.
	Frames []uint32
}

// segments returns into how many segments n bytes are cut.
func segments(n int) int { return (n + SegmentSize - 1) / SegmentSize }

// sealedLen returns the stored length of n bytes.
func sealedLen(n int) int { return n + tagSize*segments(n) }

// openedLen is the inverse of sealedLen; ok is false if no number of bytes has that stored length.
func openedLen(stored int) (n int, ok bool) {
	n = stored - tagSize*((stored+SegmentSize+tagSize-1)/(SegmentSize+tagSize))
	return n, n > 0 && sealedLen(n) == stored
}

// frames returns into how many zstd frames a chunk of n bytes is cut.
func frames(n int) int { return (n + FrameSize - 1) / FrameSize }

// Validate returns an error, which wraps ErrEntry, unless the entry's fields can belong together.
// It does not say that such a chunk exists.
func (e Entry) Validate() error {
	if err := e.validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrEntry, err)
	}
	return nil
}

func (e *Entry) validate() error {
	if e.Offset < HeaderSize || e.Offset+uint64(e.Stored) > HeaderSize+MaxBody || e.Offset > HeaderSize+MaxBody {
		return fmt.Errorf("%d bytes at %d exceed a pack", e.Stored, e.Offset)
	}
	if e.Codec == Padding {
		if e.Type != 0 || e.Chunk != (crypto.ChunkID{}) || e.Number > MaxEntries || e.Plain > maxPadding {
			return fmt.Errorf("padding of %d bytes with type %d, number %d, chunk %s", e.Plain, e.Type, e.Number, e.Chunk)
		}
	} else if !e.Type.Valid() || e.Number >= MaxEntries || e.Plain > MaxChunk {
		return fmt.Errorf("chunk of type %d, number %d, length %d", e.Type, e.Number, e.Plain)
	}
	if e.Plain == 0 {
		return fmt.Errorf("length 0")
	}
	switch e.Codec {
	case Raw, Padding:
		if len(e.Frames) != 0 || uint64(e.Stored) != uint64(sealedLen(int(e.Plain))) {
			return fmt.Errorf("%d stored bytes in %d frames for %d uncompressed bytes", e.Stored, len(e.Frames), e.Plain)
		}
		return nil
	case Zstd:
		return e.validateFrames()
	}
	return fmt.Errorf("unknown codec %d", e.Codec)
}

func (e *Entry) validateFrames() error {
	n := frames(int(e.Plain))
	if (n == 1 && len(e.Frames) != 0) || (n > 1 && len(e.Frames) != n) {
		return fmt.Errorf("%d frames for %d bytes", len(e.Frames), e.Plain)
	}
	sum := uint64(0)
	for i := range n {
		stored := e.frame(i)
		plain := min(FrameSize, int(e.Plain)-i*FrameSize)
		if opened, ok := openedLen(int(stored)); !ok || opened > plain+maxFrameGrowth {
			return fmt.Errorf("frame %d of %d stored bytes for %d bytes", i, stored, plain)
		}
		sum += uint64(stored)
	}
	if sum != uint64(e.Stored) {
		return fmt.Errorf("frames have %d bytes, entry has %d", sum, e.Stored)
	}
	return nil
}

// frame returns the stored length of zstd frame i.
func (e *Entry) frame(i int) uint32 {
	if len(e.Frames) == 0 {
		return e.Stored
	}
	return e.Frames[i]
}

// blockSize returns the plaintext in each block but the last.
func (e *Entry) blockSize() int {
	if e.Codec == Zstd {
		return FrameSize
	}
	return SegmentSize
}

// Blocks returns how many blocks the chunk has.
func (e Entry) Blocks() int {
	size := e.blockSize()
	return (int(e.Plain) + size - 1) / size
}

// Block returns where block i, counted from 0, lies in the chunk's plaintext and in the pack. It
// panics if the entry is valid and has no such block.
func (e Entry) Block(i int) (plainOff, plainLen int, storedOff uint64, storedLen int) {
	if i < 0 || i >= e.Blocks() {
		panic(fmt.Sprintf("pack: block %d of %d", i, e.Blocks()))
	}
	size := e.blockSize()
	plainOff = i * size
	plainLen = min(size, int(e.Plain)-plainOff)
	if e.Codec != Zstd {
		return plainOff, plainLen, e.Offset + uint64(i)*(SegmentSize+tagSize), plainLen + tagSize
	}
	storedOff = e.Offset
	for j := range i {
		storedOff += uint64(e.frame(j))
	}
	return plainOff, plainLen, storedOff, int(e.frame(i))
}

// firstSegment returns the number of the segment with which block i starts.
func (e *Entry) firstSegment(i int) int {
	if e.Codec != Zstd {
		return i
	}
	n := 0
	for j := range i {
		n += frameSegments(e.frame(j))
	}
	return n
}

// frameSegments returns how many segments a frame of the given stored length has.
func frameSegments(stored uint32) int {
	return (int(stored) + SegmentSize + tagSize - 1) / (SegmentSize + tagSize)
}

// segmentCount returns how many segments the whole chunk has.
func (e *Entry) segmentCount() int {
	if e.Codec != Zstd {
		return segments(int(e.Plain))
	}
	return e.firstSegment(frames(int(e.Plain)))
}
