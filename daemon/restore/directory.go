package restore

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// directory is one of the target that is being restored. The walker makes and
// opens it; whoever drops pending to zero finishes it.
type directory struct {
	parent *directory // nil for the target
	node   *tree.Node // nil for a target that a single file goes into
	name   string
	path   string // relative to the target; empty for the target
	depth  int
	// whole says that all in it is included; else it is only the parent of
	// something that may be, and is made when that is found.
	whole bool

	// Set by the walker before the first entry is handed out.
	settled  bool // opened, or found to be impossible
	failed   bool // it, and so all in it, is lost
	absent   bool // in a dry run: it would be made
	created  bool // by this run: nothing else is in it
	inherits bool // entries made in it inherit an ACL
	mounted  bool // on another file system than its parent
	private  bool // nobody else can enter it
	guarded  bool // nobody else can make or remove names in it
	fd       int  // -1 if not open
	device   uint64
	mtime    tree.Time // before anything was restored into it

	// pending counts the walker, open children and entries under way.
	pending atomic.Int32
}

func (d *directory) join(name string) string {
	if d.path == "" {
		return name
	}
	return d.path + "/" + name
}

// child returns a directory within d that is not opened yet. The walker holds
// it.
func (r *run) child(d *directory, n *tree.Node, whole bool) *directory {
	c := &directory{parent: d, node: n, name: string(n.Name), path: d.join(string(n.Name)), depth: d.depth + 1, whole: whole, fd: -1}
	c.pending.Store(1)
	d.pending.Add(1)
	return c
}

// ready opens a directory and its parents, if that was not done before, and
// reports whether entries can be restored into it. It is the walker's.
func (r *run) ready(ctx context.Context, d *directory) bool {
	if d.settled {
		return !d.failed
	}
	d.settled = true
	err := errParent
	if r.ready(ctx, d.parent) {
		err = r.enter(ctx, d)
	}
	d.failed = err != nil
	if err != nil {
		if !errors.Is(err, errParent) { // then a directory above it is listed
			r.settle(ctx, d.path, err)
		}
		if d.whole {
			r.progress.pass(d.node)
		}
		return false
	}
	r.tally.dirs.Add(1)
	if d.whole {
		r.progress.Entries.Add(1)
	}
	return true
}

var errParent = errors.New("its directory is lost")

// enter makes or opens a directory whose parent is open.
func (r *run) enter(ctx context.Context, d *directory) error {
	if d.depth > maxDepth {
		return errDeep
	}
	if d.parent.absent {
		d.absent = true
		return nil
	}
	r.waitForDescriptors(ctx, d.depth)
	if err := ctx.Err(); err != nil {
		return err
	}
	var err error
	if r.options.DryRun {
		err = r.visit(d)
	} else {
		err = r.makeDirectory(d)
	}
	if err != nil || d.absent {
		return err
	}
	return r.opening(d)
}

// visit opens an existing directory for a dry run.
func (r *run) visit(d *directory) error {
	fd, err := openDirectory(d.parent.fd, d.name)
	switch {
	case err == nil:
		d.fd = fd
	case err == unix.ENOENT:
		d.absent = true
	case (err == unix.ENOTDIR || err == unix.ELOOP) && r.options.Overwrite == Always:
		d.absent = true
	case err == unix.ENOTDIR || err == unix.ELOOP:
		return r.obstacle(d)
	default:
		return target("opening the directory", err)
	}
	return nil
}

// attempts is how often a directory is made or opened that somebody else
// removes or replaces at the same time.
const attempts = 8

// makeDirectory makes a directory, private until it is finished, or opens the
// one that is there. A symlink in its place is never followed.
func (r *run) makeDirectory(d *directory) error {
	for range attempts {
		made := again(func() error { return unix.Mkdirat(d.parent.fd, d.name, 0o700) })
		if made != nil && made != unix.EEXIST {
			return target("making the directory", made)
		}
		fd, err := openDirectory(d.parent.fd, d.name)
		switch {
		case err == nil && made != nil && d.parent.created:
			unix.Close(fd)
			return errFolded
		case err == nil:
			d.fd, d.created = fd, made == nil
			return nil
		case err == unix.ENOENT:
		case err == unix.ENOTDIR || err == unix.ELOOP:
			if err := r.obstacle(d); err != nil {
				return err
			}
			if err := removeAt(d.parent.fd, d.name, 0); err != nil && err != unix.ENOENT && err != unix.EISDIR {
				return target("replacing what is in its place", err)
			}
		default:
			return target("opening the directory", err)
		}
	}
	return errSwapped
}

// obstacle returns the refusal to replace what stands in a directory's place,
// or nil if the policy is to replace it.
func (r *run) obstacle(d *directory) error {
	if r.options.Overwrite == Always {
		return nil
	}
	st, err := lookAt(d.parent.fd, d.name)
	if err != nil {
		return target("looking at what is in its place", err)
	}
	if st == nil {
		return errSwapped
	}
	return inPlace(article(typeOf(st)))
}

