package fusefs_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/capture"
	"keepsake/fusefs"
	"keepsake/store"
	"keepsake/store/storetest"
)

// needFUSE skips a test where nothing can be mounted.
func needFUSE(t testing.TB) {
	t.Helper()
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("not run: this machine has no /dev/fuse, so nothing of the mounted view was tested here: %v", err)
	}
}

// logs is a writer for slog that tests read.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) lines(containing string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, containing) {
			found = append(found, line)
		}
	}
	return found
}

// mounted is a view under test.
type mounted struct {
	*fusefs.Mounted
	dir string
	log *logs
}

func (m *mounted) path(elements ...string) string {
	return filepath.Join(append([]string{m.dir}, elements...)...)
}

// mount mounts a repository in a temporary directory until the test ends.
func mount(t testing.TB, r *store.Repository, change func(*fusefs.Options)) *mounted {
	t.Helper()
	return mountBy(t, r, change, func(o fusefs.Options) (*fusefs.Mounted, error) { return fusefs.Mount(t.Context(), o) })
}

func mountBy(t testing.TB, r *store.Repository, change func(*fusefs.Options), by func(fusefs.Options) (*fusefs.Mounted, error)) *mounted {
	t.Helper()
	needFUSE(t)
	dir := filepath.Join(t.TempDir(), "mount")
	m := &mounted{dir: dir, log: &logs{}}
	o := fusefs.Options{Repository: r, Dir: dir, Log: slog.New(slog.NewTextHandler(m.log, nil))}
	if change != nil {
		change(&o)
	}
	// Whatever goes wrong below, nothing may stay mounted.
	t.Cleanup(func() {
		for unix.Unmount(dir, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW) == nil {
			t.Errorf("%s was still mounted when the test ended", dir)
		}
		if t.Failed() {
			t.Logf("log of the view:\n%s", strings.Join(m.log.lines(""), ""))
		}
	})
	var err error
	if m.Mounted, err = by(o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Unmount(); err != nil {
			t.Errorf("unmounting: %v", err)
		}
		m.Wait()
	})
	return m
}

// back captures a directory once, in a session of its own.
func back(t testing.TB, r *store.Repository, dir, label string, change func(*capture.Options)) store.Snapshot {
	t.Helper()
	ctx := t.Context()
	w, err := r.NewWriter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	source, _, err := capture.Bind(ctx, r, label, dir, "host")
	if err != nil {
		t.Fatal(err)
	}
	o := capture.Options{
		Repository: r, Writer: w, Source: source, Path: []byte(dir), Host: "host", Progress: &capture.Progress{},
		// A clock that runs ahead, so that what was just written is not racy.
		Now: func() time.Time { return time.Now().Add(time.Minute) },
	}
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
	return res.Snapshot
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(b)
	return b
}

// library writes a small library of photos, videos and sidecars.
func library(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{
		"empty":            nil,
		"small":            []byte("hello"),
		"photos/a.jpg":     random(1, 3<<20),
		"photos/b.jpg":     random(2, 700<<10),
		"video/large.mov":  random(3, 12<<20),
		"text/compress.me": bytes.Repeat([]byte("all work and no play "), 100_000),
	}
	for i := range 600 {
		files[fmt.Sprintf("many/%04d.xmp", i)] = fmt.Appendf(nil, "<rating>%d</rating>", i)
	}
	for name, data := range files {
		write(t, filepath.Join(dir, name), data)
	}
	return files
}

// view backs up a library and mounts the repository.
func view(t testing.TB, change func(*fusefs.Options)) (m *mounted, files map[string][]byte, s store.Snapshot, r *store.Repository, place *storetest.Place) {
	t.Helper()
	needFUSE(t)
	place = storetest.New(t)
	dir := filepath.Join(t.TempDir(), "library")
	files = library(t, dir)
	r = place.Open(t)
	s = back(t, r, dir, "library", nil)
	return mount(t, r, change), files, s, r, place
}
