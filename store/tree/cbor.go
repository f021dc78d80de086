package tree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"keepsake/crypto"
)

// The encoding is CBOR's core deterministic one (RFC 8949, 4.2.1) without floats, tags, null and indefinite lengths.
// Nodes, pages and lists have this reader and writer of their own, because a snapshot holds a million nodes: a
// reflecting decoder takes 4.4 µs per photo and another 1.5 µs to re-encode and compare; this one accepts nothing but
// the canonical form in the first place, in a tenth of that. Records, which are few, go through fxamacker/cbor (record.go),
// and the tests hold both against each other.

const (
	majorUint   = 0
	majorNegint = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorSimple = 7
)

func appendHead(b []byte, major byte, n uint64) []byte {
	m := major << 5
	switch {
	case n < 24:
		return append(b, m|byte(n))
	case n <= math.MaxUint8:
		return append(b, m|24, byte(n))
	case n <= math.MaxUint16:
		return append(b, m|25, byte(n>>8), byte(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, m|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, m|27), n)
}

func appendUint(b []byte, n uint64) []byte { return appendHead(b, majorUint, n) }

func appendInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendHead(b, majorNegint, uint64(^n))
	}
	return appendHead(b, majorUint, uint64(n))
}

func appendBytes(b, v []byte) []byte { return append(appendHead(b, majorBytes, uint64(len(v))), v...) }

func appendText(b []byte, v string) []byte {
	return append(appendHead(b, majorText, uint64(len(v))), v...)
}

// reader takes canonical items off b. The first error sticks; after it every method returns zero values.
// Byte strings returned alias b.
type reader struct {
	b   []byte
	off int
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
		r.off = len(r.b)
	}
}

func (r *reader) failf(format string, args ...any) {
	r.fail(fmt.Errorf("%w: at byte %d: "+format, append([]any{ErrEncoding, r.off}, args...)...))
}

// more reports whether bytes are left.
func (r *reader) more() bool { return r.off < len(r.b) }

// end fails unless everything was read.
func (r *reader) end() error {
	if r.err == nil && r.more() {
		r.failf("%d bytes too many", len(r.b)-r.off)
	}
	return r.err
}

// head reads the head of any item and refuses every form but the shortest.
func (r *reader) head() (major byte, n uint64) {
	if r.off >= len(r.b) {
		r.failf("ends early")
		return 0, 0
	}
	c := r.b[r.off]
	major, n = c>>5, uint64(c&31)
	if n < 24 {
		r.off++
		return major, n
	}
	if n > 27 {
		r.failf("reserved or indefinite length")
		return 0, 0
	}
	width := 1 << (n - 24)
	rest := r.b[r.off+1:]
	if len(rest) < width {
		r.failf("ends early")
		return 0, 0
	}
	var short bool
	switch width {
	case 1:
		n = uint64(rest[0])
		short = n < 24
	case 2:
		n = uint64(binary.BigEndian.Uint16(rest))
		short = n <= math.MaxUint8
	case 4:
		n = uint64(binary.BigEndian.Uint32(rest))
		short = n <= math.MaxUint16
	case 8:
		n = binary.BigEndian.Uint64(rest)
		short = n <= math.MaxUint32
	}
	if short {
		r.failf("a number is longer than need be")
		return 0, 0
	}
	r.off += 1 + width
	return major, n
}

func (r *reader) expect(want byte) uint64 {
	major, n := r.head()
	if r.err == nil && major != want {
		r.failf("major type %d where %d belongs", major, want)
		return 0
	}
	return n
}

// uint reads an unsigned number of at most limit.
func (r *reader) uint(limit uint64) uint64 {
	n := r.expect(majorUint)
	if n > limit {
		r.fail(limitf("number %d exceeds %d", n, limit))
		return 0
	}
	return n
}

// nonzero is uint for fields that are left out when they are zero.
func (r *reader) nonzero(limit uint64) uint64 {
	n := r.uint(limit)
	if n == 0 {
		r.failf("a zero that should be left out")
	}
	return n
}

