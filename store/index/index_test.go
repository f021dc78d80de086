package index_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"keepsake/crypto"
	"keepsake/store/index"
	"keepsake/store/object"
	"keepsake/store/pack"
)

var repo = crypto.RepositoryID{1, 2, 3}

func open(t *testing.T, path string) *index.DB {
	t.Helper()
	db, _, err := index.Open(path, repo)
	must(t, err)
	t.Cleanup(func() { db.Close() })
	return db
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// table makes a pack of n raw chunks of random ids, the last one compressed in
// two frames.
func table(seed uint64, n int) index.Table {
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	t := index.Table{Pack: index.Pack{Kind: object.DataPack, Epoch: 1, Size: 1 << 20, Chunks: uint32(n)}}
	rng.Read(t.Pack.ID[:])
	off := uint64(pack.HeaderSize)
	for i := range n {
		e := pack.Entry{Type: pack.Data, Codec: pack.Raw, Number: uint32(i), Offset: off, Plain: 100, Stored: 116}
		if i == n-1 {
			e.Codec, e.Plain, e.Frames = pack.Zstd, pack.FrameSize+1, []uint32{5000, 30}
			e.Stored = 5030
		}
		rng.Read(e.Chunk[:])
		off += uint64(e.Stored)
		t.Entries = append(t.Entries, e)
	}
	return t
}

func lookup(t *testing.T, db *index.DB, id crypto.ChunkID) (index.Place, bool) {
	t.Helper()
	p, ok, err := db.Lookup(id)
	must(t, err)
	return p, ok
}

func equal(a, b pack.Entry) bool {
	return slices.Equal(a.Frames, b.Frames) && a.Chunk == b.Chunk && a.Type == b.Type && a.Codec == b.Codec &&
		a.Number == b.Number && a.Offset == b.Offset && a.Plain == b.Plain && a.Stored == b.Stored
}

func TestAddAndLookup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	db := open(t, path)
	tables := []index.Table{table(1, 3), table(2, 12_000), table(3, 1), table(4, 5)} // more than two transactions
	must(t, db.Add(tables...))
	must(t, db.Add(tables[1])) // again
	must(t, db.SetClean(true))
	must(t, db.Close())
	db = open(t, path)
	for _, want := range tables {
		for _, e := range want.Entries {
			p, ok := lookup(t, db, e.Chunk)
			if !ok || p.Pack != want.Pack || !equal(p.Entry, e) {
				t.Fatalf("chunk %v: %+v, %v, want %+v", e.Chunk, p, ok, e)
			}
		}
		cmp, err := db.Compare(want)
		if err != nil || !cmp.Agrees() || cmp.Here != len(want.Entries) || cmp.Elsewhere != 0 {
			t.Errorf("comparison %+v, %v", cmp, err)
		}
	}
	if n, err := db.Count(); err != nil || n != 12_009 {
		t.Errorf("%d chunks, %v", n, err)
	}
	if _, ok := lookup(t, db, crypto.ChunkID{9}); ok {
		t.Error("a chunk that nobody added")
	}
	var seen []pack.ID
	must(t, db.Packs(func(p index.Pack) error { seen = append(seen, p.ID); return nil }))
	if len(seen) != len(tables) {
		t.Errorf("%d packs", len(seen))
	}
	if clean, err := db.Clean(); err != nil || !clean {
		t.Errorf("not clean: %v", err)
	}
}

func TestCompareFindsDifferences(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "index.db"))
	known := table(1, 10)
	must(t, db.Add(known))
	if cmp, err := db.Compare(table(2, 10)); err != nil || cmp.Known || cmp.Wrong != 10 {
		t.Errorf("unknown pack: %+v, %v", cmp, err)
	}
	moved := known
	moved.Entries = slices.Clone(known.Entries)
	moved.Entries[3].Offset++
	if cmp, err := db.Compare(moved); err != nil || cmp.Wrong != 1 || cmp.Here != 9 || cmp.Agrees() {
		t.Errorf("a chunk elsewhere in the pack: %+v, %v", cmp, err)
	}
	other := table(3, 1)
	other.Entries[0] = known.Entries[0]
	must(t, db.Add(other))
	if cmp, err := db.Compare(known); err != nil || cmp.Elsewhere != 1 || cmp.Here != 9 || !cmp.Agrees() {
		t.Errorf("a chunk in another pack: %+v, %v", cmp, err)
	}
	known.Pack.Size++
	if cmp, err := db.Compare(known); err != nil || !cmp.Known || cmp.Equal || cmp.Agrees() {
		t.Errorf("another size: %+v, %v", cmp, err)
	}
}

