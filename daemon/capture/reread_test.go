package capture_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"keepsake/daemon/capture"
	"keepsake/store"
	"keepsake/store/state"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// disk is an ext4 file system in an image, so that its bytes can be changed as
// a failing disk changes them: behind the back of all times.
type disk struct {
	t     *testing.T
	image string
	point string
	up    bool
}

func newDisk(t *testing.T) *disk {
	t.Helper()
	for _, name := range []string{"mkfs.ext4", "mount", "umount", "debugfs"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("not run: %s is not installed", name)
		}
	}
	if os.Geteuid() != 0 {
		t.Skip("not run: mounting an image needs root")
	}
	base := t.TempDir()
	d := &disk{t: t, image: filepath.Join(base, "image"), point: filepath.Join(base, "lib")}
	if err := os.Mkdir(d.point, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(d.image, 32<<20); err != nil {
		t.Fatal(err)
	}
	d.do("mkfs.ext4", "-q", "-O", "^has_journal", "-b", "4096", d.image)
	if out, err := exec.CommandContext(t.Context(), "mount", "-o", "loop", d.image, d.point).CombinedOutput(); err != nil {
		t.Skipf("not run: mounting an image: %v: %s", err, out)
	}
	d.up = true
	t.Cleanup(d.unmount) // the directory itself is removed after this
	return d
}

