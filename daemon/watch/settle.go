package watch

// touch makes d dirty as of now. It is the only place where a directory becomes
// dirty, as release is the only one where it ceases to be.
func (l *loop) touch(d *dir) {
	if d.gone {
		return
	}
	now := l.now()
	if !d.dirty {
		d.dirty, d.first = true, now
		l.pending[d] = struct{}{}
		select {
		case l.w.stirred <- struct{}{}:
		default: // it will be looked at anyway
		}
	}
	d.last = now
}

// vanished handles a name that was deleted or moved away.
func (l *loop) vanished(parent *dir, name string) {
	if child := parent.children[name]; child != nil {
		l.drop(child)
	}
	l.rest(parent, name)
	l.touch(parent)
}

// appeared handles a name that was created or moved here.
func (l *loop) appeared(parent *dir, name, rel string) {
	id, sig, err := look(absolute(l.opts.Root, rel))
	known := parent.children[name]
	if err != nil || !sig.directory {
		if known != nil {
			l.drop(known)
			l.touch(parent)
		}
		if !l.opts.Exclude(rel, false) {
			l.changed(parent, name, rel)
		}
		return
	}
	if l.excludedDir(rel) {
		return
	}
	l.rest(parent, name)
	l.touch(parent)
	switch {
	case known == nil:
	case known.queued, known.id == id && l.all.set:
		// A walk found it and did not know that it is new.
		l.enqueue(known, true)
		return
	case known.id == id:
		return // found and read when its parent was read
	default:
		l.drop(known)
	}
	d := parent.child(name)
	l.touch(d)
	l.enqueue(d, true)
}

// changed handles a file that appeared, was written, or whose metadata changed:
// it is in flux from now on.
func (l *loop) changed(parent *dir, name, rel string) {
	if _, ok := parent.flux[name]; !ok && l.inFlux >= l.opts.MaxFlux {
		l.touch(parent)
		l.postpone(parent)
		return
	}
	l.follow(parent, name, rel)
}

// follow is changed whatever the number of files in flux.
func (l *loop) follow(parent *dir, name, rel string) {
	l.touch(parent)
	if f, ok := parent.flux[name]; ok {
		f.sampled = false
		parent.flux[name] = f
		return
	}
	_, sig, err := look(absolute(l.opts.Root, rel))
	if err != nil || !sig.regular {
		return // gone again, or of a kind that has no content
	}
	if parent.flux == nil {
		parent.flux = make(map[string]flux)
	}
	parent.flux[name] = flux{sig: sig, since: l.now(), sampled: true}
	l.inFlux++
}

// rest takes a file out of flux.
func (l *loop) rest(parent *dir, name string) {
	if _, ok := parent.flux[name]; ok {
		delete(parent.flux, name)
		l.inFlux--
	}
}

// postpone leaves d's files untracked until others have come to rest. Until
// then d is not handed out.
func (l *loop) postpone(d *dir) {
	d.deferred = true
	l.deferred[d] = struct{}{}
}

// settle looks at all files in flux and lets those go that have been quiet.
func (l *loop) settle() {
	now := l.now()
	for d := range l.pending {
		if len(d.flux) == 0 {
			continue
		}
		rel := d.rel()
		for name, f := range d.flux {
			if f.sampled && now-f.since < l.opts.Settle {
				continue
			}
			_, sig, err := look(absolute(l.opts.Root, join(rel, name)))
			switch {
			case err != nil, !sig.regular, f.sampled && sig == f.sig:
				l.rest(d, name)
			default:
				d.flux[name] = flux{sig: sig, since: now, sampled: true}
			}
		}
	}
	if l.inFlux < max(l.opts.MaxFlux/2, 1) {
		for d := range l.deferred {
			delete(l.deferred, d)
			d.deferred = false
			l.enqueue(d, true)
		}
	}
	if l.lost && now >= l.walkAt {
		l.restart(CauseOverflow)
	}
}

// carryFlux remembers the files in flux by name, for the walk to find again.
func (l *loop) carryFlux() {
	if l.carried == nil {
		l.carried = make(map[string][]string)
	}
	for d := range l.pending {
		if len(d.flux) == 0 {
			continue
		}
		rel := d.rel()
		for name := range d.flux {
			l.carried[rel] = append(l.carried[rel], name)
		}
	}
}
