package tree_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"testing"

	"keepsake/crypto"
	"keepsake/store/tree"
)

func names(n int) []*tree.Node {
	nodes := make([]*tree.Node, n)
	for i := range nodes {
		nodes[i] = plain(fmt.Sprintf("DSC%06d.JPG", i))
	}
	return nodes
}

func listing(t testing.TB, c *chunks, root crypto.ChunkID, from string) (got []string) {
	t.Helper()
	for n, err := range tree.EntriesFrom(t.Context(), c.fetch, root, []byte(from)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(n.Name))
	}
	return got
}

func TestEmptyDirectory(t *testing.T) {
	c := newChunks()
	root := buildDir(t, c, cutName, nil)
	if c.puts != 1 {
		t.Errorf("%d pages", c.puts)
	}
	if got := listing(t, c, root, ""); len(got) != 0 {
		t.Errorf("entries %q", got)
	}
	if _, err := tree.Lookup(t.Context(), c.fetch, root, []byte("a")); !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, tree.ErrNotFound) {
		t.Errorf("lookup: %v", err)
	}
}

func TestDirectories(t *testing.T) {
	cuts := map[string]func(int, []byte) bool{"hash": cutName, "never": never}
	for name, cut := range cuts {
		for _, n := range []int{1, 2, 63, 64, 65, 255, 256, 257, 1000, 20000} {
			c := newChunks()
			nodes := names(n)
			root := buildDir(t, c, cut, nodes)
			got := listing(t, c, root, "")
			if len(got) != n || !slices.IsSorted(got) || got[n-1] != string(nodes[n-1].Name) {
				t.Fatalf("%s, %d: %d entries", name, n, len(got))
			}
			for _, i := range []int{0, n / 3, n - 1} {
				want := string(nodes[i].Name)
				if got := listing(t, c, root, want); len(got) != n-i || got[0] != want {
					t.Fatalf("%s, %d: from %s: %d entries", name, n, want, len(got))
				}
				if got := listing(t, c, root, want+"\x01"); len(got) != n-i-1 {
					t.Fatalf("%s, %d: after %s: %d entries", name, n, want, len(got))
				}
				if node, err := tree.Lookup(t.Context(), c.fetch, root, nodes[i].Name); err != nil || string(node.Name) != want {
					t.Fatalf("%s, %d: lookup %s: %v", name, n, want, err)
				}
				for _, no := range []string{want + "\x01", "A", "Z"} {
					if _, err := tree.Lookup(t.Context(), c.fetch, root, []byte(no)); !errors.Is(err, fs.ErrNotExist) {
						t.Fatalf("%s, %d: lookup %q: %v", name, n, no, err)
					}
				}
			}
		}
	}
}

// A seek fetches the pages on its way and no others.
func TestSeekFetchesOnlyItsWay(t *testing.T) {
	c := newChunks()
	nodes := names(20000)
	root := buildDir(t, c, cutName, nodes)
	c.fetches = 0
	for range tree.EntriesFrom(t.Context(), c.fetch, root, nodes[15000].Name) {
		break
	}
	if c.fetches > 4 {
		t.Errorf("%d pages fetched", c.fetches)
	}
}

// Pages depend on the set of entries alone: not on how it came about, nor on what the builder did before.
func TestPagesDependOnTheSet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	c := newChunks()
	reused := tree.NewPageBuilder(cutName, c.put)
	for range 50 {
		set := names(rng.IntN(3000))
		for len(set) > 0 && rng.IntN(4) > 0 {
			i := rng.IntN(len(set))
			set = slices.Delete(set, i, min(i+1+rng.IntN(40), len(set)))
		}
		want := buildDir(t, c, cutName, set)
		for _, n := range set {
			if err := reused.Add(n); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := reused.Finish(); err != nil || got != want {
			t.Fatalf("%d entries: %v, %v after other directories; %v alone", len(set), got, err, want)
		}
		if rng.IntN(3) == 0 { // a failed directory leaves nothing behind either
			_ = reused.Add(plain("b"))
			_ = reused.Add(plain("a"))
			if _, err := reused.Finish(); !errors.Is(err, tree.ErrOrder) {
				t.Fatal(err)
			}
		}
	}
}

func TestOneChangeRewritesOneLeafAndTheWayUp(t *testing.T) {
	const n = 50000
	c := newChunks()
	nodes := names(n)
	root := buildDir(t, c, cutName, nodes)
	levels := height(t, c, root)
	for _, i := range []int{0, 1, 12345, n / 2, n - 1} {
		changed := slices.Clone(nodes)
		changed[i] = plain(string(nodes[i].Name))
		changed[i].MTime = at(5, 5)
		after := newChunks()
		buildDir(t, after, cutName, changed)
		if got := after.fresh(c); got != levels {
			t.Errorf("entry %d changed: %d new pages, height %d", i, got, levels)
		}
	}
	for _, i := range []int{0, 777, n / 2, n - 1} {
		after := newChunks()
		buildDir(t, after, cutName, slices.Delete(slices.Clone(nodes), i, i+1))
		// Forced cuts and joined pages may take neighbours along, but never far.
		if got := after.fresh(c); got > 2*levels+2 {
			t.Errorf("entry %d removed: %d new pages, height %d", i, got, levels)
		}
	}
}

func height(t *testing.T, c *chunks, root crypto.ChunkID) int {
	t.Helper()
	p, err := tree.DecodePage(c.m[root])
	if err != nil {
		t.Fatal(err)
	}
	return p.Level + 1
}

