package mountpoint

import (
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

// Helper is the program by which ordinary users mount, or ErrNoFUSE.
func Helper() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount", "/bin/fusermount3", "/bin/fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoFUSE
}

// Available returns ErrNoFUSE if this process cannot mount here.
func Available() error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return ErrNoFUSE
	}
	if os.Geteuid() == 0 {
		return nil // mounts by itself
	}
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		return fmt.Errorf("/dev/fuse: %w: an administrator must let this user read and write it", err)
	}
	_, err := Helper()
	return err
}
