package capture_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keepsake/daemon/capture"
	"keepsake/store"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// settle lets what was just written come to rest for bundles.
func settle() { time.Sleep(120 * time.Millisecond) }

func reasons(r *capture.Result) map[string]tree.Reason {
	all := map[string]tree.Reason{}
	for _, m := range r.Missed {
		all[string(m.Path)] = m.Reason
	}
	return all
}

// TestBundlesAreKnownByName looks at which files carry the same bundle.
func TestBundlesAreKnownByName(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	groups := [][]string{
		{"IMG_1.CR3", "IMG_1.xmp"},
		{"IMG_2.cr3", "IMG_2.CR3.xmp", "IMG_2.XMP"},
		{"a/IMG_1.NEF", "a/IMG_1.NEF.xmp"},
		{"Main.lrcat", "Main.lrcat-wal", "Main.lrcat-shm"},
		{"some.db", "some.db-journal"},
		{"plain", "plain-wal"},
	}
	alone := []string{
		"IMG_1.JPG", "IMG_3.CR3", "IMG_4.xmp", "IMG_5.JPG", "IMG_5.xmp", "other.db", "x-wal", "Main.lrcat.lock", "left.CR3", "IMG_10.CR3",
	}
	for _, g := range groups {
		for _, name := range g {
			write(t, filepath.Join(dir, name), []byte(name))
		}
	}
	for _, name := range append(alone, "left.xmp", "Film.fcpbundle/2026/a.mov") {
		write(t, filepath.Join(dir, name), []byte(name))
	}
	settle()
	var ids []map[string]uint64
	run := func() *capture.Result {
		res, _ := back(t, r, dir, func(o *capture.Options) { o.Now, o.Rules = later, leaving(t, []string{"left.xmp"}, nil, false) })
		found := map[string]uint64{}
		owner := map[uint64]string{}
		for _, g := range groups {
			for _, name := range g {
				n := node(t, r, res.Snapshot, name)
				if n == nil {
					t.Fatalf("%s is not in the snapshot; missed %v", name, res.Missed)
				}
				if found[name] = n.Bundle; n.Bundle == 0 || n.Bundle != node(t, r, res.Snapshot, g[0]).Bundle {
					t.Errorf("%s is of bundle %x", name, n.Bundle)
				}
			}
			id := found[g[0]]
			if owner[id] != "" {
				t.Errorf("%s and %s are of one bundle", owner[id], g[0])
			}
			owner[id] = g[0]
		}
		for _, name := range alone {
			if n := node(t, r, res.Snapshot, name); n == nil || n.Bundle != 0 {
				t.Errorf("%s: %+v", name, n)
			}
		}
		if n := node(t, r, res.Snapshot, "Film.fcpbundle"); n == nil || n.Bundle == 0 {
			t.Log(res.Missed)
			t.Error("the directory is no bundle")
		}
		ids = append(ids, found)
		return res
	}
	first := run()
	write(t, filepath.Join(dir, "IMG_1.xmp"), []byte("rated"))
	settle()
	second := run()
	for name, id := range ids[0] {
		if ids[1][name] != id {
			t.Errorf("%s is of bundle %x, and was of %x", name, ids[1][name], id)
		}
	}
	if first.Missing+second.Missing > 0 {
		t.Errorf("missed %v %v", first.Missed, second.Missed)
	}
	// Without its sidecar a raw photo is alone.
	if err := os.Remove(filepath.Join(dir, "IMG_1.xmp")); err != nil {
		t.Fatal(err)
	}
	res, _ := back(t, r, dir, func(o *capture.Options) { o.Now = later })
	if n := node(t, r, res.Snapshot, "IMG_1.CR3"); n.Bundle != 0 {
		t.Error("a raw photo that lost its sidecar is still of a bundle")
	}
}

