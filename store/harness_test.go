package store_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	mrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/pack"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// folder is a directory to be stored: names to *folder or *document.
type folder map[string]any

// document is a file to be stored in chunks of a given size.
type document struct {
	data  []byte
	chunk int
	xattr []byte // stored as a blob
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	var key [32]byte
	binary.BigEndian.PutUint64(key[:], seed)
	mrand.NewChaCha8(key).Read(b)
	return b
}

// builder stores folders through a Writer, as a capture does.
type builder struct {
	t testing.TB
	w *store.Writer
}

func (b *builder) put(t pack.ChunkType, data []byte) crypto.ChunkID {
	b.t.Helper()
	id, _, err := b.w.Put(context.Background(), t, data)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

// odds cuts pages and lists so often that small trees have all levels.
func odds(level int, key []byte) bool {
	h := fnv.New64a()
	h.Write([]byte{byte(level)})
	h.Write(key)
	return h.Sum64()%8 == 0
}

func (b *builder) file(d *document) *tree.Node {
	n := &tree.Node{Type: tree.File, Mode: 0o644, Size: uint64(len(d.data)), MTime: tree.Time{Sec: 1}}
	l := tree.NewListBuilder(func(level int, id crypto.ChunkID) bool { return odds(level, id[:]) },
		func(encoded []byte) (crypto.ChunkID, error) { return b.put(pack.List, encoded), nil })
	for rest := d.data; len(rest) > 0; {
		piece := rest[:min(len(rest), d.chunk)]
		rest = rest[len(piece):]
		e := tree.Extent{Length: uint64(len(piece)), Hole: true}
		if !bytes.Equal(piece, make([]byte, len(piece))) {
			e.Hole, e.Chunk = false, b.put(pack.Data, piece)
		}
		if err := l.Add(e); err != nil {
			b.t.Fatal(err)
		}
	}
	var err error
	if n.Content, n.List, err = l.Finish(); err != nil {
		b.t.Fatal(err)
	}
	if d.xattr != nil {
		n.Xattrs = []tree.Xattr{{Name: []byte("user.large"), Large: tree.ExtentList{{Length: uint64(len(d.xattr)), Chunk: b.put(pack.Blob, d.xattr)}}}}
	}
	return n
}

func (b *builder) page(encoded []byte) (crypto.ChunkID, error) { return b.put(pack.Page, encoded), nil }

func (b *builder) folder(f folder) *tree.Node {
	n := &tree.Node{Type: tree.Dir, Mode: 0o755, MTime: tree.Time{Sec: 1}}
	p := tree.NewPageBuilder(odds, b.page)
	for _, name := range sorted(f) {
		var child *tree.Node
		switch v := f[name].(type) {
		case folder:
			child = b.folder(v)
		case *document:
			child = b.file(v)
		}
		child.Name = []byte(name)
		if err := n.Below.Add(child); err != nil {
			b.t.Fatal(err)
		}
		n.Entries++
		if err := p.Add(child); err != nil {
			b.t.Fatal(err)
		}
	}
	var err error
	if n.Pages, err = p.Finish(); err != nil {
		b.t.Fatal(err)
	}
	return n
}

func sorted(f folder) (names []string) {
	for name := range f {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// begin opens a session that ends with the test.
func begin(t testing.TB, r *store.Repository) *store.Writer {
	t.Helper()
	w, err := r.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return w
}

var clock = time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)

// publish stores a folder as the next snapshot of a source.
func publish(t testing.TB, w *store.Writer, source byte, f folder, change func(*tree.Snapshot)) store.Snapshot {
	t.Helper()
	b := &builder{t, w}
	clock = clock.Add(time.Hour)
	m := tree.Snapshot{
		Source: [16]byte{source}, Label: fmt.Sprintf("source-%d", source), Host: "host", Basis: tree.Scanned,
		Started: tree.TimeOf(clock), Finished: tree.TimeOf(clock), Root: *b.folder(f),
	}
	if change != nil {
		change(&m)
	}
	s, err := w.Publish(t.Context(), m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func finish(t testing.TB, w *store.Writer) {
	t.Helper()
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// keep stores a folder in a session of its own.
func keep(t testing.TB, r *store.Repository, source byte, f folder) store.Snapshot {
	t.Helper()
	w := begin(t, r)
	s := publish(t, w, source, f, nil)
	finish(t, w)
	return s
}

// library is a repository with everything in it that a repository can hold, and
// what it should give back.
type library struct {
	*storetest.Place
	snapshots []store.Snapshot
	want      map[store.SnapshotID]map[string][]byte // path → content
}

func (l *library) add(s store.Snapshot, f folder) {
	l.snapshots = append(l.snapshots, s)
	files := map[string][]byte{}
	f.each("", func(path string, d *document) { files[path] = d.data })
	l.want[s.ID] = files
}

func (f folder) each(dir string, visit func(path string, d *document)) {
	for name, v := range f {
		path := filepath.Join(dir, name)
		switch v := v.(type) {
		case folder:
			v.each(path, visit)
		case *document:
			visit(path, v)
		}
	}
}

func photos() folder {
	many := folder{}
	for i := range 90 {
		many[fmt.Sprintf("%03d.xmp", i)] = &document{data: fmt.Appendf(nil, "<rating>%d</rating>", i), chunk: 1 << 20}
	}
	sparse := append(noise(7, 5000), make([]byte, 40_000)...)
	return folder{
		"empty":  &document{},
		"none":   folder{},
		"sparse": &document{data: append(sparse, noise(8, 3000)...), chunk: 5000},
		"photos": folder{
			"a.jpg": &document{data: noise(1, 90_000), chunk: 30_000, xattr: noise(9, 6000)},
			"b.jpg": &document{data: noise(2, 150_000), chunk: 100_000},
			"notes": &document{data: bytes.Repeat([]byte("all work and no play "), 20_000), chunk: 300_000},
			"deep":  folder{"x": folder{"c.jpg": &document{data: noise(3, 20_000), chunk: 4000}}},
		},
		"clip.mov": &document{data: noise(4, 300_000), chunk: 900}, // a list of 334 entries
		"many":     many,
	}
}

// shelf holds the one library that all tests begin with copies of: making it
// takes longer than most of them.
var shelf struct {
	once sync.Once
	dir  string
	*library
}

func TestMain(m *testing.M) {
	m.Run()
	if shelf.dir != "" {
		os.RemoveAll(shelf.dir)
	}
}

// newLibrary returns a repository with two epochs, two sources, three snapshots
// of which two share most pages, and every kind of object that verbs write.
func newLibrary(t testing.TB) *library {
	t.Helper()
	shelf.once.Do(func() {
		l := makeLibrary(t)
		dir, err := os.MkdirTemp("", "library")
		must(t, err)
		must(t, os.CopyFS(dir, os.DirFS(filepath.Dir(l.Dir))))
		shelf.dir, shelf.library = dir, l
	})
	base := t.TempDir()
	must(t, os.CopyFS(base, os.DirFS(shelf.dir)))
	place := *shelf.Place
	place.Dir, place.StateBase, place.Notices = filepath.Join(base, "repository"), filepath.Join(base, "state"), nil
	var err error
	place.Backend, err = backend.OpenLocal(place.Dir, nil)
	must(t, err)
	return &library{Place: &place, snapshots: shelf.snapshots, want: shelf.want}
}

func makeLibrary(t testing.TB) *library {
	l := &library{Place: storetest.New(t), want: map[store.SnapshotID]map[string][]byte{}}
	l.Cache = 1 // no block is kept: each read reads
	r, err := l.TryOpen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first := photos()
	w := begin(t, r)
	l.add(publish(t, w, 1, first, func(m *tree.Snapshot) {
		page := tree.MissedPage{Missed: []tree.Missed{{Path: []byte("gone"), Reason: tree.ReasonVanished}}}
		b, err := page.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		m.MissedCount, m.MissedList = 1, tree.ExtentList{{Length: uint64(len(b)), Chunk: (&builder{t, w}).put(pack.Blob, b)}}
	}), first)
	finish(t, w)
	rotate(t, r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err = l.TryOpen(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := photos()
	second["photos"].(folder)["a.jpg"] = &document{data: noise(11, 95_000), chunk: 30_000}
	second["many"].(folder)["new.xmp"] = &document{data: []byte("<new/>"), chunk: 100}
	l.add(keep(t, r, 1, second), second)
	other := folder{"report.pdf": &document{data: noise(12, 70_000), chunk: 20_000}, "b.jpg": first["photos"].(folder)["b.jpg"]}
	l.add(keep(t, r, 2, other), other)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return l
}

func rotate(t testing.TB, r *store.Repository) {
	t.Helper()
	slots, err := r.Slots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	record, _, err := r.Keys().Rotate(slots, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.PutEpoch(t.Context(), record); err != nil {
		t.Fatal(err)
	}
}

// object is the path of an object's file.
func (l *library) object(name string) string { return filepath.Join(l.Dir, filepath.FromSlash(name)) }

// names lists the objects below a directory of the repository.
func (l *library) names(t testing.TB, prefix string) (names []string) {
	t.Helper()
	err := l.Backend.List(t.Context(), prefix, func(name string, _ int64) error {
		names = append(names, name)
		return nil
	})
	if err != nil || len(names) == 0 {
		t.Fatalf("no objects under %q: %v", prefix, err)
	}
	slices.Sort(names)
	return names
}

// flip changes one byte of a file and returns what undoes that.
func flip(t testing.TB, path string, off int64, with byte) (undo func()) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	var was [1]byte
	if _, err := f.ReadAt(was[:], off); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{was[0] ^ with}, off); err != nil {
		t.Fatal(err)
	}
	return func() {
		if _, err := f.WriteAt(was[:], off); err != nil {
			t.Fatal(err)
		}
		f.Close()
	}
}

// check runs a check and returns its problems.
func check(t testing.TB, r *store.Repository, o store.CheckOptions) ([]store.Problem, store.CheckResult) {
	t.Helper()
	var problems []store.Problem
	o.Report = func(p store.Problem) { problems = append(problems, p) }
	res, err := r.Check(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if res.Problems != len(problems) {
		t.Errorf("%d problems counted, %d reported", res.Problems, len(problems))
	}
	for _, p := range problems {
		if p.Remedy == "" || p.Err == nil || p.Kind == "" {
			t.Errorf("problem without remedy, cause or kind: %+v", p)
		}
	}
	return problems, res
}

func scrub(t testing.TB, l *library) ([]store.Problem, store.ScrubResult) {
	t.Helper()
	var problems []store.Problem
	res, err := store.Scrub(t.Context(), l.Backend, nil, func(p store.Problem) { problems = append(problems, p) })
	if err != nil {
		t.Fatal(err)
	}
	return problems, res
}

// sound fails the test unless check and scrub find nothing.
func (l *library) sound(t testing.TB, r *store.Repository) store.CheckResult {
	t.Helper()
	problems, res := check(t, r, store.CheckOptions{ReadData: true})
	if len(problems) > 0 {
		t.Fatalf("check of a sound repository: %v", problems)
	}
	if problems, _ := scrub(t, l); len(problems) > 0 {
		t.Fatalf("scrub of a sound repository: %v", problems)
	}
	return res
}
