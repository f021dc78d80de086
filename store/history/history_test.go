package history_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"keepsake/store/history"
	"keepsake/store/tree"
)

// reference is what a follower should have found at a path: by looking at every
// snapshot in full.
type reference struct {
	dirs, files map[string]bool
	modes       map[string]uint32 // of dirs: what all gave
	versions    []string
}

func refer(c *chunks, t testing.TB, models []*thing, path []string) reference {
	r := reference{map[string]bool{}, map[string]bool{}, map[string]uint32{}, nil}
	known := map[string]bool{}
	for i, m := range models {
		f := m.at(path...)
		if f == nil {
			continue
		}
		if f.in == nil {
			n := c.node(t, "x", f)
			what := fmt.Sprintf("%v %d %s %v", n.Type, n.Size, n.Target, n.Content)
			if !known[what] {
				known[what] = true
				r.versions = append(r.versions, fmt.Sprintf("%d %s", i, what))
			}
			continue
		}
		for name, child := range f.in {
			if child.in == nil {
				r.files[name] = true
				continue
			}
			if !r.dirs[name] {
				r.dirs[name], r.modes[name] = true, child.mode
			}
			r.modes[name] &= child.mode
		}
	}
	return r
}

func (r reference) compare(t testing.TB, f *follower, name string) {
	t.Helper()
	n := f.names[len(f.names)-1]
	list := func(names []history.Name) (all []string) {
		for _, n := range names {
			all = append(all, n.Name)
		}
		return all
	}
	if got, want := list(n.Dirs), slices.Sorted(maps.Keys(r.dirs)); !slices.Equal(got, want) {
		t.Fatalf("directories %q, want %q", got, want)
	}
	if got, want := list(n.Files), slices.Sorted(maps.Keys(r.files)); !slices.Equal(got, want) {
		t.Fatalf("files %q, want %q", got, want)
	}
	for _, d := range n.Dirs {
		if d.Access.Mode() != r.modes[d.Name] {
			t.Fatalf("%s may %o, want %o", d.Name, d.Access.Mode(), r.modes[d.Name])
		}
	}
	if got := f.versions(t, name); !slices.Equal(got, r.versions) {
		t.Fatalf("versions %q, want %q", got, r.versions)
	}
}

// change changes something at random. Names and contents are few, so that things
// come back.
func change(r *rand.Rand, root *thing) {
	d := root
	if sub := root.in["d"]; sub != nil && sub.in != nil && r.IntN(3) > 0 {
		d = sub
	}
	if sub := d.in["d"]; sub != nil && sub.in != nil && r.IntN(2) > 0 {
		d = sub
	}
	name := fmt.Sprintf("f%02d", r.IntN(30))
	if r.IntN(8) == 0 {
		name = "d"
	}
	switch old := d.in[name]; r.IntN(8) {
	case 0:
		delete(d.in, name)
	case 1:
		d.in[name] = directory()
	case 2:
		d.in[name] = &thing{link: true, text: fmt.Sprint(r.IntN(3)), mode: 0o777}
	case 3, 4:
		if old != nil {
			old.mtime++ // touched
			if old.in != nil {
				old.mode = 0o700 | r.Uint32N(0o100)
			}
		}
	default:
		if old == nil || old.in == nil {
			d.in[name] = &thing{text: fmt.Sprint(r.IntN(4)), mode: 0o644}
		}
	}
}

func randomHistory(t testing.TB, c *chunks, r *rand.Rand, n int) (models []*thing, roots []*tree.Node) {
	m := directory()
	for range n {
		for range r.IntN(4) {
			change(r, m)
		}
		models = append(models, m.clone())
		roots = append(roots, rootOf(t, c, m))
	}
	return models, roots
}

// TestAgainstReference follows paths through random histories, all at once and
// a few snapshots at a time.
func TestAgainstReference(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := newChunks()
		models, roots := randomHistory(t, c, r, 40)
		for _, path := range [][]string{{"d"}, {"f07"}, {"d", "f11"}, {"d", "d"}, {"d", "d", "f03"}, {"none", "at", "all"}} {
			once, steps, narrow := newFollower(c, len(path)), newFollower(c, len(path)), newFollower(c, len(path))
			if err := once.grow(t.Context(), roots, path, false); err != nil {
				t.Fatal(err)
			}
			for at := 0; at < len(roots); {
				end := min(len(roots), at+1+r.IntN(7))
				for _, f := range []*follower{steps, narrow} {
					if err := f.grow(t.Context(), roots[at:end], path, f == narrow); err != nil {
						t.Fatal(err)
					}
				}
				want := refer(c, t, models[:end], path)
				want.compare(t, steps, path[len(path)-1])
				want.compare(t, narrow, path[len(path)-1])
				at = end
			}
			refer(c, t, models, path).compare(t, once, path[len(path)-1])
		}
	}
}

