package restore_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/daemon/restore"
	"keepsake/store/pack"
	"keepsake/store/tree"
)

// TestHostileNames stores pages with names that no builder would write.
func TestHostileNames(t *testing.T) {
	for _, name := range []string{"..", ".", "a/", "/a", "\x00a", "a\x00", "\x00\x00"} {
		t.Run(strings.ReplaceAll(name, "/", "slash"), func(t *testing.T) {
			f := newForge(t)
			good := strings.Repeat("Q", len(name))
			page := tree.Page{Nodes: []tree.Node{*f.file(good, "hostile")}}
			b, err := page.Marshal()
			must(t, err)
			// A byte string with its head, lest the name be found within an id.
			encoded := func(name string) []byte { return append([]byte{0x40 + byte(len(name))}, name...) }
			if bytes.Count(b, encoded(good)) != 1 {
				t.Fatal("the name is not where it should be")
			}
			d := f.dir("d", f.file(good, "hostile"))
			d.Pages = f.put(pack.Page, bytes.Replace(b, encoded(good), encoded(name), 1))
			s := f.snapshot(f.dir("", d, f.file("other", "other")))
			target := filepath.Join(t.TempDir(), "one", "two", "target")
			res := restored(t, f.r, s, target, nil)
			if got := paths(t, target); !slices.Equal(got, []string{"d", "other"}) {
				t.Errorf("restored %q", got)
			}
			if got := paths(t, filepath.Dir(filepath.Dir(target))); len(got) != 4 {
				t.Errorf("written outside: %q", got)
			}
			if !slices.Equal(lostPaths(res), []string{"d"}) {
				t.Errorf("lost %v", res.Lost)
			}
		})
	}
}

// TestThroughSymlink restores a symlink and then a directory in its place,
// whose content would go through it.
func TestThroughSymlink(t *testing.T) {
	outside := t.TempDir()
	f := newForge(t)
	link := f.snapshot(f.dir("", symlink("a", outside), symlink("b", "../../../../../../../../"+outside), symlink("c", outside+"/new")))
	through := f.snapshot(f.dir("", f.dir("a", f.file("x", "x")), f.dir("b", f.file("x", "x")), f.file("c", "c")))
	for _, policy := range policies {
		target := t.TempDir()
		whole(t, restored(t, f.r, link, target, nil))
		res := restored(t, f.r, through, target, func(o *restore.Options) { o.Overwrite = policy })
		if got := paths(t, outside); len(got) > 0 {
			t.Fatalf("%v: written outside: %q", policy, got)
		}
		if policy != restore.Always && !slices.Equal(lostPaths(res), []string{"a", "b"}) {
			t.Errorf("%v: lost %v", policy, res.Lost)
		}
	}
}

// TestHostileNodes restores what the kernel would take amiss.
func TestHostileNodes(t *testing.T) {
	f := newForge(t)
	owned := func(n *tree.Node, mode, uid, gid uint32) *tree.Node {
		n.Mode, n.UID, n.GID = mode, uid, gid
		return n
	}
	device := node("device", tree.CharDevice)
	device.Rdev = tree.Rdev{Major: 1 << 20, Minor: 3}
	attr := f.file("attribute", "x")
	attr.Xattrs = []tree.Xattr{{Name: []byte("nonsense"), Value: []byte("x")}, {Name: []byte("user.fine"), Value: []byte("x")}}
	acl := f.file("acl", "x")
	acl.Mode = 0o670
	acl.Xattrs = []tree.Xattr{{Name: []byte("system.posix_acl_access"), Value: []byte("\x02\x00\x00\x00\x04\x00\x01\x00nonsense")}}
	late := f.file("late", "x")
	late.MTime = tree.Time{Sec: 1 << 62}
	s := f.snapshot(f.dir("", device, attr, acl, late,
		owned(f.file("nobody's setuid", "x"), 0o4755, 1<<32-1, 0),
		owned(f.file("nobody's setgid", "x"), 0o2755, 0, 1<<32-1),
	))
	target := filepath.Join(t.TempDir(), "target")
	res := restored(t, f.r, s, target, nil)
	if !slices.Equal(lostPaths(res), []string{"device"}) {
		t.Errorf("lost %v", res.Lost)
	}
	for _, name := range []string{"nobody's setuid", "nobody's setgid"} {
		info, err := os.Lstat(filepath.Join(target, name))
		must(t, err)
		if info.Mode()&(os.ModeSetuid|os.ModeSetgid) != 0 && name == "nobody's setuid" || info.Mode().Perm() != 0o755 {
			t.Errorf("%s has %v", name, info.Mode())
		}
	}
	info, err := os.Lstat(filepath.Join(target, "acl"))
	must(t, err)
	if info.Mode().Perm() != 0o610 {
		t.Errorf("without its ACL the file has %v; its group had execution alone", info.Mode())
	}
	what := map[string]int64{}
	for _, k := range res.NotKept {
		what[k.What] += k.Count
	}
	for _, want := range []string{"owner", "set-id bits", "access control list", "nonsense.* attributes"} {
		if what[want] == 0 {
			t.Errorf("%s is not among what was not kept: %+v", want, res.NotKept)
		}
	}
	if got := make([]byte, 8); true {
		if n, err := unix.Lgetxattr(filepath.Join(target, "attribute"), "user.fine", got); err != nil || string(got[:n]) != "x" {
			t.Errorf("the attribute beside the refused one: %v", err)
		}
	}
}

