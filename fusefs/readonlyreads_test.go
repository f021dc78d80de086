package fusefs_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// reading is a system call that changes nothing, and what it says.
type reading struct {
	name string
	on   int // as in mutation
	call func(path string) (string, error)
}

// readings are all of them. On nodes of a snapshot they must say what they say
// of the original.
var readings = []reading{
	{"open", onFile | onDir | onTop, func(path string) (string, error) { return "", open(path, unix.O_RDONLY) }},
	{"open past the cache", onFile, func(path string) (string, error) { return "", open(path, unix.O_RDONLY|unix.O_DIRECT) }},
	{"open without access time", onFile, func(path string) (string, error) { return "", open(path, unix.O_RDONLY|unix.O_NOATIME) }},
	{"open for the path", onPaths, func(path string) (string, error) { return "", open(path, unix.O_PATH|unix.O_NOFOLLOW) }},
	{"open as a directory", onPaths, func(path string) (string, error) {
		return "", open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW)
	}},
	{"open without following", onFile | onDir | onSymlink, func(path string) (string, error) { return "", open(path, unix.O_RDONLY|unix.O_NOFOLLOW) }},
	{"open and create exclusively", onPaths, func(path string) (string, error) { return "", open(path, unix.O_CREAT|unix.O_EXCL|unix.O_RDONLY) }},
	{"open a FIFO, socket or device to read", onSpecial, func(path string) (string, error) { return "", open(path, unix.O_RDONLY|unix.O_NONBLOCK) }},
	{"stat", onFile | onSpecial, func(path string) (string, error) {
		var st unix.Stat_t
		err := unix.Lstat(path, &st)
		return fmt.Sprint(st.Mode, st.Uid, st.Gid, st.Nlink, st.Size, st.Mtim, st.Rdev), err
	}},
	{"statx", onNames, func(path string) (string, error) {
		var st unix.Statx_t
		err := unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, unix.STATX_BASIC_STATS, &st)
		return fmt.Sprint(st.Mode, st.Uid, st.Gid, st.Mtime), err
	}},
	{"access", onPaths, func(path string) (string, error) {
		var all []string
		for _, mode := range []uint32{unix.F_OK, unix.R_OK, unix.X_OK, unix.R_OK | unix.X_OK} {
			all = append(all, fmt.Sprint(unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_SYMLINK_NOFOLLOW|unix.AT_EACCESS)))
		}
		return strings.Join(all, ","), nil
	}},
	{"readlink", onPaths, func(path string) (string, error) {
		b := make([]byte, 4096)
		n, err := unix.Readlink(path, b)
		return string(b[:max(n, 0)]), err
	}},
	{"readlink into little room", onSymlink, func(path string) (string, error) {
		b := make([]byte, 3)
		n, err := unix.Readlink(path, b)
		return string(b[:max(n, 0)]), err
	}},
	{"getxattr", onPaths, func(path string) (string, error) { return "", ignoreRange(unix.Lgetxattr(path, "user.none", nil)) }},
	{"getxattr into no room", onFile, func(path string) (string, error) {
		n, err := unix.Lgetxattr(path, "user.kept", nil)
		return fmt.Sprint(n), err
	}},
	{"getxattr into little room", onFile, func(path string) (string, error) {
		n, err := unix.Lgetxattr(path, "user.long", make([]byte, 3))
		return fmt.Sprint(n), err
	}},
	{"listxattr", onPaths, func(path string) (string, error) {
		b := make([]byte, 4096)
		n, err := unix.Llistxattr(path, b)
		return string(b[:max(n, 0)]), err
	}},
	{"listxattr into little room", onFile, func(path string) (string, error) {
		n, err := unix.Llistxattr(path, make([]byte, 3))
		return fmt.Sprint(n), err
	}},
	{"read", onFile | onDir | onTop, onFd(func(fd int) (string, error) {
		return readSum(fd, func(b []byte) (int, error) { return unix.Read(fd, b) })
	})},
	{"pread at the end", onFile, onFd(func(fd int) (string, error) {
		end, err := unix.Seek(fd, 0, unix.SEEK_END)
		if err != nil {
			return "", err
		}
		b := make([]byte, 10)
		n, err := unix.Pread(fd, b, end-3)
		beyond, err2 := unix.Pread(fd, make([]byte, 10), end+5)
		return fmt.Sprint(end, b[:max(n, 0)], beyond), errors.Join(err, err2)
	})},
	{"pread at less than nothing", onFile, onFd(func(fd int) (string, error) {
		_, err := unix.Pread(fd, make([]byte, 10), -1)
		return "", err
	})},
	{"preadv2 from memory alone", onFile, onFd(func(fd int) (string, error) {
		b := make([]byte, 10)
		if _, err := unix.Pread(fd, b, 0); err != nil {
			return "", err
		}
		_, err := unix.Preadv2(fd, [][]byte{b}, 0, unix.RWF_NOWAIT)
		return fmt.Sprint(b), err
	})},
	{"seek", onFile, onFd(func(fd int) (string, error) {
		var all []string
		for _, whence := range []int{unix.SEEK_SET, unix.SEEK_CUR, unix.SEEK_END, unix.SEEK_DATA, unix.SEEK_HOLE, 99} {
			for _, off := range []int64{0, 100, 1 << 40, -1} {
				at, err := unix.Seek(fd, off, whence)
				all = append(all, fmt.Sprint(at, err))
			}
		}
		return strings.Join(all, ","), nil
	})},
	{"getdents", onFile | onDir | onTop, onFd(func(fd int) (string, error) {
		names, err := names(fd)
		return strings.Join(names, ","), err
	})},
	{"getdents twice", onDir | onTop, onFd(func(fd int) (string, error) {
		first, err := names(fd)
		if err != nil {
			return "", err
		}
		if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
			return "", err
		}
		second, err := names(fd)
		return fmt.Sprint(slices.Equal(first, second)), err
	})},
	{"getdents into little room", onDir | onTop, onFd(func(fd int) (string, error) {
		_, err := unix.ReadDirent(fd, make([]byte, 10))
		return "", err
	})},
	{"map", onFile | onDir | onTop, onFd(func(fd int) (string, error) {
		m, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
		if err != nil {
			return "", err
		}
		return "", unix.Munmap(m)
	})},
	{"map privately and write there", onFile, onFd(func(fd int) (string, error) {
		m, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
		if err != nil {
			return "", err
		}
		return "", unix.Munmap(m)
	})},
	{"fsync", onFile | onDir | onTop, onFd(func(fd int) (string, error) { return "", errors.Join(unix.Fsync(fd), unix.Fdatasync(fd)) })},
	{"syncfs", onDir | onTop, onFd(func(fd int) (string, error) { return "", unix.Syncfs(fd) })},
	{"advise", onFile, onFd(func(fd int) (string, error) {
		return "", errors.Join(unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL), unix.Fadvise(fd, 0, 1<<20, unix.FADV_WILLNEED), unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED))
	})},
	{"lock to read", onFile, onFd(func(fd int) (string, error) {
		return "", unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_RDLCK})
	})},
	{"lock to write", onFile, onFd(func(fd int) (string, error) {
		return "", unix.FcntlFlock(uintptr(fd), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	})},
	{"flock", onFile | onDir | onTop, onFd(func(fd int) (string, error) {
		return "", errors.Join(unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB), unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB), unix.Flock(fd, unix.LOCK_UN))
	})},
	{"lease", onFile, onFd(func(fd int) (string, error) {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETLEASE, 0)
		return "", err
	})},
	{"a request of a terminal", onFile | onDir | onTop, onFd(func(fd int) (string, error) {
		_, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP)
		return "", err
	})},
	{"poll", onFile, onFd(func(fd int) (string, error) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, 0)
		return fmt.Sprint(n, p[0].Revents), err
	})},
	{"walk on", onFile | onDir | onSpecial | onTop, func(path string) (string, error) { return "", unix.Lstat(path+"/none", new(unix.Stat_t)) }},
	{"walk up", onDir, func(path string) (string, error) {
		var here, again unix.Stat_t
		err := errors.Join(unix.Lstat(path, &here), unix.Lstat(path+"/../"+filepath.Base(path)+"/.", &again))
		return fmt.Sprint(here.Ino == again.Ino), err
	}},
	{"statfs", onFile | onDir | onTop, func(path string) (string, error) { return "", unix.Statfs(path, new(unix.Statfs_t)) }},
	{"watch", onFile | onDir | onTop, func(path string) (string, error) {
		fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
		if err != nil {
			return "", err
		}
		defer unix.Close(fd)
		_, err = unix.InotifyAddWatch(fd, path, unix.IN_ALL_EVENTS)
		return "", err
	}},
	{"run", onFile | onDir | onTop, func(path string) (string, error) {
		return "", unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS)
	}},
}

