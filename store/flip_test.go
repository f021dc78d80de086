package store_test

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"keepsake/store"
	"keepsake/store/object"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

func idOf(t testing.TB, name string) (id pack.ID) {
	t.Helper()
	if n, err := hex.Decode(id[:], []byte(path.Base(name))); n != len(id) || err != nil {
		t.Fatalf("%s is no pack's name", name)
	}
	return id
}

// records adds a ledger entry and both records of a prune.
func (l *library) records(t testing.TB) {
	t.Helper()
	r, err := l.TryOpen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := l.snapshots[0]
	put := func(kind object.Kind, plain []byte, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		name, err := r.PutRecord(t.Context(), kind, plain)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	e := tree.LedgerEntry{Kind: tree.Pin, Time: tree.Time{Sec: 1}, Why: "the best of 2026",
		Snapshots: []tree.LedgerSnapshot{{ID: s.ID, Source: s.Source, Writer: s.Writer, Number: s.Number}}}
	b, err := e.Marshal()
	put(object.Ledger, b, err)
	opening := tree.Condemned{Run: [16]byte{1}, Started: tree.Time{Sec: 1}, Grace: 60, Packs: [][32]byte{{1}, {2}}}
	b, err = opening.Marshal()
	id := idOf(t, put(object.Condemned, b, err))
	closing := tree.Condemned{Run: [16]byte{1}, Started: tree.Time{Sec: 1}, Opens: (*[32]byte)(&id), Spared: [][32]byte{{1}}, Deleted: [][32]byte{{2}}}
	b, err = closing.Marshal()
	put(object.Condemned, b, err)
}

func TestFlippedByteInPacks(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	l.sound(t, r)
	know := l.truth(t, r)
	for _, prefix := range []string{"data/", "meta/"} {
		t.Run(strings.Trim(prefix, "/"), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(1, uint64(prefix[0])))
			var packs []layout
			for _, name := range l.names(t, prefix) {
				packs = append(packs, l.layout(t, r, name))
			}
			hurt := 0
			for i := range max(trials, 8) + 8*min(1+trials/4, len(packs)) {
				p := packs[i%len(packs)]
				off := rng.Int64N(p.size)
				switch i / min(1+trials/4, len(packs)) { // places that chance seldom finds
				case 0:
					off = rng.Int64N(16) // header
				case 1:
					off = 16 + rng.Int64N(32) // id
				case 2:
					off = p.size - 28 + rng.Int64N(12) // lengths
				case 3:
					off = p.size - 1 - rng.Int64N(16) // checksum
				case 4:
					off = p.size - 29 - rng.Int64N(32) // end of the table
				case 5, 6, 7: // a byte of a chunk
					e := p.entries[rng.IntN(len(p.entries))]
					off = int64(e.Offset) + rng.Int64N(int64(e.Stored))
				}
				var want []store.AffectedPath
				if id, ok := p.at(off); ok {
					if want = know[id]; len(want) == 0 {
						t.Fatalf("chunk %v of %s is part of nothing", id, p.name)
					}
					hurt++
				}
				for _, err := range l.flipTrial(t, r, p.name, off, byte(1+rng.IntN(255)), want) {
					t.Errorf("%s, byte %d of %d: %v", p.name, off, p.size, err)
				}
			}
			if hurt < trials {
				t.Errorf("only %d trials hit a chunk", hurt)
			}
		})
	}
}

// flipTrial flips a byte of a pack and returns what is wrong with how that is
// found and named; want are the paths that it affects. The byte is put back.
func (l *library) flipTrial(t testing.TB, r *store.Repository, name string, off int64, with byte, want []store.AffectedPath) (failures []error) {
	t.Helper()
	fail := func(format string, args ...any) { failures = append(failures, fmt.Errorf(format, args...)) }
	undo := flip(t, l.object(name), off, with)
	problems, _ := check(t, r, store.CheckOptions{ReadData: true})
	if len(problems) != 1 || problems[0].Object != name || problems[0].Kind != store.DamagedPack {
		fail("check says %v", problems)
	} else if got := problems[0]; !same(got.Paths, want) || got.PathCount != len(want) {
		fail("check names %d paths\n%swant\n%s", got.PathCount, store.FormatPaths(got.Paths), store.FormatPaths(want))
	}
	if found, _ := scrub(t, l); len(found) != 1 || found[0].Object != name || found[0].Remedy == "" {
		fail("scrub says %v", found)
	}
	damaged, wrong := l.readAll(t.Context(), r)
	failures = append(failures, wrong...)
	for id, files := range damaged {
		for _, file := range files {
			if !slices.ContainsFunc(want, func(p store.AffectedPath) bool { return affects(p, id, file) }) {
				fail("%s %s cannot be read and is not affected", id.Short(), file)
			}
		}
	}
	for _, p := range want {
		if !slices.ContainsFunc(damaged[p.Snapshot], func(file string) bool { return affects(p, p.Snapshot, file) }) && l.holds(p) {
			fail("%s %q is affected and can be read", p.Snapshot.Short(), p.Path)
		}
	}
	undo()
	if problems, res := check(t, r, store.CheckOptions{ReadData: true}); len(problems) > 0 || res.Healed != 1 {
		fail("after the byte was put back: %v, %d packs healed", problems, res.Healed)
	}
	return failures
}

