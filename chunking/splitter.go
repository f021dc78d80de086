package chunking

import (
	"io"

	"github.com/restic/chunker"
)

// Splitter cuts what a reader yields into chunks. It is reusable by Reset,
// holds a read buffer of 512 KiB, and serves one goroutine at a time.
type Splitter struct {
	params Params
	cut    *chunker.Chunker
	in     input
	offset int64 // where the next chunk starts
	fine   bool
	grade  Grade // what cut is set to
}

// New returns a Splitter for p, or an error that wraps [ErrParams]. Until its
// first Reset it yields io.EOF.
func New(p Params) (*Splitter, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	s := &Splitter{params: p, in: input{err: io.EOF}}
	s.cut = chunker.NewWithBoundaries(&s.in, chunker.Pol(p.Polynomial), uint(p.Fine.Min), uint(p.Fine.Max))
	s.use(p.Fine)
	return s, nil
}

// Reset starts a new stretch of data, read from r, whose first byte lies at
// offset of its file; a chunk starts there. With fineThroughout the fine grade
// is used at every offset. The Splitter reads r only within Next, lets go of it
// at its end or first error, and never closes it.
func (s *Splitter) Reset(r io.Reader, offset int64, fineThroughout bool) {
	s.in = input{r: r}
	s.offset = offset
	s.fine = fineThroughout
	g := s.params.gradeAt(offset, fineThroughout)
	s.cut.ResetWithBoundaries(&s.in, chunker.Pol(s.params.Polynomial), uint(g.Min), uint(g.Max))
	s.use(g)
}

// Next returns the next chunk, written from the start of buf: data shares buf's
// memory where cap(buf) suffices, as it always does at [MaxChunk]; otherwise
// data is newly allocated. At the end of the reader it returns io.EOF alone.
//
// Any other error is the reader's own, or io.ErrNoProgress of a reader that
// yields neither bytes nor errors. The chunk in progress is lost, and chunks
// shortly before the error may be lost too. Every call after an end or an
// error returns the same.
func (s *Splitter) Next(buf []byte) (data []byte, err error) {
	if g := s.params.gradeAt(s.offset, s.fine); g != s.grade {
		s.use(g)
	}
	c, err := s.cut.Next(buf)
	if err == nil {
		s.offset += int64(len(c.Data))
		return c.Data, nil
	}
	if s.in.err != nil {
		return nil, s.in.err
	}
	return nil, err
}

// use sets the grade of the chunk about to start. The cutter has by then chosen
// how many bytes to pass over unseen, from the grade before; that is at most
// g.Min, and so changes no cut.
func (s *Splitter) use(g Grade) {
	s.cut.MinSize = uint(g.Min)
	s.cut.MaxSize = uint(g.Max)
	s.cut.SetAverageBits(int(g.Bits))
	s.grade = g
}

// maxEmptyReads is how many reads in a row may yield nothing.
const maxEmptyReads = 100

// input makes a reader's first end or error final, and keeps errors from being
// mistaken for an end: the cutter takes io.ErrUnexpectedEOF for one.
type input struct {
	r     io.Reader
	err   error
	empty int
}

func (in *input) Read(p []byte) (int, error) {
	if in.err != nil {
		return 0, in.visible()
	}
	n, err := in.r.Read(p)
	if n > 0 {
		in.empty = 0
	} else if err == nil {
		in.empty++
		if in.empty >= maxEmptyReads {
			err = io.ErrNoProgress
		}
	}
	if err != nil {
		in.err, in.r = err, nil
		return n, in.visible()
	}
	return n, nil
}

func (in *input) visible() error {
	if in.err == io.EOF {
		return io.EOF
	}
	return errRead
}
