package restore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"keepsake/store/tree"
)

// maxDepth bounds the levels below the target. A path that programs can name
// at once has at most 2,048; a snapshot forged by a holder of the key might
// have no end.
const maxDepth = 4096

// walk goes through a directory of the snapshot, makes the directories in it
// and hands all other entries to the workers.
func (r *run) walk(ctx context.Context, d *directory, state []position) {
	if d.whole && !r.ready(ctx, d) {
		return
	}
	if r.options.Delete && d.whole && d.fd >= 0 && !d.created {
		r.removeSurplus(ctx, d)
	}
	for n, err := range r.entries(ctx, d, state) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			if ctx.Err() == nil && damaged(err) {
				err = fmt.Errorf("entries in it cannot be listed: %w", err)
			}
			r.settle(ctx, d.path, err)
			return
		}
		if d.failed {
			return // what was lazily opened could not be
		}
		r.entry(ctx, d, n, state)
	}
}

// entries yields what may be included of a directory. Where only certain names
// can match they are looked up, so that one file of a huge directory costs a
// few pages.
func (r *run) entries(ctx context.Context, d *directory, state []position) iter.Seq2[*tree.Node, error] {
	if d.whole {
		return r.repository.Entries(ctx, d.node)
	}
	names, ok := r.filter.names(state)
	if !ok {
		return r.repository.Entries(ctx, d.node)
	}
	return func(yield func(*tree.Node, error) bool) {
		for _, name := range names {
			n, err := r.repository.Lookup(ctx, d.node, []byte(name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if !yield(n, err) || err != nil {
				return
			}
		}
	}
}

// entry restores a directory, or has a worker restore what is none.
func (r *run) entry(ctx context.Context, d *directory, n *tree.Node, state []position) {
	name := string(n.Name)
	// The parser has refused such names; what they could do is worth a second
	// look right before the kernel sees them.
	if err := tree.ValidateName(n.Name); err != nil {
		r.tally.lose(d.join(fmt.Sprintf("%q", name)), err, false)
		r.progress.pass(n)
		return
	}
	whole := d.whole
	if !whole {
		state, whole = r.filter.step(state, name, n.Type == tree.Dir)
		if !whole && (n.Type != tree.Dir || len(state) == 0) {
			return
		}
		if whole {
			r.progress.expect(n)
		}
	}
	if n.Type == tree.Dir {
		child := r.child(d, n, whole)
		r.walk(ctx, child, state)
		r.release(ctx, child)
		return
	}
	if !r.ready(ctx, d) {
		r.progress.pass(n)
		return
	}
	d.pending.Add(1)
	select {
	case r.jobs <- &job{dir: d, node: n, name: name, path: d.join(name)}:
	case <-ctx.Done():
		r.release(ctx, d)
	}
}
