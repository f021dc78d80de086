package capture

import (
	"slices"
	"sync"
	"time"

	"keepsake/store/tree"
)

// WhyLinks: there are names of a multiply linked file that events did not tell.
const WhyLinks = "links"

// linkPasses bounds how often a run looks at further directories before it
// looks at everything: links that people make while it runs lead it on.
const linkPasses = 3

// linkRun updates the table of multiply linked files while one run goes on, and
// says what the run has to look at besides. A nil one does nothing.
type linkRun struct {
	links *Links
	began time.Time

	mu      sync.Mutex
	scan    bool
	table   *linkTable                        // the known one, or in a scan a new one
	run     uint32                            // number of the pass
	first   uint32                            // and of the run's first one
	listing map[string]map[identity]*linkSeen // directories being listed
	touched map[identity]bool                 // inodes that a name came to, or left, or that changed
	unknown bool                              // something changed for which the table has no room
}

// linkSeen is an inode with several names, as one directory shows it.
type linkSeen struct {
	stat    stat
	names   uint32
	changed bool // since the previous snapshot
}

// newRun begins a run. Its clock is the system's, whatever Options.Now says: it
// is compared with times that the kernel stamps.
func (l *Links) newRun() *linkRun {
	if l == nil {
		return nil
	}
	return &linkRun{links: l, began: time.Now(), touched: map[identity]bool{}}
}

// pass begins a pass of the run; a scan lists every directory.
func (r *linkRun) pass(scan bool) {
	if r == nil {
		return
	}
	l := r.links
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known.inodes == nil {
		l.known = newLinkTable()
	}
	if l.bounds == ([2]int{}) {
		l.bounds = [2]int{maxLinked, maxPlaces}
	}
	l.run++
	r.scan, r.run, r.unknown, r.listing = scan, l.run, false, map[string]map[identity]*linkSeen{}
	if r.first == 0 {
		r.first = l.run
	}
	r.table = &l.known
	if scan {
		fresh := newLinkTable()
		r.table, r.touched = &fresh, map[identity]bool{}
	}
}

// see notes a name. What was not written since the previous snapshot is said to
// be the same.
func (r *linkRun) see(rel string, s stat, same bool) {
	if r == nil || s.links < 2 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	dir := parent(rel)
	if r.listing[dir] == nil {
		r.listing[dir] = map[identity]*linkSeen{}
	}
	if e := r.listing[dir][s.identity()]; e != nil {
		e.names++
		return
	}
	r.listing[dir][s.identity()] = &linkSeen{stat: s, names: 1, changed: !same}
}

// listed ends a directory: whole if all of its names were seen.
func (r *linkRun) listed(dir string, whole bool) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	found := r.listing[dir]
	delete(r.listing, dir)
	if !whole {
		return
	}
	r.links.mu.Lock()
	defer r.links.mu.Unlock()
	for _, id := range r.table.dirs[dir] {
		if found[id] == nil {
			r.touched[id] = true // a name went
		}
	}
	before := map[identity]linked{}
	for _, id := range r.table.dirs[dir] {
		before[id] = *r.table.inodes[id] // outlives the drop of its last place
	}
	r.table.drop(dir)
	for id, e := range found {
		inode, ok := r.table.put(id, dir, e.names, r.run, r.links.bounds)
		if !ok {
			r.unknown = r.unknown || e.changed
		}
		if inode == nil {
			continue
		}
		old, had := before[id]
		if had && inode.links == 0 {
			inode.ctime, inode.links, inode.outside, inode.missing = old.ctime, old.links, old.outside, old.missing
		}
		if !had || inode.ctime != e.stat.ctime || inode.links != e.stat.links {
			r.touched[id] = true
		}
		inode.ctime, inode.born, inode.links = e.stat.ctime, e.stat.btime, e.stat.links
	}
}

// finish ends a pass that was limited to what is dirty. It returns directories
// that hold other names of what changed and were not looked at; unknown says
// that a scan has to find them.
func (r *linkRun) finish(d *Dirty) (more []string, unknown bool) {
	if r == nil {
		return nil, false
	}
	l := r.links
	l.mu.Lock()
	defer l.mu.Unlock()
	var gone []string
	for dir := range l.known.dirs { // those in doubt were listed, or are no more
		if d.about(dir) == relist && l.known.inodes[l.known.dirs[dir][0]].place(dir).run != r.run {
			gone = append(gone, dir)
		}
	}
	for _, dir := range gone {
		for _, id := range l.known.drop(dir) {
			r.touched[id] = true
		}
	}
	found := map[string]bool{}
	for id := range r.touched {
		inode := l.known.inodes[id]
		if inode == nil {
			continue
		}
		current := true
		for _, p := range inode.places {
			if p.run < r.first {
				found[p.dir], current = true, false
			}
		}
		if !current {
			continue
		}
		if inode.doubtful() && !bornSince(inode.born, l.began) {
			unknown = true
			continue
		}
		inode.outside = inode.links - min(inode.links, inode.names())
	}
	for dir := range found {
		more = append(more, dir)
	}
	slices.Sort(more)
	return more, unknown || r.unknown
}

// bornSince reports whether an inode is younger than the events that a run
// knows: then each of its names in the source has an event of its own.
func bornSince(born tree.Time, began time.Time) bool {
	return !born.IsZero() && !began.IsZero() && born.Time().After(began) && !born.Time().After(time.Now())
}

// scanned ends a scan. Links that it found no name of are outside the source,
// unless the inode was changing meanwhile: a name may have come to a directory
// that was listed before. One that two scans found no name of is outside.
func (r *linkRun) scanned() {
	if r == nil {
		return
	}
	l := r.links
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, inode := range r.table.inodes {
		names := inode.names()
		if inode.links <= names {
			continue
		}
		missing := inode.links - names
		old := l.known.inodes[id]
		if inode.ctime.Time().Before(r.began.Add(-racyWindow)) || old != nil && old.links == inode.links && max(old.missing, old.outside) == missing {
			inode.outside = missing
		}
		inode.missing = missing
	}
	l.known, l.scanned = *r.table, true
}

// published notes from when on events tell of every new name.
func (r *linkRun) published() {
	if r == nil {
		return
	}
	r.links.mu.Lock()
	defer r.links.mu.Unlock()
	r.links.began = r.began
}
