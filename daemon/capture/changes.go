package capture

import (
	"slices"
	"strings"

	"keepsake/daemon/guard"
	"keepsake/store/tree"
)

// changes counts what came and went in one directory, for the guards.
type changes struct {
	names   []string // as listed; nil if they were taken over
	thinned bool     // names that were there before are left out on purpose

	count   guard.Observation
	singly  uint64 // files deleted from it
	strange uint64 // new files with extensions that nobody knows
}

func (c *changes) listed(names []string, thinned bool) { c.names, c.thinned = names, thinned }

// entry counts what was captured under a name beside what was there before.
func (c *changes) entry(e *pending, previous *tree.Node) {
	n := e.node
	switch {
	case e.err != nil || n == previous:
	case n == nil && e.gone:
		c.deleted(previous)
	case n == nil:
		c.leftOut(previous)
	case previous == nil:
		c.created(n)
	case n.Type != previous.Type:
		c.deleted(previous)
		c.created(n)
	case n.SHA256 != nil && previous.SHA256 != nil && *n.SHA256 != *previous.SHA256:
		c.count.Modified++
	}
}

// missing counts an entry that is not among the names any more.
func (c *changes) missing(previous *tree.Node) {
	if c.thinned {
		c.leftOut(previous)
		return
	}
	c.deleted(previous)
}

func (c *changes) created(n *tree.Node) {
	if n.Type != tree.File {
		return // what lies in a directory is counted there
	}
	name := string(n.Name)
	c.count.New++
	if !guard.Known(guard.Extension(name)) {
		c.strange++
	}
	if guard.Wrapped(name) {
		c.count.Wrapped++
	}
}

func (c *changes) deleted(n *tree.Node) {
	switch n.Type {
	case tree.Dir:
		c.count.Deleted += n.Below.Files
		c.count.DeletedWhole += n.Below.Files
	case tree.File:
		c.count.Deleted++
		c.singly++
		if name := string(n.Name); guard.Distinct(name) {
			c.count.DeletedMedia++
			if c.succeeded(name) {
				c.count.Renamed++
			}
		}
	}
}

func (c *changes) leftOut(n *tree.Node) {
	switch n.Type {
	case tree.Dir:
		c.count.LeftOut.Files += n.Below.Files
		c.count.LeftOut.Bytes += n.Below.Bytes
	case tree.File:
		c.count.LeftOut.Files++
		c.count.LeftOut.Bytes += n.Size
	}
}

// succeeded reports whether the directory has a file with the name of one that
// is gone and a further, or another, extension that nobody knows. It need not
// be new: who copies and then deletes may be seen in between.
func (c *changes) succeeded(name string) bool {
	stem := strings.TrimSuffix(name, name[strings.LastIndexByte(name, '.')+1:])
	at, _ := slices.BinarySearch(c.names, stem)
	for _, next := range c.names[at:] {
		if !strings.HasPrefix(next, stem) {
			return false
		}
		if !guard.Known(guard.Extension(next)) {
			return true
		}
	}
	return false
}

// sum adds what was counted to a run's.
func (c *changes) sum(o *guard.Observation) {
	// Names may be random, and then only the numbers show what became of what.
	c.count.Renamed = max(c.count.Renamed, min(c.count.DeletedMedia, c.strange))
	if c.singly > c.count.New {
		c.count.DeletedIn = 1
	}
	o.Add(c.count)
}
