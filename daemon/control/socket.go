package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// newSuffix marks the name that a socket is bound under before it is renamed into place.
	newSuffix     = ".new"
	privateSocket = 0o600 // the mode of a state directory's socket
	publicSocket  = 0o660 // and of the one that a group reaches
	// maxAddress is the longest path that a socket address holds.
	maxAddress = len(unix.RawSockaddrUnix{}.Path) - 1
	// claimTimeout bounds the wait for another process that is claiming the same directory, which takes it
	// milliseconds.
	claimTimeout = 5 * time.Second
)

// directory is an open state directory, through which sockets with paths of any length are reached.
type directory struct {
	path string
	file *os.File
	uid  uint32
}

// openDirectory opens a directory that a socket is to be claimed in.
func openDirectory(path string) (*directory, error) { return open(path, unix.O_RDONLY) }

// reachDirectory opens one that a socket is to be reached in, for which the right to pass through it is enough.
func reachDirectory(path string) (*directory, error) { return open(path, unix.O_PATH) }

func open(path string, how int) (*directory, error) {
	// Absolute, because an address that begins with @ means something else.
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(abs, how|unix.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		f.Close()
		return nil, &os.PathError{Op: "stat", Path: abs, Err: err}
	}
	return &directory{path: abs, file: f, uid: st.Uid}, nil
}

func (d *directory) close() { d.file.Close() }

// address is a path for name that fits into a socket address, valid while d is open.
func (d *directory) address(name string) string {
	p := filepath.Join(d.path, name)
	if len(p) <= maxAddress {
		return p
	}
	return "/proc/self/fd/" + strconv.Itoa(int(d.file.Fd())) + "/" + name
}

func (d *directory) lstat(name string) (unix.Stat_t, error) {
	var st unix.Stat_t
	err := unix.Fstatat(int(d.file.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	return st, err
}

// connect reaches whoever listens at name. The error says ENOENT only if nothing is there.
func (d *directory) connect(ctx context.Context, name string) (*net.UnixConn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "unix", d.address(name))
	if errors.Is(err, unix.ENOENT) {
		if _, serr := d.lstat(name); serr == nil && len(filepath.Join(d.path, name)) > maxAddress {
			return nil, fmt.Errorf("%s: the path is longer than %d bytes and /proc is not mounted", d.path, maxAddress)
		}
	}
	if err != nil {
		return nil, err
	}
	return c.(*net.UnixConn), nil
}

// file is a socket in a directory, as it shall be seen by others.
type file struct {
	name string
	mode uint32
	gid  int // of the file; -1 leaves it to the kernel
}

// claim makes the socket f appear in the directory, listening. The second claimant gets an *OwnedError.
func (d *directory) claim(ctx context.Context, f file) (*net.UnixListener, error) {
	if err := d.lock(ctx); err != nil {
		return nil, err
	}
	defer unix.Flock(int(d.file.Fd()), unix.LOCK_UN)
	if err := d.clear(ctx, f.name); err != nil {
		return nil, err
	}
	// Left by a process that was killed between binding and renaming, since the lock is ours.
	if err := d.clear(ctx, f.name+newSuffix); err != nil {
		return nil, err
	}
	l, err := d.listen(ctx, f.name+newSuffix)
	if err != nil {
		return nil, fmt.Errorf("%s: no socket can be made here: %w", d.path, err)
	}
	if err := d.place(f); err != nil {
		l.Close()
		unix.Unlinkat(int(d.file.Fd()), f.name+newSuffix, 0)
		return nil, err
	}
	return l, nil
}

// place gives the bound socket its group and mode and then its name, so that nobody ever finds it with others.
func (d *directory) place(f file) error {
	fd, bound := int(d.file.Fd()), f.name+newSuffix
	if f.gid >= 0 {
		if err := unix.Fchownat(fd, bound, -1, f.gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("giving %s to group %d: %w: run keepsake as root or as a member of the group", filepath.Join(d.path, f.name), f.gid, err)
		}
	}
	if f.mode != privateSocket {
		if err := unix.Fchmodat(fd, bound, f.mode, 0); err != nil {
			return &os.PathError{Op: "chmod", Path: filepath.Join(d.path, bound), Err: err}
		}
	}
	err := unix.Renameat2(fd, bound, fd, f.name, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		// A file system that cannot promise it; under the lock nothing of ours can have come between.
		err = unix.Renameat(fd, bound, fd, f.name)
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: bound, New: filepath.Join(d.path, f.name), Err: err}
	}
	return nil
}

func (d *directory) listen(ctx context.Context, name string) (*net.UnixListener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		// The mode of an unbound socket is the one its file is made with: it is never wider, not for a moment.
		cerr := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), privateSocket) })
		return errors.Join(cerr, err)
	}}
	l, err := lc.Listen(ctx, "unix", d.address(name))
	if err != nil {
		return nil, err
	}
	u := l.(*net.UnixListener)
	u.SetUnlinkOnClose(false) // it would remove the name that it was bound under
	return u, nil
}

// lock serialises claims. It is held only while the socket is looked at and made; a file system that cannot lock
// directories does without, since the state's own lock decides who is the owner.
func (d *directory) lock(ctx context.Context) error {
	deadline := time.Now().Add(claimTimeout)
	for {
		err := unix.Flock(int(d.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch err {
		case nil, unix.EBADF, unix.ENOLCK, unix.ENOTSUP, unix.EINVAL, unix.ENOSYS:
			return nil
		case unix.EWOULDBLOCK, unix.EINTR:
		default:
			return &os.PathError{Op: "flock", Path: d.path, Err: err}
		}
		if time.Now().After(deadline) {
			return &OwnedError{Dir: d.path}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// clear makes name free if it is a socket that nobody answers at, and otherwise says why it is not.
func (d *directory) clear(ctx context.Context, name string) error {
	st, err := d.lstat(name)
	if err == unix.ENOENT {
		return nil
	}
	full := filepath.Join(d.path, name)
	if err != nil {
		return &os.PathError{Op: "lstat", Path: full, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return fmt.Errorf("%s: %w: move it away", full, ErrForeign)
	}
	c, err := d.connect(ctx, name)
	switch {
	case err == nil:
		defer c.Close()
		p, _ := credentials(c)
		return &OwnedError{Dir: d.path, PID: p.PID}
	case errors.Is(err, unix.EAGAIN): // its queue is full: it lives
		return &OwnedError{Dir: d.path}
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.EPROTOTYPE):
		return fmt.Errorf("%s: %w: another program listens here", full, ErrForeign)
	case !errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%s: %w", full, err)
	}
	if err := unix.Unlinkat(int(d.file.Fd()), name, 0); err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "unlink", Path: full, Err: err}
	}
	return nil
}

// withdraw removes the socket called name, if it is still the one with this identity.
func (d *directory) withdraw(name string, own unix.Stat_t) {
	st, err := d.lstat(name)
	if err == nil && st.Dev == own.Dev && st.Ino == own.Ino && st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		unix.Unlinkat(int(d.file.Fd()), name, 0)
	}
}
