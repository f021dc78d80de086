package restore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/daemon/restore"
	"keepsake/packaging/torture"
	"keepsake/store/storetest"
)

// build makes the torture tree; what this machine cannot make is logged.
func build(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source")
	o := torture.Options{}
	if os.Getenv("KEEPSAKE_LONG") != "" {
		o = torture.Full()
	}
	omitted, err := torture.Build(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range omitted {
		t.Log(o)
	}
	return dir
}

func TestTortureTree(t *testing.T) {
	source := build(t)
	r := storetest.New(t).Open(t)
	s := back(t, r, source)
	tests := []struct {
		name   string
		change func(*restore.Options)
	}{
		{"plain", nil},
		{"verify", func(o *restore.Options) { o.Verify = true }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "deeper", "target")
			progress := &restore.Progress{}
			res := restored(t, r, s, target, func(o *restore.Options) {
				o.Progress = progress
				if tt.change != nil {
					tt.change(o)
				}
			})
			whole(t, res)
			for _, k := range res.NotKept {
				t.Errorf("not kept: %+v", k)
			}
			for _, d := range torture.Compare(source, target, torture.CompareOptions{Holes: true}) {
				t.Error(d)
			}
			noTemporaries(t, target)
			if res.Files != int64(s.Root.Below.Files) || res.Dirs != int64(s.Root.Below.Dirs) || res.Others != int64(s.Root.Below.Others) {
				t.Errorf("%d files, %d directories, %d others; the snapshot has %+v", res.Files, res.Dirs, res.Others, s.Root.Below)
			}
			if res.Links < 100 {
				t.Errorf("%d hard links", res.Links)
			}
			if b, total := progress.Bytes.Load(), progress.BytesTotal.Load(); b != total || total != int64(s.Root.Below.Bytes) {
				t.Errorf("progress ends at %d of %d bytes", b, total)
			}
			if n, total := progress.Entries.Load(), progress.EntriesTotal.Load(); n != total || total == 0 {
				t.Errorf("progress ends at %d of %d entries", n, total)
			}
		})
	}
}

// TestAgain restores over a whole tree: with every policy it stays what it is.
func TestAgain(t *testing.T) {
	source := build(t)
	r := storetest.New(t).Open(t)
	s := back(t, r, source)
	target := filepath.Join(t.TempDir(), "target")
	whole(t, restored(t, r, s, target, nil))
	for _, policy := range []restore.Policy{restore.IfChanged, restore.IfNewer, restore.Never, restore.Always} {
		t.Run(policy.String(), func(t *testing.T) {
			// Adding and removing an entry moves a directory's time.
			res := restored(t, r, s, target, func(o *restore.Options) { o.Overwrite = policy })
			whole(t, res)
			for _, d := range torture.Compare(source, target, torture.CompareOptions{Holes: true}) {
				if !strings.HasPrefix(d, `".": modification time`) { // the target is not ours
					t.Error(d)
				}
			}
			noTemporaries(t, target)
			if policy == restore.IfChanged && (res.Bytes != 0 || res.Files != 0 || res.Links != 0) {
				t.Errorf("nothing had changed, and yet: %+v", res)
			}
		})
	}
}

