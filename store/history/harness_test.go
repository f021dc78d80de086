package history_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"testing"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/history"
	"keepsake/store/tree"
)

// chunks holds tree pages in memory.
type chunks struct {
	m       map[crypto.ChunkID][]byte
	fails   map[crypto.ChunkID]error
	fetched int
	odds    uint64 // that a page ends with a name
}

func newChunks() *chunks {
	// Small pages, so that few names make several levels.
	return &chunks{odds: 4, m: map[crypto.ChunkID][]byte{}, fails: map[crypto.ChunkID]error{}}
}

func (c *chunks) put(b []byte) (crypto.ChunkID, error) {
	id := crypto.ChunkID(sha256.Sum256(b))
	c.m[id] = slices.Clone(b)
	return id, nil
}

func (c *chunks) Page(ctx context.Context, id crypto.ChunkID) ([]byte, error) {
	c.fetched++
	if err := cmpErr(ctx.Err(), c.fails[id]); err != nil {
		return nil, err
	}
	b, ok := c.m[id]
	if !ok {
		return nil, &store.DamageError{Chunk: id, Err: fs.ErrNotExist}
	}
	return b, nil
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *chunks) cut(level int, name []byte) bool {
	sum := sha256.Sum256(append([]byte{byte(level)}, name...))
	return binary.BigEndian.Uint64(sum[:])%c.odds == 0
}

// thing is what a name stands for in a model: a directory if in is not nil.
type thing struct {
	in       map[string]*thing
	text     string // content of a file, or where a symlink leads if link is set
	link     bool
	kind     tree.Type // of what has no text
	mode     uint32
	uid, gid uint32
	mtime    int64
}

func directory() *thing { return &thing{in: map[string]*thing{}, mode: 0o755} }

func (f *thing) clone() *thing {
	c := *f
	if f.in != nil {
		c.in = map[string]*thing{}
		for name, child := range f.in {
			c.in[name] = child.clone()
		}
	}
	return &c
}

// at returns what is at a path, or nil.
func (f *thing) at(path ...string) *thing {
	for _, name := range path {
		if f == nil {
			return nil
		}
		f = f.in[name]
	}
	return f
}

// node stores a thing and all below it.
func (c *chunks) node(t testing.TB, name string, f *thing) *tree.Node {
	t.Helper()
	n := &tree.Node{Name: []byte(name), Mode: f.mode, UID: f.uid, GID: f.gid, MTime: tree.Time{Sec: f.mtime}, Links: 1}
	switch {
	case f.in != nil:
		n.Type = tree.Dir
		b := tree.NewPageBuilder(c.cut, c.put)
		for _, name := range slices.Sorted(maps.Keys(f.in)) {
			if err := b.Add(c.node(t, name, f.in[name])); err != nil {
				t.Fatal(err)
			}
			n.Entries++
		}
		var err error
		if n.Pages, err = b.Finish(); err != nil {
			t.Fatal(err)
		}
	case f.link:
		n.Type, n.Target = tree.Symlink, []byte(f.text)
	case f.kind != 0:
		n.Type = f.kind
	default:
		n.Type, n.Size = tree.File, uint64(len(f.text))
		if f.text != "" {
			n.Content = tree.ExtentList{{Length: n.Size, Chunk: sha256.Sum256([]byte(f.text))}}
		}
	}
	return n
}

func rootOf(t testing.TB, c *chunks, f *thing) *tree.Node {
	n := c.node(t, "", f)
	n.Name = nil
	return n
}

func mode(n *tree.Node) uint32 { return n.Mode & 0o777 }

// follower follows one path, as the view does: all names of the directories on
// the way, and the past of each element.
type follower struct {
	from  *chunks
	pasts []*history.Past
	names []*history.Names
}

func newFollower(c *chunks, depth int) *follower {
	f := &follower{from: c}
	for range depth + 1 {
		f.pasts, f.names = append(f.pasts, new(history.Past)), append(f.names, new(history.Names))
	}
	return f
}

// grow takes in snapshots. With narrow only those states are looked at in which
// the directory above was found changed.
func (f *follower) grow(ctx context.Context, roots []*tree.Node, path []string, narrow bool) error {
	for _, n := range roots {
		f.pasts[0].AddRoot(n)
	}
	for i := range f.pasts {
		if i > 0 {
			above := f.pasts[i-1].States
			if narrow {
				first, last := len(above), 0
				for _, n := range []*history.Name{f.names[i-1].Dir(path[i-1]), f.names[i-1].File(path[i-1])} {
					if n != nil {
						first, last = min(first, int(n.First)), max(last, int(n.Last)+1)
					}
				}
				f.pasts[i].Skip(min(first, last))
				above = above[:last]
			}
			if err := f.pasts[i].Grow(ctx, f.from, above, []byte(path[i-1])); err != nil {
				return err
			}
		}
		n, err := f.names[i].Grow(ctx, f.from, f.pasts[i].States, mode)
		if err != nil {
			return err
		}
		f.names[i] = n
	}
	return nil
}

// versions lists what the last element of the path stood for, as text, with the
// snapshot that had it first.
func (f *follower) versions(t testing.TB, name string) []string {
	t.Helper()
	var all []string
	for _, v := range f.pasts[len(f.pasts)-1].Versions {
		n, err := tree.Lookup(t.Context(), f.from.Page, v.Pages, []byte(name))
		if err != nil {
			t.Fatal(err)
		}
		if n.Type != v.Type {
			t.Errorf("version %v is a %v", v, n.Type)
		}
		all = append(all, fmt.Sprintf("%d %v %d %s %v", v.Snapshot, n.Type, n.Size, n.Target, n.Content))
	}
	return all
}
