package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"keepsake/store"
)

// ruins are the ways in which a file of the state directory is lost.
var ruins = map[string]func(t *testing.T, path string){
	"deleted": func(t *testing.T, path string) { must(t, os.Remove(path)) },
	"empty":   func(t *testing.T, path string) { must(t, os.Truncate(path, 0)) },
	"short":   func(t *testing.T, path string) { must(t, os.Truncate(path, 100)) },
	"one page": func(t *testing.T, path string) {
		must(t, os.Truncate(path, int64(os.Getpagesize())))
	},
	"truncated": func(t *testing.T, path string) { must(t, os.Truncate(path, int64(3*os.Getpagesize()))) },
	"zeroed": func(t *testing.T, path string) {
		rot(t, path, func(b []byte) { clear(b) })
	},
	"zeroed behind its head": func(t *testing.T, path string) {
		rot(t, path, func(b []byte) { clear(b[2*os.Getpagesize():]) })
	},
	"garbage": func(t *testing.T, path string) {
		must(t, os.WriteFile(path, noise(6, 60_000), 0o600))
	},
	"garbage behind its head": func(t *testing.T, path string) {
		rot(t, path, func(b []byte) { copy(b[2*os.Getpagesize():], noise(6, len(b))) })
	},
	"text": func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("hello\n"), 0o600)) },
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stateDir is the state directory of the library, which is not open.
func (l *library) stateDir(t testing.TB) string {
	t.Helper()
	r, err := l.TryOpen(t.Context())
	must(t, err)
	dir := r.State().Dir()
	must(t, r.Close())
	return dir
}

func TestLostIndexAndState(t *testing.T) {
	pristine := newLibrary(t)
	dir := pristine.stateDir(t)
	saved := t.TempDir()
	must(t, os.CopyFS(saved, os.DirFS(dir)))
	for _, file := range []string{"index.db", "state.db"} {
		for name, ruin := range ruins {
			t.Run(file+"/"+name, func(t *testing.T) {
				l := *pristine
				l.Notices = nil
				place := *pristine.Place
				l.Place = &place
				must(t, os.RemoveAll(dir))
				must(t, os.CopyFS(dir, os.DirFS(saved)))
				ruin(t, filepath.Join(dir, file))
				r, err := l.TryOpen(t.Context())
				must(t, err)
				defer r.Close()
				if damaged, wrong := l.readAll(t.Context(), r); len(wrong) > 0 {
					t.Errorf("%v, %v", damaged, wrong)
				}
				if len(l.Notices) == 0 {
					t.Error("nothing was said")
				}
				if problems, _ := check(t, r, store.CheckOptions{}); len(problems) > 0 {
					t.Errorf("check says %v", problems)
				}
			})
		}
	}
}

// TestEverythingLost deletes the whole state directory: what is stored is not
// stored again, and a new chain continues the old one.
func TestEverythingLost(t *testing.T) {
	l := newLibrary(t)
	must(t, os.RemoveAll(l.stateDir(t)))
	l.Notices = nil
	r := l.Open(t)
	if !said(l.Notices, "index") || !said(l.Notices, "new chain") {
		t.Errorf("notices %q", l.Notices)
	}
	if doubt, err := r.Doubt(); err != nil || !doubt {
		t.Errorf("no doubt about a rebuilt index: %v", err)
	}
	w := begin(t, r)
	s := publish(t, w, 1, photos(), nil)
	if n := w.Written().NewChunks; n != 0 {
		t.Errorf("%d chunks were stored again", n)
	}
	finish(t, w)
	old := l.snapshots[1]
	if s.Number != 1 || s.Previous != nil || s.Writer == old.Writer {
		t.Errorf("number %d, previous %v, writer %x", s.Number, s.Previous, s.Writer)
	}
	continued := false
	for _, h := range s.Heads {
		continued = continued || h.Source == old.Source && h.Writer == old.Writer && h.Number == old.Number && h.ID == old.ID
	}
	if !continued {
		t.Errorf("heads %v do not name the old chain", s.Heads)
	}
	l.sound(t, r)
	if doubt, err := r.Doubt(); err != nil || doubt {
		t.Errorf("doubt after a check that found nothing: %v", err)
	}
}