// TestAllOfABundleOrNone has one member in flux: the others keep their versions.
func TestAllOfABundleOrNone(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	raw, xmp := filepath.Join(dir, "IMG.CR3"), filepath.Join(dir, "IMG.xmp")
	write(t, raw, []byte("raw 1"))
	write(t, xmp, []byte("xmp 1"))
	write(t, filepath.Join(dir, "NEW.CR3"), []byte("new"))
	write(t, filepath.Join(dir, "NEW.xmp"), []byte("new"))
	settle()
	back(t, r, dir, func(o *capture.Options) { o.Now = later })
	write(t, raw, []byte("raw 2"))
	write(t, xmp, []byte("xmp 2"))
	write(t, filepath.Join(dir, "NEXT.CR3"), []byte("next"))
	write(t, filepath.Join(dir, "NEXT.xmp"), []byte("next"))
	settle()
	flux := map[string]bool{"IMG.xmp": true, "NEXT.CR3": true, "NEW.xmp": true}
	held, _ := back(t, r, dir, func(o *capture.Options) { o.Now, o.InFlux = later, flux })
	want := map[string]tree.Reason{
		"IMG.CR3": tree.ReasonBundle, "IMG.xmp": tree.ReasonKept, "NEXT.CR3": tree.ReasonFlux, "NEXT.xmp": tree.ReasonBundle,
	}
	if got := reasons(held); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("missed %v, want %v", got, want)
	}
	if string(content(t, r, held.Snapshot, "IMG.CR3")) != "raw 1" || string(content(t, r, held.Snapshot, "IMG.xmp")) != "xmp 1" {
		t.Error("the previous versions of both were not kept")
	}
	if node(t, r, held.Snapshot, "NEXT.xmp") != nil {
		t.Error("a part without the rest is in the snapshot")
	}
	if n := node(t, r, held.Snapshot, "NEW.CR3"); n == nil || n.Flags != 0 {
		t.Errorf("what did not change is %+v", n)
	}
	// By events of another directory only; what was held back is tried again.
	res, _ := back(t, r, dir, func(o *capture.Options) {
		o.Now, o.Since, o.Dirty = later, held.Base, capture.NewDirty([]string{"elsewhere"}, nil)
	})
	if res.Missing != 0 || string(content(t, r, res.Snapshot, "IMG.CR3")) != "raw 2" || node(t, r, res.Snapshot, "NEXT.xmp") == nil {
		t.Errorf("at rest: missed %v", res.Missed)
	}
	// After a day in flux it is stored as it is.
	write(t, xmp, []byte("xmp 3"))
	torn, _ := back(t, r, dir, func(o *capture.Options) {
		o.Now = func() time.Time { return later().Add(25 * time.Hour) }
		o.InFlux = map[string]bool{"IMG.xmp": true}
	})
	if n := node(t, r, torn.Snapshot, "IMG.xmp"); n.Flags&tree.Torn == 0 || string(content(t, r, torn.Snapshot, "IMG.xmp")) != "xmp 3" {
		t.Errorf("after a day: flags %b, missed %v", n.Flags, torn.Missed)
	}
}

// TestSidecarWrittenWhileItsPhotoIsRead writes the sidecar whenever the clock is
// looked at, which is once for each file that is read.
func TestSidecarWrittenWhileItsPhotoIsRead(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	xmp := filepath.Join(dir, "IMG.xmp")
	write(t, filepath.Join(dir, "IMG.CR3"), []byte("raw 1"))
	write(t, xmp, []byte("xmp 1"))
	settle()
	back(t, r, dir, func(o *capture.Options) { o.Now = later })
	write(t, filepath.Join(dir, "IMG.CR3"), []byte("raw 2"))
	settle()
	var mu sync.Mutex
	n := 0
	writing := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		n++
		write(t, xmp, fmt.Append(nil, "xmp ", n))
		return later()
	}
	res, _ := back(t, r, dir, func(o *capture.Options) { o.Now = writing })
	if string(content(t, r, res.Snapshot, "IMG.CR3")) != "raw 1" || string(content(t, r, res.Snapshot, "IMG.xmp")) != "xmp 1" || res.Missing != 2 {
		t.Errorf("%s with %s, missed %v", content(t, r, res.Snapshot, "IMG.CR3"), content(t, r, res.Snapshot, "IMG.xmp"), res.Missed)
	}
}

