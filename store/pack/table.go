package pack

import (
	"encoding/binary"
	"errors"
	"fmt"

	"keepsake/crypto"
	"keepsake/store/object"
)

const (
	// trailerSize is the length of a pack's trailer: table length u32, body length u64, checksum.
	trailerSize = 4 + 8 + object.ChecksumSize
	// maxTable bounds the stored table. Padmé adds less than 1/16 to a length beyond 64 KiB.
	maxTable = (4 + (MaxEntries+1)*maxRecord) / 16 * 17
)

// Table is a pack's table of contents.
type Table struct {
	ID    ID
	Kind  object.Kind
	Epoch crypto.Epoch
	// Size is the length of the whole pack in bytes.
	Size int64
	// Entries holds the chunks in the pack's order.
	Entries []Entry
	// Padding is the padding's entry. Its Plain is 0 if the pack needed none.
	Padding Entry
}

// paddedSize returns the length of a pack whose body and table plaintext, unpadded, have the given
// lengths, and the padding that brings it to a Padmé length: 0 if it has one without. The record
// of the padding counts; used does not include it.
func paddedSize(body uint64, used int) (padding int, size uint64) {
	if size = packSize(body, used); object.Padme(size) == size {
		return 0, size
	}
	bare := packSize(body, used+recordSize)
	// Not every gap is a sealed length: 16 bytes are a tag without a byte to protect.
	for size = object.Padme(bare); ; size = object.Padme(size + 1) {
		if padding, ok := openedLen(int(size - bare)); ok {
			return padding, size
		}
	}
}

func packSize(body uint64, used int) uint64 {
	return HeaderSize + body + object.Padme(uint64(used)) + tagSize + trailerSize
}

// tableAD returns the associated data of the table: the pack's header and the length of its body.
func (c *cell) tableAD(body uint64) []byte {
	return binary.BigEndian.AppendUint64(c.header[:HeaderSize:HeaderSize], body)
}

// finishPack writes everything that follows the chunks and returns the pack's size. Called by Close,
// when nobody else writes.
func (w *Writer) finishPack() (int64, error) {
	used := 4
	for i := range w.entries {
		used += w.entries[i].recordLen()
	}
	s := scratches.Get().(*scratch)
	defer scratches.Put(s)
	body, entries := w.reserved, w.entries
	padding, size := paddedSize(body, used)
	if padding > 0 {
		e := Entry{
			Codec:  Padding,
			Number: uint32(len(entries)),
			Offset: HeaderSize + body,
			Plain:  uint32(padding),
			Stored: uint32(sealedLen(padding)),
		}
		if err := w.writePadding(s, &e); err != nil {
			return 0, err
		}
		body += uint64(e.Stored)
		entries = append(entries[:len(entries):len(entries)], e)
	}
	n, err := w.writeTable(s, body, entries)
	if err != nil {
		return 0, err
	}
	if total := HeaderSize + body + uint64(n) + trailerSize; total != size {
		panic(fmt.Sprintf("pack: %d bytes written, %d expected", total, size))
	}
	return int64(size), nil
}

// writePadding seals zeros segment by segment, since padding may be much longer than a chunk.
func (w *Writer) writePadding(s *scratch, e *Entry) error {
	zeros := make([]byte, min(SegmentSize, int(e.Plain)))
	sealed := grab(sealedLen(len(zeros)))
	defer sealed.release()
	ad, count := w.cell.ad(s, e), e.segmentCount()
	for i := range count {
		_, n, _, _ := e.Block(i)
		nonce := crypto.SegmentNonce(e.Number, uint32(i), i == count-1)
		var err error
		if sealed.b, err = w.cell.seal(sealed.b[:0], s, nonce, zeros[:n], ad, w.tamper); err != nil {
			return err
		}
		if err := w.write(sealed.b); err != nil {
			return err
		}
	}
	return nil
}

// writeTable writes the sealed table and the trailer and returns the stored length of the table.
func (w *Writer) writeTable(s *scratch, body uint64, entries []Entry) (int, error) {
	plain := AppendEntries(nil, entries)
	used := len(plain)
	plain = append(plain, make([]byte, int(object.Padme(uint64(used)))-used)...)
	nonce := crypto.SegmentNonce(tableNumber, 0, true)
	sealed, err := w.cell.seal(nil, s, nonce, plain, w.cell.tableAD(body), w.tamper)
	if err != nil {
		return 0, err
	}
	trailer := binary.BigEndian.AppendUint32(nil, uint32(len(sealed)))
	trailer = binary.BigEndian.AppendUint64(trailer, body)
	if err := w.write(append(sealed, trailer...)); err != nil {
		return 0, err
	}
	sum := w.sum.Sum128().Bytes()
	_, err = w.out.Write(sum[:])
	return len(sealed), err
}

// parseTable reads the plaintext of a table: the entries of chunks, the padding's, and zeros up to
// the Padmé length. The entries must tile a body of the given length.
func parseTable(plain []byte, body uint64) ([]Entry, Entry, error) {
	entries, rest, err := parseEntries(plain)
	if err != nil {
		return nil, Entry{}, err
	}
	used := len(plain) - len(rest)
	if object.Padme(uint64(used)) != uint64(len(plain)) {
		return nil, Entry{}, fmt.Errorf("%d bytes are not padded to %d", used, len(plain))
	}
	for _, c := range rest {
		if c != 0 {
			return nil, Entry{}, errors.New("padding of the table is not zero")
		}
	}
	end, padding := uint64(HeaderSize), Entry{}
	if n := len(entries); n > 0 {
		last := entries[n-1]
		end = last.Offset + uint64(last.Stored)
		if last.Codec == Padding {
			entries, padding = entries[:n-1], last
		}
	}
	if end != HeaderSize+body {
		return nil, Entry{}, fmt.Errorf("entries end at byte %d, the body at %d", end, HeaderSize+body)
	}
	return entries, padding, nil
}
