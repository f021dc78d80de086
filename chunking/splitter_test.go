package chunking_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"keepsake/chunking"
)

// fixed is the polynomial of all vectors.
const fixed = chunking.Polynomial(0x3DA3358B4DC173)

// small is cheap enough for the bitwise reference while exercising both grades,
// forced cuts and short ends. Its minima, maxima and head are no multiples of
// one another.
var small = chunking.Params{
	Polynomial: fixed,
	Head:       3000,
	Fine:       chunking.Grade{Min: 64, Max: 700, Bits: 7},
	Coarse:     chunking.Grade{Min: 500, Max: 2900, Bits: 10},
}

func seeded(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
	_, _ = r.Read(b)
	return b
}

// lumpy mixes random bytes, zeros and repetitions.
func lumpy(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b []byte
	for len(b) < n {
		m := 1 + r.IntN(6000)
		switch r.IntN(4) {
		case 0:
			b = append(b, make([]byte, m)...)
		case 1:
			b = append(b, bytes.Repeat([]byte{byte(r.Uint32()), byte(r.Uint32()), 7}, m/3)...)
		default:
			b = append(b, seeded(r.Uint64(), m)...)
		}
	}
	return b[:n]
}

func newSplitter(t testing.TB, p chunking.Params) *chunking.Splitter {
	t.Helper()
	s, err := chunking.New(p)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// split reads s to its end, and returns the ends of the chunks and their bytes.
func split(t testing.TB, s *chunking.Splitter) (ends []int, all []byte) {
	t.Helper()
	return splitInto(t, s, make([]byte, 0, chunking.MaxChunk))
}

func splitInto(t testing.TB, s *chunking.Splitter, buf []byte) (ends []int, all []byte) {
	t.Helper()
	for {
		data, err := s.Next(buf)
		if err == io.EOF {
			if data != nil {
				t.Fatalf("%d bytes came with io.EOF", len(data))
			}
			return ends, all
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(data) == 0 {
			t.Fatal("empty chunk")
		}
		if &data[0] != &buf[:1][0] {
			t.Fatal("chunk was not written into the buffer")
		}
		all = append(all, data...)
		ends = append(ends, len(all))
	}
}

// raggedReader reads random lengths, now and then none, and sometimes gives the
// last bytes together with io.EOF.
type raggedReader struct {
	data []byte
	rng  *rand.Rand
	most int
}

func (r *raggedReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), r.rng.IntN(r.most+1))], r.data)
	r.data = r.data[n:]
	if len(r.data) == 0 && r.rng.IntN(2) == 0 {
		return n, io.EOF
	}
	return n, nil
}

func ragged(data []byte, seed uint64, most int) io.Reader {
	return &raggedReader{data: data, rng: rand.New(rand.NewPCG(seed, 2)), most: most}
}

func readers(data []byte) map[string]io.Reader {
	return map[string]io.Reader{
		"whole":      bytes.NewReader(data),
		"one byte":   iotest.OneByteReader(bytes.NewReader(data)),
		"half":       iotest.HalfReader(bytes.NewReader(data)),
		"data error": iotest.DataErrReader(bytes.NewReader(data)),
		"short":      ragged(data, 1, 70),
		"long":       ragged(data, 2, 600<<10),
	}
}

func TestCutsMatchDefinition(t *testing.T) {
	inputs := map[string][]byte{
		"empty": nil, "one byte": {1}, "window": seeded(1, 64), "window and one": seeded(1, 65),
		"zeros": make([]byte, 40_000), "random": seeded(2, 100_000), "lumpy": lumpy(3, 100_000),
		"beyond one read": lumpy(4, 530_000),
		"below minimum":   seeded(5, 63), "at maximum": bytes.Repeat([]byte{1, 2, 3}, 700/3+1)[:700],
	}
	s := newSplitter(t, small)
	for name, data := range inputs {
		for _, offset := range []int64{0, 2000, 2999, 3000, 1 << 40} {
			if len(data) > 200_000 && offset != 0 {
				continue // the reference is slow
			}
			for _, fine := range []bool{false, true} {
				want := reference(small, data, offset, fine)
				for kind, r := range readers(data) {
					s.Reset(r, offset, fine)
					got, all := split(t, s)
					id := fmt.Sprintf("%s, offset %d, fine %t, %s reads", name, offset, fine, kind)
					if !bytes.Equal(all, data) {
						t.Fatalf("%s: chunks differ from the data", id)
					}
					if !slices.Equal(got, want) {
						t.Fatalf("%s: cuts at %v, want %v", id, got, want)
					}
				}
			}
		}
	}
}

func TestDefaultMatchesDefinition(t *testing.T) {
	p := chunking.Default(fixed)
	data := append(lumpy(9, 400<<10), seeded(9, 2<<20)...)
	s := newSplitter(t, p)
	for _, fine := range []bool{false, true} {
		want := reference(p, data, 0, fine)
		s.Reset(ragged(data, 3, 100<<10), 0, fine)
		if got, _ := split(t, s); !slices.Equal(got, want) {
			t.Fatalf("fine %t: cuts at %v, want %v", fine, got, want)
		}
	}
}

// TestGradeFollowsStart shows that the head governs where chunks start: one that
// starts just inside it stays fine although it ends outside.
func TestGradeFollowsStart(t *testing.T) {
	p := small
	p.Fine.Bits, p.Coarse.Bits = 26, 26 // no candidates in this data: cuts are forced
	p.Head = 1401
	data := seeded(6, 10_000)
	s := newSplitter(t, p)
	for _, tt := range []struct {
		offset int64
		want   []int
	}{
		{0, []int{700, 1400, 2100, 5000, 7900, 10_000}},
		{1, []int{700, 1400, 4300, 7200, 10_000}},
		{1400, []int{700, 3600, 6500, 9400, 10_000}},
		{1401, []int{2900, 5800, 8700, 10_000}},
	} {
		s.Reset(bytes.NewReader(data), tt.offset, false)
		if got, _ := split(t, s); !slices.Equal(got, tt.want) {
			t.Errorf("offset %d: cuts at %v, want %v", tt.offset, got, tt.want)
		}
	}
}

