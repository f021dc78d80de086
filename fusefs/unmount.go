package fusefs

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/fusefs/mountpoint"
)

const (
	// busyTime is how long open files and working directories are waited for.
	busyTime = time.Second
	// abortTime is how long the kernel is given to let go.
	abortTime = 500 * time.Millisecond
	// lastTime is how long reads that are under way may keep the repository from
	// being closed. Nobody waits for them any more.
	lastTime = 5 * time.Second
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
	at, mounted, err := mountpoint.At(m.dir)
	if err == nil && (!mounted || at.Type != mountpoint.Type || at.Minor != m.minor) {
		m.cut() // by somebody else, lazily: only open files hold it
		return nil
	}
	for deadline := time.Now().Add(busyTime); ; time.Sleep(20 * time.Millisecond) {
		if err = mountpoint.Detach(m.dir, mountpoint.Gently); err == nil || !isBusy(err) {
			break
		}
		if time.Now().After(deadline) {
			err = mountpoint.Detach(m.dir, mountpoint.ByForce)
			break
		}
	}
	if err != nil && !m.isGone() {
		return fmt.Errorf("unmounting %s: %w", m.dir, err)
	}
	m.cut()
	return nil
}

// Abandon takes the view away at once, whatever is open in it, for a process
// that is about to end and waits for nothing.
func (m *Mounted) Abandon() {
	at, mounted, err := mountpoint.At(m.dir)
	if err != nil || !mounted || at.Type != mountpoint.Type || at.Minor != m.minor {
		return // it is gone, or somebody else's
	}
	// What fails now is healed by the next one.
	_ = mountpoint.Detach(m.dir, mountpoint.ByForce)
	m.removeDir()
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
func isBusy(err error) bool {
	return errors.Is(err, unix.EBUSY) || !errors.As(err, new(unix.Errno))
}

// cut ends the view after it was detached: its operations fail, and the kernel
// is made to let go of files that are still open.
func (m *Mounted) cut() {
	if !m.waitGone() {
		m.v.end()
		// An ordinary user cannot unmount by force, but may abort what is his.
		// Where this is not there, files that are open fail as soon as they
		// ask for something, and the connection goes with this process.
		_ = os.WriteFile(fmt.Sprintf("/sys/fs/fuse/connections/%d/abort", m.minor), []byte("1"), 0)
		m.waitGone()
	}
	m.letGo()
	m.removeDir()
}

func (m *Mounted) waitGone() bool {
	select {
	case <-m.gone:
		return true
	case <-time.After(abortTime):
		return false
	}
}

// letGo ends what runs for the view and lets Wait return.
func (m *Mounted) letGo() {
	m.v.end()
	m.v.gate.close(min(m.v.patience, lastTime))
	m.once.Do(func() { close(m.gone) })
}
