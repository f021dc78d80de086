package watch

import (
	"context"
	"sync/atomic"
	"time"
)

// Watcher watches one directory tree. Its methods may be called from any
// goroutine.
type Watcher struct {
	opts    Options
	found   bool // there was a directory at the root, and its links are resolved
	running atomic.Bool
	stats   atomic.Pointer[Stats]

	requests chan *request
	returned chan Batch
	stirred  chan struct{}
	stopped  chan struct{}
}

// request is a caller that waits for a batch.
type request struct {
	take     bool          // hand out what there is, even nothing
	peek     bool          // only tell what there is
	atLatest time.Duration // since the first change
	asked    bool          // a cookie was written for it,
	cookie   uint64        // with this number
	reply    chan Batch    // unbuffered: a send that succeeds was received
	done     <-chan struct{}
}

// New checks the options and prepares a watcher; it starts nothing.
func New(o Options) (*Watcher, error) {
	o = o.withDefaults()
	if err := o.Validate(); err != nil {
		return nil, err
	}
	found, err := o.resolve()
	if err != nil {
		return nil, err
	}
	w := &Watcher{
		opts:     o,
		found:    found,
		requests: make(chan *request),
		returned: make(chan Batch),
		stirred:  make(chan struct{}, 1),
		stopped:  make(chan struct{}),
	}
	w.stats.Store(&Stats{})
	return w, nil
}

// Run watches until ctx ends, then frees all watches, waits for its goroutines
// and returns nil; ErrRunning if it has run before. While no inotify instance can
// be had, the tree is in doubt every PollEvery, and one is asked for again.
func (w *Watcher) Run(ctx context.Context) error {
	if !w.running.CompareAndSwap(false, true) {
		return ErrRunning
	}
	defer close(w.stopped)
	l := newLoop(w)
	defer l.end()
	l.begin()
	l.run(ctx)
	return nil
}

// Next waits until something changed and hands out everything that is dirty
//
//   - as soon as all of it is quiet,
//   - or some directory has been quiet for a further settle time while others
//     are still changing,
//   - or atLatest has passed since the first of the changes.
//
// The first batch is All, a settle time after the watches are set, so that the
// scan that follows misses nothing. Next waits longer than atLatest while new
// directories are still being read, for at most four settle times.
//
// The error is ErrStopped or that of ctx; nothing is lost then.
func (w *Watcher) Next(ctx context.Context, atLatest time.Duration) (Batch, error) {
	return w.ask(ctx, &request{atLatest: atLatest})
}

// Take hands out everything that is dirty now, quiet or not, and an empty batch
// if nothing is. With a CookieDir, changes made before the call are in it. It
// serves a snapshot that somebody asks for or that is due.
func (w *Watcher) Take(ctx context.Context) (Batch, error) {
	return w.ask(ctx, &request{take: true})
}

// Peek tells what is dirty now and hands out nothing. There is no proof that
// all events have been seen: it serves a journal.
func (w *Watcher) Peek(ctx context.Context) (Batch, error) {
	return w.ask(ctx, &request{peek: true})
}

// Stirred has an element after a directory became dirty that was not: who keeps
// a journal need not ask while nothing happens. It is one channel, for one
// receiver.
func (w *Watcher) Stirred() <-chan struct{} { return w.stirred }

func (w *Watcher) ask(ctx context.Context, r *request) (Batch, error) {
	r.reply = make(chan Batch)
	r.done = ctx.Done()
	select {
	case w.requests <- r:
	case <-w.stopped:
		return Batch{}, ErrStopped
	case <-ctx.Done():
		return Batch{}, ctx.Err()
	}
	select {
	case b := <-r.reply:
		return b, nil
	case <-w.stopped:
		return Batch{}, ErrStopped
	case <-ctx.Done():
		return Batch{}, ctx.Err()
	}
}

// Requeue gives back a batch whose capture failed: what it names is dirty
// again, and comes out a settle time later at the earliest.
func (w *Watcher) Requeue(b Batch) {
	select {
	case w.returned <- b:
	case <-w.stopped:
	}
}

// Stats returns the figures of the moment. It never waits.
func (w *Watcher) Stats() Stats {
	return *w.stats.Load()
}
