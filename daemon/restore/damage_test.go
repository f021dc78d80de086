package restore_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keepsake/crypto"
	"keepsake/daemon/restore"
	"keepsake/store"
	"keepsake/store/pack"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// library is a source with small files, large ones, and two of one content.
func library(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "library")
	for i := range 60 {
		write(t, fmt.Sprintf("%s/%d/%02d.jpg", dir, i%7, i), random(uint64(i), 40_000+i*3_000))
	}
	write(t, dir+"/3/twin.jpg", random(5, 40_000+5*3_000))
	write(t, dir+"/large.mov", random(1000, 30<<20))
	write(t, dir+"/other.mov", random(1001, 12<<20))
	return dir
}

// place is where a chunk of a file lies.
type place struct {
	pack   pack.ID
	offset uint64
	path   string
}

// places lists the chunks of all files below a node.
func places(t testing.TB, r *store.Repository, dir *tree.Node, prefix string) []place {
	t.Helper()
	ctx := t.Context()
	var all []place
	for n, err := range r.Entries(ctx, dir) {
		must(t, err)
		path := prefix + string(n.Name)
		if n.IsDir() {
			all = append(all, places(t, r, n, path+"/")...)
			continue
		}
		file, err := r.OpenFile(n)
		must(t, err)
		for e, err := range file.Extents(ctx, 0) {
			must(t, err)
			id, off, err := r.Place(ctx, e.Chunk)
			must(t, err)
			all = append(all, place{id, off, path})
		}
	}
	return all
}

// affected returns the files whose chunk covers a byte of a pack.
func affected(all []place, id pack.ID, off uint64) []string {
	var start uint64
	for _, p := range all {
		if p.pack == id && p.offset <= off {
			start = max(start, p.offset)
		}
	}
	var files []string
	for _, p := range all {
		if p.pack == id && p.offset == start && !slices.Contains(files, p.path) {
			files = append(files, p.path)
		}
	}
	slices.Sort(files)
	return files
}

func flip(t testing.TB, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	must(t, err)
	b[0] ^= 0x40
	_, err = f.WriteAt(b[:], off)
	must(t, err)
}

// TestDamagedPack flips bytes: exactly the files that need them are lost.
func TestDamagedPack(t *testing.T) {
	source := library(t)
	p := storetest.New(t)
	r := p.Open(t)
	s := back(t, r, source)
	truth := image(t, source)
	all := places(t, r, &s.Root, "")
	twins := 0
	for i := range 24 {
		at := all[(i*37+11)%len(all)]
		if i == 0 {
			at = all[slices.IndexFunc(all, func(p place) bool { return p.path == "3/twin.jpg" })]
		}
		off := at.offset + uint64(i*i%5000)
		want := affected(all, at.pack, off)
		name := filepath.Join(p.Dir, "data", at.pack.String()[:2], at.pack.String())
		flip(t, name, int64(off))
		target := filepath.Join(t.TempDir(), "target")
		// An older version that is there must not go because the newer is lost.
		older := filepath.Join(target, want[0])
		write(t, older, "older version")
		res := restored(t, r, s, target, nil)
		flip(t, name, int64(off))

		got := lostPaths(res)
		if !slices.Equal(got, want) {
			t.Errorf("byte %d of %v: lost %q, want %q", off, at.pack, got, want)
		}
		if len(want) > 1 {
			twins++
		}
		if content(t, older) != "older version" {
			t.Error("the version that was there is gone")
		}
		must(t, os.Remove(older))
		expected := map[string]string{}
		for path, is := range truth {
			if !slices.Contains(want, path) {
				expected[path] = is
			}
		}
		sameImage(t, "around the damage", image(t, target), expected)
		for _, l := range res.Lost {
			if !strings.Contains(l.Reason, "data/"+at.pack.String()[:2]) {
				t.Errorf("the reason does not name the pack: %s", l.Reason)
			}
		}
	}
	if twins == 0 {
		t.Error("no chunk of two files was hit")
	}
}

