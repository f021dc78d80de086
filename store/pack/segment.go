package pack

import (
	"bytes"
	"crypto/cipher"
	"fmt"

	"keepsake/crypto"
	"keepsake/store/object"
)

// HeaderSize is the length of a pack's header: the shared header and the pack's id.
const HeaderSize = object.HeaderSize + 32

// tableNumber stands in the nonce of the table where a chunk has its number.
const tableNumber = 0xFFFFFFFF

// cell seals and opens the segments of one pack. It is safe for concurrent use.
type cell struct {
	kind   object.Kind
	epoch  crypto.Epoch
	header [HeaderSize]byte
	aead   cipher.AEAD
}

func newCell(k *crypto.Keyring, h object.Header, id ID) (*cell, error) {
	if h.Kind != object.DataPack && h.Kind != object.MetaPack {
		return nil, fmt.Errorf("%s is no kind of pack", h.Kind)
	}
	aead, err := k.AEAD(h.Epoch, h.Suite, h.Kind.Purpose(), id[:])
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", h.Kind, id, err)
	}
	c := &cell{kind: h.Kind, epoch: h.Epoch, aead: aead}
	copy(c.header[:], object.AppendHeader(nil, h))
	copy(c.header[object.HeaderSize:], id[:])
	return c, nil
}

func (c *cell) id() ID { return ID(c.header[object.HeaderSize:]) }

// ad returns the associated data of the entry's segments, in s.
func (c *cell) ad(s *scratch, e *Entry) []byte {
	copy(s.ad[:], c.header[:])
	return e.appendRecord(s.ad[:HeaderSize])
}

// seal appends one sealed segment to dst, opens it again and compares. tamper, if not nil, sees the
// sealed bytes in between; tests use it as faulty memory.
func (c *cell) seal(dst []byte, s *scratch, nonce [crypto.NonceSize]byte, plain, ad []byte, tamper func([]byte)) ([]byte, error) {
	s.nonce = nonce
	before := len(dst)
	dst = c.aead.Seal(dst, s.nonce[:], plain, ad)
	if tamper != nil {
		tamper(dst[before:])
	}
	opened, err := c.aead.Open(s.open[:0], s.nonce[:], dst[before:], ad)
	if err != nil || !bytes.Equal(opened, plain) {
		return dst, ErrVerify
	}
	return dst, nil
}

// sealChunk appends the segments of a chunk to dst. body is the chunk as its codec left it: the
// plaintext, or the zstd frames one after the other, whose stored lengths the entry has.
func (c *cell) sealChunk(dst []byte, s *scratch, e *Entry, body []byte, tamper func([]byte)) ([]byte, error) {
	var (
		err     error
		ad      = c.ad(s, e)
		segment = 0
		count   = e.segmentCount()
	)
	pieces := 1
	if e.Codec == Zstd {
		pieces = frames(int(e.Plain))
	}
	for i := range pieces {
		piece := body
		if e.Codec == Zstd {
			n, _ := openedLen(int(e.frame(i)))
			piece = body[:n]
		}
		body = body[len(piece):]
		for len(piece) > 0 {
			n := min(SegmentSize, len(piece))
			nonce := crypto.SegmentNonce(e.Number, uint32(segment), segment == count-1)
			if dst, err = c.seal(dst, s, nonce, piece[:n], ad, tamper); err != nil {
				return dst, err
			}
			piece = piece[n:]
			segment++
		}
	}
	return dst, nil
}

// openSegments appends the plaintext of the stored segments, the first of which has number first, to dst.
func (c *cell) openSegments(dst []byte, s *scratch, e *Entry, first int, stored []byte) ([]byte, error) {
	ad, count := c.ad(s, e), e.segmentCount()
	for segment := first; len(stored) > 0; segment++ {
		n := min(SegmentSize+tagSize, len(stored))
		s.nonce = crypto.SegmentNonce(e.Number, uint32(segment), segment == count-1)
		out, err := c.aead.Open(dst, s.nonce[:], stored[:n], ad)
		if err != nil {
			return nil, c.corrupt(e, "segment %d does not authenticate", segment)
		}
		dst, stored = out, stored[n:]
	}
	return dst, nil
}

func (c *cell) corrupt(e *Entry, format string, args ...any) error {
	return object.Corrupt(c.kind, int64(e.Offset), "chunk %s: "+format, append([]any{e.Chunk}, args...)...)
}
