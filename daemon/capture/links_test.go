package capture_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/capture"
	"keepsake/store"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// linkedLib is a source with a table of its linked files.
type linkedLib struct {
	t     *testing.T
	r     *store.Repository
	dir   string
	links *capture.Links
	base  *capture.Result
}

func newLinkedLib(t *testing.T, files ...string) *linkedLib {
	l := &linkedLib{t: t, r: storetest.New(t).Open(t), dir: filepath.Join(t.TempDir(), "lib"), links: &capture.Links{}}
	for _, name := range files {
		write(t, l.path(name), []byte(name))
	}
	return l
}

func (l *linkedLib) path(name string) string { return filepath.Join(l.dir, name) }

func (l *linkedLib) link(old, new string) {
	l.t.Helper()
	if err := os.MkdirAll(filepath.Dir(l.path(new)), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.Link(l.path(old), l.path(new)); err != nil {
		l.t.Fatal(err)
	}
}

// back captures by the events of some directories, all with none. Its clock
// is the system's: what was just written is racy.
func (l *linkedLib) back(dirs ...string) *capture.Result {
	l.t.Helper()
	l.base, _ = back(l.t, l.r, l.dir, func(o *capture.Options) {
		o.Links, o.Now = l.links, later
		if len(dirs) > 0 {
			o.Since, o.Dirty = l.base.Base, capture.NewDirty(dirs, nil)
		}
	})
	return l.base
}

// equal compares the nodes of all names with what stands under them.
func (l *linkedLib) equal(names ...string) {
	l.t.Helper()
	for _, name := range names {
		want, err := os.ReadFile(l.path(name))
		if err != nil {
			l.t.Fatal(err)
		}
		n := node(l.t, l.r, l.base.Snapshot, name)
		if n == nil {
			l.t.Errorf("%s is not in the snapshot", name)
			continue
		}
		if got := content(l.t, l.r, l.base.Snapshot, name); string(got) != string(want) {
			l.t.Errorf("%s is %q, want %q", name, got, want)
		}
		info, err := os.Lstat(l.path(name))
		if err != nil {
			l.t.Fatal(err)
		}
		if links := linkCount(info); uint64(n.Links) != links || n.MTime != tree.TimeOf(info.ModTime()) {
			l.t.Errorf("%s has %d links, want %d; changed %v, want %v", name, n.Links, links, n.MTime.Time(), info.ModTime())
		}
	}
}

func (l *linkedLib) write(name, text string) {
	l.t.Helper()
	f, err := os.OpenFile(l.path(name), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		l.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		l.t.Fatal(err)
	}
}

// TestWrittenThroughTheOtherName changes a file through one name. Only that
// one's directory has an event.
func TestWrittenThroughTheOtherName(t *testing.T) {
	l := newLinkedLib(t, "a/x", "c/z")
	l.link("a/x", "b/deep/y")
	l.back()
	if more, unknown := l.links.Spread([]string{"b/deep"}); unknown || !slices.Equal(more, []string{"a"}) {
		t.Fatalf("more %q, unknown %v", more, unknown)
	}
	if more, unknown := l.links.Spread([]string{"c"}); unknown || len(more) > 0 {
		t.Fatalf("more %q, unknown %v", more, unknown)
	}
	l.write("b/deep/y", "written through the other name")
	// The negative control: without the table the other name is as before.
	control, _ := back(t, l.r, l.dir, func(o *capture.Options) {
		o.Now, o.Since, o.Dirty = later, l.base.Base, capture.NewDirty([]string{"b/deep"}, nil)
	})
	if got := content(t, l.r, control.Snapshot, "a/x"); string(got) != "a/x" {
		t.Fatalf("a/x is %q without the table: this test shows nothing", got)
	}
	l.base = control
	l.back("b/deep")
	l.equal("a/x", "b/deep/y")
	if l.base.Snapshot.Basis != tree.Events {
		t.Errorf("basis %v", l.base.Snapshot.Basis)
	}
}

// TestNamesThatComeAndGo adds, moves and removes names. Each time only the
// directory that inotify would name is told.
func TestNamesThatComeAndGo(t *testing.T) {
	l := newLinkedLib(t, "a/x", "c/z")
	l.back()
	// A second name, of a file that had one: no table knows the first. A file
	// that is younger than the last run would need no scan; this one is not.
	l.link("a/x", "b/y")
	l.back("", "b")
	l.equal("a/x", "b/y")
	if got := fmt.Sprint(l.base.Snapshot.Why); got != "["+capture.WhyLinks+"]" || l.base.Snapshot.Basis != tree.Scanned {
		t.Errorf("why %s, %v", got, l.base.Snapshot.Basis)
	}
	// A third name: the table leads to the others.
	l.link("a/x", "c/y")
	l.back("c")
	l.equal("a/x", "b/y", "c/y")
	if l.base.Snapshot.Basis != tree.Events {
		t.Errorf("basis %v, why %v", l.base.Snapshot.Basis, l.base.Snapshot.Why)
	}
	// A directory with a name in it moves; its own events name its parents.
	if err := os.Mkdir(l.path("d"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(l.path("b"), l.path("d/b")); err != nil {
		t.Fatal(err)
	}
	l.back("", "d")
	l.equal("a/x", "d/b/y", "c/y")
	l.write("d/b/y", "after the move")
	l.back("d/b")
	l.equal("a/x", "d/b/y", "c/y")
	if l.base.Snapshot.Basis != tree.Events {
		t.Errorf("basis %v", l.base.Snapshot.Basis)
	}
	// A name goes.
	if err := os.Remove(l.path("c/y")); err != nil {
		t.Fatal(err)
	}
	l.back("c")
	l.equal("a/x", "d/b/y")
	// Its directory goes, and the last but one name with it.
	if err := os.RemoveAll(l.path("d")); err != nil {
		t.Fatal(err)
	}
	l.back("", "d", "d/b")
	l.equal("a/x")
	l.write("a/x", "alone again")
	if res := l.back("a"); res.Snapshot.Basis != tree.Events {
		t.Errorf("basis %v, why %v", res.Snapshot.Basis, res.Snapshot.Why)
	}
	l.equal("a/x")
}

// TestNamesOutsideTheSource are looked for once, and then accepted: else each
// change of such a file would end in a scan.
func TestNamesOutsideTheSource(t *testing.T) {
	l := newLinkedLib(t, "a/x", "b/y")
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Link(l.path("a/x"), outside); err != nil {
		t.Skipf("not run: %v", err)
	}
	rested(t, l.path("a/x"))
	l.back()
	for i := range 3 {
		l.write("a/x", fmt.Sprint("version ", i))
		if res := l.back("a"); res.Snapshot.Basis != tree.Events {
			t.Errorf("change %d: %v, why %v", i, res.Snapshot.Basis, res.Snapshot.Why)
		}
		l.equal("a/x")
	}
	// One more inside is found again, though not by a scan that began while it came.
	l.link("b/y", "a/y")
	if res := l.back("a"); res.Snapshot.Basis != tree.Scanned {
		t.Errorf("%v, why %v", res.Snapshot.Basis, res.Snapshot.Why)
	}
	l.equal("a/x", "a/y", "b/y")
}

// TestFreshFilesWithNamesOutside come with a name outside in every batch. They
// are younger than the last run, so no directory without an event holds them.
func TestFreshFilesWithNamesOutside(t *testing.T) {
	l := newLinkedLib(t, "a/x")
	l.back()
	for i := range 3 {
		name := fmt.Sprint("a/new", i)
		write(t, l.path(name), []byte(name))
		if err := os.Link(l.path(name), filepath.Join(t.TempDir(), "outside")); err != nil {
			t.Skipf("not run: %v", err)
		}
		if res := l.back("a"); res.Snapshot.Basis != tree.Events {
			t.Errorf("file %d: %v, why %v", i, res.Snapshot.Basis, res.Snapshot.Why)
		}
		l.equal("a/x", name)
	}
}

// TestTooManyLinkedFiles gives the table room for two. What it does not hold is
// found by a scan whenever it changed, and is no reason for one while it rests.
func TestTooManyLinkedFiles(t *testing.T) {
	l := newLinkedLib(t, "a/1", "a/2", "a/3", "a/4", "c/z")
	for i := 1; i <= 4; i++ {
		l.link(fmt.Sprint("a/", i), fmt.Sprint("b/", i))
	}
	l.links.Bound(2, 100)
	l.back()
	for i := 1; i <= 4; i++ {
		l.write(fmt.Sprint("b/", i), fmt.Sprint("version of ", i))
		l.back("b")
		l.equal("a/1", "b/1", "a/2", "b/2", "a/3", "b/3", "a/4", "b/4")
	}
	write(t, l.path("a/new"), []byte("x"))
	if res := l.back("a"); res.Snapshot.Basis != tree.Events {
		t.Errorf("%v, why %v", res.Snapshot.Basis, res.Snapshot.Why)
	}
}

// rested waits until a file's last change is older than what counts as recent.
func rested(t *testing.T, path string) {
	t.Helper()
	for {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if time.Since(info.ModTime()) > 3*time.Second {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func linkCount(info os.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Nlink) }
