package pack

import (
	"errors"
	"io"

	"github.com/zeebo/xxh3"

	"keepsake/crypto"
	"keepsake/store/object"
)

// Check reads the whole of pack want once, in order. It opens every chunk and calls visit with its
// plaintext, which is valid during the call only, or with the error that a damaged or unreadable chunk
// gives; an error of visit ends the check and is returned. The error is otherwise about the pack as
// a whole: its table, padding or checksum. A damaged chunk spoils the checksum too.
func Check(r io.ReaderAt, size int64, k *crypto.Keyring, want ID, visit func(e Entry, plain []byte, err error) error) (*Table, error) {
	t, c, err := readTable(r, size, k, want)
	if err != nil {
		return nil, err
	}
	var (
		opener = &Opener{cell: c}
		all    = &summed{r: r, sum: xxh3.New()}
		plain  []byte
	)
	head := make([]byte, HeaderSize)
	if err := all.read(head, 0); err != nil {
		return t, err
	}
	for _, e := range t.Entries {
		var opened []byte
		stored := grab(int(e.Stored))
		err := all.read(stored.b[:e.Stored], int64(e.Offset))
		if err == nil {
			opened, err = opener.OpenChunk(plain[:0], e, stored.b[:e.Stored])
		}
		stored.release()
		if err := visit(e, opened, err); err != nil {
			return t, err
		}
		if err == nil {
			plain = opened
		}
	}
	if err := checkPadding(all, opener, t.Padding); err != nil {
		return t, err
	}
	return t, all.checkEnd(c.kind, size)
}

// checkPadding opens the padding, which holds zeros and nothing else.
func checkPadding(all *summed, o *Opener, e Entry) error {
	if e.Plain == 0 {
		return nil
	}
	stored, plain := make([]byte, SegmentSize+tagSize), make([]byte, 0, SegmentSize)
	for i := range e.Blocks() {
		_, _, off, n := e.Block(i)
		if err := all.read(stored[:n], int64(off)); err != nil {
			return err
		}
		opened, err := o.OpenBlock(plain, e, i, stored[:n])
		if err != nil {
			return err
		}
		for _, c := range opened {
			if c != 0 {
				return o.cell.corrupt(&e, "padding is not zero")
			}
		}
	}
	return nil
}

// summed reads a pack from front to back and hashes what it reads.
type summed struct {
	r   io.ReaderAt
	sum *xxh3.Hasher
	end int64
}

func (s *summed) read(b []byte, off int64) error {
	if off != s.end {
		panic("pack: check skips bytes")
	}
	s.end += int64(len(b))
	err := readAt(s.r, b, off)
	s.sum.Write(b)
	return err
}

// checkEnd reads what is left, table and trailer, and compares the checksum.
func (s *summed) checkEnd(kind object.Kind, size int64) error {
	rest := make([]byte, size-object.ChecksumSize-s.end)
	var sum [object.ChecksumSize]byte
	err := s.read(rest, s.end)
	if err := errors.Join(err, readAt(s.r, sum[:], s.end)); err != nil {
		return err
	}
	if s.sum.Sum128().Bytes() != sum {
		return object.Corrupt(kind, 0, "checksum does not match")
	}
	return nil
}
