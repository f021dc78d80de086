package capture

import (
	"context"

	"keepsake/store"
	"keepsake/store/tree"
)

// walk walks the tree beside the previous snapshot, which may be zero. Limited
// by events, it goes on beside what it made itself until every name of the
// multiply linked files that changed has been looked at.
func walk(ctx context.Context, o *Options, prev store.Snapshot, root *tree.Node) (*pass, *tree.Node, error) {
	links := o.Links.newRun()
	if o.Dirty != nil && o.Links != nil {
		if more, unknown := o.Links.spread(o.Dirty); unknown {
			o.doubtAll(WhyLinks)
		} else {
			o.Dirty.add(more)
		}
	}
	filesystems, counted := prev.Filesystems, prev.Dropped
	var seen *seen
	for n := 1; ; n++ {
		p, err := newPass(o, filesystems)
		if err != nil {
			return nil, nil, err
		}
		p.linked, p.droppedBefore = links, counted
		if n > 1 {
			p.seen = seen // one run, and so one observation
		}
		links.pass(o.Dirty == nil)
		if root, err = p.run(ctx, root); err != nil {
			return nil, nil, err
		}
		if o.Dirty == nil {
			links.scanned()
			return p, root, nil
		}
		more, unknown := links.finish(o.Dirty)
		if !unknown && len(more) == 0 || p.left.Load() > 0 || o.DryRun {
			return p, root, nil
		}
		seen = p.seen
		// What this walk stored is read by the next.
		if err := o.Writer.Commit(ctx); err != nil {
			return nil, nil, err
		}
		filesystems, counted = p.filesystems.list(), p.dropped.since(counted, true)
		missed, missing := p.missed.sorted()
		if unknown || n == linkPasses || missing > uint64(len(missed)) {
			o.doubtAll(WhyLinks)
			continue
		}
		o.Dirty = NewDirty(more, nil)
		o.Dirty.retry(missed)
	}
}
