package capture_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/guard"
	"keepsake/store/tree"
)

// attack is something that no studio does, in slices: step does the i-th file.
type attack struct {
	name  string
	files func(s *studio) []string // to be attacked, in order
	step  func(s *studio, i int, path string)
	want  []string
	least int // files before which it must not be found
	// slices says that even a short run spreads it over many captures.
	slices bool
}

func attacks() []attack {
	media := func(percent int) func(*studio) []string {
		return func(s *studio) []string { return share(s.files("*.JPG", "*.MOV"), percent) }
	}
	encrypt := func(s *studio, i int, path, to string) {
		st, err := os.Stat(path)
		s.must(err)
		write(s.t, to, random(uint64(7000+i), int(st.Size())))
		if to != path {
			s.must(os.Remove(path))
		}
	}
	mass := []string{guard.MassChange}
	return []attack{
		{"overwritten with noise", media(30), func(s *studio, i int, path string) { encrypt(s, i, path, path) }, mass, 10, true},
		{"overwritten, times set back", media(30), func(s *studio, i int, path string) {
			st, err := os.Stat(path)
			s.must(err)
			encrypt(s, i, path, path)
			s.must(os.Chtimes(path, st.ModTime(), st.ModTime()))
		}, mass, 10, false},
		{"replaced by noise under the old name", media(30), func(s *studio, i int, path string) {
			encrypt(s, i, path, path+".tmp")
			s.must(os.Rename(path+".tmp", path))
		}, mass, 10, false},
		{"cut to nothing", media(30), func(s *studio, _ int, path string) { s.must(os.Truncate(path, 0)) }, mass, 10, false},
		{"filled with zeros", media(30), func(s *studio, i int, path string) { write(s.t, path, make([]byte, 3000)) }, mass, 10, false},
		{"renamed to .locked", media(30), func(s *studio, i int, path string) { encrypt(s, i, path, path+".locked") }, mass, 20, true},
		{"only renamed to .locked", media(30), func(s *studio, _ int, path string) { s.must(os.Rename(path, path+".locked")) }, mass, 20, false},
		{"renamed to another extension", media(30), func(s *studio, i int, path string) {
			encrypt(s, i, path, path[:len(path)-len("JPG")]+"cr1pt0")
		}, mass, 20, false},
		{"renamed to random names", media(30), func(s *studio, i int, path string) {
			encrypt(s, i, path, filepath.Join(filepath.Dir(path), fmt.Sprintf("%x", random(uint64(i), 12))))
		}, mass, 20, false},
		{"renamed to other photos' names", media(30), func(s *studio, i int, path string) {
			encrypt(s, i, path, filepath.Join(filepath.Dir(path), fmt.Sprintf("%x.jpg", random(uint64(i), 12))))
		}, mass, 10, false},
		{"sidecars encrypted", func(s *studio) []string { return s.files("*.xmp") }, func(s *studio, i int, path string) { encrypt(s, i, path, path) }, mass, 10, false},
		{"notes encrypted", func(s *studio) []string { return s.files("*.txt") }, func(s *studio, i int, path string) { encrypt(s, i, path, path) }, mass, 20, false},
		{"deleted here and there", func(s *studio) []string { return share(s.files("*"), 30) }, func(s *studio, _ int, path string) { s.must(os.Remove(path)) }, mass, 100, true},
		{"deleted, most of it", func(s *studio) []string { return s.files("*")[:len(s.files("*"))*6/10] }, func(s *studio, _ int, path string) { s.must(os.Remove(path)) },
			[]string{guard.Shrunk}, 100, false},
	}
}

// share returns some percent of the paths, here and there.
func share(paths []string, percent int) (some []string) {
	for i, p := range paths {
		if (i*percent)%100 < percent {
			some = append(some, p)
		}
	}
	return some
}

// victim is a library of a few hundred files, captured once.
func victim(t *testing.T, kinds templates) *studio {
	t.Helper()
	s := newStudio(t, kinds)
	s.fill("2025 Aviram", 160, true)
	s.fill("2026 Baumann", 240, false)
	for i := range 60 {
		write(t, filepath.Join(s.dir, "office", fmt.Sprintf("%02d", i%12), fmt.Sprintf("letter %d.txt", i)), sidecar(i)[80:])
	}
	s.quiet("the library")
	return s
}

