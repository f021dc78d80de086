package chunking_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"testing"

	"keepsake/chunking"
)

// vectors pin cuts under the default parameters and one polynomial. They must
// never change: repositories in use would store every file anew. A random
// stretch is the output of ChaCha8 with the seed's bytes, low first, as key.
var vectors = []struct {
	name   string
	data   func() []byte
	offset int64
	fine   bool
	want   []int
}{
	{name: "empty", data: func() []byte { return nil }},
	{name: "one byte", data: func() []byte { return []byte{0} }, want: []int{1}},
	{name: "fine minimum", data: func() []byte { return seeded(100, 16<<10) }, want: []int{16384}},
	{name: "zeros", data: func() []byte { return make([]byte, 3<<20+5) }, want: []int{16384, 32768, 49152, 65536, 81920, 98304, 114688, 131072, 147456, 163840, 180224, 196608, 212992, 229376, 245760, 262144, 1310720, 2359296, 3145733}},
	{name: "zeros, fine", data: func() []byte { return make([]byte, 100_000) }, offset: 1 << 30, fine: true, want: []int{16384, 32768, 49152, 65536, 81920, 98304, 100000}},
	{name: "repeating", data: func() []byte { return bytes.Repeat([]byte("keepsake"), 20<<17) }, want: []int{524288, 8912896, 17301504, 20971520}},
	{name: "random", data: func() []byte { return seeded(101, 16<<20) }, want: []int{42372, 80132, 112194, 153406, 181241, 425761, 2696196, 4491543, 6335399, 7741390, 8999666, 11254998, 12985201, 15967943, 16777216}},
	{name: "random, fine", data: func() []byte { return seeded(101, 1<<20) }, fine: true, want: []int{42372, 80132, 112194, 153406, 181241, 425761, 578289, 618564, 681491, 894893, 1048576}},
	{name: "random, at head's last byte", data: func() []byte { return seeded(101, 4<<20) }, offset: 256<<10 - 1, want: []int{42372, 2696196, 4194304}},
	{name: "random, beyond the head", data: func() []byte { return seeded(101, 16<<20) }, offset: 256 << 10, want: []int{2696196, 4491543, 6335399, 7741390, 8999666, 11254998, 12985201, 15967943, 16777216}},
	{name: "random after zeros", data: func() []byte { return append(make([]byte, 200_000), seeded(102, 4<<20)...) }, want: []int{16384, 32768, 49152, 65536, 81920, 98304, 114688, 131072, 147456, 163840, 180224, 196608, 237552, 255889, 288181, 1899589, 4394304}},
	{name: "hashed counters", data: hashedCounters, want: []int{25419, 119929, 182461, 265015, 2954950, 4194304}},
}

// hashedCounters is 4 MiB that any implementation can make: the SHA-256 of
// each number from 0, as 8 bytes big-endian.
func hashedCounters() []byte {
	var b []byte
	for i := uint64(0); len(b) < 4<<20; i++ {
		h := sha256.Sum256(binary.BigEndian.AppendUint64(nil, i))
		b = append(b, h[:]...)
	}
	return b
}

// TestFingerprint pins the value of one fingerprint, from which the reference
// and other implementations can be checked by hand.
func TestFingerprint(t *testing.T) {
	window := hashedCounters()[:64]
	if got := remaindersOf(fixed).fingerprint(window); got != 0xa9c692fa94ae8 {
		t.Errorf("got %#x", got)
	}
}

func TestVectors(t *testing.T) {
	s := newSplitter(t, chunking.Default(fixed))
	for _, v := range vectors {
		s.Reset(bytes.NewReader(v.data()), v.offset, v.fine)
		if got, _ := split(t, s); !slices.Equal(got, v.want) {
			t.Errorf("%s: cuts at %v, want %v", v.name, got, v.want)
		}
	}
}
