package watch

import "slices"

// The words of Batch.Causes that the watcher itself uses. A batch that was
// given back keeps those it came with, whatever they are.
const (
	CauseStart        = "start"         // the first walk
	CauseOverflow     = "overflow"      // events were lost
	CauseWatchLimit   = "watch-limit"   // no watches or no inotify instance to be had
	CauseUnwatched    = "unwatched"     // no permission, an I/O error, a directory visible twice
	CauseRemount      = "remount"       // something was mounted, unmounted or mounted anew
	CauseRootReplaced = "root-replaced" // another directory, on another device perhaps, or the old one back in its place
	CauseClockJump    = "clock-jump"    // the wall clock was set
	CausePolled       = "polled"        // on a file system that others may change unheard
)

// causes is a set of words, sorted. The few there are do not make it worth a map.
type causes []string

// with adds words. The receiver may share its memory with the result, and must
// not be used any more.
func (c causes) with(words ...string) causes {
	for _, word := range words {
		if i, found := slices.BinarySearch(c, word); !found {
			c = slices.Insert(c, i, word)
		}
	}
	return c
}

// span is the first and the last time at which something was in doubt, and why.
type span struct {
	set         bool
	first, last instant
	why         causes
}

func (s *span) touch(now instant, why ...string) {
	if !s.set {
		s.set, s.first = true, now
	}
	s.last = now
	s.why = s.why.with(why...)
}

// doubtAll puts the whole tree in doubt.
func (l *loop) doubtAll(why ...string) { l.all.touch(l.now(), why...) }

// doubtBelow puts the subtree at rel in doubt.
func (l *loop) doubtBelow(rel string, why ...string) {
	if rel == "." {
		l.doubtAll(why...)
		return
	}
	s := l.doubt[rel]
	s.touch(l.now(), why...)
	l.doubt[rel] = s
}

// cause is the word for a directory without a watch.
func (u unwatched) cause() string {
	if u == atLimit {
		return CauseWatchLimit
	}
	return CauseUnwatched
}
