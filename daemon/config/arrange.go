package config

import (
	"fmt"
	"os"
	"path/filepath"
)

// Places are keepsake's own directories as the environment says, where the
// configuration leaves them open.
type Places struct {
	Repository string
	Mount      string
	State      string // under which each repository has a state directory
	KeyFile    string
}

// own is one of keepsake's own directories.
type own struct {
	what, path string
	key        string // that names it; empty if none does
}

// arrange refuses directories that would hold themselves, and says which ones
// are left out of which.
func (r *reading) arrange(p Places, real func(string) string) {
	c := &r.config
	places := []own{
		{"the repository", or(c.Repository, p.Repository), "repository"},
		{"the mount", or(c.Mount, p.Mount), "mount"},
		{"the state directory", p.State, ""},
	}
	for i := range places {
		if places[i].path != "" {
			places[i].path = real(places[i].path)
		}
	}
	r.arrangeOwn(places, or(c.KeyFile, p.KeyFile))
	paths := make([]string, len(c.Sources))
	for i, s := range c.Sources {
		if s.Path == "" || !filepath.IsAbs(s.Path) {
			continue
		}
		paths[i] = real(s.Path)
		at := fmt.Sprintf("source[%d]", i)
		r.arrangeSource(at, s, paths[i], places)
		for k, other := range paths[:i] {
			r.nested(at, s, c.Sources[k], paths[i], other)
		}
	}
}

// arrangeOwn keeps a mount from covering what it shows, and looks whether the
// key lies in the lock.
func (r *reading) arrangeOwn(places []own, key string) {
	repository, mount := places[0].path, places[1].path
	for _, o := range places {
		if o.key != "mount" && o.path != "" && mount != "" && (inside(o.path, mount) || inside(mount, o.path)) {
			r.problem(r.line("", "mount"), "mount", fmt.Sprintf("= %s and %s, %s, lie in each other", mount, o.what, o.path), "choose a mount of its own: it covers what its directory holds")
		}
	}
	if key != "" && repository != "" && inside(key, repository) {
		r.note(r.line("", "key-file"), "the key lies inside the repository: whoever takes the disk can read everything, and who loses it loses both")
	}
}

func (r *reading) arrangeSource(at string, s Source, path string, places []own) {
	for _, o := range places {
		switch {
		case o.path == "":
		case inside(path, o.path):
			r.problem(r.line(at, "path"), "source.path", fmt.Sprintf("= %s lies inside %s, %s", s.Path, o.what, o.path), "a snapshot of it would hold itself; choose another directory")
		case inside(o.path, path):
			r.note(r.line(at, "path"), "%s, %s, lies inside source %s and is left out of it", o.what, o.path, quoteTOML(s.Label))
		}
	}
}

func (r *reading) nested(at string, s, other Source, path, otherPath string) {
	switch {
	case otherPath == "":
	case path == otherPath:
		r.note(r.line(at, "path"), "sources %s and %s are the same directory: it is watched twice, and stored once", quoteTOML(other.Label), quoteTOML(s.Label))
	case inside(path, otherPath):
		r.note(r.line(at, "path"), "source %s lies inside source %s: its files are in the snapshots of both, and stored once", quoteTOML(s.Label), quoteTOML(other.Label))
	case inside(otherPath, path):
		r.note(r.line(at, "path"), "source %s lies inside source %s: its files are in the snapshots of both, and stored once", quoteTOML(other.Label), quoteTOML(s.Label))
	}
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// maxLinks bounds the links to nothing that Resolve follows, as the kernel does.
const maxLinks = 40

// Resolve follows the links in a path as far as it exists, and beyond that where
// a link leads to what does not exist yet.
func Resolve(path string) string {
	for range maxLinks {
		next, more := follow(path)
		if path = next; !more {
			break
		}
	}
	return path
}

// follow follows the links in a path as far as it exists. more says that what it
// returns begins with the target of a link to nothing.
func follow(path string) (next string, more bool) {
	parent := path
	for parent != filepath.Dir(parent) {
		if _, err := os.Lstat(parent); err == nil {
			break
		}
		parent = filepath.Dir(parent)
	}
	rest, err := filepath.Rel(parent, path)
	if err != nil {
		return path, false
	}
	if real, err := filepath.EvalSymlinks(parent); err == nil {
		return filepath.Join(real, rest), false
	}
	target, err := os.Readlink(parent)
	if err != nil {
		return path, false // what cannot be looked at holds no source either
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(Resolve(filepath.Dir(parent)), target)
	}
	return filepath.Join(target, rest), true
}
