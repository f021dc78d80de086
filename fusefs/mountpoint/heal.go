package mountpoint

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// answerTime is how long a mount may take to answer before it counts as one
// that somebody still serves, if badly.
const answerTime = 5 * time.Second

// Heal makes dir fit to mount on. A mount of keepsake whose process was killed
// is taken away, and healed is true. It returns ErrMounted if anything else is
// mounted there, a live view of keepsake included, ErrNotEmpty if dir holds
// files, and ErrNoDirectory if it is none. A directory that does not exist is fine.
func Heal(dir string) (healed bool, err error) {
	for {
		dead, err := look(dir)
		if err != nil || !dead {
			return healed, err
		}
		real, err := Resolve(dir)
		if err != nil {
			return healed, err
		}
		if err := Detach(real, ByForce); err != nil {
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
	if errors.Is(err, unix.ENOTDIR) {
		return false, fmt.Errorf("%s: %w; choose an empty directory, or a name that is not there", dir, ErrNoDirectory)
	}
	if err != nil && !gone {
		return false, &os.PathError{Op: "mount", Path: dir, Err: err}
	}
	real, err := Resolve(dir)
	if err != nil {
		return false, err
	}
	at, mounted, err := At(real)
	switch {
	case err != nil && !gone:
		return false, err
	case gone && (at.Type == Type || err != nil):
		return true, nil
	case gone:
		return false, fmt.Errorf("%s: %w: %s, whose server is gone; run: umount -l %s", dir, ErrMounted, at.Type, dir)
	case mounted && at.Type == Type:
		return false, fmt.Errorf("%s: %w: a view by another keepsake that is running; use that one, choose another directory, or end it: umount %[1]s", dir, ErrMounted)
	case mounted:
		return false, fmt.Errorf("%s: %w: %s; choose another directory", dir, ErrMounted, at.Type)
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
	if !errors.Is(err, io.EOF) {
		return err
	}
	// The helper asks for it, and says less.
	if os.Geteuid() != 0 && unix.Access(dir, unix.W_OK) != nil {
		return fmt.Errorf("%s: users can mount only on directories that they may write to: chown it, or choose another one", dir)
	}
	return nil
}
