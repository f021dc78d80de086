package restore

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"keepsake/store"
	"keepsake/store/tree"
)

// run is one restore under way.
type run struct {
	options    Options
	repository *store.Repository
	progress   *Progress
	filter     *filter
	tally      tally
	links      links
	buffers    *buffers
	temporary  *temporaries
	euid       int

	stop     context.CancelCauseFunc
	jobs     chan *job
	pieces   chan piece
	finished chan struct{} // closed when the target itself is finished
	root     *directory

	// noReplace is false once the target's file system has refused
	// RENAME_NOREPLACE.
	noReplace atomic.Bool

	openMu sync.Mutex // guards open
	opened *sync.Cond // signalled when open falls
	open   int        // directories with a descriptor
}

// Run restores. What befell single entries is in the Result; the error is for
// what kept the run from going on, and the Result then says how far it came. A
// run that ended early can be repeated: with IfChanged nothing that is already
// right is read from the repository again.
func Run(ctx context.Context, o Options) (Result, error) {
	o, err := o.validate()
	if err != nil {
		return Result{}, err
	}
	started := o.Now()
	r, err := newRun(o)
	if err != nil {
		return Result{}, err
	}
	err = r.run(ctx)
	result := r.tally.result()
	if err == nil {
		result.Unmatched = r.filter.unmatched()
	}
	if n := r.tally.leftovers.Load(); n > 0 {
		o.Log.Info("removed what an interrupted restore had left", "files", n)
	}
	result.Elapsed = o.Now().Sub(started)
	return result, err
}

func newRun(o Options) (*run, error) {
	f, err := newFilter(o.Include)
	if err != nil {
		return nil, err
	}
	workers := runtime.GOMAXPROCS(0)
	r := &run{
		options: o, repository: o.Repository, progress: o.Progress, filter: f,
		buffers: newBuffers(), temporary: newTemporaries(), euid: os.Geteuid(),
		jobs: make(chan *job, 2*workers), pieces: make(chan piece, workers),
		finished: make(chan struct{}),
	}
	r.noReplace.Store(true)
	r.opened = sync.NewCond(&r.openMu)
	return r, nil
}

func (r *run) run(parent context.Context) error {
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	r.stop = cancel

	node, err := r.repository.Resolve(ctx, &r.options.Snapshot.Root, r.options.Path)
	if err != nil {
		return err
	}
	if err := r.openTarget(node); err != nil {
		return err
	}
	var work sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() { r.work(ctx) })
	}
	if node.Type == tree.Dir {
		r.walk(ctx, r.root, r.firstState())
	} else {
		r.entry(ctx, r.root, node, r.firstState())
	}
	r.release(ctx, r.root)
	work.Wait()
	return context.Cause(ctx) // nil unless it was stopped
}

func (r *run) firstState() []position {
	if r.filter == nil {
		return nil
	}
	return r.filter.start()
}

// work restores entries and helps with large files until the target is
// finished. After a stop it goes on emptying the channels: what is in them holds
// directories open.
func (r *run) work(ctx context.Context) {
	for {
		select {
		case j := <-r.jobs:
			r.do(ctx, j)
		case p := <-r.pieces:
			r.copyPiece(ctx, p)
		case <-r.finished:
			return
		}
	}
}

// settle decides what an error means that befell an entry: the end of the run,
// or the loss of the entry.
func (r *run) settle(ctx context.Context, path string, err error) {
	switch {
	case err == nil, interrupted(err) && ctx.Err() != nil:
	case ends(err):
		r.stop(fmt.Errorf("restoring %q: %w", shown(path), err))
	default:
		r.tally.lose(path, err, false)
	}
}
