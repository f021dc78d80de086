package fusefs

import (
	lru "container/list"
	"slices"
	"strings"
	"sync"

	"keepsake/store/tree"
)

const (
	// runLength is how many entries a run has at most.
	runLength = 256
	// maxRunNodes bounds the nodes in all runs together. A node takes about
	// 1 KiB, its share of the page that it was decoded from included.
	maxRunNodes = 8192
)

// run is a piece of a directory's listing: entries that follow each other.
type run struct {
	dir         *dir
	nodes       []*tree.Node
	first, last bool // no entries come before it, none after it
}

// find returns the node of a name, and whether the run knows that it is or is
// not there.
func (r *run) find(name string) (*tree.Node, bool) {
	i, found := slices.BinarySearchFunc(r.nodes, name, func(n *tree.Node, name string) int {
		return strings.Compare(string(n.Name), name)
	})
	if found {
		return r.nodes[i], true
	}
	return nil, (i > 0 || r.first) && (i < len(r.nodes) || r.last)
}

// runs keeps the runs that were used last, so that files which were listed, or
// lie beside one that was looked up, are opened without decoding a page again.
type runs struct {
	mu    sync.Mutex
	byDir map[*dir][]*lru.Element
	order *lru.List // of *run, the last used first
	nodes int
}

func newRuns() *runs { return &runs{byDir: map[*dir][]*lru.Element{}, order: lru.New()} }

// find returns the node of a name in d. If no run knows, known is false; if it
// is not there, the node is nil.
func (r *runs) find(d *dir, name string) (n *tree.Node, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.byDir[d] {
		if n, known := e.Value.(*run).find(name); known {
			r.order.MoveToFront(e)
			return n, true
		}
	}
	return nil, false
}

// add keeps a run, unless its entries are kept already.
func (r *runs) add(add *run) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.byDir[add.dir] {
		old := e.Value.(*run)
		if len(old.nodes) == len(add.nodes) && (len(old.nodes) == 0 || string(old.nodes[0].Name) == string(add.nodes[0].Name)) {
			r.order.MoveToFront(e)
			return
		}
	}
	r.byDir[add.dir] = append(r.byDir[add.dir], r.order.PushFront(add))
	r.nodes += add.cost()
	for r.nodes > maxRunNodes {
		r.remove(r.order.Back())
	}
}

// cost counts the run itself too, or empty directories would cost nothing.
func (r *run) cost() int { return 1 + len(r.nodes) }

func (r *runs) remove(e *lru.Element) {
	old := r.order.Remove(e).(*run)
	r.nodes -= old.cost()
	rest := slices.DeleteFunc(r.byDir[old.dir], func(o *lru.Element) bool { return o == e })
	if len(rest) == 0 {
		delete(r.byDir, old.dir)
	} else {
		r.byDir[old.dir] = rest
	}
}

// forget drops the runs of a directory that the kernel has forgotten.
func (r *runs) forget(d *dir) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range slices.Clone(r.byDir[d]) {
		r.remove(e)
	}
}
