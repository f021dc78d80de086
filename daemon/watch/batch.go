package watch

import "slices"

// Batch is what a capture has to look at. All paths are relative to the root,
// hold the raw bytes of the names, and are sorted bytewise; the root is ".".
// The slices belong to the receiver.
type Batch struct {
	// Dirs are the directories whose listing, files or metadata changed, each
	// for itself: subdirectories that changed are named too.
	Dirs []string

	// Unsettled are all the files still changing, also those of directories not
	// in Dirs. Their content must not be stored as good.
	Unsettled []string

	// Rescan are subtrees to be scanned completely: their changes are not
	// reported, or not all of them.
	Rescan []string

	// All says that the whole tree is to be scanned. Dirs and Rescan are empty
	// then.
	All bool

	// Causes are the reasons for All or Rescan, sorted words: the watcher's own
	// are the constants named Cause, others came with a batch that was given
	// back.
	Causes []string

	// Uncertain says that directories wait to be read or events were lost, and
	// atLatest did not allow to wait any longer: files may be in flux that
	// Unsettled does not list, and more batches follow.
	Uncertain bool

	// RootMissing says that there is no directory at the root. Nothing else is
	// set then. It is reported once each time.
	RootMissing bool
}

// Empty reports whether there is nothing to scan.
func (b Batch) Empty() bool {
	return !b.All && !b.RootMissing && len(b.Dirs) == 0 && len(b.Rescan) == 0
}

// Join returns what has to be looked at if a later batch came before b was
// looked at.
func (b Batch) Join(later Batch) Batch {
	if later.RootMissing {
		return later
	}
	union := func(a, b []string) []string {
		all := slices.Concat(a, b)
		slices.Sort(all)
		return slices.Compact(all)
	}
	later.All = b.All || later.All
	later.Causes = union(b.Causes, later.Causes)
	if later.All {
		later.Dirs, later.Rescan = nil, nil
		return later
	}
	later.Dirs, later.Rescan = union(b.Dirs, later.Dirs), union(b.Rescan, later.Rescan)
	return later
}

// serve hands a batch to the callers that can have one.
func (l *loop) serve() {
	waiting := l.requests[:0]
	for _, r := range l.requests {
		if !l.answer(r) {
			waiting = append(waiting, r)
		}
	}
	clear(l.requests[len(waiting):])
	l.requests = waiting
	if len(waiting) == 0 {
		l.cookie.waiting = false
	}
}

// answer reports whether r is done with.
func (l *loop) answer(r *request) bool {
	select {
	case <-r.done:
		return true
	default:
	}
	if r.peek {
		return l.give(r, l.assemble(true))
	}
	now := l.now()
	if l.missing && r.take {
		l.checkRoot() // who asks now has just mounted it, perhaps
	}
	if l.missing {
		if l.missingTold && !r.take {
			return false
		}
		l.missingTold = l.give(r, Batch{RootMissing: true}) || l.missingTold
		return true
	}
	if !l.due(r, now) {
		// Something moved again: the proof is too old. If only reading is
		// behind, it holds.
		r.asked = r.asked && !l.steady()
		return false
	}
	if !l.drained(r, now) {
		return false
	}
	if l.disturbed() {
		l.consider = true // what is handed out must not be older than this
		r.asked = false
		return false
	}
	b := l.assemble(r.take)
	if b.Empty() && !r.take {
		r.asked = false
		return false
	}
	if l.give(r, b) {
		l.release(now)
	}
	return true
}

// give reports whether the caller took the batch. Whoever did sees figures at
// least as new.
func (l *loop) give(r *request, b Batch) bool {
	l.publish()
	select {
	case r.reply <- b:
		return true
	case <-r.done:
		return false
	}
}

// due decides whether r gets its batch now, as documented with Next.
func (l *loop) due(r *request, now instant) bool {
	steady := l.steady()
	if steady {
		l.unsteady = span{}
	} else {
		l.unsteady.touch(now)
	}
	if !l.walked {
		return false
	}
	any, quiet, rested, first := l.state(now)
	overdue := any && now-first >= r.atLatest
	if r.take {
		overdue = true
	}
	if !steady {
		return overdue && now-l.unsteady.first >= 4*l.opts.Settle
	}
	return overdue || any && (quiet || rested)
}

