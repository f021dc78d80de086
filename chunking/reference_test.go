package chunking_test

import (
	"sync"

	"keepsake/chunking"
)

// reference cuts by the definition alone: no state is carried from one position
// to the next, and each fingerprint is computed from its 64 bytes anew.
// It returns the ends of the chunks, relative to data.
func reference(p chunking.Params, data []byte, offset int64, fine bool) []int {
	table := remaindersOf(p.Polynomial)
	var ends []int
	for start := 0; start < len(data); {
		g := p.Coarse
		if fine || offset+int64(start) < p.Head {
			g = p.Fine
		}
		end := min(start+int(g.Max), len(data))
		for e := start + int(g.Min); e < end; e++ {
			if table.fingerprint(data[e-64:e])&(1<<g.Bits-1) == 0 {
				end = e
				break
			}
		}
		ends = append(ends, end)
		start = end
	}
	return ends
}

// fingerprint is window, as a polynomial whose highest coefficient is the first
// byte's highest bit, modulo pol of degree 53: the sum of what each byte leaves.
func (t *remainders) fingerprint(window []byte) uint64 {
	var h uint64
	for i, b := range window {
		h ^= t[i][b]
	}
	return h
}

// remainders holds byte b at place i of an otherwise zero window, modulo the
// polynomial, divided bit by bit.
type remainders [64][256]uint64

var knownRemainders sync.Map

// remaindersOf keeps tables, as a fuzzer asks for the same one every time.
func remaindersOf(p chunking.Polynomial) *remainders {
	if t, ok := knownRemainders.Load(p); ok {
		return t.(*remainders)
	}
	t := newRemainders(uint64(p))
	knownRemainders.Store(p, t)
	return t
}

func newRemainders(pol uint64) *remainders {
	var t remainders
	for i := range t {
		for b := range t[i] {
			h := uint64(b)
			for range 8 * (len(t) - 1 - i) {
				h <<= 1
				if h>>53 != 0 {
					h ^= pol
				}
			}
			t[i][b] = h
		}
	}
	return &t
}
