package mountpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

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

// Config is where the administrator says what ordinary users may mount.
const Config = "/etc/fuse.conf"

// allowing is its line that lets them let others in.
const allowing = "user_allow_other"

// Available returns why this process cannot mount here, for others if that is
// asked for: ErrNoFUSE, or what else is missing.
func Available(allowOther bool) error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return ErrNoFUSE
	}
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		return fmt.Errorf("/dev/fuse cannot be opened by this user (%w); an administrator must allow it: chmod 666 /dev/fuse", err)
	}
	if os.Geteuid() == 0 {
		return nil // mounts by itself
	}
	if _, err := Helper(); err != nil || !allowOther {
		return err
	}
	b, err := os.ReadFile(Config)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil // then the helper has the last word
	}
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) == allowing {
			return nil
		}
	}
	return fmt.Errorf("other users cannot be let in: %s has no line %s; an administrator adds it (echo %[2]s | sudo tee -a %[1]s), or mount without --allow-other", Config, allowing)
}
