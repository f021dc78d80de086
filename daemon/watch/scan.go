package watch

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// workSlice is how many directories are read before events are looked at again.
const workSlice = 32

// split is path.Split for relative paths with the root as ".".
func split(rel string) (parent, name string) {
	if i := strings.LastIndexByte(rel, '/'); i >= 0 {
		return rel[:i], rel[i+1:]
	}
	return ".", rel
}

// enqueue has d watched and read. fresh says that its files are in flux.
func (l *loop) enqueue(d *dir, fresh bool) {
	d.fresh = d.fresh || fresh
	if !d.queued && !d.gone {
		d.queued = true
		l.queue = append(l.queue, d)
	}
}

// work reads some directories, and ends the walk with the last one.
func (l *loop) work() {
	for range workSlice {
		if len(l.queue) == 0 {
			break
		}
		d := l.queue[0]
		l.queue[0] = nil
		l.queue = l.queue[1:]
		d.queued = false
		if !d.gone && !l.missing {
			l.visit(d)
		}
	}
	if len(l.queue) > 0 {
		return
	}
	l.queue = nil
	l.consider = true
	if l.walking && !l.missing {
		// Everything is dirty as of now: what changed in a directory before
		// the walk came to it was not seen.
		l.walking, l.walked, l.lostTold = false, true, false
		l.carried = nil
		l.stats.Walks++
		l.doubtAll(l.why...)
		l.why = nil
		if l.lost {
			l.why = l.why.with(CauseOverflow)
		}
	}
}

// visit watches d, then reads it.
func (l *loop) visit(d *dir) {
	rel := d.rel()
	path := absolute(l.opts.Root, rel)
	id, sig, err := look(path)
	switch {
	case err == nil && !sig.directory:
		l.disappear(d)
		return
	case err != nil:
		l.unreadable(d, err)
		return
	case d.watched && d.id != id:
		l.disappear(d) // replaced; the event is on its way
		return
	}
	root := l.root
	if d == root && l.rootID != (ident{}) && l.rootID != id {
		l.disappear(d) // replaced since it was walked last
		return
	}
	if !l.claim(d, id) {
		l.setUnwatched(d, notPossible, errMountedTwice)
		return
	}
	if l.root != root {
		return // replaced meanwhile
	}
	l.classify(d, path)
	if !d.watched && !l.watch(d, path, rel) {
		return
	}
	if d.fresh && l.opts.faults.noReadAfterWatch {
		d.fresh = false
		return
	}
	l.read(d, path, rel)
}

// claim makes d the directory with this id. If another one was, it was moved
// or deleted and its events are still to come; fsnotify would file d's watch
// under its name. Only a bind mount shows one directory in two places.
func (l *loop) claim(d *dir, id ident) bool {
	if other := l.byID[id]; other != nil && other != d {
		now, _, err := look(absolute(l.opts.Root, other.rel()))
		if err == nil && now == id {
			return false
		}
		l.disappear(other)
	}
	if l.byID[d.id] == d {
		delete(l.byID, d.id)
	}
	d.id = id
	l.byID[id] = d
	if d.parent == nil {
		l.rootID = id
	}
	return true
}

// watch sets d's watch; false if there is none and d must not be read.
func (l *loop) watch(d *dir, path, rel string) bool {
	if hook := l.opts.faults.beforeWatch; hook != nil {
		hook(rel)
	}
	var err error
	switch {
	case l.kernel == nil:
		err = errNoInotify
	case l.opts.MaxWatches > 0 && l.watches >= l.opts.MaxWatches:
		err = errWatchLimit
	default:
		l.kernel.remove(path)
		err = l.kernel.add(path)
	}
	switch {
	case err == nil:
		d.watched = true
		l.watches++
		l.setWatchable(d)
		return true
	case errors.Is(err, errWatchLimit), errors.Is(err, errNoInotify):
		l.setUnwatched(d, atLimit, err)
	default:
		l.unreadable(d, err)
	}
	return false
}

// setUnwatched files d as in doubt for as long as it has no watch.
func (l *loop) setUnwatched(d *dir, why unwatched, err error) {
	if l.unwatched[d] == watchable {
		l.touch(d)
	}
	l.setWatchable(d)
	l.unwatched[d] = why
	d.fresh = false
	if why != atLimit {
		return
	}
	l.limited++
	if !l.limitTold {
		l.limitTold = true
		l.stats.LimitReached++
		l.log.Warn("some directories are not watched and will be scanned instead", "root", l.opts.Root, "error", err)
	}
}

