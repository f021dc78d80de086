package capture_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"keepsake/daemon/capture"
	"keepsake/store"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// back captures a directory once, in a session of its own.
func back(t *testing.T, r *store.Repository, dir string, change func(*capture.Options)) (*capture.Result, capture.Counts) {
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
	progress := &capture.Progress{}
	o := capture.Options{Repository: r, Writer: w, Source: source, Path: []byte(dir), Host: "host", Progress: progress}
	if change != nil {
		change(&o)
	}
	res, err := capture.Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(ctx); err != nil {
		t.Fatal(err)
	}
	return res, progress.Counts()
}

// write makes a file whose times lie far enough back not to be racy.
func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// later is a clock that runs ahead, so that what was just written is not racy.
func later() time.Time { return time.Now().Add(time.Minute) }

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

// content reads a file of a snapshot.
func content(t *testing.T, r *store.Repository, s store.Snapshot, path string) []byte {
	t.Helper()
	n, err := r.Resolve(t.Context(), &s.Root, path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.OpenFile(n)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(io.NewSectionReader(readerAt{t.Context(), f}, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

type readerAt struct {
	ctx context.Context
	f   *store.File
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r.f.ReadAt(r.ctx, p, off) }

func TestRoundTrip(t *testing.T) {
	place := storetest.New(t)
	dir := filepath.Join(t.TempDir(), "library")
	files := map[string][]byte{
		"empty":            nil,
		"small":            []byte("hello"),
		"photos/a.jpg":     random(1, 3<<20),
		"photos/b.jpg":     random(2, 700<<10),
		"video/large.mov":  random(3, 40<<20),
		"text/compress.me": bytes.Repeat([]byte("all work and no play "), 100_000),
	}
	for i := range 600 {
		files[fmt.Sprintf("many/%04d.xmp", i)] = fmt.Appendf(nil, "<rating>%d</rating>", i)
	}
	for name, data := range files {
		write(t, filepath.Join(dir, name), data)
	}
	r := place.Open(t)
	res, counts := back(t, r, dir, func(o *capture.Options) { o.Now = later })
	if res.Missing != 0 {
		t.Fatalf("missed %v", res.Missed)
	}
	if counts.NewFiles != int64(len(files)) {
		t.Errorf("%d new files, want %d", counts.NewFiles, len(files))
	}
	for name, data := range files {
		if got := content(t, r, res.Snapshot, name); !bytes.Equal(got, data) {
			t.Errorf("%s: %d bytes, want %d", name, len(got), len(data))
		}
	}

	again, counts := back(t, r, dir, func(o *capture.Options) { o.Now = later })
	if counts.ReadBytes != 0 || counts.Unread != int64(len(files)) {
		t.Errorf("unchanged run read %d bytes and took over %d files", counts.ReadBytes, counts.Unread)
	}
	if again.Changed {
		t.Error("unchanged run says that the tree changed")
	}
	if again.Snapshot.Number != 2 || *again.Snapshot.Previous != [32]byte(res.Snapshot.ID) {
		t.Errorf("second snapshot is number %d after %x", again.Snapshot.Number, again.Snapshot.Previous)
	}
	if again.Snapshot.Basis != tree.Scanned {
		t.Errorf("basis %v", again.Snapshot.Basis)
	}
}
