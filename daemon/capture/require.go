package capture

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// A person who requires a path knows what a scan cannot: that it was never
// meant to go. A disk that is not mounted leaves an empty directory behind, and
// that is a directory like others.

var errEmpty = errors.New("it is empty")

func checkRequired(paths []string) error {
	for _, path := range paths {
		if !filepath.IsLocal(path) {
			return fmt.Errorf("required path %q is not below the source", path)
		}
	}
	return nil
}

// require notes the required paths that are not there, or are empty, now that
// the walk is through. It closes the root's descriptor.
func (p *pass) require(root int) {
	defer unix.Close(root)
	for _, path := range p.options.Require {
		rel := filepath.ToSlash(filepath.Clean(path))
		if rel == "." {
			rel = ""
		}
		if err := p.present(root, rel); err != nil {
			p.miss(rel, tree.ReasonRequired, err)
		}
	}
}

// present returns why a path does not count as present: a file has a byte, a
// directory an entry that is captured. Anything else needs only be there.
func (p *pass) present(root int, rel string) error {
	dir, err := unix.FcntlInt(uintptr(root), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { unix.Close(dir) }()
	elements := strings.Split(rel, "/")
	for i, element := range elements {
		if rel == "" {
			break
		}
		s, err := statAt(dir, element)
		switch {
		case err != nil:
			return err
		case s.typ != tree.Dir && i < len(elements)-1:
			return fmt.Errorf("%s: %w", strings.Join(elements[:i+1], "/"), unix.ENOTDIR) // symlinks are not followed
		case s.typ == tree.File && s.size == 0:
			return errEmpty
		case s.typ != tree.Dir:
			return nil
		}
		next, err := openAt(dir, element, true)
		if err != nil {
			return err
		}
		unix.Close(dir)
		dir = next
	}
	return p.inhabited(dir, rel)
}

// inhabited reports errEmpty unless something in a directory is captured.
func (p *pass) inhabited(fd int, rel string) error {
	// Opened anew: the walk's own descriptor has its own place in the listing.
	again, err := openAt(fd, ".", true)
	if err != nil {
		return err
	}
	dir := os.NewFile(uintptr(again), rel)
	defer dir.Close()
	for {
		names, err := dir.Readdirnames(64)
		for _, name := range names {
			s, err := statAt(again, name)
			if _, out := p.options.Rules.MatchName(join(rel, name), s.typ == tree.Dir); err == nil && !out && !p.own[join(rel, name)] {
				return nil
			}
		}
		if err == io.EOF {
			return errEmpty
		}
		if err != nil {
			return err
		}
	}
}
