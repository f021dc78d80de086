package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"keepsake/store/index"
	"keepsake/store/pack"
)

// CheckOptions says what a check looks at. The zero value checks the structure
// of everything.
type CheckOptions struct {
	// Snapshot restricts the check to one snapshot and what it needs.
	Snapshot *SnapshotID
	// ReadData reads every byte of the packs and opens every chunk. Without it
	// only metadata is read, and packs that were found damaged before.
	ReadData bool
	// Subset restricts ReadData to a part of the packs.
	Subset Subset
	// Progress is counted while the check runs; nil if nobody looks.
	Progress *CheckProgress
	// Report is told of each problem, one at a time.
	Report func(Problem)
}

// CheckProgress counts what a check or scrub has done, and what there is to do,
// as far as that is known.
type CheckProgress struct {
	Packs, PacksTotal         atomic.Int64
	Bytes, BytesTotal         atomic.Int64 // of packs that are read whole
	Snapshots, SnapshotsTotal atomic.Int64
}

// CheckResult sums a check up.
type CheckResult struct {
	Snapshots    int   // whose trees were walked
	Packs        int   // whose tables were read
	PacksRead    int   // of them, whole
	BytesRead    int64 // of them
	Problems     int   // Mended ones included
	Mended       int
	Healed       int      // packs that were marked damaged and are whole again
	Unreferenced int      // packs that no snapshot needs; 0 if only one was checked
	Foreign      []string // files that are not keepsake's, at most maxForeign
	ForeignCount int
}

// Sound reports whether nothing is left to do.
func (r CheckResult) Sound() bool { return r.Problems == r.Mended }

const maxForeign = 1000

func (r *CheckResult) foreign(name string) {
	if r.ForeignCount++; len(r.Foreign) < maxForeign {
		r.Foreign = append(r.Foreign, name)
	}
}

// Check looks for everything that could keep a snapshot from being restored:
// it opens each object, compares index and packs both ways, and follows every
// reference of every snapshot. It may run beside backups.
//
// What it finds is told to Report; the error is for checks that could not be
// carried out. Damaged packs are marked in the index, so that the next backup
// stores their chunks anew; packs that turn out whole lose the mark, and wrong
// places in the index are corrected.
//
// Memory grows with the number of packs and of distinct tree pages, some 40
// bytes each, and with the damage: some 80 bytes a chunk up to a bound, and 300
// a pack.
func (r *Repository) Check(ctx context.Context, o CheckOptions) (CheckResult, error) {
	if err := o.Subset.validate(); err != nil {
		return CheckResult{}, err
	}
	if o.Progress == nil {
		o.Progress = &CheckProgress{}
	}
	c := newCheck(r, o)
	err := c.run(ctx)
	if !errors.Is(err, index.ErrDamaged) {
		return c.result, err
	}
	// The index broke under the check. It is made anew, and all is looked at once
	// more; what was reported is not reported again.
	if err := r.rebuild(ctx); err != nil {
		return c.result, err
	}
	told := c.told
	c = newCheck(r, o)
	c.before = told
	c.report(Problem{Object: "index.db", Kind: WrongIndex, Err: err, Mended: true, Remedy: remedyIndex})
	err = c.run(ctx)
	return c.result, err
}

// check is one Check under way.
type check struct {
	r *Repository
	o CheckOptions

	// told and before are the problems that were reported, before by an earlier
	// attempt.
	told, before map[toldKey]bool

	mu       sync.Mutex // guards the fields below while packs are read
	result   CheckResult
	faults   map[pack.ID]*fault
	bad      int          // damaged chunks in faults
	here     uint64       // chunks that the index has where a table has them
	twinned  []index.Pack // with chunks that the index has in another pack
	wrong    int          // chunks that the index had at wrong places
	wrongErr error

	lost  *fault               // chunks that are in no pack
	trees *fault               // trees that contradict themselves
	used  map[pack.ID]struct{} // packs that some reference leads to
	// shaken says that a snapshot cannot be restored whole or a chain is
	// broken; unsettled that one relies on a pack that is condemned or marked.
	shaken, unsettled bool
}

type toldKey struct {
	object string
	kind   ProblemKind
}

func newCheck(r *Repository, o CheckOptions) *check {
	return &check{
		r: r, o: o,
		told: map[toldKey]bool{}, faults: map[pack.ID]*fault{}, used: map[pack.ID]struct{}{},
		lost:  &fault{problem: Problem{Kind: MissingChunk}},
		trees: &fault{problem: Problem{Kind: BrokenTree}},
	}
}

// run goes from what everything hangs on to what hangs on it. Snapshots are
// listed before packs, so that a backup under way has published every pack
// that a listed snapshot needs.
func (c *check) run(ctx context.Context) error {
	if err := c.keys(ctx); err != nil {
		return fmt.Errorf("checking configuration and keys: %w", err)
	}
	snapshots, err := c.snapshots(ctx)
	if err != nil {
		return fmt.Errorf("checking snapshots: %w", err)
	}
	var needed map[pack.ID]struct{}
	if c.o.Snapshot != nil {
		if needed, err = c.need(ctx, snapshots); err != nil {
			return fmt.Errorf("finding the packs of the snapshot: %w", err)
		}
	}
	changes := c.r.index.Changes()
	if err := c.packs(ctx, needed); err != nil {
		return fmt.Errorf("checking packs: %w", err)
	}
	if err := c.settlePacks(ctx, changes); err != nil {
		return fmt.Errorf("checking packs: %w", err)
	}
	doubts := c.r.index.Doubts()
	if err := c.walk(ctx, snapshots); err != nil {
		return fmt.Errorf("checking trees: %w", err)
	}
	if err := c.conclude(); err != nil {
		return err
	}
	if c.o.Snapshot == nil && !c.shaken && !c.unsettled {
		return c.r.index.ClearDoubt(doubts)
	}
	return nil
}

// report hands a problem out, one at a time.
func (c *check) report(p Problem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reportLocked(p)
}

func (c *check) reportLocked(p Problem) {
	c.result.Problems++
	if p.Mended {
		c.result.Mended++
	}
	key := toldKey{p.Object, p.Kind}
	c.told[key] = true
	if c.o.Report != nil && !c.before[key] {
		c.o.Report(p)
	}
}
