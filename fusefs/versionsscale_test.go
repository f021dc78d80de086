package fusefs_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"keepsake/crypto"
	"keepsake/fusefs"
	"keepsake/store"
	"keepsake/store/object"
	"keepsake/store/pack"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// invented makes trees and manifests without any files, for tests that need
// more snapshots than can be taken in a minute.
type invented struct {
	t     testing.TB
	place *storetest.Place
	r     *store.Repository
	w     *store.Writer
	texts map[string]crypto.ChunkID // stored
	all   []*tree.Snapshot
}

func invent(t testing.TB) *invented {
	t.Helper()
	place := storetest.New(t)
	r, err := place.TryOpen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w, err := r.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return &invented{t: t, place: place, r: r, w: w, texts: map[string]crypto.ChunkID{}}
}

func cutLikeCapture(level int, name []byte) bool {
	sum := sha256.Sum256(append([]byte{byte(level)}, name...))
	return binary.BigEndian.Uint64(sum[:])%64 == 0
}

// dir stores a directory. Its entries are files, of which the text is content,
// or directories that dir returned.
func (in *invented) dir(entries map[string]any) *tree.Node {
	in.t.Helper()
	n := &tree.Node{Type: tree.Dir, Mode: 0o755, Links: 2}
	b := tree.NewPageBuilder(cutLikeCapture, func(page []byte) (crypto.ChunkID, error) {
		id, _, err := in.w.Put(in.t.Context(), pack.Page, page)
		return id, err
	})
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		child := &tree.Node{Type: tree.File, Mode: 0o644, Links: 1, MTime: tree.Time{Sec: 1795270000}, Inode: 77, User: "anna", Group: "studio"}
		switch e := entries[name].(type) {
		case *tree.Node:
			child = e.Clone()
		case string:
			id, stored := in.texts[e]
			if !stored {
				var err error
				if id, _, err = in.w.Put(in.t.Context(), pack.Data, []byte(e)); err != nil {
					in.t.Fatal(err)
				}
				in.texts[e] = id
			}
			sum := sha256.Sum256([]byte(e))
			child.Size, child.SHA256, child.Content = uint64(len(e)), &sum, tree.ExtentList{{Length: uint64(len(e)), Chunk: id}}
		}
		child.Name = []byte(name)
		n.Entries++
		if err := b.Add(child); err != nil {
			in.t.Fatal(err)
		}
	}
	var err error
	if n.Pages, err = b.Finish(); err != nil {
		in.t.Fatal(err)
	}
	return n
}

// snapshot adds a manifest, a minute after the last one.
func (in *invented) snapshot(root *tree.Node) {
	i := len(in.all)
	at := tree.Time{Sec: 1795270000 + int64(i)*60}
	m := &tree.Snapshot{
		Source: [16]byte{1}, Writer: [16]byte{2}, Number: uint64(i + 1), Label: "library", Host: "host", RootPath: []byte("/library"),
		Basis: tree.Scanned, Started: at, Finished: at, Root: *root,
	}
	if i > 0 {
		m.Previous = &[32]byte{1}
	}
	in.all = append(in.all, m)
}

// open publishes everything and opens the repository anew.
func (in *invented) open() *store.Repository {
	in.t.Helper()
	if err := errors.Join(in.w.Commit(in.t.Context()), in.w.Close(in.t.Context()), in.r.Close()); err != nil {
		in.t.Fatal(err)
	}
	storetest.Put(in.t, in.place, object.Snapshot, slices.Values(in.all))
	return in.place.Open(in.t)
}

