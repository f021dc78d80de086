package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"keepsake/crypto"
	"keepsake/store/object"
)

// tailGuess is how much of a pack's end is read at once: the table of some 400 chunks and the
// trailer. A data pack of 64 MiB then takes two reads.
const tailGuess = 16 << 10

// trailer is what a pack says about its own layout, without a key.
type trailer struct {
	table int    // stored length of the table
	body  uint64 // length of chunks and padding
}

// parseTrailer reads the last trailerSize bytes of a pack of the given size.
func parseTrailer(kind object.Kind, b []byte, size int64) (trailer, error) {
	table := uint64(binary.BigEndian.Uint32(b))
	body := binary.BigEndian.Uint64(b[4:])
	if table < 4+tagSize || table > maxTable || body > MaxBody ||
		HeaderSize+body+table+trailerSize != uint64(size) {
		return trailer{}, object.Corrupt(kind, size-trailerSize,
			"body of %d and table of %d bytes do not make a pack of %d", body, table, size)
	}
	return trailer{table: int(table), body: body}, nil
}

// parsePackHeader reads the first HeaderSize bytes of the pack that should be called want.
func parsePackHeader(b []byte, want ID) (object.Header, error) {
	h, err := object.ParseHeader(b)
	if err != nil {
		return h, err
	}
	if h.Kind != object.DataPack && h.Kind != object.MetaPack {
		return h, object.Corrupt(h.Kind, 0, "is not a pack")
	}
	if h.Suite == 0 {
		return h, object.Corrupt(h.Kind, object.HeaderSize-5, "is not sealed")
	}
	if id := ID(b[object.HeaderSize:]); id != want {
		return h, object.Corrupt(h.Kind, object.HeaderSize, "is pack %s, not %s", id, want)
	}
	return h, nil
}

// checkSize refuses lengths that no pack has. Most truncated packs end here.
func checkSize(size int64) error {
	if size < HeaderSize+4+tagSize+trailerSize || size > HeaderSize+MaxBody+maxTable+trailerSize {
		return object.Corrupt(object.DataPack, max(0, size), "no pack has %d bytes", size)
	}
	if object.Padme(uint64(size)) != uint64(size) {
		return object.Corrupt(object.DataPack, size, "no padded pack has %d bytes", size)
	}
	return nil
}

// ReadTable reads the table of contents of pack want, which has size bytes. Errors of r, and of the
// keyring about an unknown epoch, can be recognised; r ending early is damage. The table is
// authentic; the chunks may still be damaged.
func ReadTable(r io.ReaderAt, size int64, k *crypto.Keyring, want ID) (*Table, error) {
	t, _, err := readTable(r, size, k, want)
	return t, err
}

func readTable(r io.ReaderAt, size int64, k *crypto.Keyring, want ID) (*Table, *cell, error) {
	if err := checkSize(size); err != nil {
		return nil, nil, err
	}
	var head [HeaderSize]byte
	if err := readAt(r, head[:], 0); err != nil {
		return nil, nil, err
	}
	h, err := parsePackHeader(head[:], want)
	if err != nil {
		return nil, nil, err
	}
	sealed, body, err := readSealedTable(r, size, h.Kind)
	if err != nil {
		return nil, nil, err
	}
	c, err := newCell(k, h, want)
	if err != nil {
		return nil, nil, err
	}
	t, err := c.openTable(sealed, body, size)
	return t, c, err
}

// readSealedTable returns the table as it is stored and the length of the body, both as the trailer
// tells.
func readSealedTable(r io.ReaderAt, size int64, kind object.Kind) (sealed []byte, body uint64, err error) {
	tail := make([]byte, min(tailGuess, size))
	if err := readAt(r, tail, size-int64(len(tail))); err != nil {
		return nil, 0, err
	}
	at := len(tail) - trailerSize
	t, err := parseTrailer(kind, tail[at:], size)
	if err != nil {
		return nil, 0, err
	}
	if t.table <= at {
		return tail[at-t.table : at], t.body, nil
	}
	sealed = make([]byte, t.table)
	return sealed, t.body, readAt(r, sealed, HeaderSize+int64(t.body))
}