// TestSalvage keeps what can be read of damaged files, and says so.
func TestSalvage(t *testing.T) {
	source := library(t)
	p := storetest.New(t)
	r := p.Open(t)
	s := back(t, r, source)
	const path = "large.mov"
	var mine []place
	for _, at := range places(t, r, &s.Root, "") {
		if at.path == path {
			mine = append(mine, at)
		}
	}
	for _, at := range []place{mine[3], mine[len(mine)-1]} {
		flip(t, filepath.Join(p.Dir, "data", at.pack.String()[:2], at.pack.String()), int64(at.offset)+17)
	}
	target := filepath.Join(t.TempDir(), "target")
	res := restored(t, r, s, target, func(o *restore.Options) { o.Salvage, o.Verify = true, true })
	if len(res.Lost) != 1 || res.Lost[0].Path != path || !res.Lost[0].Salvaged || !strings.Contains(res.Lost[0].Reason, "2 damaged ranges") {
		t.Fatalf("lost %+v", res.Lost)
	}
	got, want := content(t, filepath.Join(target, path)), content(t, filepath.Join(source, path))
	if len(got) != len(want) {
		t.Fatalf("%d bytes, want %d", len(got), len(want))
	}
	zeros := 0
	for i := range got {
		if got[i] != want[i] {
			if got[i] != 0 {
				t.Fatalf("byte %d is %#x, want %#x or 0", i, got[i], want[i])
			}
			zeros++
		}
	}
	if zeros == 0 || zeros > 20<<20 || !strings.Contains(res.Lost[0].Reason, "bytes of zeros") {
		t.Errorf("%d bytes missing: %s", zeros, res.Lost[0].Reason)
	}
}

// TestDamagedDirectory loses a page: the directory is listed, the rest is there.
func TestDamagedDirectory(t *testing.T) {
	f := newForge(t)
	nowhere := crypto.ChunkID{1, 2, 3}
	bad := f.dir("bad", f.file("x", "x"))
	bad.Pages = nowhere
	list := f.file("list", "x")
	list.Content = nil
	list.Size = 65
	list.List = &tree.ListRef{Chunk: nowhere, Entries: 65, Bytes: 65}
	attr := f.file("attr", "x")
	attr.Xattrs = []tree.Xattr{{Name: []byte("user.x"), Large: tree.ExtentList{{Length: 5000, Chunk: nowhere}}}}
	s := f.snapshot(f.dir("", bad, list, attr, f.file("z", "z")))
	target := t.TempDir()
	write(t, target+"/bad/mine", "mine")
	res := restored(t, f.r, s, target, func(o *restore.Options) { o.Delete = true })
	if got := lostPaths(res); !slices.Equal(got, []string{"attr", "bad", "list"}) {
		t.Errorf("lost %v", res.Lost)
	}
	if content(t, target+"/bad/mine") != "mine" {
		t.Error("removed though it is not known what the snapshot has")
	}
	if content(t, target+"/z") != "z" {
		t.Error("the file after the damage is missing")
	}
	res = restored(t, f.r, s, target, func(o *restore.Options) { o.Salvage = true })
	if got := lostPaths(res); !slices.Equal(got, []string{"attr", "bad", "list"}) || content(t, target+"/attr") != "x" {
		t.Errorf("salvaged: %+v", res.Lost)
	}
}

// TestWrongDigest: what does not match the SHA-256 of the snapshot is lost,
// small files always, others with Verify.
func TestWrongDigest(t *testing.T) {
	f := newForge(t)
	wrong := sha256.Sum256([]byte("something else"))
	small, large := f.file("small", "small"), f.file("large", random(1, 100<<10))
	small.SHA256, large.SHA256 = &wrong, &wrong
	good := f.file("good", "good")
	sum := sha256.Sum256([]byte("good"))
	good.SHA256 = &sum
	s := f.snapshot(f.dir("", small, large, good, f.file("without", "x")))
	for verify, want := range map[bool][]string{false: {"small"}, true: {"large", "small"}} {
		res := restored(t, f.r, s, t.TempDir(), func(o *restore.Options) { o.Verify = verify })
		if got := lostPaths(res); !slices.Equal(got, want) {
			t.Errorf("verify %v: lost %v", verify, res.Lost)
		}
		if verify && (res.Verified != 1 || len(res.NotKept) != 1 || res.NotKept[0].Example != "without") {
			t.Errorf("verified %d, not kept %+v", res.Verified, res.NotKept)
		}
	}
}
