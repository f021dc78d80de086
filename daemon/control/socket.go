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
	// newName is where a socket is bound before it is renamed into place.
	newName = SocketName + ".new"
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

func openDirectory(path string) (*directory, error) {
	// Absolute, because an address that begins with @ means something else.
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(abs, os.O_RDONLY|unix.O_DIRECTORY, 0)
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

// claim makes the directory's socket appear, listening. The second claimant gets an *OwnedError.
func (d *directory) claim(ctx context.Context) (*net.UnixListener, error) {
	if err := d.lock(ctx); err != nil {
		return nil, err
	}
	defer unix.Flock(int(d.file.Fd()), unix.LOCK_UN)
	if err := d.clear(ctx, SocketName); err != nil {
		return nil, err
	}
	// Left by a process that was killed between binding and renaming, since the lock is ours.
	if err := d.clear(ctx, newName); err != nil {
		return nil, err
	}
	l, err := d.listen(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: no socket can be made here: %w", d.path, err)
	}
	fd := int(d.file.Fd())
	err = unix.Renameat2(fd, newName, fd, SocketName, unix.RENAME_NOREPLACE)
	if err == unix.EINVAL || err == unix.ENOSYS {
		// A file system that cannot promise it; under the lock nothing of ours can have come between.
		err = unix.Renameat(fd, newName, fd, SocketName)
	}
	if err != nil {
		l.Close()
		unix.Unlinkat(fd, newName, 0)
		return nil, &os.LinkError{Op: "rename", Old: newName, New: filepath.Join(d.path, SocketName), Err: err}
	}
	return l, nil
}

func (d *directory) listen(ctx context.Context) (*net.UnixListener, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		// The mode of an unbound socket is the one its file is made with: it is never wider, not for a moment.
		cerr := c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(cerr, err)
	}}
	l, err := lc.Listen(ctx, "unix", d.address(newName))
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

// withdraw removes the socket, if it is still the one with this identity.
func (d *directory) withdraw(own unix.Stat_t) {
	st, err := d.lstat(SocketName)
	if err == nil && st.Dev == own.Dev && st.Ino == own.Ino && st.Mode&unix.S_IFMT == unix.S_IFSOCK {
		unix.Unlinkat(int(d.file.Fd()), SocketName, 0)
	}
}
