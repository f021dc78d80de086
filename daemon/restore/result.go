package restore

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"keepsake/store/tree"
)

// Result sums up a restore. It is filled in as far as Run came, also beside an
// error. In a dry run it says what would have been.
type Result struct {
	Files  int64 // restored, every name of a hard-linked file included
	Dirs   int64 // made or merged, without the target
	Others int64 // symlinks, FIFOs, sockets and devices
	Links  int64 // of Files and Others, those made as hard links
	Bytes  int64 // of content written, holes included
	// Skipped entries were in the target and the policy left them there.
	Skipped  int64
	Deleted  int64 // surplus entries removed, each with all below it
	Verified int64 // files read back and found equal
	// Torn and KeptPrevious count restored files with these flags: what the
	// capture could not read at rest.
	Torn, KeptPrevious int64

	// Lost lists what could not be restored whole, by path; at most 100,000 of
	// LostCount.
	Lost      []Lost
	LostCount int64
	// NotKept sums up metadata that could not be set, the most frequent first.
	NotKept []NotKept
	// Unmatched are the include patterns that matched nothing.
	Unmatched []string
	Elapsed   time.Duration
}

// Lost is an entry that could not be restored whole.
type Lost struct {
	Path   string // relative to the target, raw bytes; "." for the target
	Reason string
	// Salvaged says that what could be read was written nevertheless.
	Salvaged bool
}

// NotKept is a kind of metadata that could not be set.
type NotKept struct {
	What    string // "owner", "user.* attributes"
	Why     string
	Count   int64
	Example string // path of one such entry
}

const (
	maxLost    = 100_000
	maxNotKept = 100
)

// tally collects a Result from many goroutines.
type tally struct {
	files, dirs, others, links, bytes, skipped, deleted, verified, torn, keptPrevious, leftovers atomic.Int64

	mu        sync.Mutex // guards the fields below
	lost      []Lost
	lostCount int64
	notKept   map[[2]string]*NotKept
}

// lose lists an entry as lost.
func (t *tally) lose(path string, reason error, salvaged bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lostCount++
	if len(t.lost) < maxLost {
		t.lost = append(t.lost, Lost{Path: shown(path), Reason: reason.Error(), Salvaged: salvaged})
	}
}

// missing notes that something of an entry was not kept. Kinds and causes are
// few; what a hostile snapshot makes of them is bounded.
func (t *tally) missing(what, why, path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	key := [2]string{what, why}
	k := t.notKept[key]
	if k == nil && len(t.notKept) >= maxNotKept {
		what, why = "other metadata", "various"
		key = [2]string{what, why}
		k = t.notKept[key]
	}
	if k == nil {
		if t.notKept == nil {
			t.notKept = map[[2]string]*NotKept{}
		}
		k = &NotKept{What: what, Why: why, Example: shown(path)}
		t.notKept[key] = k
	}
	k.Count++
}

func (t *tally) result() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Result{
		Files: t.files.Load(), Dirs: t.dirs.Load(), Others: t.others.Load(), Links: t.links.Load(), Bytes: t.bytes.Load(),
		Skipped: t.skipped.Load(), Deleted: t.deleted.Load(), Verified: t.verified.Load(),
		Torn: t.torn.Load(), KeptPrevious: t.keptPrevious.Load(),
		Lost: t.lost, LostCount: t.lostCount,
	}
	slices.SortFunc(r.Lost, func(a, b Lost) int { return cmp.Compare(a.Path, b.Path) })
	for _, k := range t.notKept {
		r.NotKept = append(r.NotKept, *k)
	}
	slices.SortFunc(r.NotKept, func(a, b NotKept) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.What, b.What), cmp.Compare(a.Why, b.Why))
	})
	return r
}

// restored counts a restored entry.
func (t *tally) restored(n *tree.Node) {
	if n.Type != tree.File {
		t.others.Add(1)
		return
	}
	t.files.Add(1)
	if n.Flags&tree.Torn != 0 {
		t.torn.Add(1)
	}
	if n.Flags&tree.KeptPrevious != 0 {
		t.keptPrevious.Add(1)
	}
}

func shown(path string) string {
	if path == "" {
		return "."
	}
	return path
}
