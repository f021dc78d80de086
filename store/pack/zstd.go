package pack

import (
	"bytes"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	// sampleFrom is the chunk length above which a sample decides whether compression is tried.
	sampleFrom = 32 << 10
	// sampleWindows windows of sampleWindow bytes, evenly spread, make the sample: enough to tell
	// camera files from text and uncompressed pixels, at 2 % of the work for a chunk of 1 MiB.
	sampleWindows = 4
	sampleWindow  = 4 << 10
)

// compressor is shared by all packs: its state is memory for as many simultaneous calls as there
// are processors. The fastest level: the default one made source text 7 % and programs 5 % smaller
// for 1.3 to 2 times the processor time. Entropy coding without matches, which that level would skip,
// is asked for: it takes 10 % off uncompressed pixels, where there are no matches. The AEAD stands in
// for zstd's own checksum.
var compressor = sync.OnceValue(func() *zstd.Encoder {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithAllLitEntropyCompression(true),
		zstd.WithWindowSize(FrameSize),
		zstd.WithEncoderCRC(false),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic("pack: zstd encoder: " + err.Error())
	}
	return enc
})

// decompressor writes no further than the capacity of what it is given, whatever a frame claims.
var decompressor = sync.OnceValue(func() *zstd.Decoder {
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(0),
		zstd.WithDecodeAllCapLimit(true),
		zstd.WithDecoderMaxMemory(MaxChunk),
		zstd.WithDecoderMaxWindow(MaxChunk),
		zstd.WithDecoderLowmem(true))
	if err != nil {
		panic("pack: zstd decoder: " + err.Error())
	}
	return dec
})

// worthwhile reports whether packed is short enough to be stored instead of plain: 1/16 must be
// saved, or reading had better stay cheap.
func worthwhile(packed, plain int) bool { return packed < plain && packed <= plain-plain/16 }

// promising judges from a sample whether compressing plain may be worthwhile. Short pieces compress
// worse than the whole, so any saving in the sample counts.
func promising(s *scratch, plain []byte) bool {
	if len(plain) <= sampleFrom {
		return true
	}
	sample := s.open[:0]
	for i := range sampleWindows {
		at := (len(plain) - sampleWindow) / (sampleWindows - 1) * i
		sample = append(sample, plain[at:at+sampleWindow]...)
	}
	s.frame = compressor().EncodeAll(sample, s.frame[:0])
	return len(s.frame) < len(sample)-len(sample)/32
}

// compress appends plain in zstd frames to dst and their lengths to lens. ok is false if that
// is not worthwhile; dst must have the capacity for len(plain) bytes.
func compress(dst, plain []byte, lens []uint32) (_ []byte, _ []uint32, ok bool) {
	for rest := plain; len(rest) > 0; {
		n := min(FrameSize, len(rest))
		before := len(dst)
		dst = compressor().EncodeAll(rest[:n], dst)
		if len(dst)-before > n+maxFrameGrowth {
			return dst, lens, false
		}
		lens = append(lens, uint32(len(dst)-before))
		rest = rest[n:]
	}
	return dst, lens, worthwhile(len(dst), len(plain))
}

// inflatesTo reports whether the frames in packed, of the given lengths, give back plain.
func inflatesTo(s *scratch, packed []byte, lens []uint32, plain []byte) bool {
	for _, n := range lens {
		want := plain[:min(FrameSize, len(plain))]
		out, err := decompressor().DecodeAll(packed[:n], s.open[:0:FrameSize])
		if err != nil || !bytes.Equal(out, want) {
			return false
		}
		packed, plain = packed[n:], plain[len(want):]
	}
	return len(packed) == 0 && len(plain) == 0
}
