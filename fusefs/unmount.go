package fusefs

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// busyTime is how long open files and working directories are waited for.
	busyTime = time.Second
	// abortTime is how long the kernel is given to let go after a lazy unmount,
	// before the connection is cut.
	abortTime = 500 * time.Millisecond
)

// Unmount takes the view away and waits until nothing reads the repository for
// it any more. If files are open in it, they fail from then on. A view that
// was unmounted already is fine.
func (m *Mounted) Unmount() error {
	m.unmounting.Lock()
	defer m.unmounting.Unlock()
	if m.isGone() {
		m.removeDir()
		return nil
	}
	at, mounted, err := mountedAt(m.dir)
	if err == nil && (!mounted || at.fstype != fsType) {
		// Unmounted by somebody else, lazily: only open files hold it.
		return m.cut(place{})
	}
	for deadline := time.Now().Add(busyTime); ; {
		if err = detach(m.dir, false); err == nil || !isBusy(m.dir, err) {
			break
		}
		if time.Now().After(deadline) {
			err = detach(m.dir, true)
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err != nil && !m.isGone() {
		return fmt.Errorf("unmounting %s: %w", m.dir, err)
	}
	return m.cut(at)
}

func (m *Mounted) isGone() bool {
	select {
	case <-m.gone:
		return true
	default:
		return false
	}
}

// isBusy reports whether an attempt to unmount failed because files are open.
// fusermount says so in words only, so that with it any failure counts.
func isBusy(_ string, err error) bool {
	return errors.Is(err, unix.EBUSY) || !errors.As(err, new(unix.Errno))
}

// cut ends the view after it was detached: its operations fail, and the kernel
// is made to let go of files that are still open.
func (m *Mounted) cut(at place) error {
	select {
	case <-m.gone:
	case <-time.After(abortTime):
		m.v.end()
		if at.minor != 0 {
			// Without /sys this fails. The files that are open then fail as
			// soon as they ask for something, and go with this process.
			_ = os.WriteFile(fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", at.minor), []byte("1"), 0)
			select {
			case <-m.gone:
			case <-time.After(abortTime):
			}
		}
	}
	m.v.end()
	m.removeDir()
	return nil
}