// TestLibraryAtOneMoment writes in the library of an editing program while it is
// walked, and otherwise not.
func TestLibraryAtOneMoment(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	inside := func(name string) string { return filepath.Join(dir, "Film.fcpbundle", name) }
	for i := range 40 {
		write(t, inside(fmt.Sprintf("event %d/media", i)), random(uint64(i), 5000))
	}
	write(t, filepath.Join(dir, "beside"), []byte("x"))
	settle()
	writing := func() time.Time {
		write(t, inside("event 0/media"), random(uint64(time.Now().UnixNano()), 100))
		return later()
	}
	// Without a previous version it waits; nothing else does.
	first, _ := back(t, r, dir, func(o *capture.Options) { o.Now = writing })
	if node(t, r, first.Snapshot, "Film.fcpbundle") != nil || node(t, r, first.Snapshot, "beside") == nil {
		t.Error("the library is in the snapshot, or what is beside it is not")
	}
	if got := reasons(first); len(got) != 1 || got["Film.fcpbundle"] != tree.ReasonBundle {
		t.Errorf("missed %v", got)
	}
	settle()
	second, _ := back(t, r, dir, func(o *capture.Options) {
		o.Now, o.Since, o.Dirty = later, first.Base, capture.NewDirty([]string{"elsewhere"}, nil)
	})
	if second.Missing != 0 || node(t, r, second.Snapshot, "Film.fcpbundle/event 7/media") == nil {
		t.Fatalf("at rest: missed %v", second.Missed)
	}
	// A change in it by events, while something else in it is being written.
	write(t, inside("event 3/media"), []byte("cut"))
	settle()
	third, _ := back(t, r, dir, func(o *capture.Options) {
		o.Now, o.Since, o.Dirty = writing, second.Base, capture.NewDirty([]string{"Film.fcpbundle/event 3"}, nil)
	})
	if string(content(t, r, third.Snapshot, "Film.fcpbundle/event 3/media")) == "cut" || third.Missing != 1 {
		t.Errorf("half of a change is in the snapshot; missed %v", third.Missed)
	}
	// The events of both are spent; it is walked in full all the same.
	settle()
	fourth, _ := back(t, r, dir, func(o *capture.Options) {
		o.Now, o.Since, o.Dirty = later, third.Base, capture.NewDirty([]string{"elsewhere"}, nil)
	})
	now, err := os.ReadFile(inside("event 0/media"))
	if err != nil {
		t.Fatal(err)
	}
	if string(content(t, r, fourth.Snapshot, "Film.fcpbundle/event 3/media")) != "cut" || !bytes.Equal(content(t, r, fourth.Snapshot, "Film.fcpbundle/event 0/media"), now) || fourth.Missing != 0 {
		t.Errorf("missed %v", fourth.Missed)
	}
	if fourth.Snapshot.Basis != tree.Events {
		t.Errorf("basis %v", fourth.Snapshot.Basis)
	}
	// What is known to be in flux is not even walked; after a day it is stored.
	write(t, inside("event 9/media"), []byte("last"))
	flux := map[string]bool{"Film.fcpbundle/event 9/media": true}
	fifth, _ := back(t, r, dir, func(o *capture.Options) { o.Now, o.InFlux = later, flux })
	if got := reasons(fifth); len(got) != 1 || got["Film.fcpbundle"] != tree.ReasonBundle {
		t.Errorf("missed %v", got)
	}
	sixth, _ := back(t, r, dir, func(o *capture.Options) {
		o.Now = func() time.Time { writing(); return later().Add(25 * time.Hour) }
		o.InFlux = flux
	})
	if n := node(t, r, sixth.Snapshot, "Film.fcpbundle"); n.Flags&tree.Torn == 0 || string(content(t, r, sixth.Snapshot, "Film.fcpbundle/event 9/media")) != "last" {
		t.Errorf("after a day: flags %b, missed %v", n.Flags, sixth.Missed)
	}
}

// database is a real SQLite database under load: transfers between two rows that
// lie on far pages, in bursts with pauses between.
type database struct {
	t    *testing.T
	path string
	in   io.WriteCloser
	cmd  *exec.Cmd
	stop chan struct{}
	done sync.WaitGroup
}

func startDatabase(t *testing.T, path, mode string, pauses time.Duration) *database {
	t.Helper()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Skip("not run: no sqlite3")
	}
	d := &database{t: t, path: path, cmd: exec.Command("sqlite3", path), stop: make(chan struct{})}
	var err error
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(d.in, `PRAGMA journal_mode=%s; PRAGMA wal_autocheckpoint=30; PRAGMA cache_size=10;
CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER, pad BLOB);
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<400) INSERT INTO t SELECT x, 1000, randomblob(3000) FROM c;
SELECT 'ready';
`, mode)
	line := make([]byte, 0, 64)
	for !bytes.Contains(line, []byte("ready")) {
		b := make([]byte, 64)
		n, err := out.Read(b)
		if err != nil {
			t.Fatalf("sqlite3: %v", err)
		}
		line = append(line, b[:n]...)
	}
	d.done.Go(func() { _, _ = io.Copy(io.Discard, out) }) // it says nothing more
	d.done.Go(func() {
		for i := 0; ; i++ {
			for k := range 15 {
				fmt.Fprintf(d.in, "BEGIN; UPDATE t SET v=v-7, pad=randomblob(3000) WHERE id=%d; UPDATE t SET v=v+7 WHERE id=%d; COMMIT;\n", 1+(i*15+k)%200, 400-(i+k)%200)
			}
			select {
			case <-d.stop:
				return
			case <-time.After(pauses):
			}
		}
	})
	t.Cleanup(d.end)
	return d
}

