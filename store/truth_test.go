package store_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// truth says for each chunk which paths it affects. It is gathered from a whole
// repository by walking every snapshot in full, with nothing remembered and
// nothing left out.
type truth map[crypto.ChunkID][]store.AffectedPath

func (l *library) truth(t testing.TB, r *store.Repository) truth {
	t.Helper()
	g := &gather{t, t.Context(), r, truth{}}
	for _, s := range l.snapshots {
		for _, e := range s.MissedList {
			g.add(e.Chunk, store.AffectedPath{Snapshot: s.ID})
		}
		g.dir(s.ID, &s.Root, "")
	}
	return g.truth
}

type gather struct {
	t     testing.TB
	ctx   context.Context
	r     *store.Repository
	truth truth
}

func (g *gather) add(id crypto.ChunkID, p store.AffectedPath) {
	if !slices.Contains(g.truth[id], p) {
		g.truth[id] = append(g.truth[id], p)
	}
}

func (g *gather) fetch(t pack.ChunkType, note func(crypto.ChunkID)) tree.Fetch {
	return func(ctx context.Context, id crypto.ChunkID) ([]byte, error) {
		note(id)
		return g.r.ReadChunk(ctx, id, t, nil)
	}
}

func (g *gather) dir(id store.SnapshotID, n *tree.Node, path string) {
	g.own(id, n, path)
	here := store.AffectedPath{Snapshot: id, Path: path, Below: true}
	for child, err := range tree.Entries(g.ctx, g.fetch(pack.Page, func(page crypto.ChunkID) { g.add(page, here) }), n.Pages) {
		if err != nil {
			g.t.Fatal(err)
		}
		under := strings.TrimPrefix(path+"/"+string(child.Name), "/")
		if child.Type == tree.Dir {
			g.dir(id, child, under)
		} else {
			g.own(id, child, under)
		}
	}
}

func (g *gather) own(id store.SnapshotID, n *tree.Node, path string) {
	here := store.AffectedPath{Snapshot: id, Path: path}
	for _, x := range n.Xattrs {
		for _, e := range x.Large {
			g.add(e.Chunk, here)
		}
	}
	if n.Type != tree.File {
		return
	}
	for e, err := range tree.Extents(g.ctx, g.fetch(pack.List, func(list crypto.ChunkID) { g.add(list, here) }), n, 0) {
		if err != nil {
			g.t.Fatal(err)
		}
		if !e.Hole {
			g.add(e.Chunk, here)
		}
	}
}

// layout is where the chunks of a pack lie.
type layout struct {
	name    string
	size    int64
	entries []pack.Entry
}

func (l *library) layout(t testing.TB, r *store.Repository, name string) layout {
	t.Helper()
	f, err := os.Open(l.object(name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, err := pack.ReadTable(f, info.Size(), r.Keys(), idOf(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return layout{name, info.Size(), table.Entries}
}

// at returns the chunk whose stored bytes hold an offset; ok is false in header,
// padding, table and trailer.
func (p layout) at(off int64) (crypto.ChunkID, bool) {
	for _, e := range p.entries {
		if uint64(off) >= e.Offset && uint64(off) < e.Offset+uint64(e.Stored) {
			return e.Chunk, true
		}
	}
	return crypto.ChunkID{}, false
}

// affects reports whether a file may be unreadable because of an affected path.
func affects(p store.AffectedPath, id store.SnapshotID, file string) bool {
	return p.Snapshot == id && (p.Path == file || p.Below && (p.Path == "" || strings.HasPrefix(file, p.Path+"/")))
}

// holds reports whether a file is or lies at an affected path: it may also be an
// empty directory, or a snapshot's list of missed paths.
func (l *library) holds(p store.AffectedPath) bool {
	for file := range l.want[p.Snapshot] {
		if affects(p, p.Snapshot, file) {
			return true
		}
	}
	return false
}

func same(a, b []store.AffectedPath) bool {
	if len(a) != len(b) {
		return false
	}
	for _, p := range a {
		if !slices.Contains(b, p) {
			return false
		}
	}
	return true
}
