package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/pack"
	"keepsake/store/storetest"
)

// kill ends a Repository as a killed process does: nothing is closed in order,
// locks are gone, what was staged stays. The backend is opened anew.
func kill(t *testing.T, p *storetest.Place, r *store.Repository) {
	t.Helper()
	must(t, r.Close())
	b, err := backend.OpenLocal(p.Dir, nil)
	must(t, err)
	p.Backend = b
}

// TestKilledAfterPublish takes away what the index heard of the last packs, as
// a kill between their renames and the commit of the index does.
func TestKilledAfterPublish(t *testing.T) {
	for _, lost := range []string{"nothing", "what the index heard last", "the whole index"} {
		t.Run(lost, func(t *testing.T) {
			p := storetest.New(t)
			r, err := p.TryOpen(t.Context())
			must(t, err)
			keep(t, r, 2, folder{"before": &document{data: noise(20, 50_000), chunk: 9000}})
			w := begin(t, r)
			db := filepath.Join(r.State().Dir(), "index.db")
			before, err := os.ReadFile(db)
			must(t, err)
			(&builder{t, w}).folder(photos())
			must(t, w.Commit(t.Context()))
			if w.Written().NewChunks == 0 {
				t.Fatal("nothing was stored")
			}
			// A chunk in a pack that never gets its name.
			(&builder{t, w}).put(pack.Data, noise(21, 5000))
			kill(t, p, r)
			switch lost {
			case "what the index heard last":
				must(t, os.WriteFile(db, before, 0o600))
			case "the whole index":
				must(t, os.Remove(db))
			}

			p.Notices = nil
			r = p.Open(t)
			if lost != "nothing" && !said(p.Notices, "packs") {
				t.Errorf("notices %q", p.Notices)
			}
			w = begin(t, r)
			s := publish(t, w, 1, photos(), nil)
			if n := w.Written(); n.NewChunks != 0 || n.Packs != 0 {
				t.Errorf("stored again: %+v", n)
			}
			finish(t, w)
			staged, err := os.ReadDir(filepath.Join(p.Dir, "tmp"))
			must(t, err)
			if len(staged) > 1 { // the marker stays
				t.Errorf("%d files were left in tmp", len(staged))
			}
			if problems := mustCheck(t, r); len(problems) > 0 {
				t.Errorf("check says %v", problems)
			}
			if s.Number != 1 {
				t.Errorf("number %d", s.Number)
			}
		})
	}
}

// TestForeignPacksAreFound lets a second writer store what the first one then
// reads: its index hears of the packs when it misses them.
func TestForeignPacksAreFound(t *testing.T) {
	l := newLibrary(t)
	first := l.Open(t)
	second := *l.Place
	second.StateBase = t.TempDir()
	b, err := backend.OpenLocal(l.Dir, nil)
	must(t, err)
	second.Backend = b
	r, err := second.TryOpen(t.Context())
	must(t, err)
	f := folder{"new": &document{data: noise(30, 30_000), chunk: 8000}}
	s := keep(t, r, 3, f)
	must(t, r.Close())
	got, err := content(t.Context(), first, s, "new")
	must(t, err)
	if string(got) != string(noise(30, 30_000)) {
		t.Error("wrong bytes")
	}
	if problems := mustCheck(t, first); len(problems) > 0 {
		t.Errorf("check says %v", problems)
	}
}

// TestDamagedCatalogIsPassedOver rebuilds the index while a catalog is damaged.
func TestDamagedCatalogIsPassedOver(t *testing.T) {
	l := newLibrary(t)
	dir := l.stateDir(t)
	undo := flip(t, l.object(l.names(t, "catalog/")[0]), 200, 1)
	defer undo()
	must(t, os.Remove(filepath.Join(dir, "index.db")))
	r := l.Open(t)
	if damaged, wrong := l.readAll(t.Context(), r); len(wrong) > 0 {
		t.Errorf("%v, %v", damaged, wrong)
	}
}

// TestCatalogsFillTheIndex rebuilds the index from catalogs: no table of a pack
// needs to be read, so damaged ones do no harm.
func TestCatalogsFillTheIndex(t *testing.T) {
	l := newLibrary(t)
	r, err := l.TryOpen(t.Context())
	must(t, err)
	var undo []func()
	for _, prefix := range []string{"data/", "meta/"} {
		for _, name := range l.names(t, prefix) {
			undo = append(undo, flip(t, l.object(name), l.layout(t, r, name).size-40, 1))
		}
	}
	dir := r.State().Dir()
	must(t, r.Close())
	must(t, os.Remove(filepath.Join(dir, "index.db")))
	r = l.Open(t)
	damaged, wrong := l.readAll(t.Context(), r)
	for id, paths := range damaged {
		if len(paths) > 0 {
			t.Errorf("%s: %q", id.Short(), paths)
		}
	}
	if len(wrong) > 0 {
		t.Error(wrong)
	}
	for _, undo := range undo {
		undo()
	}
}
