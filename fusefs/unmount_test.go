package fusefs_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/fusefs/mountpoint"
	"keepsake/store/storetest"
)

// TestLazilyUnmounted unmounts behind the view's back while a file is open: it
// goes on being read, and the view ends with it.
func TestLazilyUnmounted(t *testing.T) {
	t.Parallel()
	for _, byView := range []bool{false, true} {
		name := "the file is closed"
		if byView {
			name = "the program ends"
		}
		t.Run(name, func(t *testing.T) {
			m, files, _, _, _ := view(t, nil)
			f, err := os.Open(m.path("latest", "library", "video", "large.mov"))
			must(t, err)
			defer f.Close()
			if err := unix.Unmount(m.dir, unix.MNT_DETACH); err != nil {
				t.Skipf("not run: only root can unmount so: %v", err)
			}
			want := files["video/large.mov"]
			got := make([]byte, len(want))
			if n, err := f.ReadAt(got, 0); n != len(want) || !bytes.Equal(got, want) {
				t.Errorf("the file that is still open: %d bytes, %v", n, err)
			}
			if byView {
				must(t, soon(t, "unmounting", m.Unmount))
				must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
				if _, err := f.ReadAt(got[:10], 100); !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.EIO) && !errors.Is(err, unix.ECONNABORTED) {
					t.Errorf("reading after the end: %v", err)
				}
			} else {
				must(t, f.Close())
			}
			must(t, soon(t, "the end of the view", func() error { m.Wait(); return nil }))
			must(t, soon(t, "unmounting", m.Unmount))
			if _, err := os.Lstat(m.dir); !os.IsNotExist(err) {
				t.Errorf("the mount point is still there: %v", err)
			}
		})
	}
}