func (r *reader) int() int64 {
	major, n := r.head()
	if major > majorNegint || n > math.MaxInt64 {
		r.failf("not a signed number of 64 bits")
		return 0
	}
	if major == majorNegint {
		return ^int64(n)
	}
	return int64(n)
}

func (r *reader) take(n uint64, limit int, what string) []byte {
	if r.err != nil {
		return nil
	}
	if n > uint64(limit) {
		r.fail(limitf("%s of %d bytes exceeds %d", what, n, limit))
		return nil
	}
	if n > uint64(len(r.b)-r.off) {
		r.failf("%s of %d bytes ends early", what, n)
		return nil
	}
	end := r.off + int(n)
	v := r.b[r.off:end:end]
	r.off = end
	return v
}

// bytes reads a byte string of at most limit bytes.
func (r *reader) bytes(limit int) []byte {
	return r.take(r.expect(majorBytes), limit, "byte string")
}

// text reads a text string of at most limit bytes as bytes.
func (r *reader) text(limit int) []byte {
	v := r.take(r.expect(majorText), limit, "text")
	if !utf8.Valid(v) {
		r.failf("text is not UTF-8")
		return nil
	}
	return v
}

func (r *reader) fixed32() *[32]byte {
	v := r.bytes(32)
	if r.err == nil && len(v) != 32 {
		r.failf("%d bytes where 32 belong", len(v))
	}
	if r.err != nil {
		return new([32]byte)
	}
	return (*[32]byte)(v)
}

func (r *reader) chunk() crypto.ChunkID { return crypto.ChunkID(*r.fixed32()) }

// count reads the head of an array or map of at most limit items or pairs. Since every item has at least one byte, a count
// beyond the bytes that are left is refused before anybody allocates for it.
func (r *reader) count(major byte, limit int) int {
	n := r.expect(major)
	if n > uint64(limit) {
		r.fail(limitf("%d items exceed %d", n, limit))
		return 0
	}
	least := n
	if major == majorMap {
		least = 2 * n
	}
	if least > uint64(len(r.b)-r.off) {
		r.failf("%d items end early", n)
		return 0
	}
	return int(n)
}

// array fails unless an array of exactly n items begins.
func (r *reader) array(n int) {
	if got := r.expect(majorArray); r.err == nil && got != uint64(n) {
		r.failf("array of %d items where %d belong", got, n)
	}
}

// skip passes over one item of any kind, checking that it is canonical, and returns its bytes.
func (r *reader) skip() []byte {
	start := r.off
	r.skipItem(0)
	if r.err != nil {
		return nil
	}
	return r.b[start:r.off:r.off]
}

func (r *reader) skipItem(depth int) {
	if depth > maxNesting {
		r.fail(limitf("nesting exceeds %d", maxNesting))
		return
	}
	major, n := r.head()
	if r.err != nil {
		return
	}
	switch major {
	case majorUint, majorNegint:
	case majorBytes:
		r.take(n, len(r.b), "byte string")
	case majorText:
		if !utf8.Valid(r.take(n, len(r.b), "text")) {
			r.failf("text is not UTF-8")
		}
	case majorArray:
		for ; n > 0 && r.err == nil; n-- {
			r.skipItem(depth + 1)
		}
	case majorMap:
		r.skipMap(n, depth)
	case majorSimple:
		// Floats have the same major type; their heads are longer than one byte.
		if n != 20 && n != 21 {
			r.failf("neither true nor false")
		}
	default:
		r.failf("tags have no place here")
	}
}

func (r *reader) skipMap(n uint64, depth int) {
	var last []byte
	for i := uint64(0); i < n && r.err == nil; i++ {
		start := r.off
		r.skipItem(depth + 1)
		if r.err != nil {
			return
		}
		key := r.b[start:r.off]
		if i > 0 && bytes.Compare(last, key) >= 0 {
			r.failf("keys of a map out of order")
			return
		}
		last = key
		r.skipItem(depth + 1)
	}
}

// key reads the next key of a map with integer keys, which must exceed the last one.
func (r *reader) key(last uint64, first bool) uint64 {
	k := r.uint(math.MaxUint64)
	if r.err == nil && !first && k <= last {
		r.failf("key %d after %d", k, last)
	}
	return k
}