// TestNegativeControl shows that the trials above would fail if reading did not
// verify, and if check did not find anything.
func TestNegativeControl(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	know := l.truth(t, r)
	p := l.layout(t, r, l.names(t, "data/")[0])
	e := p.entries[0]
	want := know[e.Chunk]
	if failures := l.flipTrial(t, r, p.name, int64(e.Offset), 1, want); len(failures) > 0 {
		t.Fatalf("with verification: %v", failures)
	}
	if failures := l.flipTrial(t, r, p.name, int64(e.Offset), 1, append(slices.Clone(want), store.AffectedPath{Path: "x"})); len(failures) == 0 {
		t.Error("a path that is not affected was not missed")
	}
	r.Unverified()
	failures := l.flipTrial(t, r, p.name, int64(e.Offset), 1, want)
	wrong := 0
	for _, err := range failures {
		if strings.Contains(err.Error(), "wrong bytes") {
			wrong++
		}
	}
	if wrong == 0 {
		t.Errorf("without verification no wrong byte was noticed: %v", failures)
	}
}

func TestFlippedByteInRecords(t *testing.T) {
	l := newLibrary(t)
	l.records(t)
	r := l.Open(t)
	if res := l.sound(t, r); res.ForeignCount != 0 {
		t.Fatalf("%+v", res)
	}
	var slots, epochs []string
	for _, name := range l.names(t, "keys/") {
		if strings.Contains(name, "epoch") {
			epochs = append(epochs, name)
		} else {
			slots = append(slots, name)
		}
	}
	if len(slots) != 2 || len(epochs) != 2 {
		t.Fatalf("slots %v, epochs %v", slots, epochs)
	}
	for _, kind := range []struct {
		name    string
		objects []string
		want    store.ProblemKind
	}{
		{"snapshot", l.names(t, "snapshots/"), store.DamagedSnapshot},
		{"ledger", l.names(t, "ledger/"), store.DamagedRecord},
		{"catalog", l.names(t, "catalog/"), store.DamagedRecord},
		{"condemned", l.names(t, "condemned/"), store.DamagedRecord},
		{"config", []string{"config", "config.copy"}, store.DamagedCopy},
		{"slot", slots, store.DamagedCopy},
		{"epoch", epochs, store.DamagedCopy},
	} {
		t.Run(kind.name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(2, uint64(len(kind.name))))
			for i := range trials {
				name := kind.objects[i%len(kind.objects)]
				info, err := os.Stat(l.object(name))
				if err != nil {
					t.Fatal(err)
				}
				off := rng.Int64N(info.Size())
				if i < 2*len(kind.objects) {
					off = int64(i) // header
				}
				undo := flip(t, l.object(name), off, byte(1+rng.IntN(255)))
				problems, _ := check(t, r, store.CheckOptions{ReadData: true})
				if len(problems) != 1 || problems[0].Object != name || problems[0].Kind != kind.want {
					t.Errorf("%s, byte %d: check says %v", name, off, problems)
				}
				if found, _ := scrub(t, l); len(found) != 1 || found[0].Object != name || found[0].Kind != kind.want || found[0].Remedy == "" {
					t.Errorf("%s, byte %d: scrub says %v", name, off, found)
				}
				undo()
			}
			l.sound(t, r)
		})
	}
	if damaged, wrong := l.readAll(t.Context(), r); len(wrong) > 0 {
		t.Errorf("%v, %v", damaged, wrong)
	}
}

// TestOpensWithFlippedKeys opens the repository while one copy of what opening
// needs is damaged.
func TestOpensWithFlippedKeys(t *testing.T) {
	l := newLibrary(t)
	rng := rand.New(rand.NewPCG(3, 3))
	for _, name := range append(l.names(t, "keys/"), "config", "config.copy") {
		info, err := os.Stat(l.object(name))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			undo := flip(t, l.object(name), rng.Int64N(info.Size()), byte(1+rng.IntN(255)))
			r, err := l.TryOpen(t.Context())
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if damaged, wrong := l.readAll(t.Context(), r); len(wrong) > 0 {
				t.Errorf("%s: %v, %v", name, damaged, wrong)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			undo()
		}
	}
}
