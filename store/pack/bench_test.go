package pack_test

import (
	"fmt"
	"io"
	"testing"

	"keepsake/crypto"
	"keepsake/store/object"
	"keepsake/store/pack"
)

func benchmarkAdd(b *testing.B, plain []byte) {
	k := keyring(b)
	b.SetBytes(int64(len(plain)))
	b.ReportAllocs()
	var w *pack.Writer
	for b.Loop() {
		if w == nil || w.Size() > 64<<20 || w.Count() == pack.MaxEntries {
			var err error
			if w, err = pack.NewWriter(io.Discard, k, object.DataPack, pack.ID{}); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Add(crypto.ChunkID{}, pack.Data, plain); err != nil {
			b.Fatal(err)
		}
	}
}

var benchSizes = []int{4 << 10, 64 << 10, 1 << 20, 8 << 20}

func BenchmarkAddRaw(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n>>10, "KiB"), func(b *testing.B) { benchmarkAdd(b, noise(1, n)) })
	}
}

func BenchmarkAddCompressible(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n>>10, "KiB"), func(b *testing.B) { benchmarkAdd(b, prose(1, n)) })
	}
}

func BenchmarkOpenBlock(b *testing.B) {
	k := keyring(b)
	p := build(b, k, pack.ID{}, noise(1, 1<<20), prose(1, 1<<20))
	o := opener(b, k, p.id)
	dst := make([]byte, 0, pack.FrameSize)
	for i, name := range []string{"raw", "zstd"} {
		b.Run(name, func(b *testing.B) {
			e := p.entries[i]
			_, plain, off, n := e.Block(1)
			b.SetBytes(int64(plain))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := o.OpenBlock(dst, e, 1, p.bytes[off:off+uint64(n)]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
