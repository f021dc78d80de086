package fusefs_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mutations is every system call that changes a file system, on a directory,
// a file in it and a directory in it.
var mutations = []struct {
	name string
	call func(dir, file, sub string) error
}{
	{"open for writing", func(_, file, _ string) error { return open(file, unix.O_WRONLY) }},
	{"open for both", func(_, file, _ string) error { return open(file, unix.O_RDWR) }},
	{"open and truncate", func(_, file, _ string) error { return open(file, unix.O_WRONLY|unix.O_TRUNC) }},
	{"create", func(dir, _, _ string) error { return open(dir+"/new", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY) }},
	{"unnamed file", func(dir, _, _ string) error { return open(dir, unix.O_TMPFILE|unix.O_RDWR) }},
	{"truncate", func(_, file, _ string) error { return unix.Truncate(file, 1) }},
	{"mkdir", func(dir, _, _ string) error { return unix.Mkdir(dir+"/new", 0o755) }},
	{"mknod of a FIFO", func(dir, _, _ string) error { return unix.Mknod(dir+"/new", unix.S_IFIFO|0o644, 0) }},
	{"mknod of a file", func(dir, _, _ string) error { return unix.Mknod(dir+"/new", unix.S_IFREG|0o644, 0) }},
	{"symlink", func(dir, _, _ string) error { return unix.Symlink("x", dir+"/new") }},
	{"link", func(dir, file, _ string) error { return unix.Link(file, dir+"/new") }},
	{"rename", func(dir, file, _ string) error { return unix.Rename(file, dir+"/new") }},
	{"exchange", func(_, file, sub string) error {
		return unix.Renameat2(unix.AT_FDCWD, file, unix.AT_FDCWD, sub, unix.RENAME_EXCHANGE)
	}},
	{"unlink", func(_, file, _ string) error { return unix.Unlink(file) }},
	{"rmdir", func(_, _, sub string) error { return unix.Rmdir(sub) }},
	{"chmod of a file", func(_, file, _ string) error { return unix.Chmod(file, 0o600) }},
	{"chmod of a directory", func(dir, _, _ string) error { return unix.Chmod(dir, 0o700) }},
	{"chown", func(_, file, _ string) error { return unix.Lchown(file, 0, 0) }},
	{"utimes", func(_, file, _ string) error {
		return os.Chtimes(file, time.Unix(1, 0), time.Unix(1, 0))
	}},
	{"setxattr", func(_, file, _ string) error { return unix.Setxattr(file, "user.x", []byte("y"), 0) }},
	{"setxattr of a directory", func(dir, _, _ string) error { return unix.Setxattr(dir, "user.x", []byte("y"), 0) }},
	{"removexattr", func(_, file, _ string) error { return unix.Removexattr(file, "user.kept") }},
}

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o644)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

func TestNothingCanBeChanged(t *testing.T) {
	m, _, _, _, _ := view(t, nil)
	latest, err := filepath.EvalSymlinks(m.path("latest", "library"))
	if err != nil {
		t.Fatal(err)
	}
	places := []struct{ dir, file, sub string }{
		{m.dir, "README.txt", "snapshots"},
		{m.path("snapshots"), "library", "library"},
		{filepath.Dir(latest), filepath.Base(latest), filepath.Base(latest)},
		{latest, "small", "photos"},
		{latest + "/photos", "a.jpg", "../text"},
	}
	try := func(t *testing.T) {
		for _, p := range places {
			for _, mutation := range mutations {
				if p.file == p.sub && mutation.name != "rmdir" && mutation.name != "rename" && mutation.name != "mkdir" {
					continue // that place has no files
				}
				if err := mutation.call(p.dir, p.dir+"/"+p.file, p.dir+"/"+p.sub); err != unix.EROFS && !isEROFS(err) {
					t.Errorf("%s in %s: %v", mutation.name, p.dir, err)
				}
			}
		}
	}
	t.Run("mounted read-only", try)
	t.Run("without the kernel's flag", func(t *testing.T) {
		// Now it is the view that has to say no.
		if err := unix.Mount("", m.dir, "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
			t.Skipf("not run: only root can remount: %v", err)
		}
		try(t)
	})
	if got := list(t, latest); len(got) != 6 {
		t.Errorf("the snapshot now holds %q", got)
	}
}

func isEROFS(err error) bool {
	pe, ok := err.(*os.PathError)
	return ok && pe.Err == unix.EROFS
}

func TestMountFlags(t *testing.T) {
	m, _, _, _, _ := view(t, nil)
	var st unix.Statfs_t
	if err := unix.Statfs(m.dir, &st); err != nil {
		t.Fatal(err)
	}
	for flag, name := range map[int64]string{unix.ST_RDONLY: "ro", unix.ST_NOSUID: "nosuid", unix.ST_NODEV: "nodev"} {
		if st.Flags&flag == 0 {
			t.Errorf("not mounted %s", name)
		}
	}
	if st.Blocks < 4_000 || st.Bavail != 0 || st.Files < 600 || st.Namelen != 255 {
		t.Errorf("statfs says %+v", st)
	}
}
