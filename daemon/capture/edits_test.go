package capture_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"keepsake/daemon/capture"
	"keepsake/store"
	"keepsake/store/storetest"
)

// tool runs a program that studios use, or says loudly that the test did not run.
func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("not run: %s is not installed", name)
	}
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// added captures a directory and returns how many bytes of plaintext were new.
func added(t *testing.T, r *store.Repository, dir string) int64 {
	t.Helper()
	var w *store.Writer
	back(t, r, dir, func(o *capture.Options) { o.Now = later; w = o.Writer })
	return w.Written().NewBytes
}

// jpegs writes photos with a real header and an incompressible body.
func jpegs(t *testing.T, dir string, n, size int) {
	t.Helper()
	template := filepath.Join(t.TempDir(), "template.jpg")
	tool(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120", "-frames:v", "1", template)
	raw, err := os.ReadFile(template)
	if err != nil {
		t.Fatal(err)
	}
	scan := bytes.Index(raw, []byte{0xff, 0xda})
	head := raw[:scan+2+int(raw[scan+2])<<8+int(raw[scan+3])]
	for i := range n {
		body := bytes.ReplaceAll(random(uint64(1000+i), size), []byte{0xff}, []byte{0x7e})
		write(t, filepath.Join(dir, fmt.Sprintf("IMG_%03d.JPG", i)), bytes.Join([][]byte{head, body, {0xff, 0xd9}}, nil))
	}
}

// TestRetaggedPhotosAddLittle edits metadata with exiftool, which rewrites the
// head of each file and shifts the rest. The mean over many photos is 0.18 MiB
// (FORMAT.md); the bound leaves room for few photos and an unlucky polynomial.
func TestRetaggedPhotosAddLittle(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "photos")
	const photos, size = 8, 6 << 20
	jpegs(t, dir, photos, size)
	if first := added(t, r, dir); first < photos*size {
		t.Fatalf("the first snapshot stored %d bytes", first)
	}
	tool(t, "exiftool", "-q", "-overwrite_original", "-Artist=studio", "-Copyright=2026 studio", "-XMP:Rating=5", dir)
	each := added(t, r, dir) / photos
	t.Logf("%d bytes added per photo", each)
	if each > size/6 {
		t.Errorf("%d bytes added per retagged photo of %d", each, size)
	}
	if each == 0 {
		t.Error("nothing was added: exiftool changed nothing, or the change was not seen")
	}
}

// TestCopyAndRenameAddMetadataOnly copies one directory and renames another.
func TestCopyAndRenameAddMetadataOnly(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	for i := range 20 {
		write(t, filepath.Join(dir, "a", fmt.Sprint(i)), random(uint64(i), 200_000))
		write(t, filepath.Join(dir, "b", fmt.Sprint(i)), random(uint64(100+i), 200_000))
	}
	added(t, r, dir)
	if err := os.CopyFS(filepath.Join(dir, "copy"), os.DirFS(filepath.Join(dir, "a"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "b"), filepath.Join(dir, "renamed")); err != nil {
		t.Fatal(err)
	}
	if n := added(t, r, dir); n > 32<<10 {
		t.Errorf("%d bytes added", n)
	}
}

// TestDatabaseUpdatesAddPages changes some rows of a catalogue in place.
func TestDatabaseUpdatesAddPages(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	db := filepath.Join(dir, "catalogue.lrcat")
	tool(t, "sqlite3", db, `create table t(id integer primary key, b blob);
		with recursive n(i) as (select 1 union all select i+1 from n where i < 60000) insert into t select i, randomblob(900) from n;`)
	first := added(t, r, dir)
	tool(t, "sqlite3", db, `update t set b = randomblob(900) where id % 6000 = 7;`)
	n := added(t, r, dir)
	t.Logf("%d bytes added by 10 updates in %d", n, first)
	if first < 50<<20 || n > 10*160<<10 {
		t.Errorf("10 updates added %d bytes to a catalogue of %d", n, first)
	}
}

// TestTextIsCompressed stores a dump as people make them.
func TestTextIsCompressed(t *testing.T) {
	place := storetest.New(t)
	r := place.Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	var sql bytes.Buffer
	sql.WriteString("COPY public.clients (id, name, email, created) FROM stdin;\n")
	for i := range 100_000 {
		fmt.Fprintf(&sql, "%d\tclient %x\tmail%d@example.com\t2026-%02d-%02d 10:%02d:00\n", i, i*7919%10007, i%991, 1+i%12, 1+i%28, i%60)
	}
	write(t, filepath.Join(dir, "dump.sql"), sql.Bytes())
	var w *store.Writer
	back(t, r, dir, func(o *capture.Options) { w = o.Writer })
	if got := w.Written().StoredBytes; got > int64(sql.Len())*30/100 {
		t.Errorf("%d bytes of SQL are stored in %d", sql.Len(), got)
	}
}
