package fusefs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"keepsake/store/storetest"
)

// On which kinds of nodes a system call makes sense.
const (
	onFile = 1 << iota
	onDir
	onSymlink
	onSpecial
	onTop // the root of the view too, whose name is not the view's

	onPaths = onFile | onDir | onSymlink | onSpecial | onTop // all that has a name
	onNames = onFile | onDir | onSymlink | onSpecial
)

// mutation is a system call that changes a file system. path is a node, and
// inside a name that is not there: in the node if it is a directory, else
// beside it. sibling is another node in the same directory.
type mutation struct {
	name string
	on   int
	call func(path, inside, sibling string) error
}

var mutations = []mutation{
	{"open to write", onFile, func(path, _, _ string) error { return open(path, unix.O_WRONLY) }},
	{"open for both", onFile, func(path, _, _ string) error { return open(path, unix.O_RDWR) }},
	{"open to write past the cache", onFile, func(path, _, _ string) error { return open(path, unix.O_RDWR|unix.O_DIRECT) }},
	{"open to append", onFile, func(path, _, _ string) error { return open(path, unix.O_WRONLY|unix.O_APPEND) }},
	{"open and truncate", onFile, func(path, _, _ string) error { return open(path, unix.O_WRONLY|unix.O_TRUNC) }},
	{"open to read and truncate", onFile, func(path, _, _ string) error { return open(path, unix.O_RDONLY|unix.O_TRUNC) }},
	{"create what is there", onFile, func(path, _, _ string) error { return open(path, unix.O_WRONLY|unix.O_CREAT) }},
	{"create and truncate what is there", onFile, func(path, _, _ string) error { return open(path, unix.O_WRONLY|unix.O_CREAT|unix.O_TRUNC) }},
	{"create", onPaths, func(_, inside, _ string) error { return open(inside, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY) }},
	{"create to read", onPaths, func(_, inside, _ string) error { return open(inside, unix.O_CREAT|unix.O_RDONLY) }},
	{"unnamed file", onDir | onTop, func(path, _, _ string) error { return open(path, unix.O_TMPFILE|unix.O_RDWR) }},
	{"truncate", onFile, func(path, _, _ string) error { return unix.Truncate(path, 1) }},
	{"mkdir", onPaths, func(_, inside, _ string) error { return unix.Mkdir(inside, 0o755) }},
	{"mknod of a FIFO", onPaths, func(_, inside, _ string) error { return unix.Mknod(inside, unix.S_IFIFO|0o644, 0) }},
	{"mknod of a file", onPaths, func(_, inside, _ string) error { return unix.Mknod(inside, unix.S_IFREG|0o644, 0) }},
	{"mknod of a device", onPaths, func(_, inside, _ string) error { return unix.Mknod(inside, unix.S_IFCHR|0o644, 0x103) }},
	{"bind of a socket", onPaths, bindSocket},
	{"symlink", onPaths, func(_, inside, _ string) error { return unix.Symlink("x", inside) }},
	{"link beside", onFile | onSymlink | onSpecial, func(path, inside, _ string) error { return unix.Link(path, inside) }},
	{"rename", onNames, func(path, _, _ string) error { return unix.Rename(path, path+".new") }},
	{"rename and keep", onNames, func(path, _, _ string) error { return rename2(path, path+".new", unix.RENAME_NOREPLACE) }},
	{"rename and leave a whiteout", onNames, func(path, _, _ string) error { return rename2(path, path+".new", unix.RENAME_WHITEOUT) }},
	{"exchange", onNames, func(path, _, sibling string) error { return rename2(path, sibling, unix.RENAME_EXCHANGE) }},
	{"unlink", onFile | onSymlink | onSpecial, func(path, _, _ string) error { return unix.Unlink(path) }},
	{"rmdir", onDir, func(path, _, _ string) error { return unix.Rmdir(path) }},
	{"chmod", onFile | onDir | onSpecial | onTop, func(path, _, _ string) error { return unix.Chmod(path, 0o600) }},
	{"fchmod", onFile | onDir | onTop, func(path, _, _ string) error {
		return opened(path, func(fd int) error { return unix.Fchmod(fd, 0o600) })
	}},
	{"chown", onPaths, func(path, _, _ string) error { return unix.Lchown(path, 1, 1) }},
	{"fchown", onFile | onDir | onTop, func(path, _, _ string) error {
		return opened(path, func(fd int) error { return unix.Fchown(fd, 1, 1) })
	}},
	{"utimes", onPaths, func(path, _, _ string) error {
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, make([]unix.Timespec, 2), unix.AT_SYMLINK_NOFOLLOW)
	}},
	{"touch", onPaths, func(path, _, _ string) error {
		now := unix.Timespec{Nsec: unix.UTIME_NOW}
		return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{now, now}, unix.AT_SYMLINK_NOFOLLOW)
	}},
	{"setxattr", onFile | onDir | onTop, func(path, _, _ string) error { return unix.Setxattr(path, "user.x", []byte("y"), 0) }},
	{"setxattr for root", onPaths, func(path, _, _ string) error { return unix.Lsetxattr(path, "trusted.x", []byte("y"), 0) }},
	{"setxattr of an ACL", onFile | onDir | onTop, func(path, _, _ string) error {
		return unix.Setxattr(path, "system.posix_acl_access", minimalACL, 0)
	}},
	{"removexattr", onFile | onDir | onTop, func(path, _, _ string) error { return unix.Removexattr(path, "user.kept") }},
	{"removexattr for root", onPaths, func(path, _, _ string) error { return unix.Lremovexattr(path, "trusted.kept") }},
	{"removexattr of an ACL", onFile | onDir | onTop, func(path, _, _ string) error {
		return unix.Removexattr(path, "system.posix_acl_access")
	}},
	{"FS_IOC_SETFLAGS", onFile | onDir | onTop, func(path, _, _ string) error { return setFlags(path, unix.FS_IOC_SETFLAGS, 4) }},
	{"FS_IOC_FSSETXATTR", onFile | onDir | onTop, func(path, _, _ string) error { return setFlags(path, fsIocFSSetXattr, 28) }},
}

