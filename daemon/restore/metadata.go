package restore

import (
	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// handle is a descriptor of an entry whose metadata is set.
type handle struct {
	fd       int
	path     bool // opened with O_PATH: most calls need the way through /proc
	fresh    bool // made by this run: it has nothing of its own
	inherits bool // made in a directory that hands down an ACL
}

// describe sets the metadata of an entry. What cannot be set is tallied; an
// error is one of the target as a whole. The order matters: a change of owner
// clears set-id bits and capabilities, attributes may need the write permission
// that the mode takes away, and all of it must not touch the time.
func (r *run) describe(h handle, n *tree.Node, attrs []tree.Xattr, path string) error {
	var st *unix.Stat_t
	if !h.fresh {
		var err error
		if st, err = look(h.fd); err != nil {
			return target("looking at its metadata", err)
		}
	}
	uid, gid, err := r.own(h, n, st, path)
	if err != nil {
		return err
	}
	mode := n.Mode
	if !uid {
		mode &^= unix.S_ISUID
	}
	if !gid {
		mode &^= unix.S_ISGID
	}
	if mode != n.Mode {
		r.tally.missing("set-id bits", "the owner whose rights they lend could not be set", path)
	}
	lostACL, err := r.attributes(h, attrs, path)
	if err != nil {
		return err
	}
	if lostACL != nil {
		mode = withoutACL(mode, lostACL)
	}
	if err := r.setMode(h, n, mode, st, path); err != nil {
		return err
	}
	return r.setTime(h, n, st, path)
}

// refused tallies what the system would not set, and returns the error if it
// means more than that.
func (r *run) refused(what, path string, err error) error {
	if err == nil {
		return nil
	}
	if failing(err) {
		return target("setting "+what, err)
	}
	r.tally.missing(what, because(err), path)
	return nil
}

// because says in words for people why metadata could not be set.
func because(err error) string {
	switch err {
	case unix.EPERM, unix.EACCES:
		return "not permitted; root may be able to"
	case unix.ENOTSUP, unix.ENOSYS, unix.ENOTTY:
		return "the file system does not have it"
	case unix.ENOSPC, unix.EDQUOT, unix.E2BIG, unix.ERANGE:
		return "the file system has no room for it"
	case unix.EINVAL:
		return "the file system or the user namespace does not accept it"
	}
	return err.Error()
}

// nobody is the number that chown takes for "leave it".
const nobody = 1<<32 - 1

// own sets user and group, and reports which of them are the stored ones.
func (r *run) own(h handle, n *tree.Node, st *unix.Stat_t, path string) (uid, gid bool, err error) {
	matches := func() {
		uid, gid = st.Uid == n.UID, st.Gid == n.GID
	}
	if st != nil {
		if matches(); uid && gid {
			return uid, gid, nil
		}
	}
	sets := r.options.Owners == OwnersNumeric || r.options.Owners == OwnersAuto && r.euid == 0
	if sets && n.UID != nobody && n.GID != nobody {
		err := h.chown(int(n.UID), int(n.GID))
		if err == nil {
			return true, true, nil
		}
		if err := r.refused("owner", path, err); err != nil {
			return false, false, err
		}
	}
	if st, err = look(h.fd); err != nil {
		return false, false, target("looking at its owner", err)
	}
	matches()
	switch {
	case r.options.Owners == OwnersSkip || uid && gid:
	case sets && (n.UID == nobody || n.GID == nobody):
		r.tally.missing("owner", "it is a number that no owner can have", path)
	case !sets && uid && n.GID != nobody && h.chown(-1, int(n.GID)) == nil:
		gid = true // a group that we belong to
	case !sets:
		r.tally.missing("owner", "only root can set it", path)
	}
	return uid, gid, nil
}

func (h handle) chown(uid, gid int) error {
	return again(func() error { return unix.Fchownat(h.fd, "", uid, gid, unix.AT_EMPTY_PATH) })
}

func (r *run) setMode(h handle, n *tree.Node, mode uint32, st *unix.Stat_t, path string) error {
	if n.Type == tree.Symlink {
		return nil // its bits mean nothing
	}
	if st != nil {
		// Attributes may have changed the bits since.
		now, err := look(h.fd)
		if err == nil && uint32(now.Mode)&0o7777 == mode {
			return nil
		}
	}
	return r.refused("permissions", path, again(func() error {
		if h.path {
			return unix.Fchmodat(unix.AT_FDCWD, procPath(h.fd), mode, 0)
		}
		return unix.Fchmod(h.fd, mode)
	}))
}

// setTime sets the modification time and leaves the access time alone.
func (r *run) setTime(h handle, n *tree.Node, st *unix.Stat_t, path string) error {
	if st != nil && mtimeOf(st) == n.MTime && n.Type != tree.Dir {
		return nil // only entries move a directory's time
	}
	ts, err := unix.TimeToTimespec(n.MTime.Time())
	if err == nil {
		times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, ts}
		err = again(func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, procPath(h.fd), times, 0) })
	}
	return r.refused("modification time", path, err)
}
