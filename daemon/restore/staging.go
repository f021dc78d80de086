package restore

import (
	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// staging is the place in which an entry is made before it gets its name.
//
// A regular file comes with a descriptor of what was made. Nothing else does:
// its inode has to be looked up by name, and whoever can write to the directory
// can put a link to another inode there first. Looking at the inode afterwards
// does not help. What tells a link is its link count, and that falls to one
// again when he takes the link away between the opening and the look. So these
// entries are made, and their metadata set, where nobody else can enter.
type staging struct {
	dir  *directory
	fd   int
	name string // of the directory made for it; empty if it is made in dir itself
	// exposed says that others may reach what is made here: nothing may be
	// done to it by its name but renaming it.
	exposed bool
}

// stage returns the place for an entry. Directories that keep others out, like
// all that this run makes, serve themselves; in others a private one is made:
// there, not once for the target, so that what is made in it inherits the same
// group and ACL, and can be renamed out of it without leaving the file system.
func (r *run) stage(j *job, temporary string) (staging, error) {
	d := j.dir
	s := staging{dir: d, fd: d.fd}
	if j.node.Type == tree.File || d.private {
		return s, nil
	}
	if err := again(func() error { return unix.Mkdirat(d.fd, temporary, 0o700) }); err != nil {
		return s, target("making a private directory", err)
	}
	fd, err := openDirectory(d.fd, temporary)
	switch err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.ELOOP, unix.EACCES:
		return s, errSwitched
	default:
		_ = removeAt(d.fd, temporary, unix.AT_REMOVEDIR) // what stays is removed by the next restore
		return s, target("opening a private directory", err)
	}
	s.fd, s.name = fd, temporary
	st, err := look(fd)
	if err != nil {
		s.close()
		return s, target("looking at a private directory", err)
	}
	if !r.keepsOut(st) {
		// The file system has its own idea of owners or modes, or this is not
		// the directory just made.
		s.close()
		return staging{dir: d, fd: d.fd, exposed: true}, nil
	}
	return s, nil
}

// close removes the directory if one was made. By now it is empty.
func (s staging) close() {
	if s.name == "" {
		return
	}
	unix.Close(s.fd)
	// Best effort: what stays is removed by the next restore.
	_ = removeAt(s.dir.fd, s.name, unix.AT_REMOVEDIR)
}

// keepsOut reports whether a directory is ours alone. The kernel asks for the
// right to enter it at every use of a name in it, also of those who opened it
// before. With an ACL the group's bits are its mask, so there are no others
// then, either.
func (r *run) keepsOut(st *unix.Stat_t) bool {
	return int(st.Uid) == r.euid && uint32(st.Mode)&0o077 == 0
}

// keepsNames reports whether nobody else can make or remove names in a
// directory.
func (r *run) keepsNames(st *unix.Stat_t) bool {
	return int(st.Uid) == r.euid && uint32(st.Mode)&0o022 == 0
}

// removeStaging removes a private directory that a kill left behind, and
// nothing that was not in it by our doing.
func removeStaging(dir int, name string) error {
	fd, err := openDirectory(dir, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := removeAt(fd, name, 0); err != nil && err != unix.ENOENT {
		return err
	}
	return removeAt(dir, name, unix.AT_REMOVEDIR)
}
