package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// What others must not do to a file.
const (
	othersWrite = fs.FileMode(0o022)
	othersRead  = fs.FileMode(0o044)
)

// permissions holds what keepsake relies on to be its owner's alone.
func (e *examination) permissions(context.Context) {
	e.private("key file", e.o.Key, othersWrite|othersRead, 0, "whoever reads it can read every backup")
	e.private("configuration", e.o.Config, othersWrite, 0, "whoever writes it can have keepsake run commands")
	e.private("repository", e.o.Repository, othersWrite, othersRead, "whoever writes there can delete backups")
	if e.o.State == "" {
		return
	}
	e.private("state directory", e.o.State, othersWrite, othersRead, "whoever writes there can make keepsake miss changes")
	below, err := os.ReadDir(e.o.State)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		e.add("state directory", Fail, err.Error(), "Run this as the user who runs keepsake.")
		return
	}
	for _, d := range below {
		if d.IsDir() {
			e.private("state directory", filepath.Join(e.o.State, d.Name()), othersWrite, othersRead, "whoever writes there can make keepsake miss changes")
		}
	}
}

// private fails if others have a right of the first kind to path, or could
// replace it, and warns for the second. What is fine is told once per name.
func (e *examination) private(name, path string, never, better fs.FileMode, why string) {
	if path == "" {
		return
	}
	name += " permissions"
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.absent(name, path)
		return
	case err != nil:
		e.add(name, Fail, err.Error(), "Run this as the user who runs keepsake.")
		return
	}
	mode := info.Mode().Perm()
	strict := "u=rwX,go="
	if never&othersRead == 0 && better == 0 {
		strict = "go-w"
	}
	remedy := fmt.Sprintf("chmod %s %s", strict, shell(path))
	owner, mine := ownedBySelf(info)
	parent := filepath.Dir(path)
	switch {
	case !mine:
		e.add(name, Fail, fmt.Sprintf("%s belongs to user %d: %s", path, owner, why), fmt.Sprintf("chown %d %s", os.Geteuid(), shell(path)))
	case mode&never != 0:
		e.add(name, Fail, fmt.Sprintf("%s has mode %#o: %s", path, mode, why), remedy)
	case replaceable(parent):
		e.add(name, Fail, fmt.Sprintf("%s can be replaced, because others may write to %s: %s", path, parent, why), "chmod go-w "+shell(parent))
	case mode&better != 0:
		e.add(name, Warn, fmt.Sprintf("%s has mode %#o: others can see what is in it", path, mode), remedy)
	case !e.told(name):
		e.add(name, OK, fmt.Sprintf("%s has mode %#o", path, mode), "")
	}
}

// absent is a finding only for what must exist: the rest is made when it is
// needed.
func (e *examination) absent(name, path string) {
	if path == e.o.Key {
		e.add(name, Fail, path+" is not there", "Copy it back from where you keep it, or make another with the recovery code: keepsake key add --new-key-file FILE.")
	}
}

func (e *examination) told(name string) bool {
	for _, f := range e.findings {
		if f.Name == name {
			return true
		}
	}
	return false
}

// ownedBySelf reports the owner, and whether that is this user or root.
func ownedBySelf(info fs.FileInfo) (uid uint32, ok bool) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, true // not on this system
	}
	return st.Uid, st.Uid == 0 || int(st.Uid) == os.Geteuid()
}

// replaceable reports whether others may rename what is in a directory.
func replaceable(dir string) bool {
	info, err := os.Stat(dir)
	if err != nil {
		return false
	}
	_, mine := ownedBySelf(info)
	return !mine || info.Mode().Perm()&othersWrite != 0 && info.Mode()&fs.ModeSticky == 0
}

// shell quotes a path for a command that people copy.
func shell(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+@%", r))
	}) {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}
