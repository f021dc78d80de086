package watch

// checkMounts puts in doubt what lies at mount points that changed.
//
// When a file system is unmounted the kernel drops its watches, which fsnotify
// does not pass on; what is mounted over a directory hides it without an event.
func (l *loop) checkMounts() {
	if l.mounts == nil || l.opts.faults.ignoreMounts {
		return
	}
	before := containing(l.mounts.known, l.opts.Root)
	changed, err := l.mounts.changes()
	if err != nil {
		// Nothing is known of what was mounted meanwhile, nor from now on.
		l.log.Warn("mounting and unmounting below the source will be noticed by full scans only", "root", l.opts.Root, "error", err)
		l.mounts.close()
		l.mounts = nil
		l.restart(CauseRemount)
		return
	}
	if len(changed) == 0 {
		return
	}
	root := l.root
	l.checkRoot()
	if l.mounts == nil {
		return // the root was found, behind links, and everything is in doubt
	}
	now := containing(l.mounts.known, l.opts.Root)
	for _, c := range changed {
		switch {
		case c.point != l.opts.Root && within(l.opts.Root, c.point):
			rel, _ := relative(l.opts.Root, c.point)
			l.remountedBelow(rel, c.optionsOnly)
		case c.point == before, c.point == now:
			l.stats.Remounts++
			l.log.Warn("the file system of the watched directory was mounted, unmounted or mounted anew", "root", l.opts.Root, "at", c.point)
			switch {
			case l.root != root:
				l.why = l.why.with(CauseRemount)
				fallthrough
			case c.optionsOnly:
				l.doubtAll(CauseRemount)
			default:
				l.restart(CauseRemount)
			}
		}
	}
	l.consider = true
}

// remountedBelow has the subtree at rel scanned, and watched afresh unless its
// watches still hold.
func (l *loop) remountedBelow(rel string, watched bool) {
	if l.leftOut(rel) {
		return
	}
	l.stats.Remounts++
	l.log.Warn("a file system below the watched directory was mounted, unmounted or mounted anew", "root", l.opts.Root, "at", rel)
	_, sig, err := look(absolute(l.opts.Root, rel))
	directory := err != nil || sig.directory // a file can be a mount point, too
	if directory {
		l.doubtBelow(rel, CauseRemount)
	}
	parentRel, name := split(rel)
	parent, _ := l.root.find(parentRel)
	if parent == nil || watched {
		return // not known, so something above it is in doubt already; or nothing was lost
	}
	l.touch(parent)
	if known := parent.children[name]; known != nil {
		l.drop(known)
	}
	if !directory {
		l.changed(parent, name, rel)
		return
	}
	d := parent.child(name)
	l.touch(d)
	l.enqueue(d, true)
}

// leftOut reports whether rel is excluded, or below what is.
func (l *loop) leftOut(rel string) bool {
	for i := range len(rel) {
		if rel[i] == '/' && l.excludedDir(rel[:i]) {
			return true
		}
	}
	return l.excludedDir(rel)
}

// disturbed looks at what is mounted, at the root and at the clocks once more,
// just before a batch is handed out, and reports whether that changed what it
// says.
func (l *loop) disturbed() bool {
	root, before, missing := l.root, l.stats, l.missing
	l.checkMounts()
	l.checkRoot()
	l.checkClock()
	return l.root != root || l.stats.Remounts != before.Remounts || l.stats.ClockJumps != before.ClockJumps || l.missing != missing
}
