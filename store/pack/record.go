package pack

import (
	"encoding/binary"
	"errors"
	"fmt"

	"keepsake/crypto"
)

// recordSize is the length of an entry in the table, without the lengths of zstd frames:
// chunk id, type, codec, plaintext length.
const recordSize = 32 + 1 + 1 + 4

// maxRecord is the longest record: a chunk of MaxChunk bytes in zstd frames.
const maxRecord = recordSize + 4*(MaxChunk/FrameSize)

// recordLen returns the length of the entry's record in the table.
func (e *Entry) recordLen() int {
	if e.Codec == Zstd {
		return recordSize + 4*frames(int(e.Plain))
	}
	return recordSize
}

// appendRecord appends the entry as the table and the associated data of its segments have it:
// everything but number and offset, which follow from its place.
func (e *Entry) appendRecord(dst []byte) []byte {
	dst = append(dst, e.Chunk[:]...)
	dst = append(dst, byte(e.Type), byte(e.Codec))
	dst = binary.BigEndian.AppendUint32(dst, e.Plain)
	if e.Codec == Zstd {
		for i := range frames(int(e.Plain)) {
			dst = binary.BigEndian.AppendUint32(dst, e.frame(i))
		}
	}
	return dst
}

// parseRecord reads the record at the beginning of b as entry number at offset.
func parseRecord(b []byte, number uint32, offset uint64) (e Entry, rest []byte, err error) {
	if len(b) < recordSize {
		return Entry{}, nil, errors.New("ends within an entry")
	}
	e.Chunk = crypto.ChunkID(b[:32])
	e.Type, e.Codec = ChunkType(b[32]), Codec(b[33])
	e.Plain = binary.BigEndian.Uint32(b[34:])
	e.Number, e.Offset = number, offset
	b = b[recordSize:]
	if e.Codec != Zstd {
		// A length that no codec allows may wrap around here; validate refuses it.
		e.Stored = uint32(sealedLen(int(e.Plain)))
		return e, b, e.validate()
	}
	n := frames(int(e.Plain))
	if e.Plain == 0 || e.Plain > MaxChunk || len(b) < 4*n {
		return Entry{}, nil, fmt.Errorf("%d bytes in %d frames", e.Plain, n)
	}
	var lens [MaxChunk / FrameSize]uint32
	for i := range n {
		lens[i] = binary.BigEndian.Uint32(b[4*i:])
	}
	e.setFrames(lens[:n])
	return e, b[4*n:], e.validate()
}

// setFrames sets Stored and Frames from the stored lengths of the chunk's frames, which it copies.
// A sum beyond 32 bits wraps around and does not pass validation.
func (e *Entry) setFrames(lens []uint32) {
	e.Stored, e.Frames = 0, nil
	for _, n := range lens {
		e.Stored += n
	}
	if len(lens) > 1 {
		e.Frames = append([]uint32(nil), lens...)
	}
}

// AppendEntries appends the table form of a whole pack's entries, as catalogs hold it: a count and
// the records in the pack's order. Entries must be numbered from 0 and tile the body.
func AppendEntries(dst []byte, entries []Entry) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(entries)))
	for i := range entries {
		dst = entries[i].appendRecord(dst)
	}
	return dst
}

// ParseEntries reads what AppendEntries wrote and nothing else. Numbers and offsets are counted up.
// It allocates in proportion to b.
func ParseEntries(b []byte) ([]Entry, error) {
	entries, rest, err := parseEntries(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEntry, err)
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last entry", ErrEntry, len(rest))
	}
	return entries, nil
}

func parseEntries(b []byte) (entries []Entry, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errors.New("ends within the count of entries")
	}
	count := binary.BigEndian.Uint32(b)
	b = b[4:]
	if count > MaxEntries+1 || uint64(count)*recordSize > uint64(len(b)) {
		return nil, nil, fmt.Errorf("%d entries in %d bytes", count, len(b))
	}
	entries = make([]Entry, 0, count)
	offset := uint64(HeaderSize)
	for i := range count {
		e, rest, err := parseRecord(b, i, offset)
		if err != nil {
			return nil, nil, fmt.Errorf("entry %d: %w", i, err)
		}
		if e.Codec == Padding && i != count-1 {
			return nil, nil, fmt.Errorf("entry %d: padding before a chunk", i)
		}
		entries, b = append(entries, e), rest
		offset += uint64(e.Stored)
	}
	return entries, b, nil
}

// AppendEntry appends one entry that stands for itself, as the index holds it. The first 32 bytes
// are the chunk id, so that a store keyed by chunk id keeps only the rest. A raw chunk takes some 11
// bytes beyond its id.
func AppendEntry(dst []byte, e Entry) []byte {
	dst = append(dst, e.Chunk[:]...)
	dst = append(dst, byte(e.Type), byte(e.Codec))
	dst = binary.AppendUvarint(dst, uint64(e.Number))
	dst = binary.AppendUvarint(dst, e.Offset)
	dst = binary.AppendUvarint(dst, uint64(e.Plain))
	if e.Codec == Zstd {
		for i := range frames(int(e.Plain)) {
			dst = binary.AppendUvarint(dst, uint64(e.frame(i)))
		}
	}
	return dst
}

// ParseEntry reads the entry at the beginning of b and returns what follows it. The entry is valid,
// and AppendEntry gives back exactly the bytes that were read.
func ParseEntry(b []byte) (e Entry, rest []byte, err error) {
	if len(b) < 34 {
		return Entry{}, nil, fmt.Errorf("%w: ends within its first fields", ErrEntry)
	}
	e.Chunk, e.Type, e.Codec = crypto.ChunkID(b[:32]), ChunkType(b[32]), Codec(b[33])
	p := varints{rest: b[34:]}
	e.Number = uint32(p.next(MaxEntries))
	e.Offset = p.next(HeaderSize + MaxBody)
	e.Plain = uint32(p.next(maxPadding))
	if e.Codec == Zstd {
		var lens [MaxChunk / FrameSize]uint32
		n := frames(int(e.Plain))
		if n > len(lens) {
			return Entry{}, nil, fmt.Errorf("%w: %d frames", ErrEntry, n)
		}
		for i := range n {
			lens[i] = uint32(p.next(FrameSize * 2))
		}
		e.setFrames(lens[:n])
	} else {
		e.Stored = uint32(sealedLen(int(e.Plain)))
	}
	if p.bad {
		return Entry{}, nil, fmt.Errorf("%w: malformed number", ErrEntry)
	}
	if err := e.Validate(); err != nil {
		return Entry{}, nil, err
	}
	return e, p.rest, nil
}

// varints reads canonical unsigned varints; after the first bad one it yields zeros.
type varints struct {
	rest []byte
	bad  bool
}

func (p *varints) next(most uint64) uint64 {
	v, n := binary.Uvarint(p.rest)
	// A last byte of 0 is an overlong encoding.
	if p.bad || n <= 0 || v > most || (n > 1 && p.rest[n-1] == 0) {
		p.bad = true
		return 0
	}
	p.rest = p.rest[n:]
	return v
}
