package capture

import (
	"sync"
	"time"

	"keepsake/daemon/guard"
	"keepsake/store"
	"keepsake/store/tree"
)

// What guards found suspicious about a snapshot, as it is marked.
const (
	// MarkEmptied: no file is left of a source that had some.
	MarkEmptied = guard.Emptied
	// MarkElsewhere: the source lies on another file system than before.
	MarkElsewhere = guard.Elsewhere
	// MarkShrunk: most files, or most bytes, are gone.
	MarkShrunk = guard.Shrunk
	// MarkMassChange: many files were overwritten, renamed or deleted as nobody
	// does at work.
	MarkMassChange = guard.MassChange
)

// seen counts what a pass finds changed, for the guards.
type seen struct {
	mu    sync.Mutex
	count guard.Observation
}

func (s *seen) add(count func(o *guard.Observation)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	count(&s.count)
}

// observation returns what this run saw up to the end of this pass. prev is
// zero if there is no previous snapshot.
func (p *pass) observation(prev *store.Snapshot, root *tree.Node, started time.Time) guard.Observation {
	o := p.seen.count
	o.Time, o.Base, o.Number = started, prev.ID, prev.Number
	o.Before, o.After = totals(&prev.Root), totals(root)
	return p.options.seen.Merge(o)
}

func totals(n *tree.Node) guard.Totals {
	return guard.Totals{Files: n.Below.Files, Bytes: n.Below.Bytes}
}

// marks are the guards that found something, as the manifest names them.
func marks(found []guard.Finding) []string {
	var all []string
	for _, f := range found {
		all = append(all, f.Guard)
	}
	return words(all)
}

// elsewhere notes a directory with files that lies on another file system than
// before: its disk is not mounted, or another is mounted over it.
func (p *pass) elsewhere(s stat, fs mounted, previous *tree.Node) {
	if previous != nil && previous.Below.Files > 0 && p.filesystems.another(s, fs, previous) {
		p.seen.add(func(o *guard.Observation) { o.Elsewhere = true })
	}
}
