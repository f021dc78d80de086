package restore

import (
	"context"
	"errors"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"keepsake/crypto"
	"keepsake/store/tree"
)

// maxGroups bounds how many groups of hard links are remembered whose names
// have not all been met: about 30 MiB.
const maxGroups = 128 << 10

// links remembers where the first name of each group was restored.
type links struct {
	mu     sync.Mutex // guards the fields below
	groups map[uint64]*group
}

// group is the names of one inode.
type group struct {
	identity identity
	left     uint32        // names that are yet to come; guarded by links.mu
	done     chan struct{} // closed when the first name is settled

	// Set before done is closed.
	what          outcome
	err           error
	dir, name     string // of the first name: path of its directory in the target, and name
	device, inode uint64
}

// identity is what all names of an inode must agree on. A group whose nodes
// differ is of names captured at different times.
type identity struct {
	kind           tree.Type
	mode, uid, gid uint32
	mtime          tree.Time
	size           uint64
	sum            [32]byte
	content        crypto.ChunkID
	target         string
	rdev           tree.Rdev
}

func identityOf(n *tree.Node) identity {
	id := identity{
		kind: n.Type, mode: n.Mode, uid: n.UID, gid: n.GID, mtime: n.MTime,
		size: n.Size, target: string(n.Target), rdev: n.Rdev,
	}
	if n.SHA256 != nil {
		id.sum = *n.SHA256
	}
	if n.List != nil {
		id.content = n.List.Chunk
	} else if len(n.Content) > 0 {
		id.content = n.Content[0].Chunk
	}
	return id
}

// claim returns the group of a node and whether the caller is the first, who
// must settle it. It returns nil if the node has to stand alone.
func (l *links) claim(n *tree.Node) (g *group, first bool) {
	id := identityOf(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	g = l.groups[n.LinkGroup]
	switch {
	case g == nil && len(l.groups) >= maxGroups:
		return nil, false
	case g == nil:
		if l.groups == nil {
			l.groups = map[uint64]*group{}
		}
		g = &group{identity: id, left: n.Links - 1, done: make(chan struct{})}
		l.groups[n.LinkGroup] = g
		return g, true
	case g.identity != id:
		return nil, false
	}
	if g.left--; g.left == 0 {
		delete(l.groups, n.LinkGroup)
	}
	return g, false
}

// settle tells those who wait for a group what became of its first name. One
// that cannot be linked to leaves its place to the next.
func (l *links) settle(j *job, g *group, what outcome, err error) {
	g.what, g.err = what, err
	g.dir, g.name = j.dir.path, j.name
	l.mu.Lock()
	if (err != nil || what == left) && l.groups[j.node.LinkGroup] == g {
		delete(l.groups, j.node.LinkGroup)
	}
	l.mu.Unlock()
	close(g.done)
}

// grouped restores one of several names of an inode.
func (r *run) grouped(ctx context.Context, j *job) (outcome, error) {
	for {
		g, first := r.links.claim(j.node)
		if g == nil {
			r.tally.missing("hard link", "its names differ in the snapshot, or there are too many of them", j.path)
			return r.single(ctx, j)
		}
		if first {
			what, err := r.single(ctx, j)
			g.device, g.inode = r.inodeOf(j)
			r.links.settle(j, g, what, err)
			return what, err
		}
		if err := r.await(ctx, g); err != nil {
			return made, err
		}
		switch {
		case g.err == nil && g.what != left:
			return r.link(ctx, j, g)
		case g.err != nil && damaged(g.err):
			return made, g.err // the same chunks, the same loss
		}
	}
}

// await waits until the first name of a group is settled, and helps with large
// files meanwhile: the one waited for may be one of them.
func (r *run) await(ctx context.Context, g *group) error {
	for {
		select {
		case <-g.done:
			return ctx.Err()
		case p := <-r.pieces:
			r.copyPiece(ctx, p)
		}
	}
}

func (r *run) inodeOf(j *job) (device, inode uint64) {
	if j.dir.fd < 0 {
		return 0, 0
	}
	st, err := lookAt(j.dir.fd, j.name)
	if err != nil || st == nil {
		return 0, 0
	}
	return uint64(st.Dev), st.Ino
}

// link makes a further name of an inode that was restored, or, where that is
// not possible, a file of its own.
func (r *run) link(ctx context.Context, j *job, g *group) (outcome, error) {
	d, present := j.dir, false
	if !d.created && !d.absent {
		st, err := lookAt(d.fd, j.name)
		if err != nil {
			return made, target("looking at what is in its place", err)
		}
		if st != nil {
			present = true
			switch {
			case r.options.Overwrite == Never,
				r.options.Overwrite == IfNewer && j.node.MTime.Compare(mtimeOf(st)) <= 0:
				return left, nil
			case uint64(st.Dev) == g.device && st.Ino == g.inode:
				return same, nil
			}
		}
	}
	if r.options.DryRun {
		return linked, nil
	}
	temporary := r.temporary.next()
	if err := r.linkTo(g, d, temporary); err != nil {
		if failing(err) {
			return made, target("making a hard link", err)
		}
		r.tally.missing("hard link", because(err), j.path)
		return made, r.make(ctx, j, !present)
	}
	err := r.publish(j, d.fd, temporary, !present)
	// Renaming one name of an inode over another does nothing at all.
	_ = removeAt(d.fd, temporary, 0)
	return linked, err
}

// linkTo makes a hard link to a group's first name and looks whether it is the
// inode that was restored: the name may have been swapped meanwhile.
func (r *run) linkTo(g *group, d *directory, temporary string) error {
	from := d.fd
	if g.dir != d.path {
		fd, err := r.openPath(g.dir)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		from = fd
	}
	if err := again(func() error { return unix.Linkat(from, g.name, d.fd, temporary, 0) }); err != nil {
		return err
	}
	st, err := lookAt(d.fd, temporary)
	if err == nil && st != nil && uint64(st.Dev) == g.device && st.Ino == g.inode {
		return nil
	}
	_ = removeAt(d.fd, temporary, 0)
	return errors.Join(err, errSwapped)
}

// openPath opens a directory of the target by its path, name by name, since a
// path as a whole could lead through a symlink.
func (r *run) openPath(path string) (int, error) {
	fd, err := openAt(r.root.fd, ".", unix.O_PATH|unix.O_DIRECTORY, 0)
	if path == "" || err != nil {
		return fd, err
	}
	for name := range strings.SplitSeq(path, "/") {
		next, err := openAt(fd, name, unix.O_PATH|unix.O_DIRECTORY, 0)
		unix.Close(fd)
		if err != nil {
			return -1, err
		}
		fd = next
	}
	return fd, nil
}