func (c *cell) openTable(sealed []byte, body uint64, size int64) (*Table, error) {
	at := int64(HeaderSize + body)
	nonce := crypto.SegmentNonce(tableNumber, 0, true)
	plain, err := c.aead.Open(nil, nonce[:], sealed, c.tableAD(body))
	if err != nil {
		return nil, object.Corrupt(c.kind, at, "table does not authenticate")
	}
	entries, padding, err := parseTable(plain, body)
	if err != nil {
		return nil, object.Corrupt(c.kind, at, "table: %w", err)
	}
	return &Table{ID: c.id(), Kind: c.kind, Epoch: c.epoch, Size: size, Entries: entries, Padding: padding}, nil
}

// readAt fills b from r and takes an early end for damage.
func readAt(r io.ReaderAt, b []byte, off int64) error {
	n, err := r.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return object.Corrupt(object.DataPack, off+int64(n), "ends early")
	}
	return fmt.Errorf("read pack at byte %d: %w", off, err)
}

// Opener decrypts chunks of one pack. It is safe for concurrent use and holds no resources.
type Opener struct{ cell *cell }

// NewOpener returns an Opener for the pack with the given id, whose kind and epoch the index or the
// pack's table tells. If they are wrong, nothing opens.
func NewOpener(k *crypto.Keyring, kind object.Kind, epoch crypto.Epoch, id ID) (*Opener, error) {
	c, err := newCell(k, object.Header{Kind: kind, Suite: crypto.SuiteAES256GCM, Epoch: epoch}, id)
	if err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	return &Opener{cell: c}, nil
}

// OpenBlock appends the plaintext of block i of e to dst. stored must be exactly the bytes that
// e.Block tells and must not overlap dst. If dst has room for the block, a raw block allocates
// nothing; after an error the room's content is undefined. What is returned without error is what was sealed for this entry in this pack.
func (o *Opener) OpenBlock(dst []byte, e Entry, i int, stored []byte) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	if i < 0 || i >= e.Blocks() {
		return nil, fmt.Errorf("%w: no block %d of %d", ErrEntry, i, e.Blocks())
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	return o.openBlock(dst, s, &e, i, stored)
}

// OpenChunk appends the plaintext of the whole chunk to dst. stored must be the e.Stored bytes at
// e.Offset and must not overlap dst.
func (o *Opener) OpenChunk(dst []byte, e Entry, stored []byte) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return nil, err
	}
	if len(stored) != int(e.Stored) {
		return nil, o.cell.corrupt(&e, "%d stored bytes where %d belong", len(stored), e.Stored)
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	dst = grow(dst, int(e.Plain))
	for i := range e.Blocks() {
		_, _, _, n := e.Block(i)
		var err error
		if dst, err = o.openBlock(dst, s, &e, i, stored[:n]); err != nil {
			return nil, err
		}
		stored = stored[n:]
	}
	return dst, nil
}

func (o *Opener) openBlock(dst []byte, s *scratch, e *Entry, i int, stored []byte) ([]byte, error) {
	_, plain, _, n := e.Block(i)
	if len(stored) != n {
		return nil, o.cell.corrupt(e, "block %d has %d stored bytes where %d belong", i, len(stored), n)
	}
	dst = grow(dst, plain)
	first := e.firstSegment(i)
	if e.Codec != Zstd {
		return o.cell.openSegments(dst, s, e, first, stored)
	}
	packed, err := o.cell.openSegments(s.frame[:0], s, e, first, stored)
	if err != nil {
		return nil, err
	}
	end := len(dst)
	out, err := decompressor().DecodeAll(packed, dst[end:end:end+plain])
	if err != nil {
		return nil, o.cell.corrupt(e, "block %d does not inflate: %w", i, err)
	}
	if len(out) != plain {
		return nil, o.cell.corrupt(e, "block %d inflates to %d bytes where %d belong", i, len(out), plain)
	}
	return append(dst, out...), nil // out lies there already: the copy is onto itself
}

// grow returns b with room for n more bytes.
func grow(b []byte, n int) []byte {
	if cap(b)-len(b) >= n {
		return b
	}
	return append(make([]byte, 0, len(b)+n), b...)
}
