package fusefs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/capture"
	"keepsake/fusefs"
	"keepsake/store"
	"keepsake/store/storetest"
)

// library whose snapshots are taken a minute apart, as its own clock says.
type timed struct {
	t   testing.TB
	r   *store.Repository
	dir string
	now time.Time
}

var clockZone = time.FixedZone("", 3600)

func newTimed(t testing.TB) *timed {
	t.Helper()
	needFUSE(t)
	dir := filepath.Join(t.TempDir(), "library")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	// Ahead of the files' own times, so that nothing is racy.
	now := time.Now().Add(time.Hour).Truncate(time.Hour).In(clockZone)
	return &timed{t: t, r: storetest.New(t).Open(t), dir: dir, now: now}
}

// take takes a snapshot and returns the name of its folder.
func (l *timed) take() string {
	l.t.Helper()
	l.now = l.now.Add(time.Minute)
	s := back(l.t, l.r, l.dir, "library", func(o *capture.Options) { o.Now = func() time.Time { return l.now } })
	return s.Started.Time().In(s.Zone()).Format("2006-01-02T15-04-05-0700")
}

func (l *timed) write(name, text string) {
	l.t.Helper()
	write(l.t, filepath.Join(l.dir, name), []byte(text))
}

func (l *timed) remove(name string) {
	l.t.Helper()
	if err := os.RemoveAll(filepath.Join(l.dir, name)); err != nil {
		l.t.Fatal(err)
	}
}

// content reads all files in a directory.
func content(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range list(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		all[name] = string(b)
	}
	return all
}

func expect(t testing.TB, dir string, want map[string]string) {
	t.Helper()
	got := content(t, dir)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s holds\n%q, want\n%q", dir, got, want)
	}
}

// TestVersions goes through the life of a few files: changed, reverted, deleted,
// renamed, replaced by a directory.
func TestVersions(t *testing.T) {
	l := newTimed(t)
	l.write("IMG_1.JPG", "one")
	l.write("sub/notes", "A")
	l.write("sub/raw.tar.gz", "archive")
	l.write("both", "a file")
	a := l.take()
	l.write("IMG_1.JPG", "one, edited")
	l.write("sub/notes", "B")
	l.remove("both")
	l.write("both/inner", "in the directory")
	b := l.take()
	l.remove("IMG_1.JPG")
	l.write("sub/notes", "A")
	if err := os.Rename(l.dir+"/sub/raw.tar.gz", l.dir+"/sub/renamed.gz"); err != nil {
		t.Fatal(err)
	}
	c := l.take()
	m := mount(t, l.r, nil)
	root := m.path("versions", "library")
	if got := list(t, m.path("versions")); !slices.Equal(got, []string{"library"}) {
		t.Errorf("versions holds %q", got)
	}
	if got := list(t, root); !slices.Equal(got, []string{"IMG_1.JPG", "both", "sub"}) {
		t.Errorf("the source's folder holds %q", got)
	}
	if got := list(t, root+"/sub"); !slices.Equal(got, []string{"notes", "raw.tar.gz", "renamed.gz"}) {
		t.Errorf("sub holds %q", got)
	}
	expect(t, root+"/IMG_1.JPG", map[string]string{a + ".JPG": "one", b + ".JPG": "one, edited"})
	expect(t, root+"/sub/notes", map[string]string{a: "A", b: "B"})
	expect(t, root+"/sub/raw.tar.gz", map[string]string{a + ".gz": "archive"})
	expect(t, root+"/sub/renamed.gz", map[string]string{c + ".gz": "archive"})
	if got := list(t, root+"/both"); !slices.Equal(got, []string{a, "inner"}) {
		t.Errorf("what was a file and a directory holds %q", got)
	}
	expect(t, root+"/both/inner", map[string]string{b: "in the directory"})
	for _, name := range []string{".hidden", a, b + ".JPEG", c + ".JPG", a + "-00000000.JPG", a + ".JPG/x", strings.Repeat("x", 256)} {
		_, err := os.Lstat(root + "/IMG_1.JPG/" + name)
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENAMETOOLONG) && !errors.Is(err, unix.ENOTDIR) {
			t.Errorf("%q: %v", name, err)
		}
	}

	// What comes later appears by itself.
	l.write("IMG_1.JPG", "one, again")
	l.write("new", "new")
	d := l.take()
	m.Refresh()
	time.Sleep(1100 * time.Millisecond) // as long as the kernel may keep a name
	expect(t, root+"/IMG_1.JPG", map[string]string{a + ".JPG": "one", b + ".JPG": "one, edited", d + ".JPG": "one, again"})
	expect(t, root+"/new", map[string]string{d: "new"})
}

