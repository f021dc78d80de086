package fusefs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fsType is how our mounts show in the table of mounts.
const fsType = "fuse." + fsName

const fsName = "keepsake"

// answerTime is how long a mount may take to answer before it counts as one
// that somebody still serves, if badly.
const answerTime = 5 * time.Second

// Heal makes dir fit to mount on. A mount of keepsake whose process was killed
// is taken away, and healed is true. It returns ErrMounted if anything else is
// mounted there, a live view of keepsake included, and ErrNotEmpty if dir holds
// files. A directory that does not exist is fine.
func Heal(dir string) (healed bool, err error) {
	for {
		dead, err := look(dir)
		if err != nil || !dead {
			return healed, err
		}
		real, err := resolve(dir)
		if err != nil {
			return healed, err
		}
		if err := detach(real, byForce); err != nil {
			return healed, fmt.Errorf("%s: taking away the mount that a killed keepsake left: %w", dir, err)
		}
		healed = true
	}
}

// look reports whether a dead mount of ours is at dir, and refuses what is
// neither that nor an empty directory.
func look(dir string) (dead bool, err error) {
	answer := make(chan error, 1)
	go func() {
		var st unix.Stat_t
		err := unix.Stat(dir, &st)
		if err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR {
			err = unix.ENOTDIR
		}
		if err == nil {
			// The kernel may have answered that one from its cache; this it
			// always asks the server.
			err = unix.Statfs(dir, new(unix.Statfs_t))
		}
		answer <- err
	}()
	select {
	case err = <-answer:
	case <-time.After(answerTime):
		return false, fmt.Errorf("%s: %w and does not answer", dir, ErrMounted)
	}
	gone := errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.ECONNABORTED)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil && !gone {
		return false, &os.PathError{Op: "mount", Path: dir, Err: err}
	}
	real, err := resolve(dir)
	if err != nil {
		return false, err
	}
	at, mounted, err := mountedAt(real)
	switch {
	case err != nil && !gone:
		return false, err
	case gone && (at.fstype == fsType || err != nil):
		return true, nil
	case gone:
		return false, fmt.Errorf("%s: %w: %s, whose server is gone; run: umount -l %s", dir, ErrMounted, at.fstype, dir)
	case mounted && at.fstype == fsType:
		return false, fmt.Errorf("%s: %w: a view by another keepsake that is running", dir, ErrMounted)
	case mounted:
		return false, fmt.Errorf("%s: %w: %s", dir, ErrMounted, at.fstype)
	}
	return false, empty(dir)
}

func empty(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	if len(names) > 0 {
		return fmt.Errorf("%s: %w: it holds %q; choose another directory or an empty one", dir, ErrNotEmpty, names[0])
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// manner is how to unmount.
type manner bool

const (
	// gently fails if anything is open.
	gently manner = false
	// byForce takes the mount away at once and makes what is open in it fail.
	byForce manner = true
)

// detach unmounts dir. An ordinary user cannot use all force: what is open
// then stays open until the server lets go of it.
func detach(dir string, how manner) error {
	flags := unix.UMOUNT_NOFOLLOW
	if how == byForce {
		flags |= unix.MNT_DETACH | unix.MNT_FORCE
	}
	err := unix.Unmount(dir, flags)
	if err == nil || !errors.Is(err, unix.EPERM) {
		return err
	}
	helper, err := fusermount()
	if err != nil {
		return err
	}
	args := []string{"-u", "-q"}
	if how == byForce {
		args = append(args, "-z")
	}
	out, err := exec.Command(helper, append(args, "--", dir)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", helper, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// fusermount is the helper by which ordinary users mount.
func fusermount() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount", "/bin/fusermount3", "/bin/fusermount"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrNoFUSE
}

// available returns ErrNoFUSE if this process cannot mount here.
func available() error {
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return ErrNoFUSE
	}
	if os.Geteuid() == 0 {
		return nil // mounts by itself
	}
	if err := unix.Access("/dev/fuse", unix.R_OK|unix.W_OK); err != nil {
		return fmt.Errorf("/dev/fuse: %w: an administrator must let this user read and write it", err)
	}
	_, err := fusermount()
	return err
}