func onFd(do func(fd int) (string, error)) func(string) (string, error) {
	return func(path string) (said string, err error) {
		err = opened(path, func(fd int) error {
			said, err = do(fd)
			return err
		})
		return said, err
	}
}

func ignoreRange(_ int, err error) error { return err }

// readSum reads to the end and says how much there is and what, roughly.
func readSum(fd int, read func([]byte) (int, error)) (string, error) {
	total, sum, b := 0, uint64(0), make([]byte, 70_001)
	for {
		n, err := read(b)
		if err != nil || n == 0 {
			return fmt.Sprint(total, sum), err
		}
		for _, c := range b[:n] {
			sum = sum*31 + uint64(c)
		}
		total += n
	}
}

func names(fd int) ([]string, error) {
	var all []string
	for b := make([]byte, 8192); ; {
		n, err := unix.ReadDirent(fd, b)
		if err != nil || n <= 0 {
			slices.Sort(all)
			return all, err
		}
		_, _, all = syscall.ParseDirent(b[:n], -1, all)
	}
}

// otherwise is what a mount answers that no disk does.
var otherwise = map[string]error{
	"open a FIFO, socket or device to read of photos/device": unix.EACCES,     // nodev
	"preadv2 from memory alone of photos/a.jpg":              unix.EOPNOTSUPP, // by FUSE in general
	"preadv2 from memory alone of photos/b.jpg":              unix.EOPNOTSUPP,
}

