package capture_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/capture"
	"keepsake/store"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// mapped maps a file for writing.
func mapped(t *testing.T, path string, size int) []byte {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		t.Fatal(err)
	}
	if st.Type == unix.TMPFS_MAGIC {
		t.Skip("not run: tmpfs notes only the first store to a page")
	}
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		t.Skipf("not run: mmap: %v", err)
	}
	t.Cleanup(func() { _ = unix.Munmap(m) }) // the test ends in any case
	return m
}

func changeTime(t *testing.T, path string) unix.Timespec {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Ctim
}

// TestWritersThroughMaps stores through a map while the file is read. The clock
// is looked at between opening and the first byte.
func TestWritersThroughMaps(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	path := filepath.Join(dir, "render.mov")
	const size = 1 << 20
	write(t, path, make([]byte, size))
	back(t, r, dir, func(o *capture.Options) { o.Now = later })
	m := mapped(t, path, size)

	// The negative control: a page that is dirty already takes stores unseen.
	m[0] = 1
	noted := changeTime(t, path)
	time.Sleep(20 * time.Millisecond)
	m[1] = 1
	if changeTime(t, path) != noted {
		t.Skip("not run: each store moves the times here")
	}
	settled := changeTime(t, path)
	stored := false
	var mu sync.Mutex
	res, _ := back(t, r, dir, func(o *capture.Options) {
		o.Now = func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			m[2]++ // to the page that is dirty
			stored = true
			return later()
		}
	})
	if n := node(t, r, res.Snapshot, "render.mov"); n.Flags&tree.KeptPrevious == 0 || res.Missing != 1 || !stored {
		t.Errorf("flags %b, missed %v: a store through a map was not seen", n.Flags, res.Missed)
	}
	if changeTime(t, path) == settled {
		t.Error("the store moved no times")
	}
	res, _ = back(t, r, dir, func(o *capture.Options) { o.Now = later })
	if !bytes.Equal(content(t, r, res.Snapshot, "render.mov"), m) || res.Missing != 0 {
		t.Errorf("at rest: missed %v", res.Missed)
	}
}

// writer changes one file at each look at the clock, and says which contents
// are whole.
type writer struct {
	name  string
	begin []byte // the version of the first run
	step  func(t *testing.T, path string, n int)
	whole func(b []byte) bool // besides begin
	// quiet: what the reader gets is a whole version each time, so that it may
	// be stored.
	quiet bool
}

func appendTo(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		t.Fatal(err)
	}
}

// TestWritersOfAllKinds takes snapshots while each writes. No version is stored
// as good that never was whole.
func TestWritersOfAllKinds(t *testing.T) {
	never := func([]byte) bool { return false }
	epoch := time.Unix(1_600_000_000, 0)
	for _, w := range []writer{
		{"appends", []byte("header"), func(t *testing.T, path string, n int) { appendTo(t, path, random(uint64(n), 1000)) }, never, false},
		{"fills what it preallocated", []byte("header"), func(t *testing.T, path string, n int) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if err := f.Truncate(1 << 20); err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(random(uint64(n), 1000), int64(n)*1000); err != nil {
				t.Fatal(err)
			}
		}, never, false},
		{"sets its times back", bytes.Repeat([]byte("a"), 5000), func(t *testing.T, path string, n int) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte("b"), int64(n)); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(path, epoch, epoch); err != nil {
				t.Fatal(err)
			}
		}, never, false},
		{"replaces by renaming", bytes.Repeat([]byte{0}, 300_000), func(t *testing.T, path string, n int) {
			next := filepath.Join(filepath.Dir(filepath.Dir(path)), "next")
			write(t, next, bytes.Repeat([]byte{byte(n)}, 300_000))
			if err := os.Rename(next, path); err != nil {
				t.Fatal(err)
			}
		}, func(b []byte) bool { return len(b) == 300_000 && bytes.Count(b, b[:1]) == len(b) }, true},
	} {
		t.Run(w.name, func(t *testing.T) {
			r := storetest.New(t).Open(t)
			dir := filepath.Join(t.TempDir(), "lib")
			path := filepath.Join(dir, "file")
			write(t, path, w.begin)
			if err := os.Chtimes(path, epoch, epoch); err != nil {
				t.Fatal(err)
			}
			back(t, r, dir, func(o *capture.Options) { o.Now = later })
			var mu sync.Mutex
			n := 0
			step := func() {
				mu.Lock()
				defer mu.Unlock()
				n++
				w.step(t, path, n)
			}
			step()
			// Known to be in flux: not even read.
			held, counts := back(t, r, dir, func(o *capture.Options) { o.Now, o.InFlux = later, map[string]bool{"file": true} })
			w.check(t, r, held, true)
			if counts.ReadBytes != 0 {
				t.Errorf("%d bytes of a file in flux were read", counts.ReadBytes)
			}
			for range 5 {
				res, _ := back(t, r, dir, func(o *capture.Options) {
					o.Now = func() time.Time { step(); return later() }
				})
				w.check(t, r, res, false)
			}
			last, _ := back(t, r, dir, func(o *capture.Options) { o.Now = later })
			now, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if last.Missing != 0 || !bytes.Equal(content(t, r, last.Snapshot, "file"), now) {
				t.Errorf("at rest: missed %v", last.Missed)
			}
		})
	}
}

func (w *writer) check(t *testing.T, r *store.Repository, res *capture.Result, held bool) {
	t.Helper()
	n := node(t, r, res.Snapshot, "file")
	b := content(t, r, res.Snapshot, "file")
	good := bytes.Equal(b, w.begin) || w.whole(b)
	if n.Flags&tree.Torn == 0 && !good {
		t.Errorf("%s of %d bytes is stored as good: flags %b", fmt.Sprintf("%.20x", b), len(b), n.Flags)
	}
	if (held || !w.quiet) && (n.Flags&tree.KeptPrevious == 0 || res.Missing != 1 || res.Missed[0].Reason != tree.ReasonKept) {
		t.Errorf("flags %b, missed %v", n.Flags, res.Missed)
	}
}

// TestTimesSetBack changes a file at rest and sets its mtime back: the change
// time tells.
func TestTimesSetBack(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	path := filepath.Join(dir, "file")
	write(t, path, []byte("before"))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	back(t, r, dir, func(o *capture.Options) { o.Now = later })
	if err := os.WriteFile(path, []byte("behind"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	res, _ := back(t, r, dir, func(o *capture.Options) { o.Now = later })
	if got := content(t, r, res.Snapshot, "file"); string(got) != "behind" {
		t.Errorf("the file is %q", got)
	}
}