func (d *disk) do(name string, args ...string) string {
	d.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		d.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (d *disk) unmount() {
	if d.up {
		d.do("umount", d.point)
		d.up = false
	}
}

func (d *disk) mount() {
	d.do("mount", "-o", "loop", d.image, d.point)
	d.up = true
}

// rot flips a byte of each of some files in the image, while it is not mounted.
func (d *disk) rot(offset int64, names ...string) {
	d.t.Helper()
	d.unmount()
	image, err := os.OpenFile(d.image, os.O_RDWR, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, name := range names {
		at := d.block(name, offset/4096)*4096 + offset%4096
		var b [1]byte
		if _, err := image.ReadAt(b[:], at); err != nil {
			d.t.Fatal(err)
		}
		b[0] ^= 0x10
		if _, err := image.WriteAt(b[:], at); err != nil {
			d.t.Fatal(err)
		}
	}
	if err := image.Close(); err != nil {
		d.t.Fatal(err)
	}
	d.mount()
}

func (d *disk) block(name string, n int64) int64 {
	d.t.Helper()
	var block int64
	out := d.do("debugfs", "-R", fmt.Sprintf("bmap \"%s\" %d", name, n), d.image)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if _, err := fmt.Sscan(lines[len(lines)-1], &block); err != nil || block == 0 {
		d.t.Fatalf("block %d of %s: %q", n, name, out)
	}
	return block
}

// reread reads a source again until the budget is spent.
func reread(t *testing.T, r *store.Repository, dir string, change func(*capture.RereadOptions)) capture.RereadResult {
	t.Helper()
	source, _, err := capture.Bind(t.Context(), r, filepath.Base(dir), dir, "host")
	if err != nil {
		t.Fatal(err)
	}
	o := capture.RereadOptions{Repository: r, Source: source, Path: []byte(dir), Budget: 1 << 40, Now: later}
	if change != nil {
		change(&o)
	}
	res, err := capture.Reread(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestRotIsFoundAndTheOldVersionKept goes through the life of a rotten file:
// found by reading again, kept by the next captures without being read, mended,
// rotten again, and at last edited by a person.
func TestRotIsFoundAndTheOldVersionKept(t *testing.T) {
	d := newDisk(t)
	r := storetest.New(t).Open(t)
	for i := range 6 {
		write(t, filepath.Join(d.point, fmt.Sprintf("%d/photo.jpg", i)), random(uint64(i), 300_000))
	}
	good := random(3, 300_000)
	first, _ := back(t, r, d.point, func(o *capture.Options) { o.Now = later })
	if res := reread(t, r, d.point, nil); res.Files != 6 || res.Bytes != 6*300_000 || len(res.Rotten)+len(res.Transient)+len(res.Unreadable) > 0 || res.Changed > 0 || res.Cycle.IsZero() {
		t.Fatalf("nothing has rotted: %+v", res)
	}

	d.rot(200_000, "3/photo.jpg")
	// A capture trusts the times, and notices nothing: this is why files are
	// read again.
	if res, _ := back(t, r, d.point, func(o *capture.Options) { o.Now, o.OnlyIfChanged = later, true }); res.Changed || res.Missing > 0 {
		t.Fatalf("the capture changed %v and missed %v", res.Changed, res.Missed)
	}
	found := reread(t, r, d.point, nil)
	if !slices.Equal(found.Rotten, []string{"3/photo.jpg"}) || found.Files != 6 || len(found.Transient)+len(found.Known) > 0 {
		t.Fatalf("found %+v", found)
	}

	suspect := func(rot bool) func(*capture.Options) {
		return func(o *capture.Options) {
			o.Now, o.OnlyIfChanged = later, true
			o.Since, o.Dirty = first.Base, capture.NewDirty(nil, nil) // by events, of which there are none
			o.Suspect = map[string]bool{"3/photo.jpg": rot}
		}
	}
	kept, counts := back(t, r, d.point, suspect(true))
	rotten(t, r, kept, good)
	if counts.ReadBytes != 0 || kept.Snapshot.Basis != tree.Events {
		t.Errorf("%d bytes were read, basis %v", counts.ReadBytes, kept.Snapshot.Basis)
	}
	// Without being told again, and with nothing new to say.
	again, counts := back(t, r, d.point, func(o *capture.Options) { o.Now, o.OnlyIfChanged = later, true })
	if again.Changed || counts.ReadBytes != 0 || again.Missing != 1 {
		t.Errorf("changed %v, %d bytes read, missed %v", again.Changed, counts.ReadBytes, again.Missed)
	}
	if res := reread(t, r, d.point, nil); !slices.Equal(res.Rotten, []string{"3/photo.jpg"}) || !slices.Equal(res.Known, res.Rotten) {
		t.Errorf("found %+v", res)
	}

	d.rot(200_000, "3/photo.jpg") // the bit comes back
	if res := reread(t, r, d.point, nil); !slices.Equal(res.Mended, []string{"3/photo.jpg"}) || len(res.Rotten) > 0 {
		t.Errorf("found %+v", res)
	}
	mended, _ := back(t, r, d.point, suspect(false))
	if n := node(t, r, mended.Snapshot, "3/photo.jpg"); mended.Missing != 0 || n.Flags != 0 {
		t.Errorf("flags %v, missed %v", n.Flags, mended.Missed)
	}

	d.rot(200_000, "3/photo.jpg")
	back(t, r, d.point, suspect(true))
	edited := random(99, 300_000)
	write(t, filepath.Join(d.point, "3/photo.jpg"), edited)
	last, _ := back(t, r, d.point, func(o *capture.Options) { o.Now = later })
	if n := node(t, r, last.Snapshot, "3/photo.jpg"); last.Missing != 0 || n.Flags != 0 {
		t.Errorf("after an edit: flags %v, missed %v", n.Flags, last.Missed)
	}
	if string(content(t, r, last.Snapshot, "3/photo.jpg")) != string(edited) {
		t.Error("the edit was not stored")
	}
}

// rotten checks that a snapshot holds the good version of 3/photo.jpg, flagged
// and listed.
func rotten(t *testing.T, r *store.Repository, res *capture.Result, good []byte) {
	t.Helper()
	if len(res.Missed) != 1 || res.Missed[0].Reason != tree.ReasonRot || string(res.Missed[0].Path) != "3/photo.jpg" {
		t.Fatalf("missed %v", res.Missed)
	}
	if n := node(t, r, res.Snapshot, "3/photo.jpg"); n.Flags != tree.SuspectRot {
		t.Errorf("flags %v", n.Flags)
	}
	if string(content(t, r, res.Snapshot, "3/photo.jpg")) != string(good) {
		t.Error("the good version was not kept")
	}
}

// TestCaptureThatReadsFindsRot: a run that reads a file for another reason
// compares as well.
func TestCaptureThatReadsFindsRot(t *testing.T) {
	d := newDisk(t)
	r := storetest.New(t).Open(t)
	good := random(3, 300_000)
	write(t, filepath.Join(d.point, "3/photo.jpg"), good)
	back(t, r, d.point, func(o *capture.Options) { o.Now = later })
	d.rot(100, "3/photo.jpg")
	look := func(o *capture.Options) { o.Now, o.Suspect = later, map[string]bool{"3/photo.jpg": false} }
	res, counts := back(t, r, d.point, look)
	rotten(t, r, res, good)
	if counts.ReadBytes == 0 {
		t.Error("nothing was read")
	}
	// What was captured within two seconds of its last change proves nothing.
	racy := filepath.Join(d.point, "racy")
	write(t, racy, []byte("one"))
	back(t, r, d.point, nil)
	d.rot(1, "racy")
	if res, _ = back(t, r, d.point, func(o *capture.Options) { o.Now = later }); res.Missing != 1 || node(t, r, res.Snapshot, "racy").Flags != 0 {
		t.Errorf("missed %v", res.Missed)
	}
}

// TestRereadReadsTheDisk shows that what is read is not the memory of an
// earlier read: the disk rots while the file is in the page cache.
func TestRereadReadsTheDisk(t *testing.T) {
	d := newDisk(t)
	r := storetest.New(t).Open(t)
	path := filepath.Join(d.point, "photo.jpg")
	good := random(3, 300_000)
	write(t, path, good)
	d.unmount()
	at := d.block("photo.jpg", 20)*4096 + 7
	d.mount()
	back(t, r, d.point, func(o *capture.Options) { o.Now = later })
	loop := strings.TrimSpace(d.do("findmnt", "-n", "-o", "SOURCE", d.point))
	device, err := os.OpenFile(loop, os.O_RDWR|unix.O_DSYNC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer device.Close()
	if _, err := device.WriteAt([]byte{good[20*4096+7] ^ 1}, at); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != string(good) {
		t.Fatalf("the page cache does not hold the good bytes: %v", err)
	}
	if res := reread(t, r, d.point, nil); !slices.Equal(res.Rotten, []string{"photo.jpg"}) {
		t.Errorf("found %+v", res)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != string(good) {
		t.Errorf("reading again put the pages of others out of memory: %v", err)
	}
}

// TestRereadPassesOverWhatChanged normally: edits, deletions, other types.
func TestRereadPassesOverWhatChanged(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	for _, name := range []string{"edited", "gone", "link", "pipe", "d/below", "kept", "sparse", "empty"} {
		write(t, filepath.Join(dir, name), random(uint64(len(name)), 5000))
	}
	write(t, filepath.Join(dir, "empty"), nil)
	if err := os.Truncate(filepath.Join(dir, "sparse"), 3<<20+77); err != nil {
		t.Fatal(err)
	}
	back(t, r, dir, func(o *capture.Options) { o.Now = later })
	write(t, filepath.Join(dir, "edited"), random(50, 5000))
	for _, name := range []string{"gone", "link", "pipe", "d"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("kept", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "d"), nil) // where a directory was
	res := reread(t, r, dir, nil)
	if res.Files != 2 || res.Changed != 5 || len(res.Rotten)+len(res.Transient)+len(res.Unreadable) > 0 || res.Cycle.IsZero() {
		t.Errorf("%+v", res)
	}
	if res.Bytes < 10_000 || res.Bytes > 100_000 {
		t.Errorf("%d bytes read: holes are not", res.Bytes)
	}
}

// TestRereadGoesOn reads a source piece by piece, the newest files first, while
// further files come, and looks at each once in a cycle.
func TestRereadGoesOn(t *testing.T) {
	for _, remembered := range []int{1, 3, 100} {
		t.Run(fmt.Sprint(remembered, " remembered"), func(t *testing.T) {
			r := storetest.New(t).Open(t)
			dir := filepath.Join(t.TempDir(), "lib")
			now := later()
			shoot := func(name string, files int) {
				now = now.Add(time.Hour)
				for i := range files {
					write(t, filepath.Join(dir, name, fmt.Sprint(i)), random(uint64(i), 1000))
				}
				back(t, r, dir, func(o *capture.Options) { o.Now = func() time.Time { return now } })
			}
			var cursor capture.Cursor
			read := func(want int64, done bool) {
				t.Helper()
				res := reread(t, r, dir, func(o *capture.RereadOptions) {
					o.Cursor, o.Candidates, o.Budget = cursor, remembered, 5*(1000+4096) // five files
				})
				cursor = res.Cursor
				if res.Files != want || res.Cycle.IsZero() == done {
					t.Errorf("%d files, want %d; cycle %v", res.Files, want, res.Cycle)
				}
			}
			shoot("a", 10)
			shoot("b", 4)
			// Four of b, one of a: the newest are spoilt without effect later.
			read(5, false)
			for i := range 4 {
				if err := os.RemoveAll(filepath.Join(dir, "b", fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
			}
			read(5, false)
			shoot("c", 3) // new ones come first, and b is gone from the snapshot
			read(5, false)
			read(2, true)
			if cursor != (capture.Cursor{}) {
				t.Errorf("a cycle ended at %+v", cursor)
			}
			read(5, false)
		})
	}
}

// TestRereadRefuses what it cannot do, and a source that is not mounted.
func TestRereadRefuses(t *testing.T) {
	d := newDisk(t)
	r := storetest.New(t).Open(t)
	write(t, filepath.Join(d.point, "photo.jpg"), random(1, 5000))
	back(t, r, d.point, func(o *capture.Options) { o.Now = later })
	good := capture.RereadOptions{Repository: r, Path: []byte(d.point), Budget: 1}
	source, _, err := capture.Bind(t.Context(), r, "lib", d.point, "host")
	if err != nil {
		t.Fatal(err)
	}
	good.Source = source
	for name, change := range map[string]func(o *capture.RereadOptions){
		"no repository": func(o *capture.RereadOptions) { o.Repository = nil },
		"no path":       func(o *capture.RereadOptions) { o.Path = []byte("lib") },
		"no budget":     func(o *capture.RereadOptions) { o.Budget = 0 },
		"no directory":  func(o *capture.RereadOptions) { o.Path = []byte(d.point + "/nothing") },
		"not mounted":   func(*capture.RereadOptions) { d.unmount() },
	} {
		o := good
		change(&o)
		if res, err := capture.Reread(t.Context(), o); err == nil || !res.Cycle.IsZero() {
			t.Errorf("%s: %+v, %v", name, res, err)
		}
		if !d.up {
			d.mount()
		}
	}
	o := good
	o.Source = state.Source{}
	if res, err := capture.Reread(t.Context(), o); err != nil || res.Files != 0 {
		t.Errorf("a source without snapshots: %+v, %v", res, err)
	}
	o = good
	o.Limit = rate.NewLimiter(1, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if res, err := capture.Reread(ctx, o); err == nil || len(res.Unreadable) > 0 {
		t.Errorf("interrupted: %+v, %v", res, err)
	}
}