// TestVersionIsAnEntry compares a version with the same file in its snapshot:
// attributes, extended ones, digest; but it has one link and a number of its own.
func TestVersionIsAnEntry(t *testing.T) {
	l := newTimed(t)
	l.write("dir/file.bin", string(random(1, 300_000)))
	path := l.dir + "/dir/file.bin"
	err := errors.Join(
		os.Link(path, l.dir+"/dir/link"), os.Symlink("file.bin", l.dir+"/dir/sym"), unix.Mkfifo(l.dir+"/dir/fifo", 0o600),
		unix.Setxattr(path, "user.comment", []byte("hello"), 0), os.Chmod(path, 0o640),
	)
	if err != nil {
		t.Fatal(err)
	}
	a := l.take()
	m := mount(t, l.r, nil)
	for name, ext := range map[string]string{"file.bin": ".bin", "link": "", "sym": "", "fifo": ""} {
		was, is := m.path("snapshots", "library", a, "dir", name), m.path("versions", "library", "dir", name, a+ext)
		var x, y unix.Stat_t
		if err := errors.Join(unix.Lstat(was, &x), unix.Lstat(is, &y)); err != nil {
			t.Fatal(err)
		}
		if x.Ino == y.Ino || y.Nlink != 1 {
			t.Errorf("%s: inode %d became %d, with %d links", name, x.Ino, y.Ino, y.Nlink)
		}
		x.Ino, x.Nlink = y.Ino, 1
		if x != y {
			t.Errorf("%s: %+v became %+v", name, x, y)
		}
		for _, attribute := range []string{"user.comment", "user.keepsake.sha256", "user.keepsake.snapshot", "user.none"} {
			vx, ex := getxattr(was, attribute)
			vy, ey := getxattr(is, attribute)
			if vx != vy || !errors.Is(ey, ex) {
				t.Errorf("%s: %s %q (%v) became %q (%v)", name, attribute, vx, ex, vy, ey)
			}
		}
		if target, err := os.Readlink(is); name == "sym" && (err != nil || target != "file.bin") {
			t.Errorf("the symlink leads to %q: %v", target, err)
		}
	}
	expect(t, m.path("versions", "library", "dir", "link"), map[string]string{a: string(random(1, 300_000))})
	if _, err := getxattr(m.path("versions", "library", "dir"), "system.posix_acl_access"); !errors.Is(err, unix.ENODATA) {
		t.Errorf("the ACL of a merged directory: %v", err)
	}
	if err := os.WriteFile(m.path("versions", "library", "dir", "link", "x"), nil, 0o644); !errors.Is(err, unix.EROFS) {
		t.Errorf("writing: %v", err)
	}
}

// TestVersionNames captures files with names that do not make it easy.
func TestVersionNames(t *testing.T) {
	l := newTimed(t)
	long := strings.Repeat("n", 200) + "." + strings.Repeat("e", 50)
	extensions := map[string]string{
		"no extension": "", ".hidden": "", ".hidden.txt": ".txt", "dot at the end.": "", "..": "", "...x": "", "a.tar.gz": ".gz",
		"bad\xff.j\xffpg": "", "bad\xff.jpg": ".jpg", "new\nline.n\new": "", "Notes. This is long": "", long: "", "x.ÄÖ": ".ÄÖ",
		"2026-11-21T15-05-33+0100": "", "b.lrcat-journal": ".lrcat-journal", `q.a:b`: "",
	}
	for name, extension := range extensions {
		if got := fusefs.Extension(name); got != extension {
			t.Errorf("the extension of %q is %q, want %q", name, got, extension)
		}
		if name != ".." {
			l.write(name, name)
		}
	}
	delete(extensions, "..")
	a := l.take()
	m := mount(t, l.r, nil)
	for name, extension := range extensions {
		expect(t, m.path("versions", "library", name), map[string]string{a + extension: name})
	}

	// A child is called as a version would be: it keeps its name.
	l.write("taken.x", "the file")
	b := l.take()
	l.remove("taken.x")
	l.write("taken.x/"+b+".x", "the child")
	c := l.take()
	m.Refresh()
	time.Sleep(1100 * time.Millisecond)
	dir := m.path("versions", "library", "taken.x")
	expect(t, dir+"/"+b+".x", map[string]string{c + ".x": "the child"})
	id, err := getxattr(m.path("snapshots", "library", b), "user.keepsake.snapshot")
	if err != nil {
		t.Fatal(err)
	}
	other := b + "-" + id[:8] + ".x"
	if got := list(t, dir); !slices.Equal(got, []string{other, b + ".x"}) {
		t.Errorf("the folder holds %q", got)
	}
	if got, err := os.ReadFile(dir + "/" + other); string(got) != "the file" {
		t.Errorf("the version holds %q: %v", got, err)
	}
}

// TestVersionsOfOneSecond takes three snapshots in one second.
func TestVersionsOfOneSecond(t *testing.T) {
	l := newTimed(t)
	var name string
	for i := range 3 {
		l.write("x.txt", fmt.Sprint(i))
		name = l.take()
		l.now = l.now.Add(time.Millisecond - time.Minute)
	}
	m := mount(t, l.r, nil)
	got := content(t, m.path("versions", "library", "x.txt"))
	if len(got) != 3 || got[name+".txt"] != "0" {
		t.Errorf("versions: %q", got)
	}
	for name, text := range got {
		snapshot := strings.TrimSuffix(name, ".txt")
		if b, err := os.ReadFile(m.path("snapshots", "library", snapshot, "x.txt")); string(b) != text {
			t.Errorf("%s holds %q and its snapshot %q: %v", name, text, b, err)
		}
	}
}

// TestCollidingVersions forces everything below versions/ to few inode numbers:
// what is refused is refused, and what is read is the right content.
func TestCollidingVersions(t *testing.T) {
	l := newTimed(t)
	want := map[string]string{}
	for i := range 15 {
		for j := range 12 {
			l.write(fmt.Sprintf("f%02d", j), fmt.Sprintf("%d of %d", j, i))
		}
		name := l.take()
		for j := range 12 {
			want[fmt.Sprintf("f%02d/%s", j, name)] = fmt.Sprintf("%d of %d", j, i)
		}
	}
	m := mountBy(t, l.r, nil, func(o fusefs.Options) (*fusefs.Mounted, error) { return fusefs.MountColliding(t.Context(), o, 40) })
	good, refused := 0, 0
	for name, text := range want {
		b, err := os.ReadFile(m.path("versions", "library", name))
		switch {
		case errors.Is(err, unix.EIO):
			refused++
		case err != nil || string(b) != text:
			t.Errorf("%s holds %q, want %q: %v", name, b, text, err)
		default:
			good++
		}
	}
	if good == 0 || refused == 0 {
		t.Errorf("%d good, %d refused: the test tests nothing", good, refused)
	}
}
