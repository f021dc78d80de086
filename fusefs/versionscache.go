package fusefs

import (
	lru "container/list"
	"context"
	"crypto/sha256"
	iofs "io/fs"
	"strings"
	"sync"
	"time"
	"weak"

	"keepsake/fusefs/catalogue"
	"keepsake/store/history"
	"keepsake/store/tree"
)

const (
	// maxPastCost bounds what is known of merged directories together, in units
	// of about 100 bytes: names, states, versions. The one used last is kept
	// whatever its size.
	maxPastCost = 400_000
	// damageAge is how long a directory is taken for damaged before its pages
	// are tried again.
	damageAge = time.Minute
)

// place names a merged directory.
type place struct {
	source [16]byte
	path   string // from the source's root, which has none
}

// split returns the place above and the name in it. p is not a source's root.
func (p place) split() (place, string) {
	i := strings.LastIndexByte(p.path, '/')
	return place{p.source, p.path[:max(i, 0)]}, p.path[i+1:]
}

func (p place) child(name string) place {
	if p.path != "" {
		name = p.path + "/" + name
	}
	return place{p.source, name}
}

// moment says which snapshots something is known of: the first count of a line.
// A line is a list of one source's snapshots to which some were only added; one
// that was forgotten begins another line.
type moment struct {
	line  uint64
	count int
}

// known is what is known of a merged directory at one moment. It never changes.
type known struct {
	at       moment
	series   uint64            // of states, which are those of before and more as long as this is the same
	states   []history.State   // of the directory that it was
	versions []history.Version // of what else it was
	names    *history.Names    // that were in it; nil if nobody has asked
	who      who
	way      error     // damage on the way to it, and so to all below; the first
	damage   error     // that may hide something in it: way, or in its own names
	tried    time.Time // when that was met
}

// who is what is said of a merged directory: who may enter it, and when it was
// last found changed.
type who struct {
	uid, gid, mode uint32
	when           tree.Time
	flat           bool // it was never a directory
}

// covers reports whether k says all that is asked for.
func (k *known) covers(at moment, names bool) bool {
	return k != nil && k.at.line == at.line && k.at.count >= at.count && (k.names != nil || !names)
}

// pasts keeps what is known of merged directories.
type pasts struct {
	mu    sync.Mutex
	limit int
	byKey map[place]*lru.Element
	order *lru.List // of *past, the last used first
	cost  int
	lines map[[16]byte]*line
	begun uint64 // lines and series
}

func newPasts() *pasts {
	return &pasts{limit: maxPastCost, byKey: map[place]*lru.Element{}, order: lru.New(), lines: map[[16]byte]*line{}}
}

// line is the snapshots of one source. They are named by a digest of their ids:
// to hold them would hold an old catalogue.
type line struct {
	source weak.Pointer[catalogue.Source]
	digest [sha256.Size]byte
	moment
}

// past is one merged directory in the cache. busy is held by who reads for it,
// so that others who want the same wait. Nobody holds two.
type past struct {
	key  place
	busy sync.Mutex

	// Guarded by busy.
	line   uint64
	series uint64    // of what is below
	above  uint64    // the series of the directory above
	tried  time.Time // when this one was begun
	past   *history.Past
	names  *history.Names
	access history.Access // of a source's root

	// Guarded by pasts.mu.
	now  *known
	cost int
}

// moment returns a source as the lists show it now and the moment that it is
// of, or nil if there is none.
func (v *view) moment(id [16]byte) (*catalogue.Source, moment) {
	p := v.pasts
	p.mu.Lock()
	defer p.mu.Unlock()
	// Read in here, so that no request goes back behind another.
	v.lists.mu.Lock()
	src := v.lists.now.ByID(id)
	v.lists.mu.Unlock()
	if src == nil {
		delete(p.lines, id)
		return nil, moment{}
	}
	l := p.lines[id]
	if l != nil && l.source.Value() == src {
		return src, l.moment
	}
	next := &line{source: weak.Make(src), moment: moment{count: len(src.Snapshots)}}
	h := sha256.New()
	continued := false
	for i, s := range src.Snapshots {
		if l != nil && i == l.count {
			continued = [sha256.Size]byte(h.Sum(nil)) == l.digest
		}
		h.Write(s.ID[:])
	}
	next.digest = [sha256.Size]byte(h.Sum(nil))
	if l != nil && (continued || next.digest == l.digest) {
		next.line = l.line
	} else {
		next.line = p.number()
	}
	p.lines[id] = next
	return src, next.moment
}

