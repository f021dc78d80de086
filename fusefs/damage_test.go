package fusefs_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/store/storetest"
)

// packs lists the packs of a kind that are not in except.
func packs(t *testing.T, place *storetest.Place, kind string, except []string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(filepath.Join(place.Dir, kind), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !slices.Contains(except, path) {
			all = append(all, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// flip changes one byte of a file.
func flip(t *testing.T, path string, off int64) {
	t.Helper()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := f.WriteAt(b, off); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedPack(t *testing.T) {
	needFUSE(t)
	place := storetest.New(t)
	dir := filepath.Join(t.TempDir(), "library")
	good, bad := random(1, 5<<20), random(2, 20<<20)
	write(t, dir+"/good.jpg", good)
	r := place.Open(t)
	back(t, r, dir, "library", nil)
	before := packs(t, place, "data", nil)
	write(t, dir+"/bad.mov", bad)
	back(t, r, dir, "library", nil)
	later := packs(t, place, "data", before)
	if len(later) == 0 {
		t.Fatal("the second backup wrote no pack")
	}
	for _, pack := range later {
		info, err := os.Stat(pack)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 1<<20 {
			flip(t, pack, info.Size()/2)
		}
	}

	m := mount(t, r, nil)
	root := m.path("latest", "library")
	if got, err := os.ReadFile(root + "/good.jpg"); err != nil || !bytes.Equal(got, good) {
		t.Errorf("a file of another pack: %d bytes, %v", len(got), err)
	}
	f, err := os.Open(root + "/bad.mov")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	failed := 0
	buf := make([]byte, 64<<10)
	for round := range 3 {
		for off := 0; off < len(bad); off += len(buf) {
			n, err := f.ReadAt(buf, int64(off))
			switch {
			case errors.Is(err, unix.EIO):
				failed++
			case err != nil || n != len(buf):
				t.Fatalf("round %d at %d: %d bytes, %v", round, off, n, err)
			case !bytes.Equal(buf, bad[off:off+len(buf)]):
				t.Fatalf("round %d at %d: wrong bytes", round, off)
			}
		}
	}
	if failed == 0 || failed > 3*4*len(later) {
		t.Errorf("%d of %d reads failed", failed, 3*len(bad)/len(buf))
	}
	lines := m.log.lines("bad.mov")
	if len(lines) == 0 || len(lines) > len(later) {
		t.Errorf("%d lines in the log for %d damaged packs", len(lines), len(later))
	}
	for _, line := range lines {
		if !bytes.Contains([]byte(line), []byte("object=data/")) {
			t.Errorf("the log does not name the pack: %s", line)
		}
	}
	if got := m.log.lines("good.jpg"); len(got) > 0 {
		t.Errorf("the log complains about a good file: %q", got)
	}
}

// TestVanishedPack takes a metadata pack away: what is listed in it is EIO,
// not a file that is not there.
func TestVanishedPack(t *testing.T) {
	needFUSE(t)
	place := storetest.New(t)
	dir := filepath.Join(t.TempDir(), "library")
	write(t, dir+"/photos/a.jpg", random(1, 1<<20))
	r := place.Open(t)
	back(t, r, dir, "library", nil)
	m := mount(t, r, nil)
	away := t.TempDir() + "/away"
	if err := os.Rename(place.Dir+"/meta", away); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"photos", "none", "photos/a.jpg"} {
		if _, err := os.Stat(m.path("latest", "library", name)); !errors.Is(err, unix.EIO) {
			t.Errorf("%s without its metadata: %v", name, err)
		}
	}
	if _, err := os.ReadDir(m.path("latest", "library") + "/"); !errors.Is(err, unix.EIO) {
		t.Errorf("listing without metadata: %v", err)
	}
	if err := os.Rename(away, place.Dir+"/meta"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(m.path("latest", "library", "photos", "a.jpg")); err != nil {
		t.Errorf("after the metadata came back: %v", err)
	}
	if _, err := os.Stat(m.path("latest", "library", "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after the metadata came back, a name that is not there: %v", err)
	}
}
