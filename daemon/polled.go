package daemon

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// scanEvery is how often everything is scanned whatever events say: they
	// are hints, and some changes cause none.
	scanEvery = 24 * time.Hour
	// pollEvery is the same where events of other machines never arrive.
	pollEvery = 15 * time.Minute
)

// remote reports whether a directory lies on a file system that others may
// change without this kernel hearing of it (statfs(2)).
func remote(path string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false // the scan will say what is wrong with it
	}
	switch uint32(st.Type) {
	case unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC,
		unix.V9FS_MAGIC, unix.CEPH_SUPER_MAGIC, unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC:
		return true
	}
	return false
}