// heap is what is alive after a collection.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestVersionsOfManySnapshots lists a directory of 200 photos over 1,000
// snapshots in which 10 of them changed once, first the names with their
// attributes, then all versions; another directory changes with every snapshot.
// Nothing is cached when it begins. It prints the times.
func TestVersionsOfManySnapshots(t *testing.T) {
	needFUSE(t)
	const files, snapshots, changes = 200, 1000, 10
	in := invent(t)
	photos := map[string]any{}
	for i := range files {
		photos[fmt.Sprintf("IMG_%04d.JPG", i)] = fmt.Sprintf("photo %d", i)
	}
	day := in.dir(photos)
	for i := range snapshots {
		if i%(snapshots/changes) == snapshots/changes/2 {
			photos[fmt.Sprintf("IMG_%04d.JPG", i%files)] = fmt.Sprintf("edited in %d", i)
			day = in.dir(photos)
		}
		in.snapshot(in.dir(map[string]any{"day": day, "busy": in.dir(map[string]any{"log": fmt.Sprint(i)})}))
	}
	r := in.open()
	m := mount(t, r, nil)
	began := time.Now()
	step := func(what string) {
		t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	dir := m.path("versions", "library", "day")
	step("until the list of snapshots was read")
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != files {
		t.Fatalf("%d names: %v", len(entries), err)
	}
	for _, e := range entries {
		if _, err := e.Info(); err != nil {
			t.Fatal(err)
		}
	}
	step("ls -l of the directory")
	found := 0
	for _, e := range entries {
		found += len(list(t, filepath.Join(dir, e.Name())))
	}
	step("ls of all files in it")
	if found != files+changes {
		t.Errorf("%d versions, want %d", found, files+changes)
	}
	if got := list(t, m.path("versions", "library", "busy", "log")); len(got) != snapshots {
		t.Errorf("a file that changed in each snapshot has %d versions", len(got))
	}
	step("ls of a file with 1,000 versions")
	for _, name := range []string{".hidden", "._x", "desktop.ini", "autorun.inf"} {
		for range 500 {
			if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	}
	step("2,000 lookups of what is not there")
}

// TestVersionsAtScale has one directory of 200,000 entries, and 100,000
// snapshots of a source in each of which something changes. Both sizes are
// smaller where the long suites are not asked for.
func TestVersionsAtScale(t *testing.T) {
	needFUSE(t)
	names, snapshots := 2_000, 500
	if os.Getenv("KEEPSAKE_LONG") != "" {
		names, snapshots = 200_000, 100_000
	}
	in := invent(t)
	large := map[string]any{}
	for i := range names {
		large[fmt.Sprintf("IMG_%06d.JPG", i)] = "photo"
	}
	pages := in.dir(large)
	const states = 20 // of the large directory
	r := rand.New(rand.NewPCG(1, 2))
	for i := range snapshots {
		if i%(snapshots/states) == 1 {
			large[fmt.Sprintf("IMG_%06d.JPG", r.IntN(names))] = fmt.Sprint(i)
			delete(large, fmt.Sprintf("IMG_%06d.JPG", r.IntN(names)))
			pages = in.dir(large)
		}
		in.snapshot(in.dir(map[string]any{"large": pages, "busy": in.dir(map[string]any{"log": fmt.Sprint(i)})}))
	}
	m := mount(t, in.open(), func(o *fusefs.Options) { o.Nodes = 5000 })
	before, began := heap(), time.Now()
	step := func(what string) {
		took := time.Since(began).Round(time.Millisecond)
		t.Logf("%s: %v, heap %d MiB more, %d nodes", what, took, (int64(heap())-int64(before))>>20, m.Live())
		began = time.Now()
	}
	if got := list(t, m.path("versions", "library", "large")); len(got) != names {
		t.Errorf("%d names, want %d", len(got), names)
	}
	step(fmt.Sprintf("ls of %d names in %d states", names, states))
	if got := list(t, m.path("versions", "library", "busy", "log")); len(got) != snapshots {
		t.Errorf("%d versions, want %d", len(got), snapshots)
	}
	step(fmt.Sprintf("ls of a file with %d versions", snapshots))
	if cost := fusefs.PastCost(m.Mounted); cost > 4*(names+snapshots) {
		t.Errorf("it counts as %d", cost)
	}
}
