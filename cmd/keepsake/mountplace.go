package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"keepsake/daemon/config"
)

// misplacedError says that a view cannot be where it was asked for: a mistake
// of a person, which waiting does not mend.
type misplacedError struct{ text, next string }

func (e *misplacedError) Error() string { return e.text }

// mayShowAt refuses to mount in keepsake's own directories: what is written
// there while the view lies over it would be lost behind it.
func (s *session) mayShowAt(dir string) error {
	real := config.Resolve(dir)
	for what, own := range map[string]string{"the repository": s.backend.Dir(), "keepsake's state directory": s.repo.State().Dir()} {
		if rel, err := filepath.Rel(config.Resolve(own), real); err == nil && filepath.IsLocal(rel) {
			return &misplacedError{fmt.Sprintf("%s lies inside %s, %s", dir, what, own), "Choose a directory of its own, such as ~/Keepsake."}
		}
	}
	return nil
}

// mayMake refuses a mount point that a person has named and that cannot be made
// where it is. A path that is mostly not there is a slip of the pen, or a disk
// that is not mounted.
func mayMake(dir string) error {
	_, there := os.Stat(dir)
	if target, err := os.Readlink(dir); err == nil && errors.Is(there, fs.ErrNotExist) {
		return &misplacedError{fmt.Sprintf("%s is a link to %s, which is not there", dir, target), "Make that directory, or choose another one."}
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil // what is wrong with it shows when it is looked at
	}
	parent := filepath.Dir(dir)
	info, err := os.Stat(parent)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return &misplacedError{fmt.Sprintf("%s is not there, so that %s cannot be made in it", parent, filepath.Base(dir)), "Is the path right, and its disk mounted? mkdir -p " + shellWord(parent) + " makes the directory."}
	case err == nil && !info.IsDir():
		return &misplacedError{fmt.Sprintf("%s is no directory, so that %s cannot be made in it", parent, filepath.Base(dir)), "Choose an empty directory, or a name that is not there."}
	case unix.Access(parent, unix.W_OK|unix.X_OK) != nil:
		return &misplacedError{fmt.Sprintf("%s cannot be made: this user may not write to %s", dir, parent), "Choose a directory of your own, such as ~/Keepsake, or have an administrator make that one and give it to you."}
	}
	return nil
}