// withoutRights are system calls on a file that was opened to read, which is
// the only way to open it. The kernel refuses them before the view is asked.
var withoutRights = []struct {
	name string
	call func(fd int) error
	want unix.Errno
}{
	{"write", func(fd int) error { _, err := unix.Write(fd, []byte("x")); return err }, unix.EBADF},
	{"pwrite", func(fd int) error { _, err := unix.Pwrite(fd, []byte("x"), 0); return err }, unix.EBADF},
	{"ftruncate", func(fd int) error { return unix.Ftruncate(fd, 0) }, unix.EINVAL},
	{"fallocate", func(fd int) error { return unix.Fallocate(fd, 0, 0, 4096) }, unix.EBADF},
	{"punch a hole", func(fd int) error {
		return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4096)
	}, unix.EBADF},
	{"copy_file_range into", func(fd int) error { _, err := unix.CopyFileRange(fd, nil, fd, nil, 1, 0); return err }, unix.EBADF},
	{"sendfile into", func(fd int) error { _, err := unix.Sendfile(fd, fd, nil, 1); return err }, unix.EBADF},
	{"clone into", func(fd int) error { return unix.IoctlFileClone(fd, fd) }, unix.EBADF},
	{"map shared to write", func(fd int) error {
		_, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		return err
	}, unix.EACCES},
	{"make a shared mapping writable", func(fd int) error {
		m, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return err
		}
		defer unix.Munmap(m)
		return unix.Mprotect(m, unix.PROT_READ|unix.PROT_WRITE)
	}, unix.EACCES},
}

// minimalACL says what a mode of 0700 says: version 2; owner, group, others.
var minimalACL = []byte{2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 4, 0, 0, 0, 255, 255, 255, 255, 0x20, 0, 0, 0, 255, 255, 255, 255}

const fsIocFSSetXattr = 0x401c5820

func setFlags(path string, request uintptr, size int) error {
	return opened(path, func(fd int) error {
		value := make([]byte, size)
		value[0] = 0x10 // immutable
		_, _, no := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(&value[0])))
		if no != 0 {
			return no
		}
		return nil
	})
}

func open(path string, flags int) error {
	fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o644)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

func opened(path string, do func(fd int) error) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening to read: %w", err)
	}
	defer unix.Close(fd)
	return do(fd)
}

