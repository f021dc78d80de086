package store_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keepsake/store"
	"keepsake/store/index"
	"keepsake/store/pack"
)

// entriesOf returns all entries of all packs of a kind, with their packs.
func entriesOf(t *testing.T, l *library, r *store.Repository, prefix string) (all []index.Place) {
	t.Helper()
	for _, name := range l.names(t, prefix) {
		p, ok, err := r.Index().Pack(idOf(t, name))
		if err != nil || !ok {
			t.Fatalf("%s is not in the index: %v", name, err)
		}
		for _, e := range l.layout(t, r, name).entries {
			all = append(all, index.Place{Pack: p, Entry: e})
		}
	}
	return all
}

// lie makes the index say that a chunk lies where another one does.
func lie(t *testing.T, r *store.Repository, about, at index.Place) {
	t.Helper()
	e := at.Entry
	e.Chunk = about.Entry.Chunk
	if err := r.Index().Add(index.Table{Pack: at.Pack, Entries: []pack.Entry{e}}); err != nil {
		t.Fatal(err)
	}
}

func TestLyingIndexNeverYieldsWrongBytes(t *testing.T) {
	for _, prefix := range []string{"data/", "meta/"} {
		t.Run(strings.Trim(prefix, "/"), func(t *testing.T) {
			l := newLibrary(t)
			r := l.Open(t)
			all := entriesOf(t, l, r, prefix)
			rng := rand.New(rand.NewPCG(4, 4))
			lies, within := 0, 0
			for range 200 {
				about, at := all[rng.IntN(len(all))], all[rng.IntN(len(all))]
				if about.Entry.Chunk == at.Entry.Chunk {
					continue
				}
				lie(t, r, about, at)
				if got, ok, err := r.Index().Lookup(about.Entry.Chunk); err != nil || !ok || got.Entry.Offset != at.Entry.Offset {
					t.Fatalf("the lie is not in the index: %v, %v", ok, err)
				}
				lies++
				if about.Pack.ID == at.Pack.ID {
					within++
				}
			}
			if within == 0 || within == lies {
				t.Fatalf("%d of %d lies are within a pack", within, lies)
			}
			damaged, wrong := l.readAll(t.Context(), r)
			if len(wrong) > 0 {
				t.Errorf("wrong bytes: %v", wrong)
			}
			for id, paths := range damaged {
				if len(paths) > 0 {
					t.Errorf("%s: intact packs and unreadable files %q", id.Short(), paths)
				}
			}
			// Check corrects what is left of the lies, and then finds nothing.
			for _, p := range mustCheck(t, r) {
				if p.Kind != store.WrongIndex || !p.Mended {
					t.Errorf("check says %v", p)
				}
			}
			if problems := mustCheck(t, r); len(problems) > 0 {
				t.Errorf("after it was corrected: %v", problems)
			}
		})
	}
}

func mustCheck(t *testing.T, r *store.Repository) []store.Problem {
	t.Helper()
	problems, _ := check(t, r, store.CheckOptions{ReadData: true})
	return problems
}

// TestLyingGeometry makes the index take a chunk of two compressed blocks for a
// raw one of many: the block that it then asks for is authentic and another one.
func TestLyingGeometry(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	var compressed, raw index.Place
	for _, p := range entriesOf(t, l, r, "data/") {
		switch {
		case p.Entry.Codec == pack.Zstd && p.Entry.Plain == 300_000:
			compressed = p
		case p.Entry.Codec == pack.Raw && p.Entry.Plain == 100_000:
			raw = p
		}
	}
	lie(t, r, compressed, raw)
	s := l.snapshots[0]
	n, err := r.Resolve(t.Context(), &s.Root, "photos/notes")
	if err != nil {
		t.Fatal(err)
	}
	f, err := r.OpenFile(n)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 1000)
	if _, err := f.ReadAt(t.Context(), got, 80_000); err != nil {
		t.Fatal(err)
	}
	if want := l.want[s.ID]["photos/notes"][80_000:81_000]; !bytes.Equal(got, want) {
		t.Error("wrong bytes")
	}
}

func TestCheckCorrectsLies(t *testing.T) {
	for _, across := range []bool{false, true} {
		l := newLibrary(t)
		r := l.Open(t)
		all := entriesOf(t, l, r, "data/")
		about := all[0]
		for _, at := range all[1:] {
			if (at.Pack.ID != about.Pack.ID) == across {
				lie(t, r, about, at)
				break
			}
		}
		problems := mustCheck(t, r)
		if len(problems) != 1 || problems[0].Kind != store.WrongIndex || !problems[0].Mended {
			t.Fatalf("across packs %v: %v", across, problems)
		}
		got, ok, err := r.Index().Lookup(about.Entry.Chunk)
		if err != nil || !ok || got.Pack.ID != about.Pack.ID || got.Entry.Offset != about.Entry.Offset {
			t.Errorf("across packs %v: not corrected: %+v, %v, %v", across, got, ok, err)
		}
		if problems := mustCheck(t, r); len(problems) > 0 {
			t.Errorf("across packs %v: %v", across, problems)
		}
	}
}

