package history

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"keepsake/crypto"
	"keepsake/store/tree"
)

// Name is a name that a directory ever held.
type Name struct {
	Name        string
	First, Last int32     // the states of the directory in which it appeared and was last found changed
	Type        tree.Type // when it appeared
	Changed     bool      // it stood for different things over time
	Access      Access    // of directories

	content content // when it was met last
}

// Names are all names that a directory ever held. It does not change.
type Names struct {
	Dirs   []Name // names that stood for a directory, in ascending order
	Files  []Name // names that stood for anything else; a name may be in both
	Damage error  // the first that was met

	looked int // at so many states
	met    memory
}

// Cost says how much memory n takes, in units of about 100 bytes.
func (n *Names) Cost() int { return 1 + len(n.Dirs) + len(n.Files) + len(n.met)/2 }

// Dir and File return a name as a directory or as anything else, or nil.
func (n *Names) Dir(name string) *Name { return find(n.Dirs, name) }

// File is described with Dir.
func (n *Names) File(name string) *Name { return find(n.Files, name) }

func find(sorted []Name, name string) *Name {
	i, ok := slices.BinarySearchFunc(sorted, name, func(n Name, name string) int { return strings.Compare(n.Name, name) })
	if !ok {
		return nil
	}
	return &sorted[i]
}

// maxDamaged is how many damaged pages of one state are passed over before the
// rest of that state is given up.
const maxDamaged = 16

// Grow returns n with the names of the states that have come since. bits are
// the permissions of a directory that count for Access. n must not be used to
// grow again.
func (n *Names) Grow(ctx context.Context, from pages, states []State, bits func(*tree.Node) uint32) (*Names, error) {
	if n.looked >= len(states) {
		return n, nil
	}
	g := grower{
		reader: reader{from: from}, bits: bits, met: n.met, damage: n.Damage,
		dirs: part{old: n.Dirs}, files: part{old: n.Files},
	}
	for i := n.looked; i < len(states); i++ {
		if err := g.state(ctx, i, states[i].Pages); err != nil {
			// The pages that were met are not in n yet.
			n.met = nil
			return nil, err
		}
	}
	return &Names{Dirs: g.dirs.merged(), Files: g.files.merged(), Damage: g.damage, looked: len(states), met: g.met}, nil
}

// grower adds states to names.
type grower struct {
	reader
	bits    func(*tree.Node) uint32
	met     memory
	damage  error
	dirs    part
	files   part
	scratch []byte
}

// state adds one state. Where a page is damaged the walk begins anew without it.
func (g *grower) state(ctx context.Context, i int, root crypto.ChunkID) error {
	damaged := map[crypto.ChunkID]bool{}
	for {
		g.begin()
		err := tree.VisitPages(ctx, g.fetch, root, func(id crypto.ChunkID) bool {
			// The root differs in each state.
			return !damaged[id] && (id == root || g.enter(&g.met, id))
		}, func(nodes []tree.Node) error {
			for j := range nodes {
				g.node(i, &nodes[j])
			}
			return nil
		})
		switch {
		case err == nil:
			return nil
		case !g.lasting(ctx, err):
			return err
		}
		g.damage = cmp.Or(g.damage, err)
		damaged[g.last] = true
		if len(damaged) > maxDamaged {
			return nil
		}
		g.met.forget(g.entered)
	}
}

func (g *grower) node(state int, n *tree.Node) {
	var c content
	c, g.scratch = contentOf(n, g.scratch)
	p := &g.files
	if n.Type == tree.Dir {
		p = &g.dirs
	}
	name, fresh := p.name(n.Name)
	if fresh {
		name.First, name.Last, name.Type, name.content = int32(state), int32(state), n.Type, c
	} else if name.content != c {
		name.Last, name.Changed, name.content = int32(state), true, c
	}
	if n.Type == tree.Dir {
		name.Access.Add(n.UID, n.GID, g.bits(n))
	}
}

// part is a sorted list that names are added to. The old list stays as it is.
type part struct {
	old    []Name
	copied bool
	more   []Name
	index  map[string]int32 // into more
}

// name returns a name to be changed, and whether it is new.
func (p *part) name(b []byte) (n *Name, fresh bool) {
	i, ok := slices.BinarySearchFunc(p.old, b, func(n Name, b []byte) int { return strings.Compare(n.Name, string(b)) })
	if ok {
		if !p.copied {
			p.old, p.copied = slices.Clone(p.old), true
		}
		return &p.old[i], false
	}
	if i, ok := p.index[string(b)]; ok {
		return &p.more[i], false
	}
	if p.index == nil {
		p.index = map[string]int32{}
	}
	name := string(b)
	p.index[name] = int32(len(p.more))
	p.more = append(p.more, Name{Name: name})
	return &p.more[len(p.more)-1], true
}

// merged returns all names in order.
func (p *part) merged() []Name {
	if len(p.more) == 0 {
		return p.old
	}
	byName := func(a, b Name) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(p.more, byName) // nearly sorted as a rule
	if len(p.old) == 0 {
		return slices.Clip(p.more)
	}
	all := make([]Name, 0, len(p.old)+len(p.more))
	old, more := p.old, p.more
	for len(old) > 0 && len(more) > 0 {
		if byName(old[0], more[0]) < 0 {
			all, old = append(all, old[0]), old[1:]
		} else {
			all, more = append(all, more[0]), more[1:]
		}
	}
	return append(append(all, old...), more...)
}
