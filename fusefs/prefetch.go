package fusefs

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

const (
	// A handle reads ahead between these, doubling as it goes on.
	minWindow = 1 << 20
	maxWindow = 8 << 20
	// defaultAhead is how far all handles together read ahead: half of the
	// store's default cache, or they would push each other's blocks out.
	defaultAhead = 16 << 20
	// aheadStep is read in one piece, so that a seek is noticed soon.
	aheadStep = 128 << 10
	// slack is how far apart requests of one sequential reader may be, or the
	// length of one if that is more: the kernel sends them two at a time and not
	// always in order.
	slack = 256 << 10
	// provenAt is how much must have been asked for in order before anything is
	// read ahead. Programs that look at the heads of files ask for less.
	provenAt = 256 << 10
)

// ahead is what the readers of all handles share.
type ahead struct {
	limit  int64
	active atomic.Int64 // readers that are reading ahead
}

// window is how far one reader may go.
func (a *ahead) window(wanted int64) int64 {
	share := a.limit / max(a.active.Load(), 1)
	if share < minWindow {
		return 0 // too many: each would only undo what the others did
	}
	return min(wanted, share)
}

// reader decrypts what a sequential reader of a handle will ask for next, into
// the store's cache. Nothing is handed from here to a request: a request that
// comes early waits for the same block, one that comes elsewhere pays nothing.
type reader struct {
	h *handle

	mu     sync.Mutex
	next   int64 // end of the furthest request of the present sequence
	begun  int64 // where the sequence began
	count  int   // requests of it
	at     int64 // read ahead up to here
	window int64
	cancel context.CancelFunc // of the goroutine under way; nil if there is none
	closed bool
}

// note is told of each request before it is answered.
func (r *reader) note(off, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if apart := max(slack, n); off < r.next-apart || off > r.next+apart {
		r.halt()
		r.begun, r.next, r.at, r.count, r.window = off, off+n, 0, 1, 0
		return
	}
	if off+n <= r.next {
		return
	}
	r.next = off + n
	r.count++
	if r.closed || r.cancel != nil || r.count < 2 || r.next-r.begun < provenAt {
		return
	}
	r.at = max(r.at, r.next)
	// Half a window ahead is enough for now: few and long stretches.
	if left := r.at - r.next; r.at >= r.h.size || left > 0 && left >= r.window/2 {
		return
	}
	r.window = min(max(2*r.window, minWindow), maxWindow)
	v := r.h.f.v
	ctx, cancel := context.WithCancel(v.life)
	r.cancel = cancel
	v.ahead.active.Add(1)
	go r.run(ctx, v)
}

// run reads ahead until the window is full.
func (r *reader) run(ctx context.Context, v *view) {
	defer v.ahead.active.Add(-1)
	if !v.gate.enter() {
		return
	}
	defer v.gate.leave()
	if v.sound(func() error { return r.fill(ctx, v) }) != nil {
		// Whoever asks for this part gets the error and the line in the log.
		r.done(ctx)
	}
}

func (r *reader) fill(ctx context.Context, v *view) error {
	for {
		at, n := r.step(ctx, v)
		if n == 0 {
			return nil
		}
		if err := r.h.content.Load(ctx, at, n); err != nil {
			return err
		}
		// Requests wait in the same queue for a processor, and the scheduler would
		// let this run for 10 ms before it looks.
		runtime.Gosched()
	}
}

// step claims the next piece; none if the window is full or the reader went elsewhere.
func (r *reader) step(ctx context.Context, v *view) (at, n int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		return 0, 0
	}
	r.at = max(r.at, r.next) // it was overtaken
	if n = min(aheadStep, r.h.size-r.at, r.next+v.ahead.window(r.window)-r.at); n <= 0 {
		r.halt()
		return 0, 0
	}
	at = r.at
	r.at += n
	return at, n
}

// done ends the goroutine that runs under ctx.
func (r *reader) done(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() == nil { // else it was halted, and cancel may be another's
		r.halt()
	}
}

// halt stops the goroutine under way. r.mu is held.
func (r *reader) halt() {
	if r.cancel != nil {
		r.cancel()
		r.cancel = nil
	}
}

// stop ends reading ahead for good.
func (r *reader) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.halt()
}
