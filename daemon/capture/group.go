package capture

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// A change within quietMargin before a bundle is read may still be going on: a
// write moves the times when it begins. After as long again it is tried anew.
const quietMargin = 50 * time.Millisecond

var (
	errMember = errors.New("another part of its bundle was being written")
	errWhole  = errors.New("the previous versions of all parts of its bundle are kept")
)

// group is a bundle of siblings while it is captured.
type group struct {
	rel     string // of the directory
	id      uint64
	base    string // of a database and its logs; empty for others
	members []*member
	waiting int // members whose turn has not come in the listing
}

type member struct {
	name     string
	previous *tree.Node
	out      *pending
}

func (p *pass) newGroup(rel, key string) *group {
	g := &group{rel: rel, id: p.bundleID(join(rel, strings.TrimSuffix(key, "\x00")))}
	g.base, _ = strings.CutSuffix(key, "\x00")
	if g.base == key {
		g.base = ""
	}
	return g
}

// bundleID is equal in each snapshot.
func (p *pass) bundleID(rel string) uint64 { return max(1, p.bundleIDs.Sum64([]byte(rel))) }

func (g *group) join(name string) {
	g.members = append(g.members, &member{name: name, out: &pending{done: make(chan struct{})}})
	g.waiting++
}

// member takes the turn of a name, and has the group captured at that of its
// last one. Its descriptor stays open until all are done.
func (p *pass) member(ctx context.Context, dir int, g *group, name string, previous *tree.Node) *pending {
	var m *member
	for _, m = range g.members {
		if m.name == name {
			break
		}
	}
	m.previous = previous
	if g.waiting--; g.waiting > 0 {
		return m.out
	}
	select {
	case p.walkers <- struct{}{}:
		go func() {
			defer func() { <-p.walkers }()
			g.capture(ctx, p, dir)
		}()
	default:
		g.capture(ctx, p, dir)
	}
	return m.out
}

// capture captures all members at one moment: what is found in the end is what
// was read. If there is no such moment, the previous versions of all are kept.
func (g *group) capture(ctx context.Context, p *pass, dir int) {
	defer func() {
		for _, m := range g.members {
			close(m.out.done)
		}
	}()
	overdue := g.overdue(p, dir)
	if disturbed := g.inFlux(p); disturbed != nil && !overdue {
		g.keep(p, dir, disturbed)
		return
	}
	var disturbed *member
	for attempt := range attempts {
		if attempt > 0 {
			g.forget(p)
			if err := pause(ctx, 2*quietMargin); err != nil {
				g.fail(err)
				return
			}
		}
		since := kernelTime(-quietMargin)
		read, err := g.read(ctx, p, dir)
		if err != nil {
			g.fail(err)
			return
		}
		if disturbed = g.disturbed(p, dir, read, since); disturbed == nil {
			g.take(read, 0)
			return
		}
		if attempt == attempts-1 && overdue {
			g.torn(p, read)
			return
		}
	}
	g.keep(p, dir, disturbed)
}

// read captures each member for itself.
func (g *group) read(ctx context.Context, p *pass, dir int) ([]*pending, error) {
	read := make([]*pending, len(g.members))
	for i, m := range g.members {
		p.grouped.add(join(g.rel, m.name))
		defer p.grouped.remove(join(g.rel, m.name))
		read[i] = p.entry(ctx, dir, g.rel, m.name, m.previous)
	}
	var err error
	for _, e := range read { // all of them: they use the descriptor
		if e.wait(); e.err != nil {
			err = e.err
		}
	}
	return read, err
}

// disturbed returns a member that is not what was read of it, or may not have
// been all the while.
func (g *group) disturbed(p *pass, dir int, read []*pending, since tree.Time) *member {
	same := true
	for i, m := range g.members {
		same = same && read[i].node != nil && read[i].node == m.previous
	}
	if same {
		return nil // all as before, and known
	}
	for i, m := range g.members {
		if m.shared() {
			continue
		}
		if !p.still(dir, m.name, join(g.rel, m.name), read[i], since) {
			return m
		}
	}
	if g.base == "" {
		return nil
	}
	for _, suffix := range [...]string{suffixWAL, suffixJournal} {
		if g.named(g.base+suffix) == nil {
			if _, err := statAt(dir, g.base+suffix); err == nil {
				return &member{name: g.base + suffix} // a log that came meanwhile
			}
		}
	}
	return nil
}

// shared reports whether a member is the memory that the users of a database
// share. It is written through maps all the time, and made anew by who opens a
// copy: whatever was read of it will do.
func (m *member) shared() bool { return strings.HasSuffix(m.name, suffixShared) }

func (g *group) named(name string) *member {
	for _, m := range g.members {
		if m.name == name {
			return m
		}
	}
	return nil
}

