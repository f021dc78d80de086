package index

import (
	"bytes"
	"errors"
	"testing"

	"keepsake/crypto"
	"keepsake/store/object"
	"keepsake/store/pack"
)

// TestEveryFlippedBitOfAValue shows that a rotten value reads as none.
func TestEveryFlippedBitOfAValue(t *testing.T) {
	id := crypto.ChunkID{1, 2, 3}
	e := pack.Entry{Chunk: id, Type: pack.Data, Codec: pack.Raw, Number: 300, Offset: 5000, Plain: 1000, Stored: 1016}
	place := appendPlace(nil, 7, &e)
	if n, got, err := parsePlace(id, place); err != nil || n != 7 || got.Offset != e.Offset || got.Plain != e.Plain {
		t.Fatalf("%d, %+v, %v", n, got, err)
	}
	key := sequenceKey(7)
	record := Pack{ID: pack.ID{9}, Kind: object.MetaPack, Epoch: 3, Size: 77, Chunks: 5, Damaged: true}.append(nil, key)
	if p, err := parsePack(key, record); err != nil || p.ID != (pack.ID{9}) || !p.Damaged || p.Condemned || p.Size != 77 {
		t.Fatalf("%+v, %v", p, err)
	}
	for i := range 8 * len(place) {
		b := bytes.Clone(place)
		b[i/8] ^= 1 << (i % 8)
		if _, _, err := parsePlace(id, b); !errors.Is(err, ErrDamaged) {
			t.Errorf("place with bit %d flipped: %v", i, err)
		}
	}
	for i := range 8 * len(record) {
		b := bytes.Clone(record)
		b[i/8] ^= 1 << (i % 8)
		if _, err := parsePack(key, b); !errors.Is(err, ErrDamaged) {
			t.Errorf("record with bit %d flipped: %v", i, err)
		}
	}
	if _, _, err := parsePlace(crypto.ChunkID{4}, place); !errors.Is(err, ErrDamaged) {
		t.Errorf("value under another key: %v", err)
	}
	if _, err := parsePack(sequenceKey(8), record); !errors.Is(err, ErrDamaged) {
		t.Errorf("record under another key: %v", err)
	}
}

// TestImpossiblePlace has a valid check and an entry that no pack can have:
// reading by it must not panic.
func TestImpossiblePlace(t *testing.T) {
	id := crypto.ChunkID{1}
	for _, e := range []pack.Entry{
		{Type: pack.Data, Codec: pack.Raw, Offset: 100},
		{Type: pack.Data, Codec: pack.Zstd, Offset: 100, Plain: 1 << 20, Stored: 5000},
		{Type: 99, Codec: pack.Raw, Offset: 100, Plain: 10, Stored: 26},
		{Type: pack.Data, Codec: pack.Raw, Offset: 1 << 62, Plain: 10, Stored: 26},
	} {
		e.Chunk = id
		if _, _, err := parsePlace(id, appendPlace(nil, 1, &e)); !errors.Is(err, ErrDamaged) {
			t.Errorf("%+v: %v", e, err)
		}
	}
}

func FuzzParsePlace(f *testing.F) {
	id := crypto.ChunkID{1, 2, 3}
	e := pack.Entry{Chunk: id, Type: pack.Page, Codec: pack.Zstd, Number: 3, Offset: 5000, Plain: pack.FrameSize + 1, Stored: 5030, Frames: []uint32{5000, 30}}
	f.Add(appendPlace(nil, 7, &e))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, e, err := parsePlace(id, b); err == nil {
			if _, again, err := parsePlace(id, appendPlace(nil, n, &e)); err != nil || again.Offset != e.Offset || len(again.Frames) != len(e.Frames) {
				t.Fatalf("%+v, %+v, %v", e, again, err)
			}
		}
	})
}
