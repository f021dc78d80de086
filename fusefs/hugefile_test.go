package fusefs_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/pack"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// huge stores a file that is made of so many references to so few chunks, in
// turn, and returns what each of those begins with.
func huge(t testing.TB, r *store.Repository, references, chunks, size int) (begins [][]byte) {
	t.Helper()
	ctx := t.Context()
	w, err := r.NewWriter(ctx)
	must(t, err)
	put := func(kind pack.ChunkType) func([]byte) (crypto.ChunkID, error) {
		return func(b []byte) (crypto.ChunkID, error) {
			id, _, err := w.Put(ctx, kind, b)
			return id, err
		}
	}
	plain := random(1, size)
	var ids []crypto.ChunkID
	for i := range chunks {
		binary.BigEndian.PutUint64(plain, uint64(i))
		id, err := put(pack.Data)(plain)
		must(t, err)
		ids, begins = append(ids, id), append(begins, slices.Clone(plain[:8]))
	}
	list := tree.NewListBuilder(func(_ int, id crypto.ChunkID) bool { return id[0] == 0 }, put(pack.List))
	for i := range references {
		must(t, list.Add(tree.Extent{Length: uint64(size), Chunk: ids[i%chunks]}))
	}
	n := &tree.Node{Name: []byte("huge.mov"), Type: tree.File, Mode: 0o644, Links: 1, Size: uint64(references) * uint64(size)}
	n.Content, n.List, err = list.Finish()
	must(t, err)
	pages := tree.NewPageBuilder(func(int, []byte) bool { return false }, put(pack.Page))
	must(t, pages.Add(n))
	root := tree.Node{Type: tree.Dir, Mode: 0o755, Links: 2, Entries: 1}
	must(t, root.Below.Add(n))
	root.Pages, err = pages.Finish()
	must(t, err)
	now := tree.TimeOf(time.Now())
	_, err = w.Publish(ctx, tree.Snapshot{
		Source: [16]byte{1}, Label: "huge", Host: "host", Basis: tree.Scanned, Started: now, Finished: now, Root: root,
	})
	must(t, err)
	must(t, w.Close(ctx))
	return begins
}

// openHuge mounts it and opens it for reading here and there.
func openHuge(t testing.TB, references, chunks, size int) (f *os.File, begins [][]byte) {
	t.Helper()
	needFUSE(t)
	r := storetest.New(t).Open(t)
	begins = huge(t, r, references, chunks, size)
	f, err := os.Open(mount(t, r, nil).path("latest", "huge", "huge.mov"))
	must(t, err)
	t.Cleanup(func() { f.Close() })
	must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
	return f, begins
}

// TestHugeFile reads all over a file whose content list has two levels, in
// whatever order.
func TestHugeFile(t *testing.T) {
	const references, chunks, size = 20_000, 10, 2 << 20
	f, begins := openHuge(t, references, chunks, size)
	order := rand.New(rand.NewPCG(1, 2))
	got := make([]byte, 8)
	for i := range 300 {
		n := order.IntN(references)
		switch i {
		case 0:
			n = references - 1
		case 1:
			n = 0
		}
		if _, err := f.ReadAt(got, int64(n)*size); err != nil || !slices.Equal(got, begins[n%chunks]) {
			t.Fatalf("chunk %d begins with %x, %v", n, got, err)
		}
	}
}

// TestManyPieces reads a file of more and smaller pieces than the kernel takes
// in one writing.
func TestManyPieces(t *testing.T) {
	const references, chunks, size = 3000, 7, 11
	f, begins := openHuge(t, references, chunks, size)
	got := make([]byte, references*size)
	if n, err := f.ReadAt(got, 0); err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	for i := range references {
		if !bytes.HasPrefix(got[i*size:], begins[i%chunks]) {
			t.Fatalf("piece %d begins with %x", i, got[i*size:][:8])
		}
	}
}

// BenchmarkHugeFile reads 64 KiB here and there in the first and in the last
// 10 GB of a file of 120 GB, by turns: where in the file that is must not matter.
func BenchmarkHugeFile(b *testing.B) {
	const references, chunks, size, part = 60_000, 1_000, 2_000_000, 10_000_000_000
	f, _ := openHuge(b, references, chunks, size)
	order := rand.New(rand.NewPCG(3, 4))
	buf := make([]byte, 64<<10)
	var first, last []time.Duration
	read := func(from int64) time.Duration {
		off := from + order.Int64N(part-int64(len(buf)))
		begun := time.Now()
		if _, err := f.ReadAt(buf, off); err != nil {
			b.Fatal(err)
		}
		return time.Since(begun)
	}
	b.ResetTimer()
	for range b.N {
		for range 200 {
			first = append(first, read(0))
			last = append(last, read(references*size-part))
		}
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Microseconds()) / 1000
	}
	b.ReportMetric(median(first), "first-ms")
	b.ReportMetric(median(last), "last-ms")
	b.ReportMetric(median(last)/median(first), "last/first")
}