// TestUnmountBusy unmounts while the view is used in every way that keeps a
// file system busy.
func TestUnmountBusy(t *testing.T) {
	t.Parallel()
	m, _, _, _, _ := view(t, nil)
	root := m.path("latest", "library")
	file, err := os.Open(root + "/video/large.mov")
	must(t, err)
	defer file.Close()
	dir, err := os.Open(root + "/many")
	must(t, err)
	defer dir.Close()
	if _, err := dir.Readdirnames(5); err != nil {
		t.Fatal(err)
	}
	inside := exec.Command("sleep", "60")
	inside.Dir = root + "/photos"
	must(t, inside.Start())
	defer func() { _, _ = inside.Process.Kill(), inside.Wait() }()
	reads := make(chan error, 1)
	go func() {
		for {
			if _, err := file.ReadAt(make([]byte, 1<<20), 5<<20); err != nil {
				reads <- err
				return
			}
			_ = unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED) // a hint
		}
	}()
	must(t, soon(t, "unmounting", m.Unmount))
	must(t, soon(t, "the end of the view", func() error { m.Wait(); return nil }))
	if err := soon(t, "what was being read", func() error { return <-reads }); err == nil {
		t.Error("it goes on")
	}
	for what, err := range map[string]error{
		"reading":         soon(t, "reading", func() error { _, err := file.ReadAt(make([]byte, 10), 0); return err }),
		"opening beneath": soon(t, "opening", func() error { return openat(dir, "0500.xmp") }),
		"stat":            soon(t, "stat", func() error { return unix.Fstat(int(dir.Fd()), new(unix.Stat_t)) }),
		"a mapping": soon(t, "mapping", func() error {
			_, err := unix.Mmap(int(file.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			return err
		}),
	} {
		t.Logf("%s: %v", what, err)
		if what != "stat" && err == nil { // which the kernel may answer by itself
			t.Errorf("%s succeeds after the view was unmounted", what)
		}
	}
}

func openat(dir *os.File, name string) error {
	fd, err := unix.Openat(int(dir.Fd()), name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// userDir names the directory of TestUserHelper, in a process of an ordinary user.
const userDir = "KEEPSAKE_TEST_USER"

// TestUserUnmounts mounts and unmounts as an ordinary user does, by fusermount,
// in a namespace of mounts where such a user may.
func TestUserUnmounts(t *testing.T) {
	needFUSE(t)
	t.Parallel()
	for _, tool := range []string{"unshare", "setpriv", "fusermount3"} {
		if _, err := exec.LookPath(tool); err != nil || os.Geteuid() != 0 {
			t.Skipf("not run: it takes root and %s: %v", tool, err)
		}
	}
	self, err := os.Executable()
	must(t, err)
	dir, err := os.MkdirTemp("", "user") // below directories that others may enter
	must(t, err)
	defer os.RemoveAll(dir)
	must(t, os.Chown(dir, 65534, 65534))
	program := filepath.Join(dir, "test") // where go test puts it nobody else can get
	copyFile(t, self, program)
	const script = `set -e
mkdir "$0/dev"; mount -t tmpfs tmpfs "$0/dev"
mknod -m 666 "$0/dev/fuse" c 10 229
mount --bind "$0/dev/fuse" /dev/fuse
exec setpriv --reuid=65534 --regid=65534 --clear-groups "$0/test" -test.run='^TestUserHelper$' -test.v`
	c := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c", script, dir)
	c.Env = append(os.Environ(), userDir+"="+dir, "TMPDIR="+dir, "HOME="+dir)
	c.Dir = dir
	out, err := c.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestUserHelper")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	must(t, err)
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	must(t, err)
	_, err = io.Copy(out, in)
	must(t, errors.Join(err, out.Close()))
}

// TestUserHelper is that process. Elsewhere it does nothing.
func TestUserHelper(t *testing.T) {
	base := os.Getenv(userDir)
	if base == "" {
		return
	}
	library := filepath.Join(base, "library")
	write(t, library+"/a.jpg", random(1, 2<<20))
	r := storetest.New(t).Open(t)
	back(t, r, library, "library", nil)
	fusermount := func(args ...string) error {
		out, err := exec.Command("fusermount3", args...).CombinedOutput()
		if err != nil {
			return errors.New(strings.TrimSpace(string(out)))
		}
		return nil
	}
	begin := func() (*fusefs.Mounted, *os.File, string) {
		dir := filepath.Join(base, "view")
		m, err := fusefs.Mount(t.Context(), fusefs.Options{Repository: r, Dir: dir})
		must(t, err)
		f, err := os.Open(dir + "/latest/library/a.jpg")
		must(t, err)
		return m, f, dir
	}
	ended := func(m *fusefs.Mounted, dir string) {
		t.Helper()
		must(t, soon(t, "the end of the view", func() error { m.Wait(); return nil }))
		must(t, m.Unmount())
		if _, mounted, err := mountpoint.At(dir); mounted || err != nil {
			t.Errorf("still mounted: %v, %v", mounted, err)
		}
		if _, err := os.Lstat(dir); !os.IsNotExist(err) {
			t.Errorf("the mount point is still there: %v", err)
		}
	}

	m, f, dir := begin()
	// As nobody, who has a name: fusermount asks for it.
	if err := fusermount("-u", dir); err == nil {
		t.Error("a view with an open file was unmounted")
	}
	if _, err := f.ReadAt(make([]byte, 10), 1<<20); err != nil {
		t.Errorf("reading after an attempt to unmount: %v", err)
	}
	must(t, f.Close())
	must(t, fusermount("-u", dir))
	ended(m, dir)

	m, f, dir = begin()
	must(t, fusermount("-u", "-z", dir))
	if _, err := f.ReadAt(make([]byte, 10), 1<<20); err != nil {
		t.Errorf("reading after a lazy unmount: %v", err)
	}
	must(t, f.Close())
	ended(m, dir)

	m, f, dir = begin() // and by the view itself, which may not use force
	begun := time.Now()
	must(t, soon(t, "unmounting", m.Unmount))
	t.Logf("unmounted after %v", time.Since(begun))
	if _, err := f.ReadAt(make([]byte, 10), 1<<20); err == nil {
		t.Error("reading after the view has unmounted succeeds")
	}
	must(t, f.Close())
	ended(m, dir)
}