func TestForcedCuts(t *testing.T) {
	c := newChunks()
	buildDir(t, c, never, names(1000))
	big := names(40)
	for _, n := range big {
		n.Xattrs = []tree.Xattr{{Name: []byte("user.a"), Value: make([]byte, 4000)}, {Name: []byte("user.b"), Value: make([]byte, 4000)}}
	}
	buildDir(t, c, never, big)
	huge := plain("huge")
	for i := range 30 {
		huge.Xattrs = append(huge.Xattrs, tree.Xattr{Name: fmt.Appendf(nil, "user.%02d", i), Value: make([]byte, 4096)})
	}
	root := buildDir(t, c, never, []*tree.Node{plain("a"), huge, plain("z")})
	if got := listing(t, c, root, ""); !slices.Equal(got, []string{"a", "huge", "z"}) {
		t.Errorf("%q", got)
	}
	full := 0
	for _, b := range c.m {
		p, err := tree.DecodePage(b)
		if err != nil {
			t.Fatal(err)
		}
		n := len(p.Nodes) + len(p.Children)
		if n > tree.MaxPageEntries || len(b) > tree.MaxPageBytes && n > 1 {
			t.Errorf("page of %d entries, %d bytes", n, len(b))
		}
		if n == tree.MaxPageEntries || len(b) > tree.MaxPageBytes-9000 {
			full++
		}
	}
	if full < 5 {
		t.Errorf("%d full pages", full)
	}
}

// A cut function that always says yes costs height, and is refused when there is too much of that; it never loops.
func TestEagerCut(t *testing.T) {
	c := newChunks()
	root := buildDir(t, c, always, names(128))
	if got := listing(t, c, root, ""); len(got) != 128 {
		t.Errorf("%d entries", len(got))
	}
	b := tree.NewPageBuilder(always, c.put)
	var err error
	for _, n := range names(300) {
		err = errors.Join(err, b.Add(n))
	}
	if _, err2 := b.Finish(); !errors.Is(errors.Join(err, err2), tree.ErrLimit) {
		t.Errorf("%v, %v", err, err2)
	}
}

func TestBuilderRefuses(t *testing.T) {
	tests := map[string]struct {
		nodes []*tree.Node
		want  error
	}{
		"duplicate": {[]*tree.Node{plain("a"), plain("a")}, tree.ErrOrder},
		"unordered": {[]*tree.Node{plain("b"), plain("a")}, tree.ErrOrder},
		"unnamed":   {[]*tree.Node{plain("")}, tree.ErrName},
		"up":        {[]*tree.Node{plain("..")}, tree.ErrName},
		"invalid":   {[]*tree.Node{{Name: []byte("a")}}, tree.ErrInvalid},
	}
	for name, test := range tests {
		b := tree.NewPageBuilder(cutName, newChunks().put)
		var err error
		for _, n := range test.nodes {
			err = b.Add(n)
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := b.Finish(); !errors.Is(err, test.want) {
			t.Errorf("%s: finished with %v", name, err)
		}
	}
	full := errors.New("disk full")
	b := tree.NewPageBuilder(always, func([]byte) (crypto.ChunkID, error) { return crypto.ChunkID{}, full })
	if err := b.Add(plain("a")); err != full {
		t.Errorf("put failed: %v", err)
	}
}

func TestVisitPages(t *testing.T) {
	c := newChunks()
	root := buildDir(t, c, cutName, names(5000))
	seen := map[crypto.ChunkID]bool{}
	count := 0
	enter := func(id crypto.ChunkID) bool {
		if seen[id] {
			return false
		}
		seen[id] = true
		return true
	}
	visit := func(nodes []tree.Node) error { count += len(nodes); return nil }
	for range 2 { // the second time nothing is left to visit
		if err := tree.VisitPages(t.Context(), c.fetch, root, enter, visit); err != nil {
			t.Fatal(err)
		}
	}
	if count != 5000 || len(seen) != len(c.m) {
		t.Errorf("%d entries, %d of %d pages", count, len(seen), len(c.m))
	}
	stop := errors.New("stop")
	if err := tree.VisitPages(t.Context(), c.fetch, root, func(crypto.ChunkID) bool { return true }, func([]tree.Node) error { return stop }); err != stop {
		t.Error(err)
	}
}

func TestWalkEndsWithItsContext(t *testing.T) {
	c := newChunks()
	root := buildDir(t, c, cutName, names(5000))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	n := 0
	for _, err := range tree.Entries(ctx, c.fetch, root) {
		if last = err; err == nil {
			n++
		}
		cancel()
	}
	if !errors.Is(last, context.Canceled) || n == 0 || n > tree.MaxPageEntries {
		t.Errorf("%d entries, then %v", n, last)
	}
}

// Nodes handed out stay what they are when the caller reuses its buffer.
func TestNodesOwnTheirBytes(t *testing.T) {
	c := newChunks()
	root := buildDir(t, c, cutName, []*tree.Node{photo(1), photo(2)})
	var buf []byte
	fetch := func(ctx context.Context, id crypto.ChunkID) ([]byte, error) {
		b, err := c.fetch(ctx, id)
		buf = bytes.Clone(b)
		return buf, err
	}
	n, err := tree.Lookup(t.Context(), fetch, root, photo(2).Name)
	if err != nil {
		t.Fatal(err)
	}
	clear(buf)
	clone := n.Clone()
	for _, n := range []*tree.Node{n, clone} {
		got, err := n.Marshal()
		want, _ := photo(2).Marshal()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%v\n got %x\nwant %x", err, got, want)
		}
	}
}

func TestParsedNodeOwnsItsBytes(t *testing.T) {
	b := marshal(t, photo(1))
	n, err := tree.ParseNode(b)
	if err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(b)
	clear(b)
	if got := marshal(t, n); !bytes.Equal(got, want) {
		t.Errorf(" got %x\nwant %x", got, want)
	}
}
