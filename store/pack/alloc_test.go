//go:build !race

package pack_test

import (
	"io"
	"testing"

	"keepsake/crypto"
	"keepsake/store/object"
	"keepsake/store/pack"
)

// The hot paths allocate nothing per chunk but the entry. (Under the race detector sync.Pool forgets
// on purpose, hence the build tag.)
func TestAllocations(t *testing.T) {
	k := keyring(t)
	w, err := pack.NewWriter(io.Discard, k, object.DataPack, pack.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		plain []byte
		most  float64
	}{
		{"small raw", noise(1, 5000), 0},
		{"raw", noise(1, 1<<20), 0},
		{"one frame", prose(1, 200000), 0},
		{"frames", prose(1, 1<<20), 1}, // the entry's Frames
	} {
		n := testing.AllocsPerRun(100, func() {
			if _, err := w.Add(crypto.ChunkID{}, pack.Data, tt.plain); err != nil {
				t.Fatal(err)
			}
		})
		if n > tt.most {
			t.Errorf("adding a chunk, %s: %v allocations, want %v", tt.name, n, tt.most)
		}
	}
	p := build(t, k, pack.ID{1}, noise(1, 1<<20), prose(1, 1<<20))
	o := opener(t, k, p.id)
	dst := make([]byte, 0, pack.FrameSize)
	for i, e := range p.entries {
		_, _, off, n := e.Block(1)
		stored := p.bytes[off : off+uint64(n)]
		if n := testing.AllocsPerRun(100, func() {
			if _, err := o.OpenBlock(dst, e, 1, stored); err != nil {
				t.Fatal(err)
			}
		}); n > 0 {
			t.Errorf("opening a block of chunk %d: %v allocations", i, n)
		}
	}
}
