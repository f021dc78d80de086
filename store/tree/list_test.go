package tree_test

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"keepsake/crypto"
	"keepsake/store/tree"
)

func film(n int) []tree.Extent {
	rng := rand.New(rand.NewPCG(3, 4))
	extents := make([]tree.Extent, n)
	for i := range extents {
		extents[i] = extent("film", i, 1+rng.Uint64N(tree.MaxChunk))
		if i%500 == 7 {
			extents[i] = hole(1 + rng.Uint64N(1<<33))
		}
	}
	return extents
}

func spans(t testing.TB, c *chunks, n *tree.Node, from uint64) (got []tree.Span) {
	t.Helper()
	for s, err := range tree.Extents(t.Context(), c.fetch, n, from) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, s)
	}
	return got
}

// linear is what Extents must yield.
func linear(extents []tree.Extent, from uint64) (want []tree.Span) {
	var off uint64
	for _, e := range extents {
		if off+e.Length > from {
			want = append(want, tree.Span{Offset: off, Extent: e})
		}
		off += e.Length
	}
	return want
}

func TestLists(t *testing.T) {
	cuts := map[string]func(int, crypto.ChunkID) bool{
		"hash": cutChunk, "never": neverChunk, "always": func(int, crypto.ChunkID) bool { return true },
	}
	for name, cut := range cuts {
		for _, n := range []int{0, 1, 63, 64, 65, 128, 1023, 1024, 1025, 10000} {
			c := newChunks()
			extents := film(n)
			node := buildList(t, c, cut, extents)
			if inline := n <= tree.MaxInline; inline != (node.List == nil) || inline != (c.puts == 0) {
				t.Errorf("%s, %d: list %v, %d chunks", name, n, node.List, c.puts)
			}
			if got := spans(t, c, node, 0); !slices.Equal(got, linear(extents, 0)) {
				t.Errorf("%s, %d: %d extents", name, n, len(got))
			}
			small := 0
			for _, b := range c.m {
				l, err := tree.DecodeList(b)
				if err != nil {
					t.Fatal(err)
				}
				if k := len(l.Extents) + len(l.Children); k > tree.MaxListEntries {
					t.Errorf("%s, %d: list chunk of %d entries", name, n, k)
				} else if k < tree.MinListEntries {
					small++
				}
			}
			if small > 3 { // at most the last of each level
				t.Errorf("%s, %d: %d small list chunks", name, n, small)
			}
		}
	}
}

func TestSeekEqualsLinearSum(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, n := range []int{5, 64, 3000} {
		c := newChunks()
		extents := film(n)
		node := buildList(t, c, cutChunk, extents)
		offsets := []uint64{0, node.Size - 1, node.Size, node.Size + 1, math.MaxUint64}
		for _, s := range linear(extents, 0) {
			if rng.IntN(n) < 40 {
				offsets = append(offsets, s.Offset, s.End()-1, s.End(), s.Offset+rng.Uint64N(s.Length))
			}
		}
		for _, off := range offsets {
			if got, want := spans(t, c, node, off), linear(extents, off); off < node.Size && !slices.Equal(got, want) || off >= node.Size && len(got) > 0 {
				t.Fatalf("%d extents, offset %d: %d spans, want %d", n, off, len(got), len(want))
			}
		}
	}
}

func TestSeekFetchesOnlyItsWayInLists(t *testing.T) {
	c := newChunks()
	node := buildList(t, c, cutChunk, film(100000))
	c.fetches = 0
	for range tree.Extents(t.Context(), c.fetch, node, node.Size/2) {
		break
	}
	if c.fetches > 3 {
		t.Errorf("%d list chunks fetched", c.fetches)
	}
}

