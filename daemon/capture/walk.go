package capture

import (
	"context"
	"errors"
	"iter"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// ahead is how many entries of one directory may be waiting for their content
// before the walk of that directory waits for the first of them.
const ahead = 256

// pending is an entry that is being captured. A nil node after done means that
// the entry is left out.
type pending struct {
	node *tree.Node
	gone bool          // node is nil because nothing stands under the name
	err  error         // of the run, not of the entry
	done chan struct{} // nil if node is ready
	// twin is another name of the same inode, whose content this one takes
	// over under its own name.
	twin *pending
	name string
	// missed notes this name, too, if the twin's content is missed, and
	// returns what stands in for it if there is none.
	missed func() *tree.Node
}

func ready(n *tree.Node) *pending { return &pending{node: n} }

// wait waits until the entry is captured.
func (e *pending) wait() {
	if e.twin != nil {
		e.twin.wait()
		if e.err = e.twin.err; e.twin.node != nil {
			n := *e.twin.node
			n.Name = []byte(e.name)
			e.node = &n
		}
		if e.err == nil && (e.node == nil || e.node.Flags&(tree.KeptPrevious|tree.Torn|tree.SuspectRot) != 0) {
			if instead := e.missed(); e.node == nil {
				e.node = instead
			}
		}
		e.twin = nil
	}
	if e.done != nil {
		<-e.done
	}
}

// walkDirectory captures one directory, given open, and returns its node. The
// previous node may be nil. It owns and closes fd.
func (p *pass) walkDirectory(ctx context.Context, fd int, rel string, s stat, previous *tree.Node) (*tree.Node, error) {
	dir := os.NewFile(uintptr(fd), rel)
	defer dir.Close()
	fs, err := p.filesystems.of(s.device, fd)
	if err != nil {
		return p.lostDirectory(ctx, rel, s, previous, err)
	}
	if fs.virtual && rel != "" {
		return p.emptyDirectory(ctx, rel, s)
	}
	p.elsewhere(s, fs, previous)
	if p.another(s, fs, previous) {
		p.options.Dirty.suspect(rel)
	}
	through := p.passes(rel, s, fs, previous)
	var names []string
	var thinned bool // names are left out on purpose
	if !through {    // else nothing came or went in it
		if names, err = list(dir); err != nil {
			return p.lostDirectory(ctx, rel, s, previous, err)
		}
		p.progress.list()
		all := len(names)
		names = p.withoutCache(fd, rel, names)
		thinned = len(names) < all
		names = p.withLogs(ctx, names, previous)
	}
	node, err := p.describe(ctx, fd, "", s, fs, previous)
	if err != nil {
		return p.lostDirectory(ctx, rel, s, previous, err)
	}
	p.progress.directory()
	p.unnamed.compare(rel, node, previous)

	build := p.newDirectoryBuilder(ctx, rel)
	build.changes.listed(names, thinned)
	if through {
		err = p.passThrough(ctx, dir, fd, rel, previous, build)
	} else {
		err = p.entries(ctx, dir, fd, rel, names, previous, build)
	}
	p.linked.listed(rel, !through && err == nil)
	if err == nil {
		err = build.finish(node)
	}
	if err != nil {
		return nil, err
	}
	if rel == "" { // no builder looks at the root
		node = p.storable(rel, node, node)
	}
	return node, nil
}

// passThrough takes over the entries of a directory but for those that are
// themselves doubtful and the directories that lead to what is in doubt.
func (p *pass) passThrough(ctx context.Context, dir *os.File, fd int, rel string, previous *tree.Node, build *directoryBuilder) error {
	again := relisting{p: p, dir: dir, rel: rel}
	for n, err := range p.repository.Entries(ctx, previous) {
		if err != nil {
			return stored(err)
		}
		e := ready(n)
		name := string(n.Name)
		if n.Flags != 0 || n.Type == tree.Dir && !p.untouched(join(rel, name), n) {
			e = p.entry(ctx, fd, rel, name, n)
		} else {
			p.progress.taken(n)
		}
		if e.wait(); e.gone {
			e = again.settle(awaited{e, name, n}, nil)
		}
		if err := build.add(e, n); err != nil {
			return err
		}
	}
	return nil
}

// list lists a directory in byte order.
func list(dir *os.File) ([]string, error) {
	names, err := dir.Readdirnames(-1)
	slices.Sort(names)
	return names, err
}

// entries captures the names of a directory. What is known of each comes from
// the previous directory, read beside the sorted names, so that it need not be
// held.
func (p *pass) entries(ctx context.Context, dir *os.File, fd int, rel string, names []string, previous *tree.Node, build *directoryBuilder) error {
	again := relisting{p: p, dir: dir, rel: rel}
	before := p.newBeside(ctx, previous)
	before.missing = build.changes.missing
	defer before.stop()
	bundles := p.bundles(rel, names)
	var queue []awaited
	// The descriptor is in use until the last file of the directory is read.
	defer func() {
		for _, e := range begun(queue, bundles) {
			e.wait()
		}
	}()
	take := func() error {
		e := queue[0]
		queue = queue[1:]
		if e.wait(); e.gone {
			return build.add(again.settle(e, begun(queue, bundles)), e.previous)
		}
		if bundles[e.name] == nil {
			return build.add(alone(e.pending), e.previous)
		}
		return build.add(e.pending, e.previous)
	}
	for _, name := range names {
		old, err := before.entry(name)
		if err != nil {
			p.previousUnreadable(err)
		}
		g := bundles[name]
		if g != nil {
			queue = append(queue, awaited{p.member(ctx, fd, g, name, old), name, old})
		} else {
			queue = append(queue, awaited{p.entry(ctx, fd, rel, name, old), name, old})
		}
		// A bundle is captured when its last name has come.
		if first := bundles[queue[0].name]; len(queue) <= ahead || first != nil && first.waiting > 0 {
			continue
		}
		if err := take(); err != nil {
			return err
		}
	}
	for len(queue) > 0 {
		if err := take(); err != nil {
			return err
		}
	}
	if err := before.rest(); err != nil {
		p.previousUnreadable(err)
	}
	return nil
}

// begun are the entries of a queue that may be waited for: a bundle is captured
// only when all of its names have come.
func begun(queue []awaited, bundles map[string]*group) []awaited {
	if len(bundles) == 0 {
		return queue
	}
	return slices.DeleteFunc(slices.Clone(queue), func(e awaited) bool {
		g := bundles[e.name]
		return g != nil && g.waiting > 0
	})
}

// entry begins to capture one name. Directories are walked beside this one
// while a walker is free, else right here; files are read by the readers.
func (p *pass) entry(ctx context.Context, dir int, parent, name string, previous *tree.Node) *pending {
	rel := join(parent, name)
	if p.own[rel] {
		return ready(nil) // not even looked at: the mount is served by this process
	}
	s, err := statAt(dir, name)
	if err != nil {
		return p.lost(rel, previous, err)
	}
	if p.excluded(rel, s.typ == tree.Dir) {
		return ready(nil)
	}
	switch s.typ {
	case tree.Dir:
		return p.directory(ctx, dir, rel, name, s, previous)
	case tree.File:
		return p.file(ctx, dir, rel, name, s, previous)
	case 0:
		return p.lost(rel, previous, errType)
	default:
		return p.special(ctx, dir, rel, name, s, previous)
	}
}

var errType = errors.New("unknown type of file")

func (p *pass) directory(ctx context.Context, dir int, rel, name string, s stat, previous *tree.Node) *pending {
	if previous != nil && previous.Type != tree.Dir {
		previous = nil
	}
	// On a file system that is not met yet it is a mount point, and looked at.
	if fs, met := p.filesystems.met(s.device); met && p.untouched(rel, previous) && p.unchanged(s, fs, previous) {
		p.progress.taken(previous)
		return ready(previous)
	}
	fd, err := openAt(dir, name, true)
	if err != nil {
		n, err := p.lostDirectory(ctx, rel, s, previous, err)
		return &pending{node: n, gone: n == nil, err: err}
	}
	walk := func() (*tree.Node, error) {
		// What was opened may not be what was listed.
		opened, err := statAt(fd, "")
		if err != nil {
			unix.Close(fd)
			return p.lostDirectory(ctx, rel, s, previous, err)
		}
		capture := p.walkDirectory
		if isBundle(name) && !p.options.DryRun {
			capture = p.bundle
		}
		n, err := capture(ctx, fd, rel, opened, previous)
		if n != nil {
			n.Name = []byte(name)
		}
		return n, err
	}
	select {
	case p.walkers <- struct{}{}:
		e := &pending{done: make(chan struct{})}
		go func() {
			defer func() { <-p.walkers; close(e.done) }()
			e.walked(walk())
		}()
		return e
	default:
		e := &pending{}
		e.walked(walk())
		return e
	}
}

// walked completes the entry of a directory.
func (e *pending) walked(n *tree.Node, err error) {
	if errors.Is(err, errLeftOut) {
		return
	}
	e.node, e.err, e.gone = n, err, n == nil
}

// alone takes the mark of a bundle from a file that is part of none any more.
// The entry itself may have twins that look at it.
func alone(e *pending) *pending {
	n := e.node
	if n == nil || n.Type != tree.File || n.Bundle == 0 {
		return e
	}
	c := *n
	c.Bundle = 0
	return ready(&c)
}

// special captures what has no content: symlinks, FIFOs, sockets, devices.
func (p *pass) special(ctx context.Context, dir int, rel, name string, s stat, previous *tree.Node) *pending {
	fs, err := p.filesystems.of(s.device, dir)
	if err != nil {
		return p.lost(rel, previous, err)
	}
	same := p.unchanged(s, fs, previous)
	p.linked.see(rel, s, same)
	if same && p.attrsKnown(previous) {
		p.progress.taken(previous)
		return ready(previous)
	}
	n, err := p.describe(ctx, dir, name, s, fs, previous)
	if err == nil && s.typ == tree.Symlink {
		n.Target, err = readLink(dir, name)
	}
	if stop := interruption(err); stop != nil {
		return &pending{err: stop}
	}
	if err != nil {
		return p.lost(rel, previous, err)
	}
	p.progress.other()
	return ready(n)
}

func readLink(dir int, name string) ([]byte, error) {
	buf := make([]byte, 4096)
	var n int
	err := retry(func() (err error) {
		n, err = unix.Readlinkat(dir, name, buf)
		return err
	})
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}

func join(parent, name string) string {
	if parent == "" {
		return name
	}
	return parent + "/" + name
}

// beside reads the previous snapshot's directory in step with a sorted list of
// names.
type beside struct {
	next    func() (*tree.Node, error, bool)
	stop    func()
	missing func(*tree.Node) // told of entries that are not among the names
	head    *tree.Node
	done    bool
}

func (p *pass) newBeside(ctx context.Context, dir *tree.Node) *beside {
	if dir == nil {
		return &beside{done: true, stop: func() {}}
	}
	next, stop := iter.Pull2(p.repository.Entries(ctx, dir))
	return &beside{next: next, stop: stop, missing: func(*tree.Node) {}}
}

// entry returns the previous node of a name, or nil. Names must ascend. After
// an error every later name is unknown.
func (b *beside) entry(name string) (*tree.Node, error) {
	for {
		if err := b.peek(); err != nil || b.head == nil || string(b.head.Name) > name {
			return nil, err
		}
		n := b.head
		b.head = nil
		if string(n.Name) == name {
			return n, nil
		}
		b.missing(n)
	}
}

// rest ends the names: whatever follows is not among them.
func (b *beside) rest() error {
	for {
		if err := b.peek(); err != nil || b.head == nil {
			return err
		}
		b.missing(b.head)
		b.head = nil
	}
}

// peek makes head the next entry, or nil at the end.
func (b *beside) peek() error {
	if b.head != nil || b.done {
		return nil
	}
	n, err, ok := b.next()
	if !ok || err != nil {
		b.done = true
		return err
	}
	b.head = n
	return nil
}