// TestSetID: the bits are kept with the owners, and dropped without.
func TestSetID(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root sets owners")
	}
	f := newForge(t)
	n := f.file("f", "x")
	n.Mode, n.UID, n.GID = 0o6755, 54321, 54322
	d := f.dir("d")
	d.Mode, d.UID, d.GID = 0o3770, 54321, 54322
	s := f.snapshot(f.dir("", n, d))
	for owners, want := range map[restore.Owners][2]os.FileMode{
		restore.OwnersAuto:    {0o755 | os.ModeSetuid | os.ModeSetgid, os.ModeDir | 0o770 | os.ModeSetgid | os.ModeSticky},
		restore.OwnersNumeric: {0o755 | os.ModeSetuid | os.ModeSetgid, os.ModeDir | 0o770 | os.ModeSetgid | os.ModeSticky},
		restore.OwnersSkip:    {0o755, os.ModeDir | 0o770 | os.ModeSticky},
	} {
		target := filepath.Join(t.TempDir(), "target")
		whole(t, restored(t, f.r, s, target, func(o *restore.Options) { o.Owners = owners }))
		for i, name := range []string{"f", "d"} {
			info, err := os.Lstat(filepath.Join(target, name))
			must(t, err)
			if info.Mode() != want[i] {
				t.Errorf("owners %d: %s has %v, want %v", owners, name, info.Mode(), want[i])
			}
		}
	}
}

// TestDeepChain is deeper than a path can name. Directories that hold each other
// cannot be forged, since pages are named by their content.
func TestDeepChain(t *testing.T) {
	f := newForge(t)
	d := f.dir("0", f.file("bottom", "x"))
	for range 1200 {
		d = f.dir("0", d)
	}
	target := filepath.Join(t.TempDir(), "target")
	res := restored(t, f.r, f.snapshot(f.dir("", d)), target, nil)
	whole(t, res)
	if res.Dirs != 1201 || res.Files != 1 {
		t.Errorf("%d directories, %d files", res.Dirs, res.Files)
	}
}

// TestLinkGroups: names that claim to be one inode and are not.
func TestLinkGroups(t *testing.T) {
	f := newForge(t)
	member := func(n *tree.Node) *tree.Node {
		n.LinkGroup, n.Links = 7, 5
		return n
	}
	first, second, other := member(f.file("1", "one")), member(f.file("2", "one")), member(f.file("3", "three"))
	link, dir := member(symlink("4", "/etc/passwd")), member(f.dir("5"))
	s := f.snapshot(f.dir("", first, second, other, link, dir, f.dir("6", member(f.file("7", "one")))))
	target := filepath.Join(t.TempDir(), "target")
	res := restored(t, f.r, s, target, nil)
	whole(t, res)
	if res.Links != 2 {
		t.Errorf("%d links, want 2", res.Links)
	}
	for name, want := range map[string]string{"1": "one", "2": "one", "3": "three", "6/7": "one"} {
		if got := content(t, filepath.Join(target, name)); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if to, err := os.Readlink(filepath.Join(target, "4")); err != nil || to != "/etc/passwd" {
		t.Errorf("symlink to %q, %v", to, err)
	}
}
