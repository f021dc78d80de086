package capture

import (
	"strings"
	"sync"

	"keepsake/store/tree"
)

// Dirty says which directories of a source are in doubt. Everything else is
// taken over from the previous snapshot by reference.
type Dirty struct {
	dirs     map[string]bool // to be listed, and their files looked at
	subtrees map[string]bool // to be walked in full
	above    map[string]bool // directories on the way to one of the others

	mu       sync.RWMutex
	replaced map[string]bool // subtrees that the run itself came to doubt
}

// NewDirty makes a set of directories whose listing or files changed, and of
// subtrees in doubt as a whole; paths are relative to the source, "" its root.
func NewDirty(dirs, subtrees []string) *Dirty {
	d := &Dirty{dirs: map[string]bool{}, subtrees: map[string]bool{}, above: map[string]bool{}}
	d.add(dirs)
	for _, rel := range subtrees {
		d.subtrees[rel] = true
		d.climb(rel)
	}
	return d
}

func (d *Dirty) add(dirs []string) {
	for _, rel := range dirs {
		d.dirs[rel] = true
		d.climb(rel)
	}
}

func (d *Dirty) climb(rel string) {
	for rel != "" {
		rel = parent(rel)
		d.above[rel] = true
	}
}

// retry adds what the last run missed: it is tried again, wherever it was.
func (d *Dirty) retry(missed []tree.Missed) {
	if d == nil {
		return
	}
	for _, m := range missed {
		rel := string(m.Path)
		d.dirs[rel] = true // if it is a directory
		d.climb(rel)
		d.dirs[parent(rel)] = true
		switch m.Reason {
		case tree.ReasonKept, tree.ReasonFlux, tree.ReasonBundle:
			// If it is a bundle, events below it were told to a run that kept the
			// previous version.
			d.subtrees[rel] = true
		}
	}
}

// look adds files that have to be looked at, wherever they are.
func (d *Dirty) look(files map[string]bool) {
	if d == nil {
		return
	}
	for rel := range files {
		d.dirs[parent(rel)] = true
		d.climb(parent(rel))
	}
}

// suspect doubts a subtree whose top is not the directory that it was: nothing
// below is known by its path any more.
func (d *Dirty) suspect(rel string) {
	if d == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.replaced == nil {
		d.replaced = map[string]bool{}
	}
	d.replaced[rel] = true
}

// depth of doubt about a directory.
type doubt int

const (
	certain doubt = iota // nothing at or below it is in doubt
	passage              // only something further down is
	relist               // its own entries are
)

// about returns how much a directory is in doubt. A nil set doubts everything.
func (d *Dirty) about(rel string) doubt {
	if d == nil || d.dirs[rel] || d.within(rel) {
		return relist
	}
	if d.above[rel] {
		return passage
	}
	return certain
}

// within reports whether a directory lies in a subtree that is in doubt.
func (d *Dirty) within(rel string) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if len(d.subtrees)+len(d.replaced) == 0 {
		return false
	}
	for {
		if d.subtrees[rel] || d.replaced[rel] {
			return true
		}
		if rel == "" {
			return false
		}
		rel = parent(rel)
	}
}

func parent(rel string) string { return rel[:max(0, strings.LastIndexByte(rel, '/'))] }

// untouched reports whether a directory that is still the same one can be taken
// over by reference.
func (p *pass) untouched(rel string, previous *tree.Node) bool {
	return previous != nil && !p.doubt && previous.Below.Flagged == 0 && previous.Flags == 0 && p.options.Dirty.about(rel) == certain
}

// passes reports whether a directory is only on the way to what is in doubt,
// and its own entries are known from before. Its times are asked, too: the
// event of a new entry may be held back while that of one below is given out.
func (p *pass) passes(rel string, s stat, fs mounted, previous *tree.Node) bool {
	return !p.doubt && p.options.Dirty.about(rel) == passage && p.unchanged(s, fs, previous)
}