// opening learns what matters about a directory that was opened or made, and
// clears what an interrupted restore left in it.
func (r *run) opening(d *directory) error {
	r.openMu.Lock()
	r.open++
	r.openMu.Unlock()
	st, err := look(d.fd)
	if err != nil {
		return r.unopen(d, target("looking at the directory", err))
	}
	d.device, d.mtime = uint64(st.Dev), mtimeOf(st)
	d.mounted = d.parent != nil && d.parent.device != d.device
	d.private, d.guarded = r.keepsOut(st), r.keepsNames(st)
	// What somebody put in the place of the directory just made is his.
	d.created = d.created && int(st.Uid) == r.euid
	switch {
	case d.created && d.parent != nil && !d.parent.inherits:
	case d.created:
		if err := stripACLs(d.fd); err != nil {
			return r.unopen(d, err)
		}
	default:
		d.inherits = hasAttr(d.fd, aclDefault)
		if !r.options.DryRun {
			r.removeLeftovers(d)
		}
	}
	return nil
}

func (r *run) unopen(d *directory, err error) error {
	r.closeDirectory(d)
	return err
}

func (r *run) closeDirectory(d *directory) {
	if d.fd < 0 {
		return
	}
	unix.Close(d.fd)
	d.fd = -1
	r.openMu.Lock()
	r.open--
	r.openMu.Unlock()
	r.opened.Signal()
}

// spareDirectories is how many directories may be open besides those on the
// way from the target to the walker: some have entries under way when the
// walker leaves them.
const spareDirectories = 256

// waitForDescriptors waits until few enough directories are open. Those that
// the walker has left are finished by the workers.
func (r *run) waitForDescriptors(ctx context.Context, depth int) {
	r.openMu.Lock()
	defer r.openMu.Unlock()
	for r.open > depth+spareDirectories && ctx.Err() == nil {
		r.opened.Wait()
	}
}

// release ends one use of a directory and finishes it if that was the last.
func (r *run) release(ctx context.Context, d *directory) {
	for d != nil && d.pending.Add(-1) == 0 {
		if err := r.finish(ctx, d); err != nil {
			r.stop(fmt.Errorf("restoring %q: %w", shown(d.path), err))
		}
		r.closeDirectory(d)
		if d.parent == nil {
			close(r.finished)
		}
		d = d.parent
	}
}

// finish sets the metadata of a directory in which all is done. After a
// stopped run it does nothing: what is incomplete stays private.
func (r *run) finish(ctx context.Context, d *directory) error {
	if d.fd < 0 || r.options.DryRun || ctx.Err() != nil {
		return nil
	}
	if r.describes(d) {
		attrs, err := r.repository.Xattrs(ctx, d.node)
		if interrupted(err) {
			return nil
		}
		if err != nil && ends(err) {
			return err
		}
		if err != nil {
			r.tally.lose(d.path, fmt.Errorf("its extended attributes are lost: %w", err), true)
		}
		h := handle{fd: d.fd, fresh: d.created}
		if err := r.describe(h, d.node, attrs, d.path); err != nil {
			return err
		}
	}
	if d.parent == nil || d.mounted {
		return target("writing to stable storage", again(func() error { return unix.Syncfs(d.fd) }))
	}
	return nil
}

// describes reports whether the snapshot's metadata applies to a directory.
func (r *run) describes(d *directory) bool {
	switch {
	case d.node == nil:
		return false
	case d.created:
		return true
	case d.parent == nil || !d.whole:
		return false
	}
	switch r.options.Overwrite {
	case Never:
		return false
	case IfNewer:
		return d.node.MTime.Compare(d.mtime) > 0
	}
	return true
}

// openTarget opens the target, made if it is missing, and keeps other restores
// out of it for as long as it is open.
func (r *run) openTarget(node *tree.Node) error {
	d := &directory{fd: -1, settled: true, whole: r.filter == nil}
	d.pending.Store(1)
	r.root = d
	mode := uint32(0o777)
	if node.Type == tree.Dir {
		d.node, mode = node, 0o700
	} else if err := tree.ValidateName(node.Name); err != nil {
		return err
	}
	r.progress.begin(node, d.whole)
	path := r.options.Target
	if !r.options.DryRun {
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return fmt.Errorf("making the target: %w", err)
		}
		err := again(func() error { return unix.Mkdir(path, mode) })
		if err != nil && err != unix.EEXIST {
			return fmt.Errorf("making the target %s: %w", path, err)
		}
		d.created = err == nil
	}
	var fd int
	err := again(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	switch {
	case err == unix.ENOENT && r.options.DryRun:
		d.absent = true
		return nil
	case err == unix.ENOTDIR:
		return fmt.Errorf("%s: %w", path, ErrTarget)
	case err != nil:
		return fmt.Errorf("opening the target %s: %w", path, err)
	}
	d.fd = fd
	if !r.options.DryRun {
		// The lock goes with the descriptor, also after a kill. File systems
		// without locks have to do without.
		if err := again(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }); err == unix.EWOULDBLOCK {
			unix.Close(fd)
			d.fd = -1
			return fmt.Errorf("%s: %w", path, ErrBusy)
		}
	}
	return r.opening(d)
}
