package pack_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"testing"

	"keepsake/crypto"
	"keepsake/store/pack"
)

func samples() []pack.Entry {
	id := crypto.ChunkID{0: 0xab, 31: 0xcd}
	return []pack.Entry{
		{Chunk: id, Type: pack.Data, Codec: pack.Raw, Offset: 48, Plain: 5000, Stored: 5016},
		{Chunk: id, Type: pack.Page, Codec: pack.Raw, Number: 1, Offset: 48 + 5016, Plain: 8 << 20, Stored: 8<<20 + 2048},
		{Chunk: id, Type: pack.List, Codec: pack.Zstd, Number: 2, Offset: 48 + 5016 + 8<<20 + 2048, Plain: 9000, Stored: 1016},
		{Chunk: id, Type: pack.Blob, Codec: pack.Zstd, Number: 3, Offset: 48 + 5016 + 8<<20 + 2048 + 1016, Plain: 300000, Stored: 101064, Frames: []uint32{100032, 1032}},
	}
}

func TestEntryVectors(t *testing.T) {
	const id = "ab000000000000000000000000000000000000000000000000000000000000cd"
	want := []string{
		id + "0101" + "00" + "30" + "8827",
		id + "0201" + "01" + "c827" + "80808004",
		id + "0302" + "02" + "c8b78004" + "a846" + "f807",
		id + "0402" + "03" + "c0bf8004" + "e0a712" + "c08d06" + "8808",
	}
	for i, e := range samples() {
		b := pack.AppendEntry(nil, e)
		if got := hex.EncodeToString(b); got != want[i] {
			t.Errorf("entry %d is\n%s, want\n%s", i, got, want[i])
		}
		got, rest, err := pack.ParseEntry(append(b, 1, 2))
		if err != nil || !reflect.DeepEqual(got, e) || !bytes.Equal(rest, []byte{1, 2}) {
			t.Errorf("entry %d comes back as %+v, %x, %v", i, got, rest, err)
		}
		for n := range b {
			if _, _, err := pack.ParseEntry(b[:n]); !errors.Is(err, pack.ErrEntry) {
				t.Errorf("entry %d cut to %d bytes: %v", i, n, err)
			}
		}
	}
}

