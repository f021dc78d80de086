package pack

import (
	"bytes"
	"io"

	"keepsake/store/object"
)

// Scrub checks pack want, which has size bytes, as it is read from r to its end: header, name,
// layout and checksum, all without a key. It finds every accidental change. Errors of r are
// returned as they are.
func Scrub(r io.Reader, size int64, want ID) error {
	if err := checkSize(size); err != nil {
		return err
	}
	var head [HeaderSize]byte
	if n, err := io.ReadFull(r, head[:]); err == io.EOF || err == io.ErrUnexpectedEOF {
		return object.Corrupt(object.DataPack, int64(n), "ends within its header")
	} else if err != nil {
		return err
	}
	kind, err := object.Identify(head[:])
	if err != nil {
		return err
	}
	end := tail{r: r}
	if err := object.CheckReader(io.MultiReader(bytes.NewReader(head[:]), &end), kind); err != nil {
		return err
	}
	if _, err := parsePackHeader(head[:], want); err != nil {
		return err
	}
	_, err = parseTrailer(kind, end.last[:], size)
	return err
}

// tail remembers the last bytes that were read through it.
type tail struct {
	r    io.Reader
	last [trailerSize]byte
}

func (t *tail) Read(p []byte) (int, error) {
	n, err := t.r.Read(p)
	if n >= len(t.last) {
		copy(t.last[:], p[n-len(t.last):n])
	} else {
		copy(t.last[:], t.last[n:])
		copy(t.last[len(t.last)-n:], p[:n])
	}
	return n, err
}
