package tree_test

import (
	"context"
	"encoding/hex"
	"errors"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"keepsake/crypto"
	"keepsake/store/tree"
)

func marshal(t testing.TB, v marshaler) []byte {
	t.Helper()
	b, err := v.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (c *chunks) add(t testing.TB, v marshaler) crypto.ChunkID {
	t.Helper()
	id, _ := c.put(marshal(t, v))
	return id
}

func walkError(fetch tree.Fetch, root crypto.ChunkID) (n int, err error) {
	for _, e := range tree.Entries(context.Background(), fetch, root) {
		if e != nil {
			return n, e
		}
		if n++; n > 1e6 {
			return n, errors.New("endless")
		}
	}
	return n, nil
}

func leaf(names ...string) *tree.Page {
	p := &tree.Page{}
	for _, n := range names {
		p.Nodes = append(p.Nodes, *plain(n))
	}
	return p
}

func TestPagesThatDoNotFit(t *testing.T) {
	c := newChunks()
	ab, cd := c.add(t, leaf("a", "b")), c.add(t, leaf("c", "d"))
	none := c.add(t, leaf())
	child := func(last string, id crypto.ChunkID, n uint64) tree.Child {
		return tree.Child{Last: []byte(last), Chunk: id, Entries: n}
	}
	inner := func(level int, cs ...tree.Child) *tree.Page { return &tree.Page{Level: level, Children: cs} }
	one := c.add(t, inner(1, child("b", ab, 2)))
	tests := map[string]struct {
		page *tree.Page
		want error
	}{
		"good":            {inner(1, child("b", ab, 2), child("d", cd, 2)), nil},
		"level too low":   {inner(2, child("b", ab, 2)), tree.ErrStructure},
		"level too high":  {inner(1, child("b", one, 2)), tree.ErrStructure},
		"count":           {inner(1, child("b", ab, 3)), tree.ErrStructure},
		"inner count":     {inner(2, child("b", one, 3)), tree.ErrStructure},
		"last name":       {inner(1, child("bb", ab, 2)), tree.ErrStructure},
		"empty page":      {inner(1, child("b", none, 1)), tree.ErrStructure},
		"order":           {inner(1, child("aa", c.add(t, leaf("aa")), 1), child("b", ab, 2)), tree.ErrOrder},
		"wrong leaf":      {inner(1, child("b", ab, 2), child("d", ab, 2)), tree.ErrStructure},
		"inner last name": {inner(2, child("c", one, 2)), tree.ErrStructure},
	}
	for name, test := range tests {
		root := c.add(t, test.page)
		n, err := walkError(c.fetch, root)
		if !errors.Is(err, test.want) || test.want == nil && n != 4 {
			t.Errorf("%s: %d entries, %v", name, n, err)
		}
		visit := tree.VisitPages(t.Context(), c.fetch, root, func(crypto.ChunkID) bool { return true }, func([]tree.Node) error { return nil })
		if !errors.Is(visit, test.want) {
			t.Errorf("%s: visit: %v", name, visit)
		}
		if test.want != nil && test.want != tree.ErrOrder {
			if _, err := tree.Lookup(t.Context(), c.fetch, root, []byte("b")); !errors.Is(err, test.want) && name != "wrong leaf" {
				t.Errorf("%s: lookup: %v", name, err)
			}
		}
	}
}

// A store that answers every fetch with the same page, or list chunk, ends the walk at once.
func TestCycles(t *testing.T) {
	for level := 1; level < tree.MaxLevels; level++ {
		page := marshal(t, &tree.Page{Level: level, Children: []tree.Child{{Last: []byte("z"), Chunk: chunkID("x", 0), Entries: 5}}})
		list := marshal(t, &tree.List{Level: level, Children: []tree.ListChild{{Chunk: chunkID("x", 0), Entries: 70, Bytes: 70}}})
		fetches := 0
		same := func(b []byte) tree.Fetch {
			return func(context.Context, crypto.ChunkID) ([]byte, error) { fetches++; return b, nil }
		}
		if _, err := walkError(same(page), crypto.ChunkID{}); !errors.Is(err, tree.ErrStructure) {
			t.Errorf("pages: %v", err)
		}
		if _, err := tree.Lookup(t.Context(), same(page), crypto.ChunkID{}, []byte("a")); !errors.Is(err, tree.ErrStructure) {
			t.Errorf("lookup: %v", err)
		}
		n := &tree.Node{Type: tree.File, Size: 70, List: &tree.ListRef{Entries: 70, Bytes: 70}}
		for _, err := range tree.Extents(t.Context(), same(list), n, 0) {
			if !errors.Is(err, tree.ErrStructure) {
				t.Errorf("list: %v", err)
			}
		}
		if fetches != 6 {
			t.Errorf("%d fetches", fetches)
		}
	}
}

func TestListsThatDoNotFit(t *testing.T) {
	c := newChunks()
	l := &tree.List{}
	for i := range 70 {
		l.Extents = append(l.Extents, extent("l", i, 10))
	}
	id := c.add(t, l)
	inner := func(n, bytes uint64) crypto.ChunkID {
		return c.add(t, &tree.List{Level: 1, Children: []tree.ListChild{{Chunk: id, Entries: n, Bytes: bytes}}})
	}
	tests := map[string]struct {
		ref  tree.ListRef
		want error
	}{
		"good":          {tree.ListRef{Chunk: id, Entries: 70, Bytes: 700}, nil},
		"good inner":    {tree.ListRef{Chunk: inner(70, 700), Entries: 70, Bytes: 700}, nil},
		"bytes":         {tree.ListRef{Chunk: id, Entries: 70, Bytes: 701}, tree.ErrStructure},
		"entries":       {tree.ListRef{Chunk: id, Entries: 71, Bytes: 700}, tree.ErrStructure},
		"inner bytes":   {tree.ListRef{Chunk: inner(70, 701), Entries: 70, Bytes: 701}, tree.ErrStructure},
		"inner entries": {tree.ListRef{Chunk: inner(72, 700), Entries: 72, Bytes: 700}, tree.ErrStructure},
	}
	for name, test := range tests {
		n := &tree.Node{Type: tree.File, Size: test.ref.Bytes, List: &test.ref}
		var got error
		for _, err := range tree.Extents(t.Context(), c.fetch, n, 0) {
			got = err
		}
		if !errors.Is(got, test.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestNames(t *testing.T) {
	for _, name := range []string{"", ".", "..", "/", "a/b", "/etc", "a\x00", "\x00", strings.Repeat("x", 256)} {
		if err := tree.ValidateName([]byte(name)); !errors.Is(err, tree.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := leaf(name).Marshal(); !errors.Is(err, tree.ErrName) {
			t.Errorf("page with %q: %v", name, err)
		}
		inner := &tree.Page{Level: 1, Children: []tree.Child{{Last: []byte(name), Entries: 1}}}
		if _, err := inner.Marshal(); err == nil {
			t.Errorf("child %q accepted", name)
		}
	}
	for _, name := range []string{"a", "...", "..a", ".a", "\xff\xfe", "\n", `\`, strings.Repeat("x", 255)} {
		if err := tree.ValidateName([]byte(name)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestInvalidNodes(t *testing.T) {
	many := func(n int) (l tree.ExtentList) {
		for i := range n {
			l = append(l, extent("m", i, 1))
		}
		return l
	}
	tests := map[string]struct {
		change func(n *tree.Node)
		want   error
	}{
		"type":         {func(n *tree.Node) { n.Type = 8 }, tree.ErrInvalid},
		"mode":         {func(n *tree.Node) { n.Mode = 0o100644 }, tree.ErrInvalid},
		"nanoseconds":  {func(n *tree.Node) { n.BTime.Nsec = 1e9 }, tree.ErrInvalid},
		"size":         {func(n *tree.Node) { n.Size++ }, tree.ErrInvalid},
		"size without": {func(n *tree.Node) { n.Content = nil }, tree.ErrInvalid},
		"both":         {func(n *tree.Node) { n.List = &tree.ListRef{Entries: 65, Bytes: n.Size} }, tree.ErrInvalid},
		"short list":   {func(n *tree.Node) { n.Content, n.List = nil, &tree.ListRef{Entries: 64, Bytes: n.Size} }, tree.ErrInvalid},
		"list size":    {func(n *tree.Node) { n.Content, n.List = nil, &tree.ListRef{Entries: 65, Bytes: 1} }, tree.ErrInvalid},
		"holes":        {func(n *tree.Node) { n.Holes = 1 }, tree.ErrInvalid},
		"all holes": {func(n *tree.Node) {
			n.Content, n.List, n.Holes = nil, &tree.ListRef{Entries: 65, Bytes: n.Size}, n.Size+1
		}, tree.ErrInvalid},
		"long content": {func(n *tree.Node) { n.Content, n.Size = many(65), 65 }, tree.ErrLimit},
		"overflow": {func(n *tree.Node) {
			n.Content = tree.ExtentList{hole(math.MaxInt64), hole(math.MaxInt64), hole(2)}
			n.Size = 0
		}, tree.ErrLimit},
		"empty extent":      {func(n *tree.Node) { n.Content = append(n.Content, hole(0)) }, tree.ErrInvalid},
		"device number":     {func(n *tree.Node) { n.Rdev.Minor = 1 }, tree.ErrInvalid},
		"target":            {func(n *tree.Node) { n.Target = []byte("x") }, tree.ErrInvalid},
		"entries":           {func(n *tree.Node) { n.Entries = 1 }, tree.ErrInvalid},
		"xattr order":       {func(n *tree.Node) { slices.Reverse(n.Xattrs) }, tree.ErrOrder},
		"xattr name":        {func(n *tree.Node) { n.Xattrs[0].Name = nil }, tree.ErrName},
		"xattr long":        {func(n *tree.Node) { n.Xattrs[2].Value = make([]byte, 4097) }, tree.ErrLimit},
		"xattr short chunk": {func(n *tree.Node) { n.Xattrs[0].Large = many(1) }, tree.ErrInvalid},
		"xattr hole":        {func(n *tree.Node) { n.Xattrs[0].Large = tree.ExtentList{hole(9000)} }, tree.ErrInvalid},
		"xattr twice":       {func(n *tree.Node) { n.Xattrs[0].Value = []byte("x") }, tree.ErrInvalid},
		"digest order":      {func(n *tree.Node) { n.Digests = append(n.Digests, n.Digests[0]) }, tree.ErrOrder},
		"digest empty":      {func(n *tree.Node) { n.Digests[0].Sum = nil }, tree.ErrLimit},
		"owner":             {func(n *tree.Node) { n.User = "\xff" }, tree.ErrInvalid},
		"extra even":        {func(n *tree.Node) { n.Extra = tree.Extra{{Key: 30, Value: []byte{0}}} }, tree.ErrInvalid},
		"extra known":       {func(n *tree.Node) { n.Extra = tree.Extra{{Key: 1, Value: []byte{0}}} }, tree.ErrInvalid},
		"extra order":       {func(n *tree.Node) { n.Extra = tree.Extra{{Key: 35, Value: []byte{0}}, {Key: 33, Value: []byte{0}}} }, tree.ErrOrder},
		"extra map order":   {func(n *tree.Node) { n.Extra = tree.Extra{{Key: 33, Value: []byte{0xa2, 2, 0, 1, 0}}} }, tree.ErrEncoding},
		"extra map twice":   {func(n *tree.Node) { n.Extra = tree.Extra{{Key: 33, Value: []byte{0xa2, 1, 0, 1, 0}}} }, tree.ErrEncoding},
		"extra float":       {func(n *tree.Node) { n.Extra = tree.Extra{{Key: 33, Value: []byte{0xf9, 0, 0}}} }, tree.ErrEncoding},
		"extra null":        {func(n *tree.Node) { n.Extra = tree.Extra{{Key: 33, Value: []byte{0xf6}}} }, tree.ErrEncoding},
		"extra tag":         {func(n *tree.Node) { n.Extra = tree.Extra{{Key: 33, Value: []byte{0xc0, 0x60}}} }, tree.ErrEncoding},
		"extra indefinite":  {func(n *tree.Node) { n.Extra = tree.Extra{{Key: 33, Value: []byte{0x9f, 0xff}}} }, tree.ErrEncoding},
		"extra bytes":       {func(n *tree.Node) { n.Extra = tree.Extra{{Key: 33, Value: []byte{0, 0}}} }, tree.ErrEncoding},
		"dir size":          {func(n *tree.Node) { *n = sampleRoot(); n.Size = 4096 }, tree.ErrInvalid},
		"dir without pages": {func(n *tree.Node) { *n = sampleRoot(); n.Pages = crypto.ChunkID{} }, tree.ErrInvalid},
		"link without":      {func(n *tree.Node) { *n = tree.Node{Type: tree.Symlink} }, tree.ErrInvalid},
	}
	for name, test := range tests {
		n := sampleNodes()["file"]
		if _, err := n.Marshal(); err != nil {
			t.Fatal(err)
		}
		test.change(n)
		b, err := n.Append([]byte("before"))
		if !errors.Is(err, test.want) || string(b) != "before" {
			t.Errorf("%s: %v, %q", name, err, b)
		}
	}
}

// Claims of many entries in few bytes are refused before anything is allocated for them.
func TestClaims(t *testing.T) {
	for name, test := range map[string]struct {
		v   marshaler
		hex string
	}{
		"nodes":          {&tree.Page{}, "a20000029a000f4240a0a0"},
		"nodes at limit": {&tree.Page{}, "a20000029901000080"},
		"children":       {&tree.Page{}, "a20001049a000f424040"},
		"extents":        {&tree.List{}, "a20000029a000f424001"},
		"list children":  {&tree.List{}, "a20001049a000f424001"},
		"content":        {&tree.Node{}, "a102010e9a000f4240"},
		"pairs":          {&tree.Node{}, "ba000f42400000"},
		"name":           {&tree.Node{}, "a1005b00000001000000"},
		"xattrs":         {&tree.Node{}, "a118189a000f424041"},
		"digests":        {&tree.Node{}, "a117ba000f4240"},
		"extra":          {&tree.Node{}, "a1181f9bffffffffffffffff"},
		"deep":           {&tree.Node{}, "a20201181f" + strings.Repeat("81", 5000) + "00"},
		"heads":          {&tree.Snapshot{}, "a1019a000f4240"},
		"packs":          {&tree.Catalog{}, "a1049b7fffffffffffffff"},
		"condemned":      {&tree.Condemned{}, "a1089a000f424040"},
	} {
		b, err := hex.DecodeString(test.hex)
		if err != nil {
			t.Fatal(name, err)
		}
		if _, err := parse(test.v, b); !classified(err) {
			t.Errorf("%s: %v", name, err)
		}
		if n := allocated(5, func() { _, _ = parse(test.v, b) }); n > 64<<10 {
			t.Errorf("%s: %d bytes allocated", name, n)
		}
	}
}

// allocated returns the bytes that f allocates, the least of so many runs.
func allocated(runs int, f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range runs {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

func TestTotalsOverflow(t *testing.T) {
	var sum tree.Totals
	dir := sampleRoot()
	dir.Below = tree.Totals{Bytes: math.MaxUint64 - 5, Files: 1}
	if err := sum.Add(&dir); err != nil {
		t.Fatal(err)
	}
	before := sum
	file := plain("f")
	file.Size = 6
	if err := sum.Add(file); !errors.Is(err, tree.ErrInvalid) || sum != before {
		t.Errorf("%v, %+v", err, sum)
	}
	file.Size, file.Flags = 5, tree.Torn
	if err := sum.Add(file); err != nil || sum != (tree.Totals{Files: 2, Dirs: 1, Bytes: math.MaxUint64, Flagged: 1}) {
		t.Errorf("%v, %+v", err, sum)
	}
}