func TestParts(t *testing.T) {
	source := filepath.Join(t.TempDir(), "library")
	write(t, source+"/2025/a/one.jpg", "one")
	write(t, source+"/2025/a/one.xmp", "x1")
	write(t, source+"/2025/b/two.jpg", "two")
	write(t, source+"/2026/three.jpg", "three")
	write(t, source+"/notes.txt", "notes")
	if err := os.MkdirAll(source+"/2026/empty", 0o755); err != nil {
		t.Fatal(err)
	}
	r := storetest.New(t).Open(t)
	s := back(t, r, source)
	tests := []struct {
		path    string
		include []string
		want    []string
	}{
		{path: "2025/a", want: []string{"one.jpg", "one.xmp"}},
		{path: "/2025/a/", want: []string{"one.jpg", "one.xmp"}},
		{path: "2025/a/one.jpg", want: []string{"one.jpg"}},
		{path: "notes.txt", want: []string{"notes.txt"}},
		{include: []string{"notes.txt"}, want: []string{"notes.txt"}},
		{include: []string{"one.xmp"}, want: []string{"2025", "2025/a", "2025/a/one.xmp"}},
		{include: []string{"/one.xmp"}},
		{include: []string{"2025/a"}, want: []string{"2025", "2025/a", "2025/a/one.jpg", "2025/a/one.xmp"}},
		{include: []string{"2025/*/*.jpg"}, want: []string{"2025", "2025/a", "2025/a/one.jpg", "2025/b", "2025/b/two.jpg"}},
		{include: []string{"**/t*.jpg"}, want: []string{"2025", "2025/b", "2025/b/two.jpg", "2026", "2026/three.jpg"}},
		{include: []string{"2025/**/one.jpg"}, want: []string{"2025", "2025/a", "2025/a/one.jpg"}},
		{include: []string{"2026/**"}, want: []string{"2026", "2026/empty", "2026/three.jpg"}},
		{include: []string{"notes.txt/"}},
		{include: []string{"empty/", "nowhere"}, want: []string{"2026", "2026/empty"}},
		{path: "2025", include: []string{"a/one.jpg"}, want: []string{"a", "a/one.jpg"}},
	}
	for _, tt := range tests {
		t.Run(tt.path+":"+strings.Join(tt.include, ","), func(t *testing.T) {
			target := filepath.Join(t.TempDir(), "target")
			dry := restored(t, r, s, target, func(o *restore.Options) { o.Path, o.Include, o.DryRun = tt.path, tt.include, true })
			if _, err := os.Lstat(target); err == nil {
				t.Error("a dry run made the target")
			}
			res := restored(t, r, s, target, func(o *restore.Options) { o.Path, o.Include = tt.path, tt.include })
			whole(t, res)
			if got := paths(t, target); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if dry.Files != res.Files || dry.Dirs != res.Dirs || dry.Bytes != res.Bytes {
				t.Errorf("dry run announced %+v, run did %+v", dry, res)
			}
			if missing := slices.Contains(tt.include, "nowhere"); missing != slices.Contains(res.Unmatched, "nowhere") {
				t.Errorf("unmatched: %q", res.Unmatched)
			}
		})
	}
	refused := []struct {
		path, include string
		want          error
	}{
		{"2025/nothing", "*", fs.ErrNotExist},
		{"", "[2", restore.ErrPattern},
		{"", "!a", restore.ErrPattern},
		{"", "a//b", restore.ErrPattern},
		{"", "../a", restore.ErrPattern},
		{"", "", restore.ErrPattern},
	}
	for _, tt := range refused {
		_, err := attempt(t, r, s, t.TempDir(), func(o *restore.Options) { o.Path, o.Include = tt.path, []string{tt.include} })
		if !errors.Is(err, tt.want) {
			t.Errorf("%q, %q: %v", tt.path, tt.include, err)
		}
	}
}

// TestTargetsMetadata: an existing target keeps its own.
func TestTargetsMetadata(t *testing.T) {
	f := newForge(t)
	root := f.dir("", f.file("a", "a"))
	root.Mode = 0o751
	s := f.snapshot(root)
	existing, fresh := t.TempDir(), filepath.Join(t.TempDir(), "fresh")
	if err := os.Chmod(existing, 0o700); err != nil {
		t.Fatal(err)
	}
	restored(t, f.r, s, existing, nil)
	restored(t, f.r, s, fresh, nil)
	for path, want := range map[string]os.FileMode{existing: 0o700, fresh: 0o751} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode().Perm(), want)
		}
		if old := info.ModTime().Equal(longAgo.Time()); old != (path == fresh) {
			t.Errorf("%s has time %v", path, info.ModTime())
		}
	}
}

// TestInheritedACL: what a target hands down is not the snapshot's.
func TestInheritedACL(t *testing.T) {
	f := newForge(t)
	s := f.snapshot(f.dir("", f.file("a", "a"), f.dir("d", f.file("b", "b"), node("fifo", 4)), node("fifo", 4)))
	target := t.TempDir()
	// user::rwx, user 54321 rwx, group::r-x, mask rwx, other::---
	acl := "\x02\x00\x00\x00" +
		"\x01\x00\x07\x00\xff\xff\xff\xff" + "\x02\x00\x07\x00\x31\xd4\x00\x00" + "\x04\x00\x05\x00\xff\xff\xff\xff" +
		"\x10\x00\x07\x00\xff\xff\xff\xff" + "\x20\x00\x00\x00\xff\xff\xff\xff"
	if err := unix.Setxattr(target, "system.posix_acl_default", []byte(acl), 0); err != nil {
		t.Skipf("no ACLs here: %v", err)
	}
	whole(t, restored(t, f.r, s, target, nil))
	for _, p := range paths(t, target) {
		for _, name := range []string{"system.posix_acl_access", "system.posix_acl_default"} {
			if n, err := unix.Lgetxattr(filepath.Join(target, p), name, make([]byte, 100)); err == nil {
				t.Errorf("%s has %d bytes of %s", p, n, name)
			}
		}
	}
}
