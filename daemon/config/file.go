package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// maxFile bounds a configuration file; a larger one is something else. A
// thousand sources fit.
const maxFile = 256 << 10

// file is a configuration file as it was opened: content and owner are those
// of one file, whatever happens to its name meanwhile.
type file struct {
	path string
	text []byte
	info fs.FileInfo
}

// open reads a configuration file, if that is what it is.
func open(path string) (*file, error) {
	// NONBLOCK: a FIFO must be refused and not waited for.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) {
		target, _ := os.Readlink(path) // the message does without
		return nil, fmt.Errorf("%s is a symbolic link to %s; name that file with --config, or put it in the place of the link: what is checked must be what is read", path, target)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory and not a file; name the file in it: %s", path, filepath.Join(path, Name))
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file; write the configuration to one", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", path, err)
	case len(b) > maxFile:
		return nil, fmt.Errorf("%s has %d bytes, and a configuration has at most %d; is it the right file?", path, max(info.Size(), int64(len(b))), maxFile)
	case len(b) == 0:
		return nil, fmt.Errorf("%s is empty, as after a full disk; write it anew, or remove it and let keepsake up DIR write one", path)
	}
	return &file{path, b, info}, nil
}

// untrusted says who besides root and the running user could have written the
// file. Only a configuration that runs commands is asked: it is a program then,
// and whoever writes it can do all that the daemon can.
func (f *file) untrusted() Problems {
	var all Problems
	owner, group := "root", "chown root"
	if uid := os.Geteuid(); uid != 0 {
		owner, group = fmt.Sprintf("root or the user with the id %d", uid), fmt.Sprintf("chown %d", uid)
	}
	refuse := func(what, text, remedy string) {
		all = append(all, Problem{Text: fmt.Sprintf("the file runs commands, and %s %s", what, text), Remedy: remedy})
	}
	dir := filepath.Dir(f.path)
	info, err := os.Stat(dir)
	if err != nil {
		refuse("its directory", "cannot be looked at: "+err.Error(), "move it to another one")
		return all
	}
	if !trustedOwner(f.info) {
		refuse("it", "does not belong to "+owner, group+" "+f.path)
	}
	if f.info.Mode().Perm()&0o022 != 0 {
		refuse("others", "can write to it", "chmod go-w "+f.path)
	}
	// A directory counts because whoever may write to it may put another file
	// in the place of this one. Directories further up do not: a file that was
	// moved there with its whole directory still has to belong to the right
	// user. In a sticky directory such as /tmp only owners replace their files.
	if !trustedOwner(info) {
		refuse("its directory", "does not belong to "+owner, group+" "+dir)
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		refuse("others", "can replace it: they may write to its directory", "chmod go-w "+dir)
	}
	return all
}

// trustedOwner reports whether a file belongs to root or to the running user.
func trustedOwner(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int(st.Uid) == os.Geteuid())
}
