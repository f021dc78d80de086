package guard

import "math"

const (
	// SampleSize bounds how much of a file is sampled: enough to tell random
	// bytes from compressed film grain, little beside reading the file.
	SampleSize = 256 << 10
	// leastSample is how much tells anything: fewer bytes than there are values
	// look random whatever they are.
	leastSample = 512
	// piece is what one stretch of a file adds at most.
	piece = 16 << 10
)

// Sample counts the bytes of a file here and there. The zero Sample is empty.
type Sample struct {
	counts [256]uint32
	n      int
}

// Add takes the middle of a stretch into the sample: beginnings are headers,
// which say little of the rest.
func (s *Sample) Add(stretch []byte) {
	n := min(len(stretch), piece, SampleSize-s.n)
	if n <= 0 {
		return
	}
	from := (len(stretch) - n) / 2
	for _, b := range stretch[from : from+n] {
		s.counts[b]++
	}
	s.n += n
}

// Reset empties the sample.
func (s *Sample) Reset() { *s = Sample{} }

// Random reports whether the sample cannot be told from random bytes. The
// entropy of n random bytes falls short of 8 bits by about 255/(2n·ln 2), since
// not every value comes equally often, give or take. Well-compressed data are as random;
// that is why only kinds that are not compressed are asked.
func (s *Sample) Random() bool {
	if s.n < leastSample {
		return false
	}
	var sum float64
	for _, c := range s.counts {
		if c > 0 {
			sum += float64(c) * math.Log2(float64(c))
		}
	}
	n := float64(s.n)
	entropy := math.Log2(n) - sum/n
	bias := 255 / (2 * n * math.Ln2)
	return entropy > 8-1.5*bias-0.03
}