// TestEveryReading tries every system call that reads on every kind of node. A
// node of a snapshot answers as the original does.
func TestEveryReading(t *testing.T) {
	m, original := kindLibrary(t)
	folder, err := filepath.EvalSymlinks(m.path("latest", "library"))
	must(t, err)
	compared := 0
	for path, kind := range kinds(t, m) {
		rel, inside := strings.CutPrefix(path, folder+"/")
		for _, r := range readings {
			if r.on&kind == 0 {
				continue
			}
			said, err := r.call(path)
			if err != nil && (errors.Is(err, unix.EIO) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EROFS)) {
				t.Errorf("%s of %s: %v", r.name, path, err)
			}
			if !inside {
				continue
			}
			compared++
			wantSaid, want := r.call(filepath.Join(original, rel))
			if other, ok := otherwise[r.name+" of "+rel]; ok {
				want = other
			}
			if said != wantSaid || fmt.Sprint(cause(err)) != fmt.Sprint(cause(want)) {
				t.Errorf("%s of %s says %q, %v, and of the original %q, %v", r.name, rel, said, err, wantSaid, want)
			}
		}
	}
	if compared < 100 {
		t.Errorf("only %d answers were compared", compared)
	}
}

// cause is the errno under what Go puts around it.
func cause(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}
