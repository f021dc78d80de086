// Package mountpoint looks after the directory that a view is mounted at: what
// is mounted there, whether it may be mounted on, and how it is unmounted. It
// knows the kernel and fusermount, and nothing of what a view shows.
//
// It never unmounts what is alive or not ours: Heal takes away only a mount of
// keepsake whose server is gone.
package mountpoint

import "errors"

// Name is how our mounts name themselves, and Type the type of file system that
// the table of mounts has for them.
const (
	Name = "keepsake"
	Type = "fuse." + Name
)

var (
	// ErrNotEmpty says that the mount point holds files, which a mount would hide.
	ErrNotEmpty = errors.New("mount point is not empty")
	// ErrMounted says that something is mounted at the mount point.
	ErrMounted = errors.New("something is mounted there already")
	// ErrNoDirectory says that the mount point is no directory.
	ErrNoDirectory = errors.New("not a directory")
	// ErrNoFUSE says that this machine cannot mount. Its message says what to install.
	ErrNoFUSE = errors.New("this machine has no FUSE: install the package fuse3 (for instance: apt install fuse3), load the module (modprobe fuse), or give the container --device /dev/fuse --cap-add SYS_ADMIN; everything but mounting works without it")
)
