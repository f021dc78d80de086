package restore_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keepsake/crypto"
	"keepsake/daemon/capture"
	"keepsake/daemon/restore"
	"keepsake/store"
	"keepsake/store/pack"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// back captures a directory in a session of its own.
func back(t testing.TB, r *store.Repository, dir string) store.Snapshot {
	t.Helper()
	ctx := t.Context()
	w, err := r.NewWriter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	source, _, err := capture.Bind(ctx, r, filepath.Base(dir), dir, "host")
	if err != nil {
		t.Fatal(err)
	}
	res, err := capture.Run(ctx, capture.Options{Repository: r, Writer: w, Source: source, Path: []byte(dir), Host: "host"})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if len(res.Missed) > 0 {
		t.Fatalf("the capture missed %v", res.Missed)
	}
	return res.Snapshot
}

// restored runs a restore that must not fail.
func restored(t testing.TB, r *store.Repository, s store.Snapshot, target string, change func(*restore.Options)) restore.Result {
	t.Helper()
	res, err := attempt(t, r, s, target, change)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func attempt(t testing.TB, r *store.Repository, s store.Snapshot, target string, change func(*restore.Options)) (restore.Result, error) {
	t.Helper()
	o := restore.Options{Repository: r, Snapshot: s, Target: target}
	if change != nil {
		change(&o)
	}
	return restore.Run(t.Context(), o)
}

// whole fails the test if anything was lost.
func whole(t testing.TB, res restore.Result) {
	t.Helper()
	for _, l := range res.Lost {
		t.Errorf("lost %q: %s", l.Path, l.Reason)
	}
}

func write(t testing.TB, path, data string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func touch(t testing.TB, path string, mtime time.Time) {
	t.Helper()
	if err := os.Chtimes(path, time.Time{}, mtime); err != nil {
		t.Fatal(err)
	}
}

func content(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func random(seed uint64, n int) string {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return string(b)
}

// paths lists all below a directory, relative and sorted.
func paths(t testing.TB, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, path); err == nil && rel != "." {
			all = append(all, rel)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

// noTemporaries fails the test if a restore left anything behind.
func noTemporaries(t testing.TB, dir string) {
	t.Helper()
	for _, p := range paths(t, dir) {
		if strings.HasPrefix(filepath.Base(p), ".keepsake-restore-") {
			t.Errorf("%s is left", p)
		}
	}
}

func lostPaths(res restore.Result) []string {
	var all []string
	for _, l := range res.Lost {
		all = append(all, l.Path)
	}
	return all
}

// forge builds snapshots by hand, as a hostile holder of the key would.
type forge struct {
	t testing.TB
	r *store.Repository
	w *store.Writer
}

func newForge(t testing.TB) *forge {
	t.Helper()
	r := storetest.New(t).Open(t)
	w, err := r.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("closing the writer: %v", err)
		}
	})
	return &forge{t: t, r: r, w: w}
}

func (f *forge) put(kind pack.ChunkType, data []byte) crypto.ChunkID {
	f.t.Helper()
	id, _, err := f.w.Put(f.t.Context(), kind, data)
	if err != nil {
		f.t.Fatal(err)
	}
	return id
}

var longAgo = tree.Time{Sec: 1_000_000_000, Nsec: 7}

// node returns a node of a type with everything that it must have.
func node(name string, kind tree.Type) *tree.Node {
	return &tree.Node{Name: []byte(name), Type: kind, Mode: 0o644, UID: uint32(os.Getuid()), GID: uint32(os.Getgid()), MTime: longAgo, Links: 1}
}

func (f *forge) file(name, data string) *tree.Node {
	n := node(name, tree.File)
	n.Size = uint64(len(data))
	if data != "" {
		n.Content = tree.ExtentList{{Length: n.Size, Chunk: f.put(pack.Data, []byte(data))}}
	}
	return n
}

func symlink(name, to string) *tree.Node {
	n := node(name, tree.Symlink)
	n.Target = []byte(to)
	return n
}

func (f *forge) dir(name string, children ...*tree.Node) *tree.Node {
	f.t.Helper()
	n := node(name, tree.Dir)
	n.Mode = 0o755
	b := tree.NewPageBuilder(func(int, []byte) bool { return false }, func(encoded []byte) (crypto.ChunkID, error) {
		return f.put(pack.Page, encoded), nil
	})
	slices.SortFunc(children, func(a, b *tree.Node) int { return bytes.Compare(a.Name, b.Name) })
	for _, c := range children {
		if err := b.Add(c); err != nil {
			f.t.Fatal(err)
		}
		if err := n.Below.Add(c); err != nil {
			f.t.Fatal(err)
		}
	}
	var err error
	if n.Pages, err = b.Finish(); err != nil {
		f.t.Fatal(err)
	}
	n.Entries = uint64(len(children))
	return n
}

// snapshot publishes a root.
func (f *forge) snapshot(root *tree.Node) store.Snapshot {
	f.t.Helper()
	s, err := f.w.Publish(f.t.Context(), tree.Snapshot{
		Source: [16]byte{1}, Root: *root, Basis: tree.Scanned, Label: "forged",
		Started: tree.TimeOf(time.Now()), Finished: tree.TimeOf(time.Now()),
	})
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// image is what a tree looks like: paths with types and contents.
func image(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, p := range paths(t, dir) {
		path := filepath.Join(dir, p)
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case info.Mode().IsRegular():
			all[p] = "file " + info.Mode().String() + " " + content(t, path)
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				t.Fatal(err)
			}
			all[p] = "symlink " + to
		default:
			all[p] = info.Mode().String()
		}
	}
	return all
}

func sameImage(t testing.TB, what string, got, want map[string]string) {
	t.Helper()
	for _, p := range slices.Sorted(maps.Keys(want)) {
		if got[p] != want[p] {
			t.Errorf("%s: %q is %.80q, want %.80q", what, p, got[p], want[p])
		}
	}
	for _, p := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[p]; !ok {
			t.Errorf("%s: %q should not be there", what, p)
		}
	}
}