func TestInsertionMovesCutsAlong(t *testing.T) {
	data := seeded(8, 400_000)
	s := newSplitter(t, small)
	s.Reset(bytes.NewReader(data), 0, false)
	before, _ := split(t, s)
	const inserted = 333
	s.Reset(bytes.NewReader(append(seeded(88, inserted), data...)), 0, false)
	after, _ := split(t, s)
	kept := 0
	for _, e := range before {
		if slices.Contains(after, e+inserted) {
			kept++
		}
	}
	if kept < len(before)*9/10 {
		t.Fatalf("%d of %d cuts survived an insertion at the head", kept, len(before))
	}
}

func TestReaderErrors(t *testing.T) {
	lost := errors.New("disk lost")
	data := seeded(10, 1_200_000)
	for _, cause := range []error{lost, io.ErrUnexpectedEOF, fmt.Errorf("no: %w", io.EOF), io.ErrNoProgress} {
		for _, at := range []int{0, 1, 63, 5000, 512 << 10, 512<<10 + 1, len(data)} {
			for _, with := range []bool{false, true} {
				r := io.MultiReader(bytes.NewReader(data[:at]), iotest.ErrReader(cause))
				if with {
					r = &errorWithData{data: data[:at], err: cause}
				}
				s := newSplitter(t, small)
				s.Reset(r, 0, false)
				var all []byte
				var err error
				for err == nil {
					var chunk []byte
					chunk, err = s.Next(nil)
					all = append(all, chunk...)
				}
				if err != cause {
					t.Fatalf("error %q at %d: got %v", cause, at, err)
				}
				if !bytes.HasPrefix(data[:at], all) {
					t.Fatalf("error at %d: the chunks before it differ from the data", at)
				}
				if _, again := s.Next(nil); again != cause {
					t.Fatalf("error at %d: then %v", at, again)
				}
			}
		}
	}
}

// errorWithData returns its error together with its last bytes, and an end
// after that.
type errorWithData struct {
	data []byte
	err  error
}

func (r *errorWithData) Read(p []byte) (int, error) {
	n := copy(p, r.data)
	r.data = r.data[n:]
	if len(r.data) > 0 {
		return n, nil
	}
	err := r.err
	r.err = io.EOF
	return n, err
}

type idleReader struct{}

func (idleReader) Read([]byte) (int, error) { return 0, nil }

func TestIdleReader(t *testing.T) {
	s := newSplitter(t, small)
	s.Reset(io.MultiReader(bytes.NewReader(seeded(1, 100)), idleReader{}), 0, false)
	if _, err := s.Next(nil); err != io.ErrNoProgress {
		t.Fatalf("got %v, want io.ErrNoProgress", err)
	}
}

// growing yields more bytes after it has reported its end.
type growing struct{ reads int }

func (g *growing) Read(p []byte) (int, error) {
	g.reads++
	if g.reads == 2 {
		return 0, io.EOF
	}
	return copy(p, "0123456789"), nil
}

func TestFirstEndIsFinal(t *testing.T) {
	s := newSplitter(t, small)
	g := &growing{}
	s.Reset(g, 0, false)
	if _, all := split(t, s); string(all) != "0123456789" {
		t.Fatalf("got %q", all)
	}
	if _, err := s.Next(nil); err != io.EOF {
		t.Fatalf("after the end: %v", err)
	}
	if g.reads != 2 {
		t.Fatalf("%d reads, want none after the end", g.reads)
	}
}

func TestResetInMiddle(t *testing.T) {
	data := lumpy(11, 100_000)
	want := reference(small, data, 0, false)
	s := newSplitter(t, small)
	if _, err := s.Next(nil); err != io.EOF {
		t.Fatalf("before the first reset: %v", err)
	}
	for _, r := range []io.Reader{bytes.NewReader(seeded(1, 1<<20)), iotest.ErrReader(io.ErrUnexpectedEOF)} {
		s.Reset(r, 1<<30, false)
		_, _ = s.Next(nil)
		s.Reset(bytes.NewReader(data), 0, false)
		if got, _ := split(t, s); !slices.Equal(got, want) {
			t.Fatalf("after a reset: cuts at %v, want %v", got, want)
		}
	}
}

func TestGrowsSmallBuffer(t *testing.T) {
	data := seeded(12, 50_000)
	s := newSplitter(t, small)
	s.Reset(bytes.NewReader(data), 0, false)
	var all []byte
	buf := make([]byte, 3, 10)
	for {
		chunk, err := s.Next(buf)
		if err == io.EOF {
			break
		}
		all = append(all, chunk...)
	}
	if !bytes.Equal(all, data) {
		t.Fatal("chunks differ from the data")
	}
}

func TestNoAllocation(t *testing.T) {
	s := newSplitter(t, chunking.Default(fixed))
	data := seeded(13, 4<<20)
	buf := make([]byte, 0, chunking.MaxChunk)
	r := bytes.NewReader(data)
	n := testing.AllocsPerRun(5, func() {
		r.Reset(data)
		s.Reset(r, 0, false)
		for {
			if _, err := s.Next(buf); err != nil {
				return
			}
		}
	})
	if n != 0 {
		t.Fatalf("%v allocations per file, want none", n)
	}
}
