package capture

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// filesystems gives each file system under a source an ordinal that survives
// remounts, where device numbers change: the ordinals of the previous snapshot
// are continued by type and file system id.
type filesystems struct {
	mu    sync.Mutex
	known []tree.Filesystem // by ordinal
	byDev map[device]mounted
	inUse map[int]bool // ordinals given to a device of this run
}

type mounted struct {
	ordinal uint32
	// stable says that inode numbers keep their meaning over a remount.
	stable bool
	// exact says that the file system maintains change times itself.
	exact bool
	// memory file systems write nothing back.
	memory bool
	// foreign file systems may be stamped by another machine's clock.
	foreign bool
	// virtual file systems show the kernel's state; there is nothing to keep.
	virtual bool
}

func newFilesystems(previous []tree.Filesystem) *filesystems {
	return &filesystems{known: slices.Clone(previous), byDev: map[device]mounted{}, inUse: map[int]bool{}}
}

// of returns what is known of the file system that an open file or directory
// lies on.
func (f *filesystems) of(d device, fd int) (mounted, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if m, ok := f.byDev[d]; ok {
		return m, nil
	}
	var st unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return mounted{}, fmt.Errorf("asking for the file system: %w", err)
	}
	kind := kindOf(int64(st.Type))
	id := binary.LittleEndian.AppendUint32(nil, uint32(st.Fsid.Val[0]))
	id = binary.LittleEndian.AppendUint32(id, uint32(st.Fsid.Val[1]))
	// Network file systems often have no id: several of them are told apart by
	// the order in which they are met.
	i := 0
	for i < len(f.known) && (f.inUse[i] || f.known[i].Type != kind.name || string(f.known[i].ID) != string(id)) {
		i++
	}
	if i == len(f.known) {
		f.known = append(f.known, tree.Filesystem{Type: kind.name, ID: id})
	}
	f.inUse[i] = true
	m := mounted{ordinal: uint32(i), stable: kind.stable, exact: kind.exact, memory: uint32(st.Type) == unix.TMPFS_MAGIC, foreign: foreign(kind.name), virtual: virtual(int64(st.Type))}
	if uint32(st.Type) == unix.FUSE_SUPER_MAGIC {
		m.virtual = ownView(d)
	}
	f.byDev[d] = m
	return m, nil
}

// met returns what is known of a file system on which something was opened.
func (f *filesystems) met(d device) (mounted, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m, ok := f.byDev[d]
	return m, ok
}

// another reports whether a directory lies on another file system than when it
// was captured. File systems that are known by their device number alone may
// come back under another number; one whose directory still has its inode and
// its birth is the same.
func (f *filesystems) another(s stat, fs mounted, captured *tree.Node) bool {
	if captured.FS == fs.ordinal {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	known := uint64(captured.FS) < uint64(len(f.known)) && f.known[captured.FS].Type == f.known[fs.ordinal].Type
	return !known || captured.Inode == 0 || captured.Inode != s.inode || s.btime.IsZero() || captured.BTime != s.btime
}

// list returns the file systems by ordinal, for the snapshot.
func (f *filesystems) list() []tree.Filesystem {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.known)
}

// foreign reports whether times on a file system of some kind may be those of
// another machine: on all that are not known to be this kernel's own.
func foreign(kind string) bool {
	switch kind {
	case "ext4", "xfs", "btrfs", "zfs", "f2fs", "tmpfs", "overlay", "vfat", "exfat":
		return false
	}
	return true
}

// virtual reports whether statfs names a file system of the kernel's own making.
func virtual(magic int64) bool {
	switch uint32(magic) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.DEVPTS_SUPER_MAGIC, unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC,
		unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC, unix.BPF_FS_MAGIC, unix.EFIVARFS_MAGIC, unix.PSTOREFS_MAGIC,
		unix.BINFMTFS_MAGIC, unix.NSFS_MAGIC, unix.SELINUX_MAGIC, unix.AUTOFS_SUPER_MAGIC:
		return true
	}
	return false
}

// ownView reports whether a device is a mounted view of keepsake's, of this
// process or another (proc_pid_mountinfo(5)): a snapshot of snapshots would
// grow without end. Without /proc the answer is no.
func ownView(d device) bool {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		before, after, ok := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if ok && len(fields) > 2 && fields[2] == fmt.Sprintf("%d:%d", d.major, d.minor) && strings.HasPrefix(after, "fuse.keepsake ") {
			return true
		}
	}
	return false
}

// kind is a type of file system, and which identity fields count on it.
type kind struct {
	name          string
	stable, exact bool
}

// kindOf classifies by the magic that statfs reports (statfs(2)). File systems
// that are not listed are taken for the least trustworthy kind.
func kindOf(magic int64) kind {
	switch uint32(magic) {
	case unix.EXT4_SUPER_MAGIC:
		return kind{"ext4", true, true}
	case unix.XFS_SUPER_MAGIC:
		return kind{"xfs", true, true}
	case unix.BTRFS_SUPER_MAGIC:
		return kind{"btrfs", true, true}
	case 0x2fc12fc1:
		return kind{"zfs", true, true}
	case unix.F2FS_SUPER_MAGIC:
		return kind{"f2fs", true, true}
	case unix.TMPFS_MAGIC:
		return kind{"tmpfs", true, true}
	case unix.OVERLAYFS_SUPER_MAGIC:
		return kind{"overlay", false, true}
	case unix.MSDOS_SUPER_MAGIC:
		return kind{"vfat", false, false}
	case 0x2011bab0:
		return kind{"exfat", false, false}
	case unix.NFS_SUPER_MAGIC:
		return kind{"nfs", true, true}
	case unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC:
		return kind{"smb", false, false}
	case unix.FUSE_SUPER_MAGIC:
		return kind{"fuse", false, false}
	}
	return kind{fmt.Sprintf("%#x", uint32(magic)), false, false}
}