// TestAttacksAreFound does each attack at once.
func TestAttacksAreFound(t *testing.T) {
	kinds := makeTemplates(t)
	for _, a := range attacks() {
		t.Run(a.name, func(t *testing.T) {
			s := victim(t, kinds)
			for i, path := range a.files(s) {
				a.step(s, i, path)
			}
			if marks := s.run(); !slices.Equal(marks, a.want) {
				t.Errorf("marked %v, want %v: %+v", marks, a.want, s.last.Observation)
			}
			for _, f := range s.last.Findings {
				if f.Good != *s.last.Snapshot.Previous {
					t.Errorf("the last good snapshot is not the one before")
				}
			}
			// Work goes on: it is not to blame.
			write(t, filepath.Join(s.dir, "new.JPG"), s.kinds.photo(1))
			s.quiet("a photo after the attack")
		})
	}
}

// TestAttacksInSlicesAddUp spreads attacks over a night of captures by events. The long
// run does it with all of them.
func TestAttacksInSlicesAddUp(t *testing.T) {
	kinds := makeTemplates(t)
	for _, a := range attacks() {
		if !a.slices && os.Getenv("KEEPSAKE_LONG") == "" {
			continue
		}
		t.Run(a.name, func(t *testing.T) {
			s := victim(t, kinds)
			good := s.last.Snapshot.ID
			s.every = 30 * time.Minute
			files := a.files(s)
			slice := max(3, len(files)/30)
			for i, path := range files {
				a.step(s, i, path)
				rel, err := filepath.Rel(s.dir, filepath.Dir(path))
				s.must(err)
				s.dirty = append(s.dirty, rel)
				if (i+1)%slice != 0 {
					continue
				}
				marks := s.run()
				s.dirty = nil
				if s.last.Snapshot.Basis != tree.Events {
					t.Fatalf("basis %v", s.last.Snapshot.Basis)
				}
				if len(marks) == 0 {
					continue
				}
				if i+1 < a.least {
					t.Errorf("marked %v after %d files", marks, i+1)
				}
				// Slices of a mass deletion are scattered before most is gone.
				if !slices.Equal(marks, a.want) && !slices.Equal(marks, []string{guard.MassChange}) {
					t.Errorf("marked %v, want %v", marks, a.want)
				}
				for _, f := range s.last.Findings {
					if f.Good != good {
						t.Errorf("%s: the good snapshot is not the one before it began", f.Guard)
					}
				}
				return
			}
			t.Errorf("not found: %+v", s.window)
		})
	}
}

// TestWithoutGuardsNothingIsFound shows that it is the guards that find it.
func TestWithoutGuardsNothingIsFound(t *testing.T) {
	s := victim(t, makeTemplates(t))
	s.limits = guard.None()
	for _, a := range attacks()[:1] {
		for i, path := range a.files(s) {
			a.step(s, i, path)
		}
		s.quiet("guards are off")
	}
	if found := guard.Judge(guard.Thresholds{}, guard.Window{}, s.last.Observation); len(found) == 0 {
		t.Error("with the guards on nothing would have been found either")
	}
	s.must(os.RemoveAll(s.dir))
	s.must(os.Mkdir(s.dir, 0o755))
	s.quiet("guards are off, and all is deleted")
}

// TestUnmountedSource leaves the empty directory that a disk was mounted on, as
// the whole source and as a part of it.
func TestUnmountedSource(t *testing.T) {
	kinds := makeTemplates(t)
	for _, tt := range []struct {
		name, at string
		left     bool // something lies on the mount point itself
		want     []string
	}{
		{"whole", "", false, []string{guard.Emptied, guard.Elsewhere, guard.Shrunk}},
		{"whole, with something below it", "", true, []string{guard.Elsewhere, guard.Shrunk}},
		{"a part", "disk 2", false, []string{guard.Elsewhere}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStudio(t, kinds)
			point := filepath.Join(s.dir, tt.at)
			if tt.left {
				write(t, filepath.Join(point, "Thumbs.db"), []byte("x"))
			}
			s.must(os.MkdirAll(point, 0o755))
			if err := unix.Mount("keepsake-test", point, "tmpfs", 0, "size=64m"); err != nil {
				t.Skipf("not run: mounting a file system: %v", err)
			}
			mounted := true
			defer func() {
				if mounted {
					_ = unix.Unmount(point, unix.MNT_DETACH) // the test failed already
				}
			}()
			s.fill(filepath.Join(tt.at, "2026"), 40, false)
			if tt.at != "" {
				s.fill("2025", 60, false)
			}
			s.quiet("mounted")
			s.must(unix.Unmount(point, 0))
			mounted = false
			if marks := s.run(); !slices.Equal(marks, tt.want) {
				t.Errorf("marked %v, want %v", marks, tt.want)
			}
		})
	}
}