// TestPhantomChunk puts a chunk into the index that no pack holds: a Writer
// would rely on it.
func TestPhantomChunk(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	at := entriesOf(t, l, r, "data/")[0]
	phantom := at
	phantom.Entry.Chunk = r.Keys().ChunkID(byte(pack.Data), []byte("never stored"))
	lie(t, r, phantom, at)
	// The pack is as the index had it; only the phantom is too much.
	if err := r.Index().Add(index.Table{Pack: at.Pack, Entries: l.layout(t, r, store.PackName(at.Pack.Kind, at.Pack.ID)).entries}); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := r.Index().Lookup(phantom.Entry.Chunk); !ok {
		t.Fatal("no phantom")
	}
	problems := mustCheck(t, r)
	if len(problems) != 1 || problems[0].Kind != store.WrongIndex || !problems[0].Mended || problems[0].Chunks != 1 {
		t.Fatalf("check says %v", problems)
	}
	if _, ok, _ := r.Index().Lookup(phantom.Entry.Chunk); ok {
		t.Error("the phantom is still there")
	}
	if problems := mustCheck(t, r); len(problems) > 0 {
		t.Error(problems)
	}
	if damaged, wrong := l.readAll(t.Context(), r); len(wrong) > 0 {
		t.Error(damaged, wrong)
	}
}

// TestRottenPages overwrites pages of the open index.db as a rotting disk or
// memory does. Whatever comes of it, every byte read is right, and the index is
// made anew at the latest when the repository is opened again.
func TestRottenPages(t *testing.T) {
	const page = 4096
	for seed := range uint64(rotTrials) {
		l := newLibrary(t)
		r, err := l.TryOpen(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewPCG(5, seed))
		rot(t, filepath.Join(r.State().Dir(), "index.db"), func(b []byte) {
			var used []int
			for n := 2; n < len(b)/page; n++ { // the first two are bbolt's own, with checksums
				if !bytes.Equal(b[n*page:(n+1)*page], make([]byte, page)) {
					used = append(used, n)
				}
			}
			for range 1 + rng.IntN(3) {
				n := used[rng.IntN(len(used))]
				hole := b[n*page : (n+1)*page]
				switch seed % 3 {
				case 0:
					clear(hole)
				case 1:
					copy(hole, noise(seed, page))
				case 2: // values, with the structure of the page left alone
					for i := 200; i < page; i += 1 + rng.IntN(40) {
						hole[i] ^= byte(1 + rng.IntN(255))
					}
				}
			}
		})
		_, wrong := l.readAll(t.Context(), r)
		if len(wrong) > 0 {
			t.Errorf("seed %d: %v", seed, wrong)
		}
		// What the page held may have been looked for in vain; that is not an error.
		if err := r.Close(); err != nil {
			t.Errorf("seed %d: closing: %v", seed, err)
		}
		r, err = l.TryOpen(t.Context())
		if err != nil {
			t.Fatalf("seed %d: opening again: %v", seed, err)
		}
		if _, err := r.Check(t.Context(), store.CheckOptions{}); err != nil {
			t.Errorf("seed %d: check: %v", seed, err)
		}
		damaged, wrong := l.readAll(t.Context(), r)
		for id, paths := range damaged {
			if len(paths) > 0 {
				t.Errorf("seed %d: after mending %s cannot read %q", seed, id.Short(), paths)
			}
		}
		if len(wrong) > 0 {
			t.Errorf("seed %d: after mending: %v", seed, wrong)
		}
		if err := r.Close(); err != nil {
			t.Errorf("seed %d: closing: %v", seed, err)
		}
	}
}

// rot changes a file in place, as it lies in the page cache.
func rot(t *testing.T, path string, change func([]byte)) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(b)
	change(b)
	if bytes.Equal(b, before) {
		t.Fatal("nothing has rotted")
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Fatal(err)
	}
}

// TestIndexBreaksWhileOpen empties the index under an open repository, which
// then makes a new one and goes on, reading and writing.
func TestIndexBreaksWhileOpen(t *testing.T) {
	l := newLibrary(t)
	r := l.Open(t)
	rot(t, filepath.Join(r.State().Dir(), "index.db"), func(b []byte) { clear(b[2*4096:]) })
	if damaged, wrong := l.readAll(t.Context(), r); len(wrong) > 0 {
		t.Fatal(damaged, wrong)
	}
	if !said(l.Notices, "rebuilt") {
		t.Errorf("notices %q", l.Notices)
	}
	w := begin(t, r)
	publish(t, w, 1, photos(), nil)
	if n := w.Written().NewChunks; n != 0 {
		t.Errorf("%d chunks stored again", n)
	}
	finish(t, w)
	if problems := mustCheck(t, r); len(problems) > 0 {
		t.Error(problems)
	}
}

func said(notices []string, what string) bool {
	for _, n := range notices {
		if strings.Contains(n, what) {
			return true
		}
	}
	return false
}
