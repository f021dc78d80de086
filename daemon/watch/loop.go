package watch

import (
	"context"
	"log/slog"
	"time"

	"github.com/fsnotify/fsnotify"
)

// loop is everything that the goroutine of Run owns.
type loop struct {
	w     *Watcher
	opts  Options
	log   *slog.Logger
	epoch time.Time

	kernel *kernel // nil while no inotify instance can be had
	cookie cookie
	mounts *mounts       // nil if it cannot be told what is mounted
	ahead  time.Duration // of the wall clock, when last looked at

	sought    bool // the root was never there; the links on the way to it are not resolved
	root      *dir
	rootID    ident              // what the walk began with; zero before
	byID      map[ident]*dir     // known directories
	queue     []*dir             // to be watched and read, in order
	walking   bool               // the queue began with the root
	walked    bool               // a walk was completed since the root was found
	why       causes             // of the walk under way or planned
	watches   int                // directories with a watch
	unwatched map[*dir]unwatched // known, but without a watch
	limited   int                // of them for want of watches
	polled    map[*dir]string    // tops of remote file systems, and of which type
	polledAt  []Subtree          // the first few of them; renewed, never changed in place
	repolled  bool               // polled changed since
	carried   map[string][]string

	pending  map[*dir]struct{} // dirty directories
	deferred map[*dir]struct{} // dirty, their files not tracked yet
	inFlux   int               // files in flux in all directories
	doubt    map[string]span   // subtrees given back, mounted anew or due for polling
	all      span              // everything

	missing, missingTold bool    // the root is not there
	lost                 bool    // events were lost since the last walk began
	walkAt               instant // when to walk because of that
	unsteady             span    // since when batches are held back

	requests []*request
	consider bool // something happened that may let a caller have its batch
	stats    Stats

	tick, rootCheck, poll <-chan time.Time
	limitTold, lostTold   bool
}

func newLoop(w *Watcher) *loop {
	return &loop{
		w: w, opts: w.opts, log: w.opts.Log, epoch: w.opts.Clock.Now(),
		doubt: make(map[string]span), sought: !w.found,
	}
}

func (l *loop) now() instant { return l.opts.Clock.Now().Sub(l.epoch) }

func (l *loop) closeKernel() {
	if l.kernel != nil {
		l.kernel.close()
		l.kernel = nil
	}
}

// begin opens the first inotify instance, if one can be had, and queues the root.
// What is mounted is followed from before the first walk on.
func (l *loop) begin() {
	l.followMounts()
	l.ahead = l.opts.WallOffset()
	l.restart(CauseStart)
}

// followMounts begins to follow what is mounted around the root.
func (l *loop) followMounts() {
	m, err := openMounts(l.opts.Root)
	if err != nil {
		l.log.Warn("mounting and unmounting below the source will be noticed by full scans only", "root", l.opts.Root, "error", err)
		return
	}
	l.mounts = m
}

// end frees what begin took.
func (l *loop) end() {
	l.closeKernel()
	if l.mounts != nil {
		l.mounts.close()
	}
}

// restart forgets all watches and begins a walk with a fresh instance. Files in
// flux are remembered by name.
func (l *loop) restart(why ...string) {
	l.closeKernel()
	l.carryFlux()
	l.root = &dir{}
	l.byID = make(map[ident]*dir)
	l.queue, l.watches, l.inFlux = nil, 0, 0
	l.unwatched, l.limited = make(map[*dir]unwatched), 0
	l.polled, l.repolled = make(map[*dir]string), true
	l.pending = make(map[*dir]struct{})
	l.deferred = make(map[*dir]struct{})
	l.lost, l.walking = false, true
	l.cookie = cookie{number: l.cookie.number}
	for _, r := range l.requests {
		r.asked = false
	}
	l.why = l.why.with(why...)
	l.doubtAll(l.why...)
	l.consider = true

	k, err := openKernel(l.opts.EventBuffer, l.opts.faults.drop)
	if err != nil {
		l.log.Warn("no inotify instance; nothing is watched until there is one", "root", l.opts.Root, "error", err)
	} else {
		l.kernel = k
		l.openCookies()
	}
	l.enqueue(l.root, false)
}

// run serves events, work, callers and timers until ctx ends.
func (l *loop) run(ctx context.Context) {
	ready := make(chan struct{})
	close(ready)
	l.checkRoot()
	for {
		for l.consider {
			l.consider = false
			l.serve()
		}
		l.arm()
		l.publish()
		var work <-chan struct{}
		if len(l.queue) > 0 {
			work = ready
		}
		var events <-chan delivery
		if l.kernel != nil {
			events = l.kernel.out
		}
		var mounted <-chan struct{}
		if l.mounts != nil {
			mounted = l.mounts.wake
		}
		select {
		case <-ctx.Done():
			return
		case d := <-events:
			l.receive(d)
		case <-work:
			l.work()
		case r := <-l.w.requests:
			l.requests = append(l.requests, r)
			l.consider = true
		case b := <-l.w.returned:
			l.takeBack(b)
		case <-l.tick:
			l.tick = nil
			l.settle()
			l.consider = true
		case <-l.rootCheck:
			l.rootCheck = nil
			l.checkRoot()
			l.checkClock()
		case <-mounted:
			l.checkMounts()
		case <-l.poll:
			l.poll = nil
			l.pollDue()
		}
	}
}

