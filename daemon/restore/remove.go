package restore

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sys/unix"
)

// list calls each with the names in an open directory, except "." and "..".
func list(fd int, each func(name string) error) error {
	if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
		return err
	}
	buf := make([]byte, 32<<10)
	for {
		var n int
		err := again(func() (err error) {
			n, err = unix.ReadDirent(fd, buf)
			return err
		})
		if err != nil || n == 0 {
			return err
		}
		_, _, names := unix.ParseDirent(buf[:n], -1, nil)
		for _, name := range names {
			if err := each(name); err != nil {
				return err
			}
		}
	}
}

// removeLeftovers clears a directory of what a killed restore left in it. No
// other restore is at work there: the target is locked.
func (r *run) removeLeftovers(d *directory) {
	var found []string
	// An unreadable directory has been refused, and a leftover does no harm.
	_ = list(d.fd, func(name string) error {
		if isLeftover(name) {
			found = append(found, name)
		}
		return nil
	})
	for _, name := range found {
		err := removeAt(d.fd, name, 0)
		if err == unix.EISDIR || err == unix.EPERM { // POSIX allows either for a directory
			err = removeStaging(d.fd, name)
		}
		if err == nil {
			r.tally.leftovers.Add(1)
		}
	}
}

// lostAndFound is the file system's own.
const lostAndFound = "lost+found"

// removeSurplus removes from a directory what the snapshot does not have. That
// is done first: on a file system that folds cases, a name to be removed might
// be the old spelling of one that is to be restored.
func (r *run) removeSurplus(ctx context.Context, d *directory) {
	surplus, err := r.surplus(ctx, d)
	if err != nil {
		return // without the whole list nothing is removed; the walk says why
	}
	for _, name := range surplus {
		if ctx.Err() != nil {
			return
		}
		path := d.join(name)
		if !r.options.DryRun {
			err := removeAny(d.fd, name, d.device)
			if err != nil {
				r.settle(ctx, path, r.refused("removal of surplus entries", path, err))
				continue
			}
		}
		r.tally.deleted.Add(1)
	}
}

func (r *run) surplus(ctx context.Context, d *directory) ([]string, error) {
	var names []string
	err := list(d.fd, func(name string) error {
		if d.parent != nil || name != lostAndFound {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	surplus := names[:0]
	i := 0
	for n, err := range r.repository.Entries(ctx, d.node) {
		if err != nil {
			return nil, err
		}
		for i < len(names) && names[i] < string(n.Name) {
			surplus = append(surplus, names[i])
			i++
		}
		if i < len(names) && names[i] == string(n.Name) {
			i++
		}
	}
	return append(surplus, names[i:]...), nil
}

// errMount keeps removal to one file system.
var errMount = errors.New("something is mounted there")

// removeAny removes an entry of any kind.
func removeAny(dir int, name string, device uint64) error {
	err := removeAt(dir, name, 0)
	switch err {
	case nil, unix.ENOENT:
		return nil
	case unix.EISDIR, unix.EPERM: // POSIX allows either for a directory
		if st, looked := lookAt(dir, name); looked != nil || st == nil || uint32(st.Mode)&unix.S_IFMT != unix.S_IFDIR {
			return err
		}
		return removeTree(dir, name, device)
	}
	return err
}

// removeTree removes a directory and all below it, but nothing on another file
// system and nothing through a symlink.
func removeTree(dir int, name string, device uint64) error {
	fd, err := openDirectory(dir, name)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	st, err := look(fd)
	if err != nil {
		return err
	}
	if uint64(st.Dev) != device {
		return errMount
	}
	var names []string
	if err := list(fd, func(name string) error {
		names = append(names, name)
		return nil
	}); err != nil {
		return err
	}
	for _, inner := range names {
		if err := removeAny(fd, inner, device); err != nil {
			return err
		}
	}
	return removeAt(dir, name, unix.AT_REMOVEDIR)
}