func rename2(from, to string, flags uint) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags)
}

// bindSocket binds by a path of the process, since those of sockets are short.
func bindSocket(_, inside, _ string) error {
	return opened(filepath.Dir(inside), func(dir int) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		return unix.Bind(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(inside))})
	})
}

// kindLibrary backs up one node of every kind, twice, and mounts the repository.
func kindLibrary(t *testing.T) (m *mounted, library string) {
	t.Helper()
	needFUSE(t)
	dir := filepath.Join(t.TempDir(), "library")
	write(t, dir+"/photos/a.jpg", random(1, 3<<20))
	write(t, dir+"/photos/b.jpg", random(2, 300<<10))
	must(t, unix.Setxattr(dir+"/photos/a.jpg", "user.kept", []byte("v"), 0))
	must(t, unix.Setxattr(dir+"/photos/a.jpg", "user.long", make([]byte, 1000), 0))
	must(t, os.Symlink("a.jpg", dir+"/photos/link"))
	must(t, unix.Mkfifo(dir+"/photos/fifo", 0o644))
	must(t, unix.Mknod(dir+"/photos/socket", unix.S_IFSOCK|0o644, 0))
	if err := unix.Mknod(dir+"/photos/device", unix.S_IFCHR|0o644, 0x103); err != nil {
		t.Logf("no device here, which takes root: %v", err)
	}
	r := storetest.New(t).Open(t)
	back(t, r, dir, "library", nil)
	write(t, dir+"/photos/a.jpg", random(3, 3<<20))
	back(t, r, dir, "library", nil)
	return mount(t, r, nil), dir
}

// kinds are paths of all kinds of nodes of a view that shows kindLibrary.
func kinds(t *testing.T, m *mounted) map[string]int {
	t.Helper()
	all := map[string]int{m.dir: onTop}
	err := filepath.WalkDir(m.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == m.dir {
			return err
		}
		switch {
		case d.IsDir():
			all[path] = onDir
		case d.Type() == fs.ModeSymlink:
			all[path] = onSymlink
		case d.Type().IsRegular():
			all[path] = onFile
		default:
			all[path] = onSpecial
		}
		return nil
	})
	must(t, err)
	return all
}

// TestNothingCanBeChanged tries every system call that changes something on
// every kind of node, as root and so that the kernel itself refuses, and again
// so that it asks the view.
func TestNothingCanBeChanged(t *testing.T) {
	m, _ := kindLibrary(t)
	nodes := kinds(t, m)
	before := look(t, m.dir)
	try := func(t *testing.T) {
		for path, kind := range nodes {
			inside, sibling := path+"/none", path
			if kind&(onDir|onTop) == 0 {
				inside = path + ".none"
			}
			for other := range nodes {
				if other != path && filepath.Dir(other) == filepath.Dir(path) {
					sibling = other
				}
			}
			for _, mu := range mutations {
				if mu.on&kind == 0 || mu.name == "exchange" && sibling == path {
					continue
				}
				if err := mu.call(path, inside, sibling); !errors.Is(err, unix.EROFS) {
					t.Errorf("%s of %s: %v", mu.name, strings.TrimPrefix(path, m.dir), err)
				}
			}
			if kind == onFile {
				tryWithoutRights(t, path)
			}
		}
	}
	t.Run("mounted read-only", try)
	t.Run("without the kernel's flag", func(t *testing.T) {
		// Now it is the view that has to say no.
		if err := unix.Mount("", m.dir, "", unix.MS_REMOUNT|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
			t.Skipf("not run: only root can take the flag away: %v", err)
		}
		try(t)
	})
	for path, was := range before {
		if is := look(t, m.dir)[path]; is != was {
			t.Fatalf("%s was %s and is %s", path, was, is)
		}
	}
}

func tryWithoutRights(t *testing.T, path string) {
	t.Helper()
	for _, w := range withoutRights {
		if err := opened(path, w.call); !errors.Is(err, w.want) {
			t.Errorf("%s of %s: %v, want %v", w.name, path, err, w.want)
		}
	}
}

// look describes all that a directory shows.
func look(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil {
			all[path] = fmt.Sprint(info.Mode(), info.Size(), info.ModTime())
		}
		return err
	}))
	return all
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
