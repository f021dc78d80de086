package chunking_test

import (
	"bytes"
	"slices"
	"testing"

	"keepsake/chunking"
)

// FuzzSplit holds random data, parameters and read sizes against the reference.
// The data is kept short, as the reference is slow; TestCutsMatchDefinition
// spans several reads of the cutter.
func FuzzSplit(f *testing.F) {
	f.Add([]byte{}, uint16(0), int64(0), uint64(0), false)
	f.Add([]byte{0}, uint16(11_000), int64(0), uint64(1), false)
	f.Add([]byte("repeating"), uint16(9_000), int64(2_990), uint64(2), false)
	f.Add(seeded(30, 5_000), uint16(3), int64(100), uint64(3), true)
	f.Add(lumpy(31, 9_000), uint16(1), int64(-1), uint64(0xfffffff), false)
	f.Add(seeded(32, 3_000), uint16(4), int64(1<<62), uint64(0x123456789ab), false)
	f.Fuzz(func(t *testing.T, data []byte, repeat uint16, offset int64, seed uint64, fine bool) {
		const most = 12 << 10
		data = data[:min(len(data), most)]
		if len(data) > 0 {
			data = bytes.Repeat(data, 1+min(int(repeat), most/len(data)))
		}
		p := small
		p.Head = int64(seed >> 8 % 10_000)
		p.Fine.Min = 64 + uint32(seed%200)
		p.Fine.Max = p.Fine.Min + uint32(seed>>16%1000)
		p.Coarse.Min = p.Fine.Min + uint32(seed>>24%1000)
		p.Coarse.Max = p.Coarse.Min + uint32(seed>>32%4000)
		p.Fine.Bits = 1 + uint8(seed>>40%9)
		p.Coarse.Bits = 1 + uint8(seed>>44%12)
		s, err := chunking.New(p)
		if err != nil {
			t.Fatal(err)
		}
		s.Reset(ragged(data, seed, 1+int(seed>>5%5000)), offset, fine)
		got, all := splitInto(t, s, make([]byte, 0, p.Coarse.Max+p.Fine.Max))
		if !bytes.Equal(all, data) {
			t.Fatal("chunks differ from the data")
		}
		if want := reference(p, data, offset, fine); !slices.Equal(got, want) {
			t.Fatalf("cuts at %v, want %v", got, want)
		}
	})
}
