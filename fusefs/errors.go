package fusefs

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"keepsake/store"
)

var (
	errTooSlow     = errors.New("the repository did not answer in time")
	errInterrupted = errors.New("interrupted")
	errUnmounted   = errors.New("the view is being unmounted")
	errCollision   = errors.New("two nodes have the same inode number and generation")
	errLost        = errors.New("a version is no longer where it was found")
)

// errnos says which errno each kind of error becomes; the first that matches
// counts. Damage comes first, because what lies under it (a pack that is not
// there) must not look like a file that is not there.
var errnos = []struct {
	kind  error
	errno syscall.Errno
}{
	{store.ErrDamaged, syscall.EIO},
	{errInterrupted, syscall.EINTR},
	{fs.ErrNotExist, syscall.ENOENT},
	{context.Canceled, syscall.EIO},
	{context.DeadlineExceeded, syscall.EIO},
}

// errno maps an error to what the kernel is told: EIO for all that the table
// does not name, whatever system error it may wrap.
func errno(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	for _, e := range errnos {
		if errors.Is(err, e.kind) {
			return e.errno
		}
	}
	return syscall.EIO
}