func (d *database) end() {
	select {
	case <-d.stop:
		return
	default:
	}
	close(d.stop)
	d.in.Close()
	d.done.Wait()
	_ = d.cmd.Wait() // it ends with its input
}

// sound opens a copy of a database as its program would.
func sound(t *testing.T, dir string) string {
	t.Helper()
	out, err := exec.Command("sqlite3", filepath.Join(dir, "cat.lrcat"), "PRAGMA integrity_check; SELECT sum(v), count(*) FROM t;").CombinedOutput()
	if err != nil {
		return fmt.Sprint(err, " ", string(out))
	}
	if got := strings.TrimSpace(string(out)); got != "ok\n400000|400" {
		return got
	}
	return ""
}

// TestDatabaseUnderLoad captures a real SQLite database while it is written, and
// opens what it captured.
func TestDatabaseUnderLoad(t *testing.T) {
	for _, mode := range []string{"WAL", "DELETE"} {
		t.Run(mode, func(t *testing.T) {
			r := storetest.New(t).Open(t)
			dir := filepath.Join(t.TempDir(), "lib")
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			db := startDatabase(t, filepath.Join(dir, "cat.lrcat"), mode, 500*time.Millisecond)
			fresh, held := 0, 0
			var last []byte
			for i := 0; i < 12 || fresh < 2 && i < 200; i++ {
				res, _ := back(t, r, dir, nil)
				if whole(t, r, res.Snapshot, &last) {
					fresh++
				} else {
					held++
				}
			}
			db.end()
			res, _ := back(t, r, dir, nil)
			for res.Missing > 0 {
				res, _ = back(t, r, dir, nil)
			}
			if whole(t, r, res.Snapshot, &last); node(t, r, res.Snapshot, "cat.lrcat").Flags&^tree.Racy != 0 {
				t.Error("the database at rest was not captured")
			}
			t.Logf("%d snapshots have a new version, %d keep an older one; each is sound", fresh, held)
			if fresh == 0 {
				t.Error("no new version was ever captured")
			}
		})
	}
	// The negative control: whoever copies it in two looks gets a broken one.
	dir := t.TempDir()
	startDatabase(t, filepath.Join(dir, "cat.lrcat"), "WAL", time.Millisecond)
	for range 100 {
		to := t.TempDir()
		a, err := os.ReadFile(filepath.Join(dir, "cat.lrcat"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
		b, err := os.ReadFile(filepath.Join(dir, "cat.lrcat"))
		if err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(to, "cat.lrcat"), append(a[:len(a)/2:len(a)/2], b[min(len(b), len(a)/2):]...))
		if sound(t, to) != "" {
			return
		}
	}
	t.Error("a database that was copied in two looks is always sound: this test would pass whatever capture does")
}

// whole restores the database of a snapshot and opens it; it reports whether it
// is another one than last time.
func whole(t *testing.T, r *store.Repository, s store.Snapshot, last *[]byte) bool {
	t.Helper()
	if n := node(t, r, s, "cat.lrcat"); n == nil || n.Flags&tree.Torn != 0 {
		return false // it waits, or is known not to be sound
	}
	to := t.TempDir()
	var all []byte
	for _, name := range []string{"cat.lrcat", "cat.lrcat-wal", "cat.lrcat-journal", "cat.lrcat-shm"} {
		if node(t, r, s, name) != nil {
			b := content(t, r, s, name)
			write(t, filepath.Join(to, name), b)
			if name != "cat.lrcat-shm" {
				all = append(all, b...)
			}
		}
	}
	if why := sound(t, to); why != "" {
		t.Errorf("snapshot %d: %s", s.Number, why)
	}
	other := !bytes.Equal(all, *last)
	*last = all
	return other
}