// setWatchable takes d from that file.
func (l *loop) setWatchable(d *dir) {
	if l.unwatched[d] == atLimit {
		l.limited--
	}
	delete(l.unwatched, d)
}

// read lists d: subdirectories are queued, and if d is new its files are in
// flux. The directory is opened without following a link, and must be the one
// that was looked at.
func (l *loop) read(d *dir, path, rel string) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		l.unreadable(d, err)
		return
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		l.unreadable(d, err)
		return
	}
	if st, ok := fi.Sys().(*syscall.Stat_t); !ok || d.id != (ident{uint64(st.Dev), uint64(st.Ino)}) {
		l.disappear(d) // replaced since; the event is on its way
		return
	}
	track := d.fresh
	if track {
		l.touch(d)
		if l.inFlux >= l.opts.MaxFlux {
			track = false
			l.postpone(d)
		}
	}
	d.fresh = false
	for {
		entries, err := f.ReadDir(1024)
		for _, e := range entries {
			l.entry(d, e, rel, track)
		}
		if len(entries) == 0 || err != nil {
			break // an error of the disk is the capture's to report
		}
	}
	for _, name := range l.carried[rel] {
		l.follow(d, name, join(rel, name))
	}
	delete(l.carried, rel)
}

// unreadable drops d if it is gone; otherwise its contents stay in doubt.
func (l *loop) unreadable(d *dir, err error) {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR), errors.Is(err, syscall.ELOOP):
		l.disappear(d)
		return
	}
	l.unwatch(d)
	why := notPossible
	if errors.Is(err, fs.ErrPermission) {
		why = noPermission
	}
	l.setUnwatched(d, why, err)
}

func (l *loop) entry(d *dir, e fs.DirEntry, rel string, track bool) {
	entryRel := join(rel, e.Name())
	if e.Type()&fs.ModeType == 0 {
		if track && !l.opts.Exclude(entryRel, false) {
			l.follow(d, e.Name(), entryRel)
		}
		return
	}
	if !e.IsDir() || d.children[e.Name()] != nil || l.excludedDir(entryRel) {
		return
	}
	// In a walk of a tree that is dirty altogether files rest unless an event
	// says otherwise; in a directory that appeared, all are new.
	l.enqueue(d.child(e.Name()), track || d.deferred || !l.walking)
}

func (l *loop) excludedDir(rel string) bool {
	return l.cookie.dir != "" && absolute(l.opts.Root, rel) == l.cookie.dir || l.opts.Exclude(rel, true)
}

// disappear drops d and makes its parent dirty.
func (l *loop) disappear(d *dir) {
	if d.parent == nil {
		l.checkRoot()
		if l.root == d {
			l.enqueue(d, false) // it is there after all
		}
		return
	}
	parent := d.parent
	l.drop(d)
	l.touch(parent)
}

// drop forgets d and everything below it. After a move the kernel's watches
// live on under the new name, and are removed.
func (l *loop) drop(d *dir) {
	delete(d.parent.children, d.name)
	l.dropTree(d, absolute(l.opts.Root, d.rel()))
}

func (l *loop) dropTree(d *dir, path string) {
	for name, child := range d.children {
		l.dropTree(child, path+"/"+name)
	}
	if d.watched {
		d.watched = false
		l.watches--
		if l.kernel != nil {
			l.kernel.remove(path)
		}
	}
	if l.byID[d.id] == d {
		delete(l.byID, d.id)
	}
	l.setWatchable(d)
	l.unpoll(d)
	delete(l.pending, d)
	delete(l.deferred, d)
	l.inFlux -= len(d.flux)
	d.flux, d.children, d.gone, d.dirty = nil, nil, true, false
}

// unwatch removes the watch of d and forgets what is below it.
func (l *loop) unwatch(d *dir) {
	for _, child := range d.children {
		l.drop(child)
	}
	if d.watched {
		d.watched = false
		l.watches--
		if l.kernel != nil {
			l.kernel.remove(absolute(l.opts.Root, d.rel()))
		}
	}
}