func TestWhatIsAVersion(t *testing.T) {
	file := func(text string) *thing { return &thing{text: text, mode: 0o644} }
	touched := file("a")
	touched.mtime, touched.mode, touched.uid = 7, 0o600, 8
	for _, test := range []struct {
		name string
		was  []*thing // nil where it was not there
		want []int    // snapshots
	}{
		{"nothing changes", []*thing{file("a"), file("a")}, []int{0}},
		{"touched, given away", []*thing{file("a"), touched}, []int{0}},
		{"changed and back", []*thing{file("a"), file("b"), file("a")}, []int{0, 1}},
		{"deleted and back", []*thing{file("a"), nil, file("a"), nil, file("b")}, []int{0, 4}},
		{"a symlink with the same text", []*thing{file("a"), {link: true, text: "a"}}, []int{0, 1}},
		{"a FIFO, a socket", []*thing{{kind: tree.Fifo}, {kind: tree.Socket}, {kind: tree.Fifo}}, []int{0, 1}},
		{"a directory between", []*thing{nil, file("a"), directory(), file("a"), file("")}, []int{1, 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newChunks()
			f := newFollower(c, 1)
			for i, was := range test.was {
				root := directory()
				root.in["other"] = file(fmt.Sprint(i)) // so that every state differs
				if was != nil {
					root.in["x"] = was
				}
				if err := f.grow(t.Context(), []*tree.Node{rootOf(t, c, root)}, []string{"x"}, true); err != nil {
					t.Fatal(err)
				}
			}
			var got []int
			for _, v := range f.pasts[1].Versions {
				got = append(got, v.Snapshot)
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("versions of snapshots %v, want %v", got, test.want)
			}
		})
	}
}

// TestContentByDigest takes two files whose chunks were cut differently for one
// version if their digests say so.
func TestContentByDigest(t *testing.T) {
	c := newChunks()
	p := new(history.Past)
	var states []history.State
	for i, sum := range [][32]byte{{1}, {1}, {2}} {
		b := tree.NewPageBuilder(c.cut, c.put)
		n := c.node(t, "x", &thing{text: "12345678"})
		n.Content[0].Chunk[0], n.SHA256 = byte(i), &sum
		if err := b.Add(n); err != nil {
			t.Fatal(err)
		}
		pages, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, history.State{Snapshot: i, Pages: pages})
	}
	if err := p.Grow(t.Context(), c, states, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if len(p.Versions) != 2 || p.Versions[1].Snapshot != 2 {
		t.Errorf("versions %v", p.Versions)
	}
}

// TestReadsOnlyWhatIsNew counts pages: of a large directory of which little
// changes, and of what did not change at all.
func TestReadsOnlyWhatIsNew(t *testing.T) {
	c := newChunks()
	root := directory()
	d := directory()
	root.in["d"] = d
	for i := range 2000 {
		d.in[fmt.Sprintf("%05d", i)] = &thing{text: "a"}
	}
	f := newFollower(c, 1)
	grow := func() int {
		before := c.fetched
		if err := f.grow(t.Context(), []*tree.Node{rootOf(t, c, root)}, []string{"d"}, true); err != nil {
			t.Fatal(err)
		}
		return c.fetched - before
	}
	all := grow()
	if all < 400 {
		t.Fatalf("only %d pages: the test tests nothing", all)
	}
	if again := grow(); again != 0 {
		t.Errorf("a snapshot in which nothing changed cost %d pages", again)
	}
	root.in["beside"] = &thing{text: "x"}
	if beside := grow(); beside > 2 {
		t.Errorf("a change beside the directory cost %d pages", beside)
	}
	d.in["00777"].text = "b"
	if one := grow(); one > 20 {
		t.Errorf("one change cost %d pages of %d", one, all)
	}
}
