package pack_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"keepsake/crypto"
	"keepsake/store/object"
	"keepsake/store/pack"
)

func small(t testing.TB, k *crypto.Keyring) packed {
	return build(t, k, pack.ID{1}, noise(1, 200), prose(2, 900), noise(3, 1))
}

// read opens everything that p's bytes claim to hold, keyed. A wrong byte fails the test at once.
func read(t *testing.T, k *crypto.Keyring, p packed) error {
	t.Helper()
	table, err := p.table(k)
	if err != nil {
		return err
	}
	o := opener(t, k, p.id)
	var failed error
	for _, e := range append(table.Entries, table.Padding) {
		if e.Plain == 0 {
			continue
		}
		got, err := o.OpenChunk(nil, e, p.stored(e))
		switch {
		case err != nil:
			failed = errors.Join(failed, err)
		case e.Codec == pack.Padding:
			if !bytes.Equal(got, make([]byte, e.Plain)) {
				t.Fatal("padding with content")
			}
		case !bytes.Equal(got, p.plain[e.Number]):
			t.Fatalf("wrong bytes for chunk %d", e.Number)
		}
	}
	return failed
}

// check runs Check, which must find damage without handing out a wrong byte.
func check(t *testing.T, k *crypto.Keyring, p packed) error {
	t.Helper()
	var failed error
	_, err := pack.Check(bytes.NewReader(p.bytes), int64(len(p.bytes)), k, p.id, func(e pack.Entry, plain []byte, err error) error {
		if err == nil && !bytes.Equal(plain, p.plain[e.Number]) {
			t.Fatalf("wrong bytes for chunk %d", e.Number)
		}
		failed = errors.Join(failed, err)
		return nil
	})
	return errors.Join(failed, err)
}

func scrub(p packed) error {
	return pack.Scrub(bytes.NewReader(p.bytes), int64(len(p.bytes)), p.id)
}

func TestEveryFlippedByte(t *testing.T) {
	k := keyring(t)
	whole := small(t, k)
	if len(whole.bytes) < 500 || whole.entries[1].Codec != pack.Zstd {
		t.Fatal("the pack is not what this test needs")
	}
	for i := range whole.bytes {
		for _, flip := range []byte{0x01, 0x80, 0xff} {
			p := whole
			p.bytes = bytes.Clone(whole.bytes)
			p.bytes[i] ^= flip
			if err := scrub(p); !errors.Is(err, object.ErrCorrupt) {
				t.Fatalf("byte %d ^ %#x: scrub says %v", i, flip, err)
			}
			if err := check(t, k, p); err == nil {
				t.Fatalf("byte %d ^ %#x: check says nothing", i, flip)
			}
			// The checksum is the scrub's: a reader that has a key does not need it.
			if err := read(t, k, p); (err == nil) != (i >= len(p.bytes)-object.ChecksumSize) {
				t.Fatalf("byte %d ^ %#x: read says %v", i, flip, err)
			}
			// With a checksum that fits, only the key tells.
			fit(p.bytes)
			if i < len(p.bytes)-object.ChecksumSize && check(t, k, p) == nil {
				t.Fatalf("byte %d ^ %#x: forged", i, flip)
			}
		}
	}
}

func TestTruncated(t *testing.T) {
	k := keyring(t)
	whole := small(t, k)
	for n := range whole.bytes {
		p := whole
		p.bytes = whole.bytes[:n]
		for name, err := range map[string]error{"scrub": scrub(p), "read": read(t, k, p), "check": check(t, k, p)} {
			if !errors.Is(err, object.ErrCorrupt) {
				t.Fatalf("%s of %d bytes says %v", name, n, err)
			}
		}
		// The directory may still say the old length.
		size := int64(len(whole.bytes))
		if err := pack.Scrub(bytes.NewReader(p.bytes), size, p.id); !errors.Is(err, object.ErrCorrupt) {
			t.Fatalf("scrub of %d bytes, %d promised, says %v", n, size, err)
		}
		if _, err := pack.ReadTable(bytes.NewReader(p.bytes), size, k, p.id); !errors.Is(err, object.ErrCorrupt) {
			t.Fatalf("table of %d bytes, %d promised: %v", n, size, err)
		}
	}
	longer := append(bytes.Clone(whole.bytes), 0)
	if err := pack.Scrub(bytes.NewReader(longer), int64(len(whole.bytes)), whole.id); !errors.Is(err, object.ErrCorrupt) {
		t.Errorf("scrub of a pack with more bytes than it has: %v", err)
	}
}

