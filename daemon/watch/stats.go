package watch

// Stats are figures for status and metrics. Counts of what happened start at
// zero with Run.
type Stats struct {
	Directories  int // known below and including the root
	Watches      int // of them watched
	AtLimit      int // not watched for want of watches; their subtrees count as one
	NotWatchable int // not watched for another reason
	Polled       int // subtrees on remote file systems, scanned every PollEvery
	Dirty        int // directories waiting to be handed out
	InFlux       int // files that have not rested
	Unread       int // directories waiting to be watched and read

	Ready       bool // the watches have been set once since the root was found
	All         bool // everything waits to be handed out
	Lost        bool // events were lost and the tree has not been walked since
	RootMissing bool
	RootPolled  bool // the root itself is on a remote file system
	MountsKnown bool // what is mounted and unmounted is noticed at once

	// PolledAt are the first few of the polled subtrees, for status.
	PolledAt []Subtree

	Events        uint64 // received, repetitions left out
	Overflows     uint64 // times that events were lost
	Walks         uint64 // completed walks of the whole tree
	LimitReached  uint64 // times that the limit of watches was newly reached
	Replaced      uint64 // times that the root was another directory, or back in its place
	Remounts      uint64 // mount points at or below the root at which something changed
	ClockJumps    uint64 // times that the wall clock was set by more than two seconds
	CookiesSeen   uint64
	CookiesFailed uint64 // not written, or not seen in time; the batch went out without proof
}

// Subtree is a polled one: its path relative to the root, and the type of its
// file system, as mount(8) calls it.
type Subtree struct{ Rel, Type string }

// publish makes the figures visible to Stats.
func (l *loop) publish() {
	s := l.stats
	s.Directories = len(l.byID)
	s.Watches = l.watches
	s.AtLimit = l.limited
	s.NotWatchable = len(l.unwatched) - l.limited
	s.Polled = len(l.polled)
	s.PolledAt = l.showPolled()
	s.Dirty = len(l.pending)
	s.InFlux = l.inFlux
	s.Unread = len(l.queue)
	s.Ready = l.walked
	s.All = l.all.set
	s.Lost = l.lost
	s.RootMissing = l.missing
	s.RootPolled = l.root.remote
	s.MountsKnown = l.mounts != nil
	l.w.stats.Store(&s)
}
