package restore

import (
	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// makeSpecial makes a symlink, FIFO, socket or device under a temporary name in
// a place that others cannot enter. Its metadata is set through a descriptor
// that only names the inode: opening such an entry could block or do anything.
func (r *run) makeSpecial(j *job, place staging, temporary string, attrs []tree.Xattr) error {
	n, dir := j.node, place.fd
	err := again(func() error {
		if n.Type == tree.Symlink {
			return unix.Symlinkat(string(n.Target), dir, temporary)
		}
		kind, device, err := nodeKind(n)
		if err != nil {
			return err
		}
		return unix.Mknodat(dir, temporary, kind|0o600, device)
	})
	if _, ok := err.(refusal); ok {
		return err
	}
	if err != nil {
		return target("making the "+n.Type.String(), err)
	}
	if place.exposed {
		r.tally.missing("metadata of links and special files", "the file system cannot keep others out while it is set", j.path)
		return nil
	}
	fd, err := openAt(dir, temporary, unix.O_PATH, 0)
	if err != nil {
		return target("opening the "+n.Type.String(), err)
	}
	defer unix.Close(fd)
	st, err := look(fd)
	if err != nil {
		return target("looking at the "+n.Type.String(), err)
	}
	// Others of our own user could do it, by mistake: this is no protection.
	if typeOf(st) != n.Type || st.Nlink != 1 || rdevOf(st) != n.Rdev {
		return errSwitched
	}
	return r.describe(handle{fd: fd, path: true, fresh: true, inherits: j.dir.inherits}, n, attrs, j.path)
}

// nodeKind returns what mknod wants to know. Linux has 12 bits for the major
// and 20 for the minor number.
func nodeKind(n *tree.Node) (kind uint32, device int, err error) {
	switch n.Type {
	case tree.Fifo:
		return unix.S_IFIFO, 0, nil
	case tree.Socket:
		return unix.S_IFSOCK, 0, nil
	case tree.CharDevice:
		kind = unix.S_IFCHR
	case tree.BlockDevice:
		kind = unix.S_IFBLK
	default:
		panic("restore: mknod of a " + n.Type.String())
	}
	if n.Rdev.Major >= 1<<12 || n.Rdev.Minor >= 1<<20 {
		return 0, 0, errDevice
	}
	return kind, int(unix.Mkdev(n.Rdev.Major, n.Rdev.Minor)), nil
}