func TestWrongName(t *testing.T) {
	k := keyring(t)
	p := small(t, k)
	p.id[5]++
	for name, err := range map[string]error{"scrub": scrub(p), "read": read(t, k, p)} {
		if !errors.Is(err, object.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWrongKey(t *testing.T) {
	other, err := crypto.NewKeyring(crypto.RepositoryID{1, 2, 3}, source(77))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := small(t, keyring(t)).table(other); !errors.Is(err, object.ErrCorrupt) {
		t.Error(err)
	}
}

// An index that lies must yield an error, whatever it lies about.
func TestLyingIndex(t *testing.T) {
	k := keyring(t)
	p := build(t, k, pack.ID{1}, noise(1, 70000), noise(2, 70000), prose(3, 300000), prose(4, 300000), prose(5, 5000))
	twin := build(t, k, pack.ID{2}, p.plain...)
	o := opener(t, k, p.id)
	raw, framed, single := p.entries[0], p.entries[2], p.entries[4]
	if len(framed.Frames) != 2 || single.Codec != pack.Zstd || single.Frames != nil {
		t.Fatal("the pack is not what this test needs")
	}
	tests := []struct {
		name   string
		honest pack.Entry
		lie    func(e *pack.Entry)
	}{
		{"chunk id", raw, func(e *pack.Entry) { e.Chunk[31] ^= 1 }},
		{"chunk id of a neighbour", raw, func(e *pack.Entry) { e.Chunk = p.entries[1].Chunk }},
		{"neighbour's place", raw, func(e *pack.Entry) { e.Offset = p.entries[1].Offset }},
		{"neighbour's number", raw, func(e *pack.Entry) { e.Number = 1 }},
		{"neighbour's number and place", raw, func(e *pack.Entry) { e.Number, e.Offset = 1, p.entries[1].Offset }},
		{"type", raw, func(e *pack.Entry) { e.Type = pack.Blob }},
		{"invalid type", raw, func(e *pack.Entry) { e.Type = 9 }},
		{"codec", raw, func(e *pack.Entry) { e.Codec = pack.Zstd }},
		{"unknown codec", raw, func(e *pack.Entry) { e.Codec = 4 }},
		{"padding", raw, func(e *pack.Entry) { e.Codec, e.Type, e.Chunk = pack.Padding, 0, crypto.ChunkID{} }},
		{"shorter", raw, func(e *pack.Entry) { e.Plain--; e.Stored-- }},
		{"shorter by a segment", raw, func(e *pack.Entry) { e.Plain = 65536; e.Stored = 65552 }},
		{"longer", raw, func(e *pack.Entry) { e.Plain++; e.Stored++ }},
		{"plain length only", raw, func(e *pack.Entry) { e.Plain-- }},
		{"stored length only", raw, func(e *pack.Entry) { e.Stored-- }},
		{"one byte further", raw, func(e *pack.Entry) { e.Offset++ }},
		{"before the body", raw, func(e *pack.Entry) { e.Offset = 0 }},
		{"empty", raw, func(e *pack.Entry) { e.Plain, e.Stored = 0, 0 }},
		{"frames moved", framed, func(e *pack.Entry) { e.Frames = []uint32{e.Frames[0] + 1, e.Frames[1] - 1} }},
		{"frames joined", framed, func(e *pack.Entry) { e.Frames = nil }},
		{"frames exchanged", framed, func(e *pack.Entry) { e.Frames = []uint32{e.Frames[1], e.Frames[0]} }},
		{"a frame too many", framed, func(e *pack.Entry) { e.Frames = append(e.Frames[:1:1], e.Frames[1]-20, 20) }},
		{"frame beyond the chunk", framed, func(e *pack.Entry) { e.Frames = []uint32{1 << 31, 1 << 31} }},
		{"inflates to less", single, func(e *pack.Entry) { e.Plain-- }},
		{"inflates to more", single, func(e *pack.Entry) { e.Plain++ }},
		{"inflates to much more", single, func(e *pack.Entry) { e.Plain = pack.FrameSize }},
		{"zstd said to be raw", single, func(e *pack.Entry) { e.Codec, e.Plain = pack.Raw, e.Stored-16 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := o.OpenChunk(nil, tt.honest, p.stored(tt.honest)); err != nil {
				t.Fatalf("the honest entry: %v", err)
			}
			if got, err := o.OpenChunk(nil, tt.honest, twin.stored(tt.honest)); err == nil {
				t.Fatalf("bytes of another pack open to %d bytes", len(got))
			}
			e := tt.honest
			tt.lie(&e)
			stored := make([]byte, min(e.Stored, 1<<20))
			if e.Offset < uint64(len(p.bytes)) {
				copy(stored, p.bytes[e.Offset:])
			}
			if got, err := o.OpenChunk(nil, e, stored); err == nil {
				t.Errorf("opens to %d bytes", len(got))
			} else if !errors.Is(err, pack.ErrEntry) && !errors.Is(err, object.ErrCorrupt) {
				t.Errorf("unrecognisable error: %v", err)
			}
			for i := range min(e.Blocks(), 40) {
				block := make([]byte, 70000)
				if e.Validate() == nil {
					_, _, off, n := e.Block(i)
					block = append(bytes.Clone(p.bytes[min(off, uint64(len(p.bytes))):]), make([]byte, n)...)[:n]
				}
				if got, err := o.OpenBlock(nil, e, i, block); err == nil {
					t.Errorf("block %d opens to %d bytes", i, len(got))
				}
			}
		})
	}
	for _, i := range []int{-1, raw.Blocks(), math.MaxInt} {
		if _, err := o.OpenBlock(nil, raw, i, p.stored(raw)); !errors.Is(err, pack.ErrEntry) {
			t.Errorf("block %d: %v", i, err)
		}
	}
	for _, n := range []uint32{0, 1, raw.Stored - 1} {
		if _, err := o.OpenChunk(nil, raw, p.stored(raw)[:n]); !errors.Is(err, object.ErrCorrupt) {
			t.Errorf("%d of %d stored bytes: %v", n, raw.Stored, err)
		}
	}
}

func TestHostileLengths(t *testing.T) {
	k := keyring(t)
	whole := small(t, k)
	at := len(whole.bytes) - 28
	table, body := binary.BigEndian.Uint32(whole.bytes[at:]), binary.BigEndian.Uint64(whole.bytes[at+4:])
	for _, tt := range []struct {
		name  string
		table uint32
		body  uint64
	}{
		{"largest", 1<<32 - 1, 1<<64 - 1},
		{"table longer than the pack", 1<<32 - 1, body},
		{"sum wraps around", table, body - 1<<63},
		{"sum wraps around, table makes up", table + 1<<31, body - 1<<31},
		{"no table", 0, body + uint64(table)},
		{"table takes from the body", table + 16, body - 16},
		{"body takes from the table", table - 16, body + 16},
	} {
		p := whole
		p.bytes = bytes.Clone(whole.bytes)
		binary.BigEndian.PutUint32(p.bytes[at:], tt.table)
		binary.BigEndian.PutUint64(p.bytes[at+4:], tt.body)
		fit(p.bytes)
		var err error
		allocated := allocated(func() { _, err = p.table(k) })
		// Lengths that add up are beyond what a scrub can judge: they are the key's to refuse.
		addsUp := uint64(tt.table)+tt.body == uint64(table)+body && tt.table >= 20 && tt.body <= pack.MaxBody
		if err := scrub(p); errors.Is(err, object.ErrCorrupt) == addsUp {
			t.Errorf("%s: scrub says %v", tt.name, err)
		}
		if !errors.Is(err, object.ErrCorrupt) || allocated > 1<<20 {
			t.Errorf("%s: %v, %d bytes allocated", tt.name, err, allocated)
		}
	}
	for _, size := range []int64{-1, 0, 27, 28, 95, 97, 1 << 40, 1<<63 - 1, -1 << 63} {
		if _, err := pack.ReadTable(bytes.NewReader(whole.bytes), size, k, whole.id); !errors.Is(err, object.ErrCorrupt) {
			t.Errorf("table of a pack of %d bytes: %v", size, err)
		}
		if err := pack.Scrub(bytes.NewReader(whole.bytes), size, whole.id); !errors.Is(err, object.ErrCorrupt) {
			t.Errorf("scrub of a pack of %d bytes: %v", size, err)
		}
	}
}

// Padding is zeros, or it would be a place where something could hide.
func TestPaddingWithContent(t *testing.T) {
	k := keyring(t)
	p := small(t, k)
	table, err := p.table(k)
	if err != nil || table.Padding.Plain == 0 {
		t.Fatalf("padding of %d bytes, %v", table.Padding.Plain, err)
	}
	body := make([]byte, table.Padding.Plain)
	for _, last := range []byte{0, 1} {
		body[len(body)-1] = last
		copy(p.stored(table.Padding), opener(t, k, p.id).Seal(table.Padding, body))
		fit(p.bytes)
		if err := check(t, k, p); (err == nil) != (last == 0) {
			t.Errorf("padding that ends with %d: %v", last, err)
		}
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// What is authentic may still be hostile: whoever has the key may seal frames that inflate to more
// than the entry says.
func TestDecompressionBombs(t *testing.T) {
	k := keyring(t)
	o := opener(t, k, pack.ID{1})
	zeros := make([]byte, 64<<20)
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	var streamed bytes.Buffer // its header says no length
	enc.Reset(&streamed)
	enc.Write(zeros)
	enc.Close()
	text := prose(1, 5000)
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}
	for _, tt := range []struct {
		name string
		body []byte
		ok   bool
	}{
		{"honest", enc.EncodeAll(text, nil), true},
		{"bomb", enc.EncodeAll(zeros, nil), false},
		{"small bomb", enc.EncodeAll(zeros[:6<<20], nil), false},
		{"bomb without a length", streamed.Bytes(), false},
		{"two frames", enc.EncodeAll(text, enc.EncodeAll(text, nil)), false},
		{"many small frames", bytes.Repeat(enc.EncodeAll(zeros[:100], nil), 200), false},
		{"one byte more", enc.EncodeAll(prose(1, 5001), nil), false},
		{"one byte less", enc.EncodeAll(text[:4999], nil), false},
		{"nothing but a skippable frame", skippable, false},
		{"no frame", noise(1, 100), false},
		{"huge window", []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8, 0x01, 0x00, 0x00}, false},
		{"cut", enc.EncodeAll(text, nil)[:500], false},
	} {
		e := pack.Entry{Type: pack.Data, Codec: pack.Zstd, Offset: 48, Plain: 5000, Stored: uint32(len(tt.body) + 16)}
		stored := o.Seal(e, tt.body)
		dst := make([]byte, 0, 5000)
		var got []byte
		var err error
		allocated := allocated(func() { got, err = o.OpenChunk(dst, e, stored) })
		if tt.ok != (err == nil) || (tt.ok && !bytes.Equal(got, text)) || allocated > 2<<20 {
			t.Errorf("%s: %d bytes, %v, %d allocated", tt.name, len(got), err, allocated)
		}
		if err != nil && !errors.Is(err, object.ErrCorrupt) && !errors.Is(err, pack.ErrEntry) {
			t.Errorf("%s: unrecognisable error: %v", tt.name, err)
		}
	}
}

func TestReaderErrors(t *testing.T) {
	k := keyring(t)
	p := small(t, k)
	broken := errors.New("broken")
	for n := range len(p.bytes) {
		r := io.MultiReader(bytes.NewReader(p.bytes[:n]), iotest.ErrReader(broken))
		if err := pack.Scrub(r, int64(len(p.bytes)), p.id); !errors.Is(err, broken) || errors.Is(err, object.ErrCorrupt) {
			t.Fatalf("scrub, error of the disk at byte %d: %v", n, err)
		}
	}
	if _, err := pack.ReadTable(failing{broken}, int64(len(p.bytes)), k, p.id); !errors.Is(err, broken) || errors.Is(err, object.ErrCorrupt) {
		t.Errorf("table: %v", err)
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }
