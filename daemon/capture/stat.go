package capture

import (
	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// stat is what statx says of one name.
type stat struct {
	typ                 tree.Type
	mode                uint32 // 07777
	uid, gid            uint32
	size                uint64
	blocks              uint64 // of 512 bytes
	mtime, ctime, btime tree.Time
	device              device
	inode               uint64
	links               uint32
	rdev                tree.Rdev
}

// device names a mounted file system for as long as it stays mounted.
type device struct{ major, minor uint32 }

// identity names an inode for as long as its file system stays mounted.
type identity struct {
	device device
	inode  uint64
}

func (s *stat) identity() identity { return identity{s.device, s.inode} }

const statMask = unix.STATX_BASIC_STATS | unix.STATX_BTIME

// statAt looks at a name in a directory without following it. An empty name
// means the descriptor itself.
func statAt(dir int, name string) (stat, error) { return statBy(dir, name, 0) }

// statNow is statAt for those who ask whether something is still as it was: file
// systems of other machines answer from memory for seconds otherwise, whatever
// happened meanwhile.
func statNow(dir int, name string) (stat, error) {
	return statBy(dir, name, unix.AT_STATX_FORCE_SYNC)
}

func statBy(dir int, name string, flags int) (stat, error) {
	var x unix.Statx_t
	flags |= unix.AT_SYMLINK_NOFOLLOW | unix.AT_NO_AUTOMOUNT
	if name == "" {
		flags |= unix.AT_EMPTY_PATH
	}
	if err := retry(func() error { return unix.Statx(dir, name, flags, statMask, &x) }); err != nil {
		return stat{}, err
	}
	s := stat{
		typ:    typeOf(uint32(x.Mode)),
		mode:   uint32(x.Mode) & 0o7777,
		uid:    x.Uid,
		gid:    x.Gid,
		blocks: x.Blocks,
		mtime:  tree.Time{Sec: x.Mtime.Sec, Nsec: x.Mtime.Nsec},
		ctime:  tree.Time{Sec: x.Ctime.Sec, Nsec: x.Ctime.Nsec},
		device: device{x.Dev_major, x.Dev_minor},
		inode:  x.Ino,
		links:  x.Nlink,
	}
	if x.Mask&unix.STATX_BTIME != 0 {
		s.btime = tree.Time{Sec: x.Btime.Sec, Nsec: x.Btime.Nsec}
	}
	switch s.typ {
	case tree.File:
		s.size = x.Size
	case tree.CharDevice, tree.BlockDevice:
		s.rdev = tree.Rdev{Major: x.Rdev_major, Minor: x.Rdev_minor}
	}
	return s, nil
}

func typeOf(mode uint32) tree.Type {
	switch mode & unix.S_IFMT {
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

// retry repeats a system call that a signal interrupted.
func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}

// openAt opens a name in a directory for reading without following it and
// without waiting on a FIFO. It leaves the access time alone where it may.
func openAt(dir int, name string, directory bool) (int, error) {
	flags := unix.O_RDONLY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC | unix.O_NOCTTY
	if directory {
		flags |= unix.O_DIRECTORY
	}
	var fd int
	open := func(flags int) error {
		return retry(func() (err error) {
			fd, err = unix.Openat(dir, name, flags, 0)
			return err
		})
	}
	// Only the owner and root may suppress access times.
	err := open(flags | unix.O_NOATIME)
	if err == unix.EPERM {
		err = open(flags)
	}
	return fd, err
}
