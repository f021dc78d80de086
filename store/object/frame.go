package object

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/xxh3"
)

const (
	// ChecksumSize is the length of the XXH3-128 (big-endian) that ends every object.
	ChecksumSize = 16
	// MaxPlain is the largest payload of a framed or sealed object, in bytes.
	MaxPlain = 16 << 20
)

// ID returns the SHA-256 of an object's bytes, which is, in hexadecimal, the name of snapshots,
// ledger entries, catalogs and condemned records.
func ID(b []byte) [32]byte { return sha256.Sum256(b) }

// Frame returns payload in an envelope without encryption. It panics if the kind is invalid or the
// payload exceeds MaxPlain, which only our own mistake can bring about.
func Frame(kind Kind, payload []byte) []byte {
	if len(payload) > MaxPlain {
		panic(fmt.Sprintf("object: frame of %d bytes", len(payload)))
	}
	b := make([]byte, 0, HeaderSize+len(payload)+ChecksumSize)
	b = AppendHeader(b, Header{Kind: kind})
	b = append(b, payload...)
	return appendChecksum(b)
}

// Unframe returns the payload of a framed object of the given kind. The result is a part of b.
func Unframe(kind Kind, b []byte) ([]byte, error) {
	h, err := open(kind, b)
	if err != nil {
		return nil, err
	}
	if h.Suite != 0 {
		return nil, Corrupt(kind, 11, "is sealed where plain bytes were expected")
	}
	payload := b[HeaderSize : len(b)-ChecksumSize]
	if len(payload) > MaxPlain {
		return nil, Corrupt(kind, HeaderSize, "payload of %d bytes exceeds the limit of %d", len(payload), MaxPlain)
	}
	return payload, nil
}

// CheckFrame checks, without any key, that b is an intact object of the wanted kind: magic,
// checksum, version. It says nothing about who wrote it.
func CheckFrame(b []byte, want Kind) error {
	_, err := open(want, b)
	return err
}

// open checks the envelope of b in the order that tells rot from progress: magic, checksum, version.
func open(want Kind, b []byte) (Header, error) {
	kind, _, err := identify(b)
	if err != nil {
		return Header{}, named(want, err)
	}
	if kind != want {
		return Header{}, Corrupt(want, 0, "is a %s", kind)
	}
	end := len(b) - ChecksumSize
	if end < HeaderSize {
		return Header{}, Corrupt(want, int64(len(b)), "ends within its header")
	}
	if sum := xxh3.Hash128(b[:end]).Bytes(); string(sum[:]) != string(b[end:]) {
		return Header{}, Corrupt(want, 0, "checksum does not match")
	}
	return ParseHeader(b)
}

// named puts the kind that was expected into an error about unrecognisable bytes.
func named(want Kind, err error) error {
	var c *CorruptError
	if errors.As(err, &c) && c.Kind == 0 {
		c.Kind = want
	}
	return err
}

// appendChecksum appends the checksum of b, which ends every object.
func appendChecksum(b []byte) []byte {
	sum := xxh3.Hash128(b).Bytes()
	return append(b, sum[:]...)
}

// CheckReader does what CheckFrame does for an object of any size that is read from r to its end.
// Errors of r are returned as they are.
func CheckReader(r io.Reader, want Kind) error {
	var (
		sum  = xxh3.New()
		buf  = make([]byte, ChecksumSize+128<<10)
		head [HeaderSize]byte
		kept int // bytes at the start of buf that may be the checksum
		size int64
	)
	for {
		n, err := io.ReadFull(r, buf[kept:])
		if size < HeaderSize {
			copy(head[size:], buf[kept:kept+n])
		}
		size += int64(n)
		if body := kept + n - ChecksumSize; body > 0 {
			sum.Write(buf[:body])
			copy(buf, buf[body:kept+n])
			kept = ChecksumSize
		} else {
			kept += n
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if size < HeaderSize+ChecksumSize {
		return Corrupt(want, size, "ends within its header")
	}
	kind, _, err := identify(head[:])
	if err != nil {
		return named(want, err)
	}
	if kind != want {
		return Corrupt(want, 0, "is a %s", kind)
	}
	if got := sum.Sum128().Bytes(); string(got[:]) != string(buf[:ChecksumSize]) {
		return Corrupt(want, 0, "checksum does not match")
	}
	_, err = ParseHeader(head[:])
	return err
}
