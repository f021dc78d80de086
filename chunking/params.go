package chunking

import "fmt"

const (
	// MaxChunk is the length in bytes that no chunk exceeds, whatever the
	// parameters.
	MaxChunk = 8 * mib

	kib = 1 << 10
	mib = 1 << 20

	// windowSize is the number of bytes a fingerprint covers.
	windowSize = 64

	// maxBits keeps a grade's spacing of candidates meaningful: with more
	// bits than this practically every chunk of MaxChunk ends by force.
	maxBits = 26

	// maxHead bounds the head, so that a file is mostly cut coarsely.
	maxHead = 1 << 30
)

// Grade says how finely to cut.
type Grade struct {
	Min  uint32 // bytes; no chunk is shorter, except the last of a reader
	Max  uint32 // bytes; a chunk that reaches it ends there
	Bits uint8  // zero bits in a candidate's fingerprint: one every 1<<Bits bytes
}

// Params are a repository's chunking parameters. They belong to its format: two
// writers with different Params share no chunks.
type Params struct {
	Polynomial Polynomial
	Head       int64 // bytes; a chunk that starts before this offset is cut with Fine
	Fine       Grade // heads of files, and all of page-edited files
	Coarse     Grade // the rest
}

// Default returns the parameters of a new repository with polynomial p.
//
// The fine grade makes a 6 MB photo whose metadata was rewritten cost about
// 0.16 MiB on average: at most 0.5 MiB for some 96 in 100, whole coarse chunks
// for the rest, which is to be expected where the change moves the end of the
// head. Its maximum is far above its average, as forced cuts do not move along
// with content. The coarse grade keeps the number of chunks, and so the size of
// the index, near one per 2 MiB of large files. FORMAT.md holds the measurements.
func Default(p Polynomial) Params {
	return Params{
		Polynomial: p,
		Head:       256 * kib,
		Fine:       Grade{Min: 16 * kib, Max: 512 * kib, Bits: 16},
		Coarse:     Grade{Min: 1 * mib, Max: MaxChunk, Bits: 20},
	}
}

// Validate reports whether p can be used, with an error that wraps [ErrParams]
// and does not reveal the polynomial.
func (p Params) Validate() error {
	if !p.Polynomial.irreducible() {
		return fmt.Errorf("%w: polynomial is not irreducible of degree %d", ErrParams, polynomialDegree)
	}
	if p.Head < 0 || p.Head > maxHead {
		return fmt.Errorf("%w: head of %d bytes is not between 0 and %d", ErrParams, p.Head, maxHead)
	}
	if err := p.Fine.validate(); err != nil {
		return fmt.Errorf("%w: fine grade: %w", ErrParams, err)
	}
	if err := p.Coarse.validate(); err != nil {
		return fmt.Errorf("%w: coarse grade: %w", ErrParams, err)
	}
	// The cutter skips the previous chunk's grade's minimum after a cut, so a
	// following grade may only be coarser.
	if p.Coarse.Min < p.Fine.Min {
		return fmt.Errorf("%w: coarse minimum %d is below fine minimum %d", ErrParams, p.Coarse.Min, p.Fine.Min)
	}
	return nil
}

func (g Grade) validate() error {
	switch {
	case g.Min < windowSize:
		return fmt.Errorf("minimum of %d bytes is below the window of %d", g.Min, windowSize)
	case g.Max < g.Min:
		return fmt.Errorf("maximum of %d bytes is below the minimum of %d", g.Max, g.Min)
	case g.Max > MaxChunk:
		return fmt.Errorf("maximum of %d bytes exceeds %d", g.Max, MaxChunk)
	case g.Bits < 1 || g.Bits > maxBits:
		return fmt.Errorf("%d bits are not between 1 and %d", g.Bits, maxBits)
	}
	return nil
}

// gradeAt returns the grade of a chunk that starts at offset.
func (p Params) gradeAt(offset int64, fineThroughout bool) Grade {
	if fineThroughout || offset < p.Head {
		return p.Fine
	}
	return p.Coarse
}
