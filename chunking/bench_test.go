package chunking_test

import (
	"bytes"
	"io"
	"testing"

	"keepsake/chunking"
)

func BenchmarkSplit(b *testing.B) {
	data := seeded(40, 64<<20)
	for _, bb := range []struct {
		name string
		size int
		fine bool
	}{
		{"small file", 8 << 10, false},
		{"photo", 6 << 20, false},
		{"video", 64 << 20, false},
		{"database", 64 << 20, true},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := newSplitter(b, chunking.Default(fixed))
			buf := make([]byte, 0, chunking.MaxChunk)
			r := bytes.NewReader(nil)
			b.SetBytes(int64(bb.size))
			b.ReportAllocs()
			for b.Loop() {
				r.Reset(data[:bb.size])
				s.Reset(r, 0, bb.fine)
				for {
					if _, err := s.Next(buf); err == io.EOF {
						break
					}
				}
			}
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	p := chunking.Default(fixed)
	for b.Loop() {
		if err := p.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}
