package watch

import (
	"cmp"
	"slices"
)

// shownPolled bounds Stats.PolledAt.
const shownPolled = 16

// classify finds out where d's file system differs from that of its parent, and
// marks the top of a remote one as polled. It is watched like any other: what
// this machine does there is reported at once.
func (l *loop) classify(d *dir, path string) {
	if d.parent != nil && d.parent.id.dev == d.id.dev {
		d.remote = d.parent.remote
		return
	}
	var fstype string
	fstype, d.remote = Remote(path)
	if _, known := l.polled[d]; !d.remote || known || d.parent != nil && d.parent.remote {
		return
	}
	l.polled[d], l.repolled = fstype, true
	l.log.Info("events do not tell all changes on this file system; it is scanned regularly", "root", l.opts.Root, "at", d.rel(), "type", fstype)
}

// unpoll forgets that d is polled.
func (l *loop) unpoll(d *dir) {
	if _, ok := l.polled[d]; ok {
		delete(l.polled, d)
		l.repolled = true
	}
}

// showPolled lists some of what is polled, for status.
func (l *loop) showPolled() []Subtree {
	if !l.repolled {
		return l.polledAt
	}
	l.repolled = false
	shown := make([]Subtree, 0, len(l.polled))
	for d, fstype := range l.polled {
		shown = append(shown, Subtree{d.rel(), fstype})
	}
	slices.SortFunc(shown, func(a, b Subtree) int { return cmp.Compare(a.Rel, b.Rel) })
	l.polledAt = slices.Clip(shown[:min(len(shown), shownPolled)])
	return l.polledAt
}

// pollDue tries again to watch what could not be watched, and has it scanned
// along with what is polled: what changed there since the last time was not
// seen.
func (l *loop) pollDue() {
	if l.kernel == nil {
		l.restart(CauseWatchLimit)
		return
	}
	l.limitTold = l.limited > 0
	for d, kind := range l.unwatched {
		l.enqueue(d, true)
		if kind != noPermission {
			l.doubtBelow(d.rel(), kind.cause())
		}
	}
	for d := range l.polled {
		l.doubtBelow(d.rel(), CausePolled)
	}
	l.consider = true
}
