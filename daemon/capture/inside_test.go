package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// These tests put in what no file system here can be made to show.

func passOver(t *testing.T, dir string) *pass {
	t.Helper()
	r := storetest.New(t).Open(t)
	w, err := r.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	p, err := newPass(&Options{Repository: r, Writer: w, Path: []byte(dir), Progress: &Progress{}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestUnstorableEntries are missed, one by one, and end no run.
func TestUnstorableEntries(t *testing.T) {
	many := make([]tree.Xattr, tree.MaxXattrs+1)
	for i := range many {
		many[i].Name = fmt.Appendf(nil, "user.%05d", i)
	}
	for _, c := range []struct {
		name           string
		node, previous *tree.Node
		stored         bool
		flags          tree.Flags
		path           string
		reason         tree.Reason
	}{
		{"name of 300 bytes", &tree.Node{Name: bytes.Repeat([]byte("日"), 100), Type: tree.Fifo}, nil, false, 0, "d", tree.ReasonName},
		{"empty target", &tree.Node{Name: []byte("l"), Type: tree.Symlink}, nil, false, 0, "d/l", tree.ReasonOther},
		{
			"empty target of one known before", &tree.Node{Name: []byte("l"), Type: tree.Symlink},
			&tree.Node{Name: []byte("l"), Type: tree.Symlink, Target: []byte("x")}, true, tree.KeptPrevious, "d/l", tree.ReasonOther,
		},
		{"many attributes", &tree.Node{Name: []byte("f"), Type: tree.Fifo, Xattrs: many}, nil, true, tree.Racy, "d/f", tree.ReasonLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := passOver(t, "/")
			b := p.newDirectoryBuilder(t.Context(), "d")
			if err := b.add(ready(c.node), c.previous); err != nil {
				t.Fatal(err)
			}
			if err := b.add(ready(&tree.Node{Name: []byte("\xff"), Type: tree.Fifo}), nil); err != nil {
				t.Fatal(err)
			}
			dir := &tree.Node{Type: tree.Dir}
			if err := b.finish(dir); err != nil {
				t.Fatal(err)
			}
			var nodes []*tree.Node
			if err := p.writer.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			for n, err := range p.repository.Entries(t.Context(), dir) {
				if err != nil {
					t.Fatal(err)
				}
				nodes = append(nodes, n)
			}
			if (len(nodes) == 2) != c.stored || nodes[0].Flags != c.flags {
				t.Errorf("%d nodes, flags %b", len(nodes), nodes[0].Flags)
			}
			m := tree.Snapshot{}
			if err := p.storeMissed(t.Context(), &m); err != nil || len(m.Missed) != 1 || string(m.Missed[0].Path) != c.path || m.Missed[0].Reason != c.reason {
				t.Errorf("missed %v, %v", m.Missed, err)
			}
		})
	}
}

// TestMissedPathsFitTheManifest whatever their length and number.
func TestMissedPathsFitTheManifest(t *testing.T) {
	p := passOver(t, "/")
	deep := strings.Repeat("/"+strings.Repeat("d", 250), 300)[1:]
	p.missed.add(deep, tree.ReasonOther, "too deep")
	p.missed.add("a/"+strings.Repeat("n", 300)+"/b", tree.ReasonPermission, "no")
	for i := range 1000 {
		p.missed.add(fmt.Sprintf("%04d/%s", i, deep[:tree.MaxPath-251]), tree.ReasonOther, "")
	}
	m := tree.Snapshot{}
	if err := p.storeMissed(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	inline := tree.MissedPage{Missed: m.Missed}
	if _, err := inline.Marshal(); err != nil {
		t.Error(err)
	}
	if m.MissedCount != 1002 || len(m.MissedList) < 2 {
		t.Errorf("%d paths, %d chunks", m.MissedCount, len(m.MissedList))
	}
	all, _ := p.missed.sorted()
	if last := all[1001]; len(last.Path) > tree.MaxPath || !strings.HasPrefix(deep, string(last.Path)) || last.Detail == "too deep" {
		t.Errorf("the deep path is reported as %d bytes, %s", len(last.Path), last.Detail)
	}
	if short := all[1000]; string(short.Path) != "a" || !strings.Contains(short.Detail, "nnn") {
		t.Errorf("the long name is reported as %q, %s", short.Path, short.Detail)
	}
}

// TestAttributesWithoutProc are read where they can be, and else no deletion.
func TestAttributesWithoutProc(t *testing.T) {
	dir := t.TempDir()
	p := passOver(t, dir)
	p.links = filepath.Join(dir, "no", "proc")
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("f", filepath.Join(dir, "l")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(dir, "user.a", []byte("v"), 0); err != nil {
		t.Skipf("not run: %v", err)
	}
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	if xs, err := p.xattrs(t.Context(), fd, ""); err != nil || len(xs) != 1 || string(xs[0].Value) != "v" {
		t.Errorf("of the open directory: %v, %v", xs, err)
	}
	if _, err := p.xattrs(t.Context(), fd, "l"); !errors.Is(err, errNoProc) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of the link: %v", err)
	}
	p.links = "/proc/self/fd"
	if _, err := p.xattrs(t.Context(), fd, "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a deleted link: %v", err)
	}
}

// TestRacyAttributesAreReadAgain: at the same change time they may be others.
func TestRacyAttributesAreReadAgain(t *testing.T) {
	dir := t.TempDir()
	p := passOver(t, dir)
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fd := int(f.Fd())
	s, err := statAt(fd, "")
	if err != nil {
		t.Fatal(err)
	}
	on := mounted{stable: true, exact: true}
	before := &tree.Node{Type: tree.Dir, Inode: s.inode, CTime: s.ctime, Xattrs: []tree.Xattr{{Name: []byte("user.old")}}}
	for _, flags := range []tree.Flags{0, tree.Racy} {
		before.Flags = flags
		n, err := p.describe(t.Context(), fd, "", s, on, before)
		if err != nil || (len(n.Xattrs) == 1) != (flags == 0) {
			t.Errorf("flags %b: attributes %v, %v", flags, n.Xattrs, err)
		}
	}
}

// TestTwoFileSystemsWithOneID keep their ordinals from run to run.
func TestTwoFileSystemsWithOneID(t *testing.T) {
	d, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	var known []tree.Filesystem
	for run := range 4 {
		f := newFilesystems(known)
		for i, dev := range []device{{1, 1}, {1, 2}} {
			m, err := f.of(dev, int(d.Fd()))
			if err != nil || m.ordinal != uint32(i) {
				t.Errorf("run %d: file system %d is number %d, %v", run, i, m.ordinal, err)
			}
		}
		if known = f.list(); len(known) != 2 {
			t.Errorf("run %d: %d file systems", run, len(known))
		}
	}
}

// TestAnotherDirectory under a known name puts all below it in doubt, also
// where inode numbers prove nothing.
func TestAnotherDirectory(t *testing.T) {
	then, now := tree.Time{Sec: 1}, tree.Time{Sec: 2}
	before := &tree.Node{Type: tree.Dir, Inode: 7, MTime: then, CTime: then, BTime: then}
	p := &pass{}
	for _, c := range []struct {
		name string
		s    stat
		fs   mounted
		want bool
	}{
		{"untouched", stat{inode: 7, mtime: then, ctime: then, btime: then}, mounted{stable: true, exact: true}, false},
		{"changed", stat{inode: 7, mtime: now, ctime: now, btime: then}, mounted{stable: true, exact: true}, false},
		{"replaced", stat{inode: 8, mtime: then, ctime: now, btime: now}, mounted{stable: true, exact: true}, true},
		{"on another file system", stat{inode: 7, mtime: then, ctime: then}, mounted{ordinal: 1, stable: true, exact: true}, true},
		{"untouched without numbers", stat{inode: 9, mtime: then}, mounted{}, false},
		{"changed without numbers", stat{inode: 9, mtime: now, btime: then}, mounted{}, false},
		{"replaced without numbers", stat{inode: 7, mtime: now, btime: now}, mounted{}, true},
		{"changed without numbers and birth", stat{inode: 7, mtime: now}, mounted{}, true},
	} {
		c.s.typ = tree.Dir
		if got := p.another(c.s, c.fs, before); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	d := NewDirty([]string{"a"}, nil)
	d.suspect("a")
	if d.about("a/x/y") != relist || d.about("b") != certain {
		t.Error("not exactly what lies below a replaced directory is in doubt")
	}
}
