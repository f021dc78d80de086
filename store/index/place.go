package index

import (
	"encoding/binary"
	"fmt"

	"github.com/zeebo/xxh3"

	"keepsake/crypto"
	"keepsake/store/object"
	"keepsake/store/pack"
)

// keyLength is how much of a chunk id the index keeps.
const keyLength = 16

// Place says where a chunk lies: an entry of a pack's table, and the pack.
type Place struct {
	Pack  Pack
	Entry pack.Entry
}

// Usable reports whether a chunk at this place counts as stored: its pack is
// neither condemned nor damaged.
func (p Place) Usable() bool { return !p.Pack.Condemned && !p.Pack.Damaged }

// Pack is what the index knows of a pack besides its chunks.
type Pack struct {
	ID        pack.ID
	Kind      object.Kind // DataPack or MetaPack
	Epoch     crypto.Epoch
	Size      int64 // of the whole object, bytes
	Chunks    uint32
	Condemned bool // a record in condemned/ names it
	Damaged   bool // a check or a read found it so
}

const (
	packRecordLength = 32 + 1 + 4 + 8 + 4 + 1 + 4 // with its check

	flagCondemned = 1 << 0
	flagDamaged   = 1 << 1
)

// append encodes the record that lies under key.
func (p Pack) append(b, key []byte) []byte {
	start := len(b)
	b = append(b, p.ID[:]...)
	b = append(b, byte(p.Kind))
	b = binary.BigEndian.AppendUint32(b, uint32(p.Epoch))
	b = binary.BigEndian.AppendUint64(b, uint64(p.Size))
	b = binary.BigEndian.AppendUint32(b, p.Chunks)
	var flags byte
	if p.Condemned {
		flags |= flagCondemned
	}
	if p.Damaged {
		flags |= flagDamaged
	}
	b = append(b, flags)
	return binary.BigEndian.AppendUint32(b, valueCheck(key, b[start:]))
}

func parsePack(key, b []byte) (Pack, error) {
	if len(b) != packRecordLength {
		return Pack{}, fmt.Errorf("%w: pack record of %d bytes", ErrDamaged, len(b))
	}
	if end := len(b) - 4; binary.BigEndian.Uint32(b[end:]) != valueCheck(key, b[:end]) {
		return Pack{}, fmt.Errorf("%w: pack record does not match its check", ErrDamaged)
	}
	p := Pack{
		Kind:   object.Kind(b[32]),
		Epoch:  crypto.Epoch(binary.BigEndian.Uint32(b[33:])),
		Size:   int64(binary.BigEndian.Uint64(b[37:])),
		Chunks: binary.BigEndian.Uint32(b[45:]),
	}
	copy(p.ID[:], b)
	p.Condemned = b[49]&flagCondemned != 0
	p.Damaged = b[49]&flagDamaged != 0
	return p, nil
}

// appendPlace encodes the value of a chunk: sequence of its pack, then the
// entry without the chunk id, then the check.
func appendPlace(b []byte, sequence uint32, e *pack.Entry) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, sequence)
	b = append(b, byte(e.Type), byte(e.Codec))
	b = binary.AppendUvarint(b, uint64(e.Number))
	b = binary.AppendUvarint(b, e.Offset)
	b = binary.AppendUvarint(b, uint64(e.Plain))
	b = binary.AppendUvarint(b, uint64(e.Stored))
	for _, f := range e.Frames {
		b = binary.AppendUvarint(b, uint64(f))
	}
	return binary.BigEndian.AppendUint32(b, valueCheck(e.Chunk[:keyLength], b[start:]))
}

// valueCheck binds a value to the key under which it lies.
func valueCheck(key, value []byte) uint32 {
	return uint32(xxh3.HashSeed(value, xxh3.Hash(key)))
}

// parsePlace decodes a value. An error means that the leaf is rotten: the
// caller treats the chunk as unknown.
func parsePlace(id crypto.ChunkID, b []byte) (sequence uint32, e pack.Entry, err error) {
	if len(b) < 4+2+4+4 {
		return 0, e, fmt.Errorf("%w: place of %d bytes", ErrDamaged, len(b))
	}
	body, check := b[:len(b)-4], binary.BigEndian.Uint32(b[len(b)-4:])
	if valueCheck(id[:keyLength], body) != check {
		return 0, e, fmt.Errorf("%w: place of chunk %v does not match its check", ErrDamaged, id)
	}
	sequence = binary.BigEndian.Uint32(body)
	e.Chunk, e.Type, e.Codec = id, pack.ChunkType(body[4]), pack.Codec(body[5])
	rest := body[6:]
	var fields [4]uint64
	for i := range fields {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return 0, e, fmt.Errorf("%w: place of chunk %v is cut short", ErrDamaged, id)
		}
		fields[i], rest = v, rest[n:]
	}
	e.Number, e.Offset, e.Plain, e.Stored = uint32(fields[0]), fields[1], uint32(fields[2]), uint32(fields[3])
	for len(rest) > 0 {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return 0, e, fmt.Errorf("%w: frames of chunk %v are cut short", ErrDamaged, id)
		}
		e.Frames, rest = append(e.Frames, uint32(v)), rest[n:]
	}
	if err := e.Validate(); err != nil {
		return 0, e, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return sequence, e, nil
}
