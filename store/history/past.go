package history

import (
	"cmp"
	"context"
	"errors"
	"io/fs"

	"keepsake/crypto"
	"keepsake/store/tree"
)

// State is what a directory held at one time.
type State struct {
	Snapshot int // the first that had it
	Pages    crypto.ChunkID
}

// Node is as much of the directory's node as looking up its entries takes.
func (s *State) Node() *tree.Node { return &tree.Node{Type: tree.Dir, Pages: s.Pages} }

// Version is what a name stood for that was not a directory.
type Version struct {
	State // of the directory that the name is in; the first that had it
	Type  tree.Type
}

// Past is what one name stood for, oldest first. The zero Past has looked at
// nothing. It is for one goroutine, but slices that were taken from it stay as
// they are while it grows.
type Past struct {
	States   []State
	Versions []Version
	Damage   error // the first that was met

	looked   int // at so many snapshots, or states of the directory above
	contents map[content]struct{}
	met      memory
}

// Cost says how much memory p takes, in units of about 100 bytes.
func (p *Past) Cost() int { return 2 + len(p.contents) + len(p.met)/2 }

// Looked is how many snapshots, or states of the directory above, p knows of.
func (p *Past) Looked() int { return p.looked }

// AddRoot takes in the root of the next snapshot. p is the past of a source's
// root and has no other.
func (p *Past) AddRoot(root *tree.Node) {
	c, _ := contentOf(root, nil)
	p.add(root, c, State{Snapshot: p.looked})
	p.looked++
}

// Lost takes note that the root of the next snapshot cannot be read, for good
// if damage is not nil; otherwise it is no longer wanted.
func (p *Past) Lost(damage error) {
	p.Damage = cmp.Or(p.Damage, damage)
	p.looked++
}

// Skip passes over states of the directory above in which the name is not, or
// in which it is what it was.
func (p *Past) Skip(states int) { p.looked = max(p.looked, states) }

// Grow takes in the states that the directory above has got since. They are
// those of before and more; if that cannot be said, a new Past is needed.
func (p *Past) Grow(ctx context.Context, from pages, above []State, name []byte) error {
	r := reader{from: from}
	var scratch []byte
	for ; p.looked < len(above); p.looked++ {
		s := &above[p.looked]
		r.begin()
		n, err := tree.LookupNew(ctx, r.fetch, s.Pages, name, func(id crypto.ChunkID) bool { return r.enter(&p.met, id) })
		switch {
		case errors.Is(err, fs.ErrNotExist) && r.err == nil:
			continue
		case err != nil && r.lasting(ctx, err):
			p.Damage = cmp.Or(p.Damage, err)
			continue
		case err != nil:
			p.met.forget(r.entered)
			return err
		case n == nil:
			continue // as in an earlier state
		}
		var c content
		c, scratch = contentOf(n, scratch)
		p.add(n, c, *s)
	}
	return nil
}

// add takes in a node that was in a state of the directory above.
func (p *Past) add(n *tree.Node, c content, above State) {
	if _, known := p.contents[c]; known {
		return
	}
	if p.contents == nil {
		p.contents = map[content]struct{}{}
	}
	p.contents[c] = struct{}{}
	if n.Type == tree.Dir {
		p.States = append(p.States, State{above.Snapshot, n.Pages})
	} else {
		p.Versions = append(p.Versions, Version{above, n.Type})
	}
}
