package restore

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// again repeats a system call that a signal interrupted.
func again(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// openAt opens a name in a directory. It never follows a symlink, waits for a
// FIFO's other end or leaks the descriptor to a child.
func openAt(dir int, name string, flags int, mode uint32) (fd int, err error) {
	flags |= unix.O_NOFOLLOW | unix.O_CLOEXEC
	if flags&unix.O_PATH == 0 {
		flags |= unix.O_NONBLOCK | unix.O_NOCTTY
	}
	err = again(func() (err error) {
		fd, err = unix.Openat(dir, name, flags, mode)
		return err
	})
	if err != nil {
		return -1, err
	}
	return fd, nil
}

func openDirectory(dir int, name string) (int, error) {
	return openAt(dir, name, unix.O_RDONLY|unix.O_DIRECTORY, 0)
}

// lookAt returns what stands under a name in a directory, nil if nothing does.
func lookAt(dir int, name string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	err := again(func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err == unix.ENOENT {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &st, nil
}

func look(fd int) (*unix.Stat_t, error) {
	var st unix.Stat_t
	return &st, again(func() error { return unix.Fstat(fd, &st) })
}

func typeOf(st *unix.Stat_t) tree.Type {
	switch uint32(st.Mode) & unix.S_IFMT {
	case unix.S_IFREG:
		return tree.File
	case unix.S_IFDIR:
		return tree.Dir
	case unix.S_IFLNK:
		return tree.Symlink
	case unix.S_IFIFO:
		return tree.Fifo
	case unix.S_IFSOCK:
		return tree.Socket
	case unix.S_IFCHR:
		return tree.CharDevice
	case unix.S_IFBLK:
		return tree.BlockDevice
	}
	return 0
}

// article returns a type as it stands in a sentence.
func article(t tree.Type) string { return "a " + t.String() }

func mtimeOf(st *unix.Stat_t) tree.Time {
	sec, nsec := st.Mtim.Unix()
	return tree.Time{Sec: sec, Nsec: uint32(nsec)}
}

// procPath names what a descriptor has open, for calls that take no
// descriptor. The kernel resolves it to the inode, not to where it was found.
func procPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func removeAt(dir int, name string, flags int) error {
	return again(func() error { return unix.Unlinkat(dir, name, flags) })
}

// writeAll writes at an offset until all is written.
func writeAll(fd int, data []byte, off int64) error {
	for len(data) > 0 {
		var n int
		err := again(func() (err error) {
			n, err = unix.Pwrite(fd, data, off)
			return err
		})
		if err != nil {
			return err
		}
		if n == 0 {
			return unix.EIO // no file system may do that
		}
		data, off = data[n:], off+int64(n)
	}
	return nil
}

// leftoverPrefix begins the names of entries that have no name of their own
// yet. It must not change: leftovers of older versions are found by it.
const leftoverPrefix = ".keepsake-restore-"

// temporaries gives out names. They are not secret: they are used with O_EXCL
// and its like.
type temporaries struct {
	run uint64
	n   atomic.Uint64
}

func newTemporaries() *temporaries { return &temporaries{run: rand.Uint64()} }

func (t *temporaries) next() string {
	return leftoverPrefix + strconv.FormatUint(t.run, 16) + "-" + strconv.FormatUint(t.n.Add(1), 16)
}

// isLeftover reports whether a name is one that temporaries gives out.
func isLeftover(name string) bool {
	rest, ok := strings.CutPrefix(name, leftoverPrefix)
	run, n, dashed := strings.Cut(rest, "-")
	return ok && dashed && isHex(run) && isHex(n)
}

func isHex(s string) bool {
	return s != "" && len(s) <= 16 && strings.Trim(s, "0123456789abcdef") == ""
}