// number returns one that was not given out before. p.mu is held.
func (p *pasts) number() uint64 {
	p.begun++
	return p.begun
}

// peek returns what is known already, or nil.
func (p *pasts) peek(key place, at moment, names bool, now time.Time) *known {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := p.get(key)
	if !k.covers(at, names) && key.path != "" {
		// Most files have never changed: all about them is known above.
		above, name := key.split()
		if up := p.get(above); up.covers(at, true) {
			k = up.unchanged(name)
		}
	}
	if !k.covers(at, names) || k.stale(now) {
		return nil
	}
	return k
}

// get returns what is known of a place. p.mu is held.
func (p *pasts) get(key place) *known {
	e := p.byKey[key]
	if e == nil {
		return nil
	}
	p.order.MoveToFront(e)
	return e.Value.(*past).now
}

// stale reports whether damage is to be looked at again.
func (k *known) stale(now time.Time) bool {
	return k.damage != nil && now.Sub(k.tried).Abs() >= damageAge
}

// unchanged returns what is known of a file that has one version, or nil if
// more must be asked.
func (k *known) unchanged(name string) *known {
	f := k.names.File(name)
	if f == nil || f.Changed || k.names.Damage != nil || k.names.Dir(name) != nil {
		return nil
	}
	return &known{
		at: k.at, versions: []history.Version{{State: k.states[f.First], Type: f.Type}}, names: &history.Names{},
		way: k.way, damage: k.way, tried: k.tried,
	}
}

// open returns the past of a place in the cache, which may be empty.
func (p *pasts) open(key place) *past {
	p.mu.Lock()
	defer p.mu.Unlock()
	e := p.byKey[key]
	if e == nil {
		e = p.order.PushFront(&past{key: key, cost: 1})
		p.byKey[key] = e
		p.cost++
	}
	p.order.MoveToFront(e)
	return e.Value.(*past)
}

// keep puts what was found out into the cache and drops what was used long ago.
func (p *pasts) keep(r *past, k *known) {
	cost := 1 + r.past.Cost()
	if r.names != nil {
		cost += r.names.Cost()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	r.now = k
	if e := p.byKey[r.key]; e == nil || e.Value.(*past) != r {
		return // dropped meanwhile
	}
	p.cost += cost - r.cost
	r.cost = cost
	for p.cost > p.limit && p.order.Len() > 1 {
		oldest := p.order.Back()
		old := p.order.Remove(oldest).(*past)
		delete(p.byKey, old.key)
		p.cost -= old.cost
	}
}

// known returns what is known of a place, its names included if they are asked
// for, having read what is missing. No such place is fs.ErrNotExist.
func (v *view) known(request context.Context, key place, names bool) (*known, *catalogue.Source, error) {
	v.catalogue(request) // so that it is young
	for {
		src, at := v.moment(key.source)
		if src == nil {
			return nil, nil, iofs.ErrNotExist
		}
		if k := v.pasts.peek(key, at, names, v.now()); k != nil {
			return k, src, nil
		}
		k, err := within(v, request, func(ctx context.Context) (*known, error) { return v.learn(ctx, key, names) })
		if err != nil {
			return nil, nil, err
		}
		// Snapshots may have been forgotten meanwhile, which happens too seldom to
		// happen again.
		if src, at = v.moment(key.source); src != nil && at.line == k.at.line {
			return k, src, nil
		}
	}
}
