package store_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"testing"

	"keepsake/store"
)

func TestScrubCountsAndNamesForeignFiles(t *testing.T) {
	l := newLibrary(t)
	l.records(t)
	must(t, os.WriteFile(l.object("notes.txt"), []byte("hello"), 0o600))
	must(t, os.MkdirAll(l.object("data/zz"), 0o700))
	must(t, os.WriteFile(l.object("data/zz/thing"), nil, 0o600))
	must(t, os.WriteFile(l.object("keys/thing"), nil, 0o600))
	progress := &store.CheckProgress{}
	res, err := store.Scrub(t.Context(), l.Backend, progress, func(p store.Problem) { t.Errorf("reported %v", p) })
	must(t, err)
	slices.Sort(res.Foreign)
	if want := []string{"data/zz/thing", "keys/thing", "notes.txt"}; !slices.Equal(res.Foreign, want) || res.ForeignCount != 3 {
		t.Errorf("foreign files %q", res.Foreign)
	}
	all := l.names(t, "")
	if res.Objects != len(all)-3 || res.Bytes == 0 || progress.Bytes.Load() != progress.BytesTotal.Load() || progress.Packs.Load() != progress.PacksTotal.Load() {
		t.Errorf("%+v of %d files", res, len(all))
	}
}

func TestMissingCopies(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	for _, name := range append(l.names(t, "keys/"), "config", "config.copy") {
		b, err := os.ReadFile(l.object(name))
		must(t, err)
		must(t, os.Remove(l.object(name)))
		must(t, l.Backend.Close())
		if found, _ := scrub(t, l); len(found) != 1 || found[0].Object != name || found[0].Kind != store.DamagedCopy {
			t.Errorf("%s is missing: scrub says %v", name, found)
		}
		if problems, _ := check(t, r, store.CheckOptions{}); len(problems) != 1 || problems[0].Object != name || problems[0].Kind != store.DamagedCopy {
			t.Errorf("%s is missing: check says %v", name, problems)
		}
		must(t, os.WriteFile(l.object(name), b, 0o600))
	}
	l.sound(t, r)
}

func TestBothCopiesDamaged(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	for _, name := range append(l.names(t, "keys/"), "config") {
		if slices.Contains([]string{".copy"}, name[max(0, len(name)-5):]) {
			continue
		}
		undo, again := flip(t, l.object(name), 30, 1), flip(t, l.object(name+".copy"), 40, 1)
		found, _ := scrub(t, l)
		problems, _ := check(t, r, store.CheckOptions{})
		undo()
		again()
		for _, some := range [][]store.Problem{found, problems} {
			if len(some) != 2 || some[0].Kind != store.DamagedKeys || some[1].Kind != store.DamagedKeys || some[0].Object == some[1].Object {
				t.Errorf("%s: %v", name, some)
			}
		}
	}
	l.sound(t, r)
}

// TestSwappedRecords puts an intact object under another one's name.
func TestSwappedRecords(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	for _, prefix := range []string{"snapshots/", "catalog/"} {
		names := l.names(t, prefix)
		path := l.object(names[0])
		was, err := os.ReadFile(path)
		must(t, err)
		other, err := os.ReadFile(l.object(names[1]))
		must(t, err)
		must(t, os.WriteFile(path, other, 0o600))
		for _, some := range [][]store.Problem{first(scrub(t, l)), mustCheck(t, r)} {
			if len(some) == 0 || some[0].Object != names[0] || some[0].Kind != store.Misplaced {
				t.Errorf("%s: %v", names[0], some)
			}
		}
		must(t, os.WriteFile(path, was, 0o600))
	}
	l.sound(t, r)
}

func first[A, B any](a A, _ B) A { return a }

func TestScrubStops(t *testing.T) {
	l := newLibrary(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Scrub(ctx, l.Backend, nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled scrub: %v", err)
	}
}
