package pack_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"keepsake/crypto"
	"keepsake/store/object"
	"keepsake/store/pack"
)

var lengths = []int{
	1, 2, 15, 16, 17, 4095, 65535, 65536, 65537, 131072, 262143, 262144, 262145,
	1<<20 - 1, 1 << 20, 1<<20 + 1, pack.MaxChunk - 1, pack.MaxChunk,
}

// verify reads p in every way there is and compares it with what went in.
func verify(t *testing.T, k *crypto.Keyring, p packed) *pack.Table {
	t.Helper()
	if err := pack.Scrub(bytes.NewReader(p.bytes), int64(len(p.bytes)), p.id); err != nil {
		t.Errorf("scrub: %v", err)
	}
	table, err := p.table(k)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(table.Entries, p.entries) && len(p.entries) > 0 {
		t.Fatalf("table has %v, Close returned %v", table.Entries, p.entries)
	}
	if table.ID != p.id || table.Kind != object.DataPack || table.Epoch != k.Newest() || table.Size != int64(len(p.bytes)) {
		t.Errorf("table says %v %v %v %v", table.ID, table.Kind, table.Epoch, table.Size)
	}
	o, end := opener(t, k, p.id), uint64(pack.HeaderSize)
	for i, e := range table.Entries {
		if e.Offset != end || int(e.Number) != i || e.Type != chunkType(i) || e.Chunk != k.ChunkID(byte(e.Type), p.plain[i]) {
			t.Errorf("entry %d is %+v, expected at %d", i, e, end)
		}
		end += uint64(e.Stored)
		got, err := o.OpenChunk(nil, e, p.stored(e))
		if err != nil || !bytes.Equal(got, p.plain[i]) {
			t.Fatalf("chunk %d of %d bytes: %v", i, len(p.plain[i]), err)
		}
		verifyBlocks(t, o, p, e, p.plain[i])
	}
	seen := 0
	_, err = pack.Check(bytes.NewReader(p.bytes), int64(len(p.bytes)), k, p.id, func(e pack.Entry, plain []byte, err error) error {
		if err != nil || !bytes.Equal(plain, p.plain[e.Number]) || int(e.Number) != seen {
			t.Errorf("check of chunk %d: %v", e.Number, err)
		}
		seen++
		return nil
	})
	if err != nil || seen != len(p.plain) {
		t.Errorf("check of %d chunks saw %d: %v", len(p.plain), seen, err)
	}
	return table
}

func verifyBlocks(t *testing.T, o *pack.Opener, p packed, e pack.Entry, want []byte) {
	t.Helper()
	next, nextStored := 0, e.Offset
	for i := range e.Blocks() {
		off, n, storedOff, storedLen := e.Block(i)
		if off != next || storedOff != nextStored {
			t.Fatalf("block %d lies at %d and %d, not at %d and %d", i, off, storedOff, next, nextStored)
		}
		next, nextStored = off+n, storedOff+uint64(storedLen)
		room := make([]byte, 1, 1+n)
		got, err := o.OpenBlock(room, e, i, p.bytes[storedOff:nextStored])
		if err != nil || !bytes.Equal(got[1:], want[off:next]) {
			t.Fatalf("block %d: %v", i, err)
		}
		if &got[0] != &room[0] {
			t.Errorf("block %d does not lie in the room it was given", i)
		}
	}
	if next != int(e.Plain) || nextStored != e.Offset+uint64(e.Stored) {
		t.Errorf("blocks end at %d and %d of %d and %d", next, nextStored, e.Plain, e.Offset+uint64(e.Stored))
	}
}

func TestRoundTrip(t *testing.T) {
	k := keyring(t)
	for name, content := range map[string]func(byte, int) []byte{"raw": noise, "compressible": prose} {
		t.Run(name, func(t *testing.T) {
			var all [][]byte
			for i, n := range lengths {
				all = append(all, content(byte(i), n))
				p := build(t, k, pack.ID{byte(i)}, all[i])
				table := verify(t, k, p)
				if want := name == "raw" || n < 100; (table.Entries[0].Codec == pack.Raw) != want {
					t.Errorf("%d bytes have codec %d", n, table.Entries[0].Codec)
				}
			}
			verify(t, k, build(t, k, pack.ID{99}, all...))
		})
	}
}

// Uncompressed pixels have no repetitions, and are worth compressing for their high bytes alone; a
// photo is not, even if its head is.
func TestWhatIsCompressed(t *testing.T) {
	r := rand.New(rand.NewChaCha8([32]byte{}))
	var pixels []byte
	for v := 4000.0; len(pixels) < 1<<20; v += 40 * r.NormFloat64() {
		if v < 0 || v > 16383 {
			v = 4000
		}
		pixels = binary.LittleEndian.AppendUint16(pixels, uint16(v))
	}
	photo := append(prose(1, 20000), noise(2, 1<<20)...)
	k := keyring(t)
	p := build(t, k, pack.ID{1}, pixels, photo)
	verify(t, k, p)
	if e := p.entries[0]; e.Codec != pack.Zstd || e.Stored > e.Plain*15/16 {
		t.Errorf("pixels: codec %d, %d of %d bytes", e.Codec, e.Stored, e.Plain)
	}
	if e := p.entries[1]; e.Codec != pack.Raw {
		t.Errorf("photo: codec %d, %d of %d bytes", e.Codec, e.Stored, e.Plain)
	}
}

func TestEmptyPack(t *testing.T) {
	k := keyring(t)
	p := build(t, k, pack.ID{1})
	if len(p.bytes) != 96 {
		t.Errorf("an empty pack has %d bytes, want 96", len(p.bytes))
	}
	verify(t, k, p)
}

