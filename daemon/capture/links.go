package capture

import (
	"slices"
	"strings"
	"sync"
	"time"

	"keepsake/store/tree"
)

// The bounds of the table of multiply linked files: about 25 MB at worst. What
// does not fit is in doubt whenever it is seen to have changed.
const (
	maxLinked = 64 << 10  // inodes
	maxPlaces = 128 << 10 // directories that hold their names, counted for each inode
)

// Links knows which directories hold the names of each multiply linked file.
// inotify tells of a change in the directory whose name it went through; the
// nodes of the other names are as old as before, and wrong.
//
// Runs that are given it keep it: a scan makes it anew, a run by events
// updates it for each directory that it lists. An inode with more links than
// the source has names of it is in doubt until a scan has found no further
// one: then the others are outside the source, and stay accepted until there
// are more of them. The zero Links is ready. It belongs to one source.
type Links struct {
	mu      sync.Mutex
	known   linkTable
	scanned bool      // a scan has filled the table
	run     uint32    // number of the pass
	began   time.Time // of the run whose listings are the oldest that events count from
	bounds  [2]int    // of inodes and places; zero means the defaults. Tests set it
}

// linkTable is what Links knows.
type linkTable struct {
	inodes map[identity]*linked
	dirs   map[string][]identity // by directory: what it holds names of
	places int
}

// linked is an inode with several names.
type linked struct {
	ctime   tree.Time
	born    tree.Time
	links   uint32
	outside uint32 // links that no scan found a name of, and that are accepted
	// missing is how many the last scan found no name of while the inode was
	// changing.
	missing uint32
	places  []linkPlace
}

// linkPlace is a directory that holds names of an inode.
type linkPlace struct {
	dir   string
	names uint32
	run   uint32 // in which it was listed last
}

func newLinkTable() linkTable {
	return linkTable{inodes: map[identity]*linked{}, dirs: map[string][]identity{}}
}

func (l *linked) names() (n uint32) {
	for _, p := range l.places {
		n += p.names
	}
	return n
}

// doubtful reports whether there are more names than are known or accepted.
func (l *linked) doubtful() bool { return l.links > l.names()+l.outside }

// place returns where an inode's names in a directory are noted, or nil.
func (l *linked) place(dir string) *linkPlace {
	for i := range l.places {
		if l.places[i].dir == dir {
			return &l.places[i]
		}
	}
	return nil
}

// Spread returns the further directories that hold names of the multiply linked
// files in some directories, sorted: what was written through one name changed
// under all. unknown says that no scan has filled the table yet. Whether there are
// further names is for the run to find out, which sees what really changed: most
// directories are dirty for another reason. Runs ask it themselves.
func (l *Links) Spread(dirs []string) (more []string, unknown bool) {
	return l.spread(NewDirty(dirs, nil))
}

func (l *Links) spread(d *Dirty) (more []string, unknown bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.scanned {
		return nil, true
	}
	found := map[string]bool{}
	from := func(dir string) {
		for _, id := range l.known.dirs[dir] {
			for _, p := range l.known.inodes[id].places {
				if d.about(p.dir) != relist {
					found[p.dir] = true
				}
			}
		}
	}
	if len(d.subtrees) == 0 {
		for dir := range d.dirs {
			from(dir)
		}
	} else {
		for dir := range l.known.dirs {
			if d.about(dir) == relist {
				from(dir)
			}
		}
	}
	for dir := range found {
		more = append(more, dir)
	}
	slices.Sort(more)
	return more, unknown
}

// drop forgets a directory's names, and returns the inodes that it had names of.
func (t *linkTable) drop(dir string) []identity {
	had := t.dirs[dir]
	for _, id := range had {
		inode := t.inodes[id]
		n := len(inode.places)
		inode.places = slices.DeleteFunc(inode.places, func(p linkPlace) bool { return p.dir == dir })
		t.places -= n - len(inode.places)
		if len(inode.places) == 0 {
			delete(t.inodes, id)
		}
	}
	delete(t.dirs, dir)
	return had
}

// put notes names of an inode in a directory; false if there is no room.
func (t *linkTable) put(id identity, dir string, names, run uint32, bounds [2]int) (*linked, bool) {
	inode := t.inodes[id]
	if inode != nil {
		if p := inode.place(dir); p != nil {
			p.names, p.run = names, run
			return inode, true
		}
	}
	if t.places >= bounds[1] || inode == nil && len(t.inodes) >= bounds[0] {
		return inode, false
	}
	if inode == nil {
		inode = &linked{}
		t.inodes[id] = inode
	}
	if held := t.dirs[dir]; held == nil {
		dir = strings.Clone(dir) // shared by all its places
	} else {
		dir = t.inodes[held[0]].place(dir).dir
	}
	inode.places = append(inode.places, linkPlace{dir, names, run})
	t.dirs[dir] = append(t.dirs[dir], id)
	t.places++
	return inode, true
}