// still reports whether what stands under a name is what was read, and rested.
func (p *pass) still(dir int, name, rel string, e *pending, since tree.Time) bool {
	s, err := statNow(dir, name)
	if e.node == nil { // gone, or unreadable, or waiting itself
		return e.gone == (err != nil) && !p.missed.inFlux(rel)
	}
	if err != nil {
		return false
	}
	if e.node.Flags&(tree.KeptPrevious|tree.Torn) != 0 {
		return !p.missed.inFlux(rel) // else it cannot be read, or was not reached yet
	}
	fs, err := p.filesystems.of(s.device, dir)
	if err != nil {
		return false
	}
	if s.typ == tree.Dir {
		fd, err := openAt(dir, name, true)
		if err != nil {
			return false
		}
		return p.quietBelow(fd, rel, since) == ""
	}
	n := *e.node
	n.Flags = 0
	return p.unchanged(s, fs, &n) && rested(s, fs, since)
}

// rested reports whether something last changed before a moment.
func rested(s stat, fs mounted, since tree.Time) bool {
	return lastChange(s, fs).Compare(since) < 0
}

// inFlux returns a member that is known to be changing.
func (g *group) inFlux(p *pass) *member {
	for _, m := range g.members {
		if rel := join(g.rel, m.name); !m.shared() && (p.options.InFlux[rel] || p.fluxBundles[rel]) {
			return m
		}
	}
	return nil
}

// overdue reports whether a member has been waiting for too long.
func (g *group) overdue(p *pass, dir int) bool {
	for _, m := range g.members {
		s, err := statAt(dir, m.name)
		if err != nil || m.shared() {
			continue
		}
		fs, err := p.filesystems.of(s.device, dir)
		if err == nil && !p.unchanged(s, fs, m.previous) && p.overdue(s, m.previous) {
			return true
		}
	}
	return false
}

func (g *group) fail(err error) {
	for _, m := range g.members {
		m.out.err = err
	}
}

// take takes over what was read.
func (g *group) take(read []*pending, flags tree.Flags) {
	for i, m := range g.members {
		n := read[i].node
		if n != nil && (n.Bundle != g.id || n.Flags|flags != n.Flags) {
			c := *n
			c.Bundle = g.id
			c.Flags |= flags
			n = &c
		}
		m.out.node, m.out.gone = n, read[i].gone
	}
}

// torn takes over what was read though it is of no one moment.
func (g *group) torn(p *pass, read []*pending) {
	g.forget(p)
	g.take(read, tree.Torn)
	for _, m := range g.members {
		if m.out.node != nil && !m.shared() {
			p.miss(join(g.rel, m.name), tree.ReasonFlux, errMember)
		}
	}
}

// keep lets the previous versions of all members stand in for the present
// ones. What has none waits for the next run.
func (g *group) keep(p *pass, dir int, disturbed *member) {
	g.forget(p)
	for _, m := range g.members {
		rel := join(g.rel, m.name)
		s, err := statAt(dir, m.name)
		if err == nil && m.previous != nil {
			if fs, err := p.filesystems.of(s.device, dir); err == nil && s.typ != tree.Dir && p.unchanged(s, fs, m.previous) {
				m.out.node = m.previous
				p.progress.taken(m.previous)
				continue // the previous version is the present one
			}
		}
		if err != nil && m.previous == nil {
			m.out.gone = true
			continue
		}
		m.out.node = kept(m.previous)
		switch {
		case m.name != disturbed.name:
			p.miss(rel, tree.ReasonBundle, errMember)
		case m.previous != nil:
			p.miss(rel, tree.ReasonKept, errWhole)
		default:
			p.miss(rel, tree.ReasonFlux, errFlux)
		}
	}
}

// forget takes back what an attempt that came to nothing found missed.
func (g *group) forget(p *pass) {
	for _, m := range g.members {
		p.missed.forget(join(g.rel, m.name))
	}
}

// logged reports whether a database that has no logs in the listing has one
// now: what was read may be half of a change, and the log the other half.
func logged(dir int, name string) bool {
	for _, suffix := range [...]string{suffixWAL, suffixJournal} {
		if _, err := statAt(dir, name+suffix); err == nil {
			return true
		}
	}
	return false
}

// paths is a set of paths that several goroutines use.
type paths struct {
	mu  sync.Mutex
	all map[string]bool
}

func (s *paths) add(rel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]bool{}
	}
	s.all[rel] = true
}

func (s *paths) remove(rel string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, rel)
}

func (s *paths) has(rel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[rel]
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// kernelTime is what a file that is written now would be stamped with at the
// least, moved by d. Options.Now says nothing about that.
func kernelTime(d time.Duration) tree.Time {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME_COARSE, &ts); err != nil {
		return tree.TimeOf(time.Now().Add(d - quietMargin))
	}
	return tree.TimeOf(time.Unix(ts.Unix()).Add(d))
}
