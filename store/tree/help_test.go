package tree_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"testing"

	"keepsake/crypto"
	"keepsake/store/tree"
)

// chunks is a store of chunks in memory, which counts what is put and fetched.
type chunks struct {
	m       map[crypto.ChunkID][]byte
	puts    int
	bytes   int
	fetches int
}

func newChunks() *chunks { return &chunks{m: map[crypto.ChunkID][]byte{}} }

func (c *chunks) put(b []byte) (crypto.ChunkID, error) {
	id := crypto.ChunkID(sha256.Sum256(b))
	c.puts++
	c.bytes += len(b)
	c.m[id] = append([]byte(nil), b...)
	return id, nil
}

func (c *chunks) fetch(_ context.Context, id crypto.ChunkID) ([]byte, error) {
	c.fetches++
	b, ok := c.m[id]
	if !ok {
		return nil, fmt.Errorf("no chunk %v", id)
	}
	return b, nil
}

// fresh returns the ids in c that are not in old.
func (c *chunks) fresh(old *chunks) int {
	n := 0
	for id := range c.m {
		if _, ok := old.m[id]; !ok {
			n++
		}
	}
	return n
}

func hash64(level int, b []byte) uint64 {
	h := sha256.New()
	h.Write([]byte{byte(level)})
	h.Write(b)
	return binary.BigEndian.Uint64(h.Sum(nil))
}

func cutName(level int, name []byte) bool           { return hash64(level, name)%64 == 0 }
func cutChunk(level int, chunk crypto.ChunkID) bool { return hash64(level, chunk[:])%256 == 0 }
func never(int, []byte) bool                        { return false }
func always(int, []byte) bool                       { return true }
func neverChunk(int, crypto.ChunkID) bool           { return false }
func chunkID(seed string, i int) crypto.ChunkID {
	return sha256.Sum256(fmt.Appendf(nil, "%s %d", seed, i))
}
func extent(seed string, i int, n uint64) tree.Extent {
	return tree.Extent{Length: n, Chunk: chunkID(seed, i)}
}
func hole(n uint64) tree.Extent { return tree.Extent{Length: n, Hole: true} }
func plain(name string) *tree.Node {
	return &tree.Node{Name: []byte(name), Type: tree.File, Mode: 0o644}
}

// photo is a typical file: 6 MB of JPEG in four fine and five coarse chunks.
func photo(i int) *tree.Node {
	sum := sha256.Sum256(fmt.Appendf(nil, "photo %d", i))
	n := &tree.Node{
		Name: fmt.Appendf(nil, "DSC%05d.JPG", i), Type: tree.File, Mode: 0o644,
		UID: 1000, GID: 100, User: "anna", Group: "studio",
		MTime:    tree.Time{Sec: 1795270000 + int64(i), Nsec: 120000000},
		CTime:    tree.Time{Sec: 1795270100 + int64(i), Nsec: 987654321},
		BTime:    tree.Time{Sec: 1795270100 + int64(i), Nsec: 123456789},
		Captured: tree.Time{Sec: 1795270200 + int64(i), Nsec: 555555555},
		Inode:    12345678 + uint64(i), Links: 1, SHA256: &sum,
	}
	for j, size := range []uint64{70000, 66000, 61000, 80000, 1500000, 1300000, 1100000, 1400000, 400000} {
		n.Content = append(n.Content, extent("photo", 100*i+j, size))
		n.Size += size
	}
	return n
}

// buildDir builds a directory of the nodes that each yields.
func buildDir(t testing.TB, c *chunks, cut func(int, []byte) bool, nodes []*tree.Node) crypto.ChunkID {
	t.Helper()
	b := tree.NewPageBuilder(cut, c.put)
	for _, n := range nodes {
		if err := b.Add(n); err != nil {
			t.Fatal(err)
		}
	}
	root, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func buildList(t testing.TB, c *chunks, cut func(int, crypto.ChunkID) bool, extents []tree.Extent) *tree.Node {
	t.Helper()
	n := &tree.Node{Type: tree.File}
	b := tree.NewListBuilder(cut, c.put)
	for _, e := range extents {
		n.Size += e.Length
		if err := b.Add(e); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if n.Content, n.List, err = b.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := n.Validate(); err != nil {
		t.Fatal(err)
	}
	return n
}