// steady reports whether the watcher knows all directories and all files in
// flux.
func (l *loop) steady() bool {
	return len(l.queue) == 0 && len(l.deferred) == 0 && !l.lost && !l.walking
}

// state sums up what is dirty: whether anything is, whether all of it is quiet,
// whether a part has been quiet for twice the settle time, and since when
// anything has been dirty.
func (l *loop) state(now instant) (any, quiet, rested bool, first instant) {
	quiet, first = true, now
	note := func(began, last instant, changing bool) {
		any = true
		first = min(first, began)
		switch calm := now - last; {
		case changing || calm < l.opts.Settle:
			quiet = false
		case calm >= 2*l.opts.Settle:
			rested = true
		}
	}
	if l.all.set {
		note(l.all.first, l.all.last, false)
		// Directories beside it are part of it, and files in flux are listed.
		return any, quiet, rested, first
	}
	for d := range l.pending {
		note(d.first, d.last, len(d.flux) > 0 || d.queued || d.deferred)
	}
	for _, s := range l.doubt {
		note(s.first, s.last, false)
	}
	return any, quiet, rested, first
}

// withheld directories have files that nobody has looked at.
func (d *dir) withheld() bool { return d.queued || d.deferred }

// assemble makes a batch of everything dirty and changes nothing. What is not
// watched goes with everything else, or when it is asked for; what is polled
// when it is due, or asked for.
func (l *loop) assemble(asked bool) Batch {
	b := Batch{
		All:       l.all.set || l.unwatched[l.root] != watchable || asked && l.root.remote,
		Uncertain: !l.steady(),
	}
	for d := range l.pending {
		rel := d.rel()
		for name := range d.flux {
			b.Unsettled = append(b.Unsettled, join(rel, name))
		}
		if !b.All && !d.withheld() {
			b.Dirs = append(b.Dirs, rel)
		}
	}
	l.assembleDoubts(&b, asked)
	slices.Sort(b.Dirs)
	slices.Sort(b.Unsettled)
	return b
}

// assembleDoubts adds what is to be scanned, and why. All covers the subtrees in
// doubt, and has their causes.
func (l *loop) assembleDoubts(b *Batch, asked bool) {
	why := slices.Clone(l.all.why)
	for rel, s := range l.doubt {
		b.Rescan = append(b.Rescan, rel)
		why = why.with(s.why...)
	}
	if asked || b.All || len(b.Dirs)+len(b.Rescan) > 0 {
		for d, kind := range l.unwatched {
			b.Rescan = append(b.Rescan, d.rel())
			why = why.with(kind.cause())
		}
	}
	if asked {
		for d := range l.polled {
			b.Rescan = append(b.Rescan, d.rel())
			why = why.with(CausePolled)
		}
	}
	if b.All {
		b.Rescan = nil
	}
	slices.Sort(b.Rescan)
	b.Rescan = slices.Compact(b.Rescan)
	b.Causes = why
}

// release marks as clean what was handed out. A directory with files in flux is
// dirty anew, and comes again when they have rested.
func (l *loop) release(now instant) {
	l.all = span{}
	clear(l.doubt)
	for d := range l.pending {
		switch {
		case d.withheld():
		case len(d.flux) > 0:
			d.first = now
		default:
			d.dirty = false
			delete(l.pending, d)
		}
	}
	if l.lost || l.walking {
		l.all.touch(now, l.why...)
	}
}

// takeBack makes dirty what a failed capture was to look at.
func (l *loop) takeBack(b Batch) {
	if b.All {
		l.doubtAll(b.Causes...)
	}
	for _, rel := range b.Dirs {
		found, nearest := l.root.find(rel)
		if found == nil {
			found = nearest // it is gone or not watched; so its parent changed
		}
		l.touch(found)
	}
	for _, rel := range b.Rescan {
		l.doubtBelow(rel, b.Causes...)
	}
}