func TestEntriesVector(t *testing.T) {
	const id = "ab000000000000000000000000000000000000000000000000000000000000cd"
	const want = "00000004" +
		id + "0101" + "00001388" +
		id + "0201" + "00800000" +
		id + "0302" + "00002328" + "000003f8" +
		id + "0402" + "000493e0" + "000186c0" + "00000408"
	b := pack.AppendEntries(nil, samples())
	if got := hex.EncodeToString(b); got != want {
		t.Errorf("entries are\n%s, want\n%s", got, want)
	}
	got, err := pack.ParseEntries(b)
	if err != nil || !reflect.DeepEqual(got, samples()) {
		t.Errorf("entries come back as %+v, %v", got, err)
	}
	for n := range b {
		if _, err := pack.ParseEntries(b[:n]); !errors.Is(err, pack.ErrEntry) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := pack.ParseEntries(append(b, 0)); !errors.Is(err, pack.ErrEntry) {
		t.Errorf("a byte too many: %v", err)
	}
}

func TestHostileTables(t *testing.T) {
	chunk := func(typ, codec byte, plain ...byte) []byte {
		return append(append(make([]byte, 32), typ, codec), plain...)
	}
	padding := chunk(0, 3, 0, 0, 0, 100)
	good := chunk(1, 1, 0, 0, 0, 100)
	for _, tt := range []struct {
		name string
		b    []byte
		ok   bool
	}{
		{"one chunk", slices.Concat([]byte{0, 0, 0, 1}, good), true},
		{"chunk and padding", slices.Concat([]byte{0, 0, 0, 2}, good, padding), true},
		{"padding first", slices.Concat([]byte{0, 0, 0, 2}, padding, good), false},
		{"padding twice", slices.Concat([]byte{0, 0, 0, 2}, padding, padding), false},
		{"hostile count", slices.Concat([]byte{255, 255, 255, 255}, good), false},
		{"count beyond the bytes", slices.Concat([]byte{0, 0, 0, 2}, good), false},
		{"empty chunk", slices.Concat([]byte{0, 0, 0, 1}, chunk(1, 1, 0, 0, 0, 0)), false},
		{"chunk too large", slices.Concat([]byte{0, 0, 0, 1}, chunk(1, 1, 0, 0x80, 0, 1)), false},
		{"hostile chunk", slices.Concat([]byte{0, 0, 0, 1}, chunk(1, 1, 255, 255, 255, 255)), false},
		{"hostile padding", slices.Concat([]byte{0, 0, 0, 1}, chunk(0, 3, 255, 255, 255, 255)), false},
		{"hostile zstd", slices.Concat([]byte{0, 0, 0, 1}, chunk(1, 2, 255, 255, 255, 255)), false},
		{"zstd without frames", slices.Concat([]byte{0, 0, 0, 1}, chunk(1, 2, 0, 0, 1, 0)), false},
		{"frame too long", slices.Concat([]byte{0, 0, 0, 1}, chunk(1, 2, 0, 0, 1, 0, 0, 0, 2, 0)), false},
		{"frame of a tag only", slices.Concat([]byte{0, 0, 0, 1}, chunk(1, 2, 0, 0, 1, 0, 0, 0, 0, 16)), false},
		{"frame of a byte", slices.Concat([]byte{0, 0, 0, 1}, chunk(1, 2, 0, 0, 1, 0, 0, 0, 0, 17)), true},
		{"type 0", slices.Concat([]byte{0, 0, 0, 1}, chunk(0, 1, 0, 0, 0, 1)), false},
		{"type 5", slices.Concat([]byte{0, 0, 0, 1}, chunk(5, 1, 0, 0, 0, 1)), false},
		{"codec 0", slices.Concat([]byte{0, 0, 0, 1}, chunk(1, 0, 0, 0, 0, 1)), false},
		{"codec 4", slices.Concat([]byte{0, 0, 0, 1}, chunk(1, 4, 0, 0, 0, 1)), false},
		{"padding with a type", slices.Concat([]byte{0, 0, 0, 1}, chunk(1, 3, 0, 0, 0, 1)), false},
	} {
		entries, err := pack.ParseEntries(tt.b)
		if (err == nil) != tt.ok || (err != nil && (!errors.Is(err, pack.ErrEntry) || entries != nil)) {
			t.Errorf("%s: %v, %v", tt.name, entries, err)
		}
	}
	table := append(slices.Concat([]byte{0, 0, 0, 1}, good), 0, 0) // 42 bytes, padded to 44
	for _, tt := range []struct {
		name string
		b    []byte
		body uint64
		ok   bool
	}{
		{"as it should be", table, 116, true},
		{"body longer than the entries", table, 117, false},
		{"body shorter than the entries", table, 100, false},
		{"unpadded", table[:42], 116, false},
		{"padded too much", append(bytes.Clone(table), 0, 0, 0, 0), 116, false},
		{"padding not zero", append(bytes.Clone(table[:43]), 1), 116, false},
	} {
		if _, err := pack.ParseTable(tt.b, tt.body); (err == nil) != tt.ok {
			t.Errorf("table %s: %v", tt.name, err)
		}
	}
}

func TestOverlongVarints(t *testing.T) {
	b := pack.AppendEntry(nil, samples()[0])
	long := append(append(bytes.Clone(b[:34]), 0x80, 0x00), b[35:]...) // number 0 in two bytes
	if _, _, err := pack.ParseEntry(long); !errors.Is(err, pack.ErrEntry) {
		t.Errorf("overlong number: %v", err)
	}
}