// arm keeps a timer running for whatever waits for one. An idle tree costs an
// lstat of the root and a look at the clocks per three settle times: events tell
// of most that happens to the root, and both are looked at before a batch is
// handed out. So does one that is dirty and at rest while nobody asks for it: some
// wait for the night.
func (l *loop) arm() {
	after := l.opts.Clock.After
	asked := len(l.requests) > 0 && (l.all.set || len(l.pending) > 0 || len(l.doubt) > 0)
	busy := asked || l.inFlux > 0 || len(l.deferred) > 0 || l.lost || l.cookie.waiting
	if busy && l.tick == nil && !l.missing {
		l.tick = after(min(max(l.opts.Settle/4, 5*time.Millisecond), time.Second))
	}
	if l.rootCheck == nil {
		l.rootCheck = after(min(max(3*l.opts.Settle, 20*time.Millisecond), 15*time.Second))
	}
	if l.poll == nil && len(l.unwatched)+len(l.polled) > 0 {
		l.poll = after(l.opts.PollEvery)
	}
}

// receive handles what the kernel delivered.
func (l *loop) receive(d delivery) {
	k := l.kernel
	for _, e := range d.events {
		l.stats.Events++
		l.event(e)
		if l.kernel != k {
			return // the root was replaced: the rest concerns the old one
		}
	}
	if d.lost && !ignoreLost && !l.opts.faults.ignoreLost {
		l.loseEvents()
	}
}

// loseEvents makes everything dirty and plans a walk. Further losses before it
// begins are covered by it.
func (l *loop) loseEvents() {
	l.stats.Overflows++
	l.why = l.why.with(CauseOverflow)
	l.doubtAll(CauseOverflow)
	if !l.lostTold {
		l.lostTold = true
		l.log.Warn("file events were lost; everything will be scanned (raise fs.inotify.max_queued_events if this recurs)", "root", l.opts.Root)
	}
	if !l.lost {
		l.lost = true
		l.walkAt = l.now() + l.opts.Settle
	}
	l.cookie.waiting = false // its event may be among the lost ones
}

// checkRoot notices a root that was unmounted, moved, deleted or replaced:
// inotify does not tell all of these.
func (l *loop) checkRoot() {
	l.seekRoot()
	id, sig, err := look(l.opts.Root)
	switch there := err == nil && sig.directory; {
	case !there && !l.missing && l.sought:
		l.log.Warn("the directory to watch is not there; it is watched as soon as it is", "root", l.opts.Root)
		l.missing = true
		l.replaceRoot()
	case !there && !l.missing:
		l.log.Warn("the watched directory is gone", "root", l.opts.Root)
		l.missing, l.missingTold = true, false
		l.replaceRoot()
	case there && l.missing:
		l.log.Info("the watched directory is back", "root", l.opts.Root)
		l.missing = false
		l.replaceRoot()
	case there && l.rootID != (ident{}) && l.rootID != id:
		l.log.Warn("the watched directory was replaced", "root", l.opts.Root)
		l.replaceRoot()
	}
}

// seekRoot resolves the links on the way to a root that was never there, once it
// is.
func (l *loop) seekRoot() {
	if !l.sought {
		return
	}
	real, found := realRoot(l.opts.Root)
	if !found {
		return
	}
	l.sought = false
	if real == l.opts.Root {
		return
	}
	l.opts.Root = real
	if l.mounts != nil {
		l.mounts.close()
		l.mounts = nil
	}
	l.followMounts()
}

// replaceRoot begins again with another root, or the old one back in its place.
func (l *loop) replaceRoot() {
	if !l.missing {
		l.stats.Replaced++
	}
	l.walked, l.rootID = false, ident{}
	l.restart(CauseRootReplaced)
}

// event is one notification. What it says may be outdated: the directories it
// leads to are looked at, not believed.
func (l *loop) event(e fsnotify.Event) {
	if l.cookie.owns(e.Name) {
		l.cookieEvent(e.Name)
		return
	}
	rel, ok := relative(l.opts.Root, e.Name)
	if !ok {
		return
	}
	if rel == "." {
		if e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename) {
			root := l.root
			l.checkRoot()
			if l.root == root && !l.missing {
				l.replaceRoot() // moved away and back: fsnotify has dropped its watch
			}
			return
		}
		l.touch(l.root)
		return
	}
	parentRel, name := split(rel)
	parent, _ := l.root.find(parentRel)
	if parent == nil {
		return // dropped meanwhile, with its parent dirty
	}
	known := parent.children[name]
	switch {
	case e.Has(fsnotify.Create):
		l.appeared(parent, name, rel)
	case known == nil && l.opts.Exclude(rel, false):
	case e.Has(fsnotify.Remove), e.Has(fsnotify.Rename):
		l.vanished(parent, name)
	case known != nil: // its metadata
		l.touch(parent)
		l.touch(known)
		if l.unwatched[known] != watchable {
			l.enqueue(known, true)
		}
	default:
		l.changed(parent, name, rel)
	}
}
