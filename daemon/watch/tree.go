package watch

import (
	"errors"
	"strings"
	"syscall"
	"time"
)

// instant is a reading of the monotonic clock since the loop began.
type instant = time.Duration

// ident tells directories apart while they exist.
type ident struct{ dev, ino uint64 }

// signature is what must stay the same for a file to be quiet.
type signature struct {
	ino                 uint64
	size                int64
	mtimeSec, mtimeNsec int64
	ctimeSec, ctimeNsec int64
	directory, regular  bool
}

// flux is a file that has not rested yet.
type flux struct {
	sig     signature
	since   instant // when sig was taken
	sampled bool    // no event since sig was taken
}

// unwatched says why a directory has no watch.
type unwatched uint8

const (
	watchable    unwatched = iota
	atLimit                // the kernel's or the simulated limit
	noPermission           // cannot be read either; a chmod is seen by its parent
	notPossible            // bind-mounted twice, path too long, I/O error
)

// dir is a known directory. Fields other than name and parent belong to the
// goroutine that runs the loop, as everything does that hangs on it.
type dir struct {
	name     string // empty for the root
	parent   *dir   // nil for the root
	children map[string]*dir
	id       ident
	watched  bool
	remote   bool // on a file system that others may change unheard
	gone     bool // dropped from the tree; a queue may still hold it
	queued   bool // waits to be watched and read
	fresh    bool // its files are in flux when it is read
	deferred bool // its files could not be tracked for want of room
	dirty    bool
	first    instant // when it became dirty
	last     instant // last event
	flux     map[string]flux
}

// rel is the path of d relative to the root.
func (d *dir) rel() string {
	if d.parent == nil {
		return "."
	}
	var names []string
	for ; d.parent != nil; d = d.parent {
		names = append(names, d.name)
	}
	var b strings.Builder
	for i := len(names) - 1; i >= 0; i-- {
		b.WriteString(names[i])
		if i > 0 {
			b.WriteByte('/')
		}
	}
	return b.String()
}

// find returns the directory at rel, or nil and the deepest known one on the
// way to it.
func (d *dir) find(rel string) (found, nearest *dir) {
	if rel == "." || rel == "" {
		return d, d
	}
	for rest := rel; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		child := d.children[name]
		if child == nil {
			return nil, d
		}
		d = child
	}
	return d, d
}

func (d *dir) child(name string) *dir {
	c := &dir{name: name, parent: d}
	if d.children == nil {
		d.children = make(map[string]*dir)
	}
	d.children[name] = c
	return c
}

// join appends a name to a relative path.
func join(rel, name string) string {
	if rel == "." {
		return name
	}
	return rel + "/" + name
}

// absolute returns the path of rel below root.
func absolute(root, rel string) string {
	if rel == "." {
		return root
	}
	if root == "/" {
		return "/" + rel
	}
	return root + "/" + rel
}

// relative returns the path of an event's name below root.
func relative(root, name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, root)
	switch {
	case !ok:
		return "", false
	case rest == "":
		return ".", true
	case root != "/" && rest[0] != '/':
		return "", false
	}
	return strings.TrimLeft(rest, "/"), true
}

// look is lstat. A path that does not exist is neither directory nor regular, and
// no error.
func look(path string) (ident, signature, error) {
	var st syscall.Stat_t
	err := syscall.Lstat(path, &st)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Lstat(path, &st)
	}
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ENOTDIR) {
		return ident{}, signature{}, nil
	}
	if err != nil {
		return ident{}, signature{}, err
	}
	return ident{uint64(st.Dev), uint64(st.Ino)}, signature{
		ino:       uint64(st.Ino),
		size:      int64(st.Size),
		mtimeSec:  int64(st.Mtim.Sec),
		mtimeNsec: int64(st.Mtim.Nsec),
		ctimeSec:  int64(st.Ctim.Sec),
		ctimeNsec: int64(st.Ctim.Nsec),
		directory: st.Mode&syscall.S_IFMT == syscall.S_IFDIR,
		regular:   st.Mode&syscall.S_IFMT == syscall.S_IFREG,
	}, nil
}