// TestExtentsAround: from anywhere in the file its extent is found, in the leaf that holds it, by one list chunk of each level.
func TestExtentsAround(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, n := range []int{5, 64, 65, 3000, 100000} {
		c := newChunks()
		extents := film(n)
		all := linear(extents, 0)
		node := buildList(t, c, cutChunk, extents)
		for i := range 200 {
			s := all[rng.IntN(n)]
			if i < 2 {
				s = all[i*(n-1)]
			}
			for _, off := range []uint64{s.Offset, s.End() - 1} {
				c.fetches = 0
				got, err := tree.ExtentsAround(t.Context(), c.fetch, node, off)
				if err != nil || c.fetches > 3 || !slices.Contains(got, s) {
					t.Fatalf("%d extents, offset %d: %d spans of %d list chunks, %v", n, off, len(got), c.fetches, err)
				}
				if from := slices.Index(all, got[0]); !slices.Equal(got, all[from:from+len(got)]) {
					t.Fatalf("%d extents, offset %d: not a part of the file", n, off)
				}
			}
		}
		if got, err := tree.ExtentsAround(t.Context(), c.fetch, node, node.Size); err != nil || len(got) > 0 {
			t.Errorf("after the end: %d spans, %v", len(got), err)
		}
	}
}

// Tags written into the head of a long film shift everything, and rewrite kilobytes of its list.
func TestInsertionAtTheHead(t *testing.T) {
	c := newChunks()
	extents := film(100000)
	buildList(t, c, cutChunk, extents)
	for name, edited := range map[string][]tree.Extent{
		"inserted": append([]tree.Extent{extent("new", 0, 5000)}, extents...),
		"replaced": append([]tree.Extent{extent("new", 0, 5000), extent("new", 1, 70000)}, extents[1:]...),
		"middle":   slices.Insert(slices.Clone(extents), 50000, extent("new", 0, 9)),
	} {
		after := newChunks()
		buildList(t, after, cutChunk, edited)
		bytes := 0
		for id, b := range after.m {
			if c.m[id] == nil {
				bytes += len(b)
			}
		}
		if n := after.fresh(c); n > 6 || bytes > 120<<10 {
			t.Errorf("%s: %d of %d list chunks are new, %d bytes", name, n, len(after.m), bytes)
		}
	}
}

func TestListBuilderRefusesAndStartsAfresh(t *testing.T) {
	tests := map[string]struct {
		extents []tree.Extent
		want    error
	}{
		"empty":      {[]tree.Extent{{}}, tree.ErrInvalid},
		"large":      {[]tree.Extent{extent("x", 0, tree.MaxChunk+1)}, tree.ErrLimit},
		"overflow":   {[]tree.Extent{hole(math.MaxInt64), hole(1)}, tree.ErrLimit},
		"wide hole":  {[]tree.Extent{hole(1 << 63)}, tree.ErrLimit},
		"named hole": {[]tree.Extent{{Length: 1, Hole: true, Chunk: chunkID("x", 0)}}, tree.ErrInvalid},
	}
	c := newChunks()
	b := tree.NewListBuilder(cutChunk, c.put)
	extents := film(3000)
	want := buildList(t, c, cutChunk, extents)
	for name, test := range tests {
		var err error
		for _, e := range test.extents {
			err = b.Add(e)
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, _, err := b.Finish(); !errors.Is(err, test.want) {
			t.Errorf("%s: finished with %v", name, err)
		}
		for _, e := range extents {
			if err := b.Add(e); err != nil {
				t.Fatal(err)
			}
		}
		if _, list, err := b.Finish(); err != nil || *list != *want.List {
			t.Errorf("after %s: %v, %v; want %v", name, list, err, want.List)
		}
	}
}

func TestVisitLists(t *testing.T) {
	c := newChunks()
	node := buildList(t, c, cutChunk, film(5000))
	entered, entries := 0, 0
	err := tree.VisitLists(t.Context(), c.fetch, node.List,
		func(crypto.ChunkID) bool { entered++; return true },
		func(l tree.ExtentList) error { entries += len(l); return nil })
	if err != nil || entries != 5000 || entered != len(c.m) {
		t.Errorf("%d entries, %d of %d chunks, %v", entries, entered, len(c.m), err)
	}
}
