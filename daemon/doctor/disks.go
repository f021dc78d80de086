package doctor

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"keepsake/daemon/watch"
)

// fileSystems says on what kind of file system the databases and the
// repository lie.
func (e *examination) fileSystems(context.Context) {
	if state := existing(e.o.State); state != "" {
		switch fstype, remote := watch.Remote(state); {
		case remote:
			e.add("state file system", Fail, fmt.Sprintf("%s is on %s: a database there can be damaged by a lost connection, and its lock may not hold", e.o.State, fstype),
				"Name a directory on a local disk in KEEPSAKE_STATE_DIR.")
		default:
			e.add("state file system", OK, fmt.Sprintf("%s is on %s", e.o.State, fstype), "")
			e.fastCommit(state)
		}
	}
	if repository := existing(e.o.Repository); repository != "" {
		fstype, remote := watch.Remote(repository)
		if remote {
			e.add("repository file system", Warn, fmt.Sprintf("%s is on %s: what keepsake has made durable may still be in another machine's memory", e.o.Repository, fstype),
				"Keep the first repository on a local disk, and a second copy there.")
			return
		}
		e.add("repository file system", OK, fmt.Sprintf("%s is on %s", e.o.Repository, fstype), "")
	}
}

// disks warns when one disk's end takes with it what is to survive it.
func (e *examination) disks(context.Context) {
	repository := e.disk(e.o.Repository)
	if repository == "" {
		return
	}
	found := false
	together := func(name, path, why, remedy string) {
		if path != "" && e.disk(path) == repository {
			e.add(name, Warn, fmt.Sprintf("%s is on the same disk as the repository: %s", path, why), remedy)
			found = true
		}
	}
	together("key and repository", e.o.Key, "whoever takes the disk can read the backups, and if it breaks both are gone",
		"Keep the key on another disk, and a copy of it, or the recovery code, outside this machine.")
	together("state and repository", e.o.State, "whoever changes the repository can also change what keepsake remembers of it",
		"Name a directory on another disk in KEEPSAKE_STATE_DIR.")
	for _, s := range e.present {
		together("source and repository", s.Path, "if it breaks, the originals and their backups are gone",
			"Keep the repository on another disk, or a second copy of it.")
	}
	if !found {
		e.add("same disk", OK, "repository, key, state and sources are on different disks", "")
	}
}

// disk names the disk that a path is on, as far as the kernel tells: the whole
// one for a partition, the device number where there is no block device.
func (e *examination) disk(path string) string {
	path = existing(path)
	var st syscall.Stat_t
	if path == "" || syscall.Stat(path, &st) != nil {
		return ""
	}
	number := fmt.Sprintf("%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)))
	dir, err := filepath.EvalSymlinks(e.system("/sys/dev/block/" + number))
	if err != nil {
		return number
	}
	if _, err := os.Stat(dir + "/partition"); err == nil {
		dir = filepath.Dir(dir)
	}
	return dir
}

// fastCommit warns of a journal mode of ext4 with which older kernels lost what
// had been made durable. The superblock tells, to those who may read it.
func (e *examination) fastCommit(path string) {
	var st syscall.Stat_t
	if syscall.Stat(path, &st) != nil {
		return
	}
	dir, err := filepath.EvalSymlinks(e.system(fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev)))))
	if err != nil {
		return // no block device, so not ext4
	}
	device := e.system("/dev/" + filepath.Base(dir))
	if on, err := extFastCommit(device); err == nil && on {
		e.add("ext4 fast_commit", Warn, device+" has fast_commit switched on: older kernels lost data with it after a power cut", fmt.Sprintf("sudo tune2fs -O ^fast_commit %s, with the file system unmounted.", device))
	}
}

// extFastCommit reads the flag from the superblock of ext4.
func extFastCommit(device string) (bool, error) {
	const (
		offset = 1024 // of the superblock
		magic  = 0xef53
		flag   = 0x400 // EXT4_FEATURE_COMPAT_FAST_COMMIT
	)
	f, err := os.Open(device)
	if err != nil {
		return false, err
	}
	defer f.Close()
	b := make([]byte, 0x60)
	if _, err := io.ReadFull(io.NewSectionReader(f, offset, int64(len(b))), b); err != nil {
		return false, err
	}
	return binary.LittleEndian.Uint16(b[0x38:]) == magic && binary.LittleEndian.Uint32(b[0x5c:])&flag != 0, nil
}

const (
	littleSpace = 10 << 30 // of the repository, and less than a twentieth: warn
	noSpace     = 1 << 30  // fail
	littleState = 1 << 30  // index and journal of a large library
	noState     = 100 << 20
)

// space looks at what is left on the disks that keepsake writes to.
func (e *examination) space(context.Context) {
	e.free("repository space", e.o.Repository, littleSpace, noSpace, "Remove old snapshots (keepsake forget --prune) or move the repository to a larger disk.")
	e.free("state space", e.o.State, littleState, noState, "Free space on that disk, or name another in KEEPSAKE_STATE_DIR.")
}

func (e *examination) free(name, path string, little, none uint64, remedy string) {
	dir := existing(path)
	if dir == "" {
		return
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		e.add(name, Warn, fmt.Sprintf("unknown: statfs %s: %v", dir, err), "Look at the disk and its messages in dmesg.")
		return
	}
	free, total := st.Bavail*uint64(st.Bsize), st.Blocks*uint64(st.Bsize)
	detail := fmt.Sprintf("%s of %s free at %s", size(free), size(total), dir)
	switch {
	case free < none:
		e.add(name, Fail, detail, remedy)
	case free < little && free < total/20, st.Files > 0 && st.Ffree < st.Files/100:
		if st.Files > 0 && st.Ffree < st.Files/100 {
			detail += fmt.Sprintf(", and of %s inodes %s", comma(int(st.Files)), comma(int(st.Ffree)))
		}
		e.add(name, Warn, detail, remedy)
	default:
		e.add(name, OK, detail, "")
	}
}

// existing is path, or what there is on the way to it.
func existing(path string) string {
	for path != "" {
		if _, err := os.Stat(path); err == nil {
			return path
		}
		if path == "/" || !strings.HasPrefix(path, "/") {
			return ""
		}
		path = filepath.Dir(path)
	}
	return ""
}
