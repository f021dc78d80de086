package watch

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// fileSystem is what the magic number of statfs(2) says.
type fileSystem struct {
	name   string
	remote bool
}

// fileSystems that are not listed count as local: all their changes go through
// this kernel.
var fileSystems = map[uint32]fileSystem{
	unix.EXT4_SUPER_MAGIC:      {"ext4", false}, // ext2 and ext3 too
	unix.XFS_SUPER_MAGIC:       {"xfs", false},
	unix.BTRFS_SUPER_MAGIC:     {"btrfs", false},
	unix.F2FS_SUPER_MAGIC:      {"f2fs", false},
	unix.TMPFS_MAGIC:           {"tmpfs", false},
	unix.OVERLAYFS_SUPER_MAGIC: {"overlay", false},
	unix.MSDOS_SUPER_MAGIC:     {"vfat", false},
	0x2011bab0:                 {"exfat", false},
	0x2fc12fc1:                 {"zfs", false},

	unix.NFS_SUPER_MAGIC:  {"nfs", true},
	unix.SMB_SUPER_MAGIC:  {"smb", true},
	unix.SMB2_SUPER_MAGIC: {"smb", true},
	unix.CIFS_SUPER_MAGIC: {"smb", true},
	unix.FUSE_SUPER_MAGIC: {"fuse", true}, // virtiofs too
	unix.V9FS_MAGIC:       {"9p", true},
	unix.CEPH_SUPER_MAGIC: {"ceph", true},
	unix.AFS_SUPER_MAGIC:  {"afs", true},
	unix.AFS_FS_MAGIC:     {"afs", true},
	unix.CODA_SUPER_MAGIC: {"coda", true},
	0x564c:                {"ncp", true},
	0x7461636f:            {"ocfs2", true},
	0x01161970:            {"gfs2", true},
	0x0bd00bd0:            {"lustre", true},
	0x47504653:            {"gpfs", true},
	0x20030528:            {"orangefs", true},
	0x786f4256:            {"vboxsf", true},
	0x7c7c6673:            {"prl_fs", true},
}

// Remote says of which type the file system at path is, as mount(8) calls it,
// and whether others may change it without this kernel hearing of it: another
// machine through a network file system, another directory through a FUSE one.
// Nothing is said of a path that cannot be asked about; whoever reads it finds
// out.
func Remote(path string) (fstype string, remote bool) {
	var st unix.Statfs_t
	if err := ignoringEINTR(func() error { return unix.Statfs(path, &st) }); err != nil {
		return "", false
	}
	kind, listed := fileSystems[uint32(st.Type)]
	if listed && kind.name != "fuse" {
		return kind.name, kind.remote
	}
	name := mountedType(path)
	switch {
	case name == "fuseblk":
		return name, false // it has the disk to itself: NTFS and the like
	case name != "":
		return name, kind.remote
	case listed:
		return kind.name, kind.remote
	}
	return fmt.Sprintf("%#x", uint32(st.Type)), false
}

// RemoteBelow lists the remote file systems that are mounted below a directory,
// by their paths relative to it. None of them is asked, so none can hang.
func RemoteBelow(dir string) ([]Subtree, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(mountinfo)
	if err != nil {
		return nil, err
	}
	var found []Subtree
	for _, m := range parseMounts(b) {
		rel, ok := relative(dir, m.point)
		if ok && rel != "." && remoteType(m.fstype) {
			found = append(found, Subtree{rel, m.fstype})
		}
	}
	slices.SortFunc(found, func(a, b Subtree) int { return strings.Compare(a.Rel, b.Rel) })
	return slices.Compact(found), nil
}

// remoteType is Remote for the name of a type in mountinfo.
func remoteType(fstype string) bool {
	switch {
	case fstype == "fuseblk":
		return false
	case strings.HasPrefix(fstype, "fuse"), strings.HasPrefix(fstype, "nfs"), fstype == "virtiofs",
		fstype == "cifs", fstype == "smb3", fstype == "smbfs", fstype == "ncpfs":
		return true
	}
	for _, kind := range fileSystems {
		if kind.remote && kind.name == fstype {
			return true
		}
	}
	return false
}

// mountedType is the type by which the file system at path was mounted, or
// nothing if that cannot be found out.
func mountedType(path string) string {
	b, err := os.ReadFile(mountinfo)
	if err != nil {
		return ""
	}
	all := parseMounts(b)
	var st unix.Statx_t
	err = ignoringEINTR(func() error {
		return unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st)
	})
	if err == nil && st.Mask&unix.STATX_MNT_ID != 0 {
		for _, m := range all {
			if m.id == st.Mnt_id {
				return m.fstype
			}
		}
	}
	// Kernels before 5.8: the mount with the longest path above this one, and
	// the last of several there.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return ""
	}
	var found mount
	for _, m := range all {
		if within(m.point, path) && len(m.point) >= len(found.point) {
			found = m
		}
	}
	return found.fstype
}

// within reports whether path is dir or below it.
func within(dir, path string) bool {
	return dir == "/" || path == dir || strings.HasPrefix(path, dir+"/")
}
