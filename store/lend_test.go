package store_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"keepsake/store"
	"keepsake/store/storetest"
)

// mixed is a file of everything that loans are made of: raw and compressed
// chunks, short last blocks, holes, and a content list of several leaves.
func mixed() *document {
	var b []byte
	for i := range uint64(24) {
		b = append(b, noise(i, 70<<10)...)
		b = append(b, make([]byte, 140<<10)...)
		b = append(b, bytes.Repeat([]byte{byte(i), 1, 2, 3}, 35<<9)...)
	}
	return &document{data: b, chunk: 70 << 10}
}

func openMixed(t *testing.T, cache int64) (*store.Repository, *store.File, []byte) {
	t.Helper()
	place := storetest.New(t)
	place.Cache = cache
	r := place.Open(t)
	d := mixed()
	snap := keep(t, r, 1, folder{"mixed": d})
	n, err := r.Resolve(t.Context(), &snap.Root, "mixed")
	must(t, err)
	if n.List == nil {
		t.Fatal("the content list fits into the node")
	}
	f, err := r.OpenFile(n)
	must(t, err)
	return r, f, d.data
}

// lends compares a loan with what it should be.
func lends(l *store.Loan, want []byte) bool { return bytes.Equal(slices.Concat(l.Slices...), want) }

// TestLentStaysLent: readers hold loans while others push their blocks out of a
// cache that is much too small. What they were lent must stay what it was; what
// was given back is overwritten at once.
func TestLentStaysLent(t *testing.T) {
	r, f, want := openMixed(t, 300<<10)
	var reused atomic.Int64
	r.SpoilReused(&reused)
	var readers sync.WaitGroup
	for reader := range uint64(6) {
		readers.Go(func() {
			random := rand.New(rand.NewPCG(reader, 1))
			type held struct {
				*store.Loan
				off, n int
			}
			var loans []held
			check := func(l held) {
				if !lends(l.Loan, want[l.off:l.off+l.n]) {
					t.Errorf("what was lent from %d to %d has changed", l.off, l.off+l.n)
				}
				l.Return()
			}
			for range 150 {
				off := random.IntN(len(want))
				n := random.IntN(min(len(want)-off, 300<<10)) + 1
				l := f.LendHeld(int64(off), int64(n))
				if l == nil {
					var err error
					if l, err = f.Lend(t.Context(), int64(off), int64(n)); err != nil {
						t.Error(err)
						return
					}
				}
				if loans = append(loans, held{l, off, n}); len(loans) > 4 {
					check(loans[0])
					loans = loans[1:]
				}
			}
			for _, l := range loans {
				check(l)
			}
		})
	}
	readers.Wait()
	if reused.Load() < 100 {
		t.Errorf("memory was used again only %d times: nothing was shown", reused.Load())
	}
}

// TestLendHeld: what is in memory is lent without reading, the rest is not.
func TestLendHeld(t *testing.T) {
	_, f, want := openMixed(t, 4<<20)
	if f.LendHeld(0, 10) != nil {
		t.Error("something was lent before anything was read")
	}
	must(t, f.Load(t.Context(), 100_000, 300_000))
	// The last begins in the middle of a block of noise, the others in a hole.
	for _, off := range []int64{100_000, 140_000, 150_001, 300_001} {
		l := f.LendHeld(off, 400_000-off)
		if l == nil || !lends(l, want[off:400_000]) {
			t.Fatalf("what was loaded is not lent from %d on", off)
		}
		l.Return()
	}
	if f.LendHeld(100_000, 2<<20) != nil {
		t.Error("more was lent than had been read")
	}
}

// TestChunkThatMoved: a place that was remembered, and is wrong by now, costs
// another look at the index and no more.
func TestChunkThatMoved(t *testing.T) {
	r, f, want := openMixed(t, 0)
	for _, block := range []int{0, 1} {
		l, err := f.Lend(t.Context(), int64(block)<<16, 6000)
		if err != nil || !lends(l, want[block<<16:][:6000]) {
			t.Fatalf("block %d: %v", block, err)
		}
		f.Misplace()
	}
	r.SetCache(1) // nothing is there any more
	if err := f.Load(t.Context(), 0, 1000); err != nil {
		t.Error(err)
	}
}