func TestMarksAndDoubt(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "index.db"))
	damaged, whole := table(1, 2), table(2, 2)
	whole.Entries[0].Chunk = damaged.Entries[0].Chunk
	must(t, db.Add(damaged))
	if doubt, _ := db.Doubt(); !doubt {
		t.Error("no doubt about a new index")
	}
	must(t, db.ClearDoubt(db.Doubts()))
	must(t, db.Mark(damaged.Pack.ID, func(p *index.Pack) { p.Damaged = true }))
	if p, ok := lookup(t, db, damaged.Entries[1].Chunk); !ok || p.Usable() {
		t.Errorf("%+v, %v", p, ok)
	}
	if doubt, _ := db.Doubt(); !doubt {
		t.Error("no doubt after a mark")
	}
	since := db.Doubts()
	must(t, db.Mark(damaged.Pack.ID, func(p *index.Pack) { p.Condemned = true }))
	must(t, db.ClearDoubt(since))
	if doubt, _ := db.Doubt(); !doubt {
		t.Error("doubt that arose meanwhile was cleared")
	}
	must(t, db.ClearDoubt(db.Doubts()))
	if doubt, _ := db.Doubt(); doubt {
		t.Error("doubt was not cleared")
	}
	// The whole copy takes the place, and the damaged one does not take it back,
	// even if whoever adds it does not know of its mark.
	must(t, db.Add(whole))
	must(t, db.Add(damaged))
	if p, ok := lookup(t, db, damaged.Entries[0].Chunk); !ok || p.Pack.ID != whole.Pack.ID {
		t.Errorf("chunk is looked for in the damaged pack: %+v", p)
	}
	if p, ok, err := db.Pack(damaged.Pack.ID); err != nil || !ok || !p.Damaged || !p.Condemned {
		t.Errorf("marks were lost: %+v, %v", p, err)
	}
	must(t, db.Forget(whole.Pack.ID))
	if _, ok := lookup(t, db, whole.Entries[1].Chunk); ok {
		t.Error("a chunk of a forgotten pack")
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "index.db")
	must(t, open(t, path).Close())
	if _, _, err := index.Open(path, crypto.RepositoryID{9}); !errors.Is(err, index.ErrForeign) {
		t.Errorf("another repository: %v", err)
	}
	for name, b := range map[string][]byte{
		"empty": {}, "text": []byte("hello"), "zeros": make([]byte, 1<<16), "one page": make([]byte, os.Getpagesize()),
	} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, b, 0o600))
		if _, _, err := index.Open(path, repo); !errors.Is(err, index.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := index.Open(filepath.Join(dir, "no", "such", "index.db"), repo); err == nil || errors.Is(err, index.ErrDamaged) {
		t.Errorf("no directory: %v", err)
	}
}

// TestResetWhileInUse clears all pages under an open index and resets it while
// others go on asking.
func TestResetWhileInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	db := open(t, path)
	full := table(1, 6000)
	must(t, db.Add(full))
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	info, err := f.Stat()
	must(t, err)
	head := 2 * os.Getpagesize()
	_, err = f.WriteAt(make([]byte, int(info.Size())-head), int64(head))
	must(t, err)
	must(t, f.Close())
	if _, _, err := db.Lookup(full.Entries[0].Chunk); !errors.Is(err, index.ErrDamaged) {
		t.Fatalf("lookup in an empty file: %v", err)
	}
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for i := range 500 {
				if _, ok, err := db.Lookup(full.Entries[i].Chunk); err != nil && !errors.Is(err, index.ErrDamaged) || err == nil && ok {
					t.Errorf("found %v, %v", ok, err)
					return
				}
			}
		})
	}
	must(t, db.Reset())
	group.Wait()
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("the damaged file was kept: %v, %v", files, err)
	}
	if doubt, err := db.Doubt(); err != nil || !doubt {
		t.Errorf("no doubt: %v", err)
	}
	must(t, db.Add(full))
	if _, ok := lookup(t, db, full.Entries[0].Chunk); !ok {
		t.Error("not usable after Reset")
	}
}

// TestCloseRemovesDamagedFile lets the next Open begin anew.
func TestCloseRemovesDamagedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "index.db")
	db := open(t, path)
	must(t, db.Add(table(1, 6000)))
	must(t, os.Truncate(path, int64(2*os.Getpagesize())))
	if _, _, err := db.Lookup(crypto.ChunkID{1}); !errors.Is(err, index.ErrDamaged) {
		t.Fatalf("lookup in a truncated file: %v", err)
	}
	must(t, db.Close())
	again, fresh, err := index.Open(path, repo)
	if err != nil || !fresh {
		t.Fatalf("fresh %v, %v", fresh, err)
	}
	must(t, again.Close())
}
