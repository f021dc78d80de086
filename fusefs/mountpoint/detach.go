package mountpoint

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// Manner is how to unmount.
type Manner bool

const (
	// Gently fails if anything is open.
	Gently Manner = false
	// ByForce takes the mount away at once and makes what is open in it fail.
	ByForce Manner = true
)

// Detach unmounts dir, which is as Resolve returns it. An ordinary user cannot use all force: what is open
// then stays open until the server lets go of it.
func Detach(dir string, how Manner) error {
	flags := unix.UMOUNT_NOFOLLOW
	if how == ByForce {
		flags |= unix.MNT_DETACH | unix.MNT_FORCE
	}
	err := unix.Unmount(dir, flags)
	if err == nil || !errors.Is(err, unix.EPERM) {
		return err
	}
	helper, err := Helper()
	if err != nil {
		return err
	}
	args := []string{"-u", "-q"}
	if how == ByForce {
		args = append(args, "-z")
	}
	out, err := exec.Command(helper, append(args, "--", dir)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", helper, err, strings.TrimSpace(string(out)))
	}
	return nil
}
