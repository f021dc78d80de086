package fusefs_test

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestWholeLibrary(t *testing.T) {
	m, files, _, _, _ := view(t, nil)
	root := m.path("latest", "library")
	seen := 0
	err := filepath.WalkDir(root+"/", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		rel, _ := filepath.Rel(root, path)
		want, ok := files[rel]
		if !ok {
			t.Errorf("%s should not be there", rel)
		}
		got, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d: %v", rel, len(got), len(want), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen != len(files) {
		t.Errorf("%d files, want %d", seen, len(files))
	}
}

func TestLayout(t *testing.T) {
	m, _, s, _, _ := view(t, nil)
	if got := list(t, m.dir); !slices.Equal(got, []string{"README.txt", "latest", "previous", "snapshots", "versions"}) {
		t.Errorf("root holds %q", got)
	}
	name := s.Started.Time().In(s.Zone()).Format("2006-01-02T15-04-05-0700")
	target, err := os.Readlink(m.path("latest", "library"))
	if want := "../snapshots/library/" + name; err != nil || target != want {
		t.Errorf("latest leads to %q, want %q: %v", target, want, err)
	}
	if got := list(t, m.path("snapshots", "library")); !slices.Equal(got, []string{name}) {
		t.Errorf("snapshots of the library are %q", got)
	}
	text, err := os.ReadFile(m.path("README.txt"))
	if err != nil || strings.Count(string(text), "\n") > 10 || len(text) < 100 {
		t.Errorf("README.txt has %d lines: %v", strings.Count(string(text), "\n"), err)
	}
	for _, name := range []string{".hidden", "desktop.ini", "latest/none", "snapshots/none", "snapshots/library/none", "latest/library/none", "previous/none", "previous/library/none", "versions/none", "versions/library/none"} {
		if _, err := os.Lstat(m.path(name)); !os.IsNotExist(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Lstat(m.path("latest", "library", strings.Repeat("x", 256))); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("a name of 256 bytes: %v", err)
	}
}

func list(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// TestConcurrentReaders reads at random places, in order, and lists, all at once.
func TestConcurrentReaders(t *testing.T) {
	m, files, _, _, _ := view(t, nil)
	root := m.path("latest", "library")
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range files {
			if !yield(name) {
				return
			}
		}
	})
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 150 {
				name := names[r.IntN(len(names))]
				if r.IntN(2) == 0 {
					name = "video/large.mov"
				}
				want := files[name]
				f, err := os.Open(filepath.Join(root, name))
				if err != nil {
					t.Error(err)
					return
				}
				buf := make([]byte, 1+r.IntN(300_000))
				off := r.IntN(len(want) + 1)
				n, _ := f.ReadAt(buf, int64(off))
				if expected := want[off:min(len(want), off+len(buf))]; !bytes.Equal(buf[:n], expected) {
					t.Errorf("%s at %d: %d bytes, want %d", name, off, n, len(expected))
				}
				f.Close()
				if r.IntN(20) == 0 {
					if entries, err := os.ReadDir(filepath.Join(root, "many")); err != nil || len(entries) != 600 {
						t.Errorf("%d entries: %v", len(entries), err)
					}
				}
			}
		})
	}
	group.Go(func() {
		for range 3 {
			if got, err := os.ReadFile(filepath.Join(root, "video/large.mov")); err != nil || !bytes.Equal(got, files["video/large.mov"]) {
				t.Errorf("%d bytes: %v", len(got), err)
			}
		}
	})
	group.Wait()
}