func TestPadding(t *testing.T) {
	for used := 4; used < 4000; used += 38 {
		for body := range uint64(3000) {
			checkPadding(t, body, used)
		}
	}
	for _, body := range []uint64{64 << 20, 64<<20 + 1, 1 << 30, pack.MaxBody - 200<<20} {
		for d := range uint64(100) {
			checkPadding(t, body+d, 4+38*65536)
		}
	}
}

func checkPadding(t *testing.T, body uint64, used int) {
	t.Helper()
	pad, size := pack.PaddedSize(body, used)
	table := object.Padme(uint64(used))
	if pad > 0 {
		table = object.Padme(uint64(used + 38))
		body += uint64(pad + 16*((pad+65535)/65536))
	}
	if got := 48 + body + table + 16 + 28; got != size || object.Padme(size) != size || pad > 128<<20 || body > pack.MaxBody {
		t.Fatalf("body %d, table %d: padding of %d makes %d, promised %d", body, used, pad, got, size)
	}
}

func TestAddRefuses(t *testing.T) {
	k := keyring(t)
	var out bytes.Buffer
	w, err := pack.NewWriter(&out, k, object.MetaPack, pack.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int{0, pack.MaxChunk + 1} {
		if _, err := w.Add(crypto.ChunkID{}, pack.Data, make([]byte, n)); !errors.Is(err, pack.ErrChunkSize) {
			t.Errorf("chunk of %d bytes: %v", n, err)
		}
	}
	for _, typ := range []pack.ChunkType{0, 5} {
		if _, err := w.Add(crypto.ChunkID{}, typ, []byte("x")); err == nil {
			t.Errorf("chunk type %d was accepted", typ)
		}
	}
	if w.Size() != pack.HeaderSize || w.Count() != 0 {
		t.Errorf("refused chunks take %d bytes", w.Size())
	}
	if _, err := w.Add(crypto.ChunkID{}, pack.Page, []byte("x")); err != nil {
		t.Errorf("a refusal failed the pack: %v", err)
	}
	if w.Size() != pack.HeaderSize+17 || w.Count() != 1 {
		t.Errorf("one chunk of one byte: size %d, count %d", w.Size(), w.Count())
	}
	if _, _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Add(crypto.ChunkID{}, pack.Page, []byte("x")); !errors.Is(err, pack.ErrClosed) {
		t.Errorf("add after close: %v", err)
	}
	if _, _, err := w.Close(); !errors.Is(err, pack.ErrClosed) {
		t.Errorf("close after close: %v", err)
	}
	if _, err := pack.NewWriter(&out, k, object.Snapshot, pack.ID{1}); err == nil {
		t.Error("a snapshot was taken for a pack")
	}
}

func TestMostEntries(t *testing.T) {
	k := keyring(t)
	var out bytes.Buffer
	w, err := pack.NewWriter(&out, k, object.MetaPack, pack.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range pack.MaxEntries {
		if _, err := w.Add(crypto.ChunkID{byte(i), byte(i >> 8)}, pack.Page, []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Add(crypto.ChunkID{}, pack.Page, []byte{1}); !errors.Is(err, pack.ErrFull) {
		t.Errorf("one chunk too many: %v", err)
	}
	entries, size, err := w.Close()
	if err != nil || len(entries) != pack.MaxEntries {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	table, err := pack.ReadTable(bytes.NewReader(out.Bytes()), size, k, pack.ID{1})
	if err != nil || !reflect.DeepEqual(table.Entries, entries) {
		t.Fatal(err)
	}
}

func TestWholeRangeOfSizes(t *testing.T) {
	k := keyring(t)
	for n := 1; n < 700; n++ {
		p := build(t, k, pack.ID{byte(n), byte(n >> 8)}, noise(1, n))
		if size := uint64(len(p.bytes)); object.Padme(size) != size {
			t.Fatalf("pack of one chunk of %d bytes has %d", n, size)
		}
		if table, err := p.table(k); err != nil || !reflect.DeepEqual(table.Entries, p.entries) {
			t.Fatalf("%d: %v", n, err)
		}
	}
}

func TestKinds(t *testing.T) {
	for _, kind := range []object.Kind{object.DataPack, object.MetaPack} {
		k := keyring(t)
		var out bytes.Buffer
		w, err := pack.NewWriter(&out, k, kind, pack.ID{7})
		if err != nil {
			t.Fatal(err)
		}
		if w.ID() != (pack.ID{7}) || w.Epoch() != 1 {
			t.Errorf("writer of %v, epoch %v", w.ID(), w.Epoch())
		}
		e, err := w.Add(crypto.ChunkID{1}, pack.List, []byte("a list"))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for _, as := range []object.Kind{object.DataPack, object.MetaPack} {
			o, err := pack.NewOpener(k, as, 1, pack.ID{7})
			if err != nil {
				t.Fatal(err)
			}
			got, err := o.OpenChunk(nil, e, out.Bytes()[e.Offset:e.Offset+uint64(e.Stored)])
			if (err == nil) != (as == kind) {
				t.Errorf("chunk of a %s opens as %s: %q, %v", kind, as, got, err)
			}
		}
		if _, err := pack.NewOpener(k, kind, 2, pack.ID{7}); !errors.Is(err, crypto.ErrUnknownEpoch) {
			t.Errorf("unknown epoch: %v", err)
		}
	}
}

func ExampleEntry_Block() {
	e := pack.Entry{Type: pack.Data, Codec: pack.Raw, Offset: 48, Plain: 100000, Stored: 100032}
	for i := range e.Blocks() {
		fmt.Println(e.Block(i))
	}
	// Output:
	// 0 65536 48 65552
	// 65536 34464 65600 34480
}
