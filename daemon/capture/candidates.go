package capture

import (
	"cmp"
	"container/heap"
	"context"
	"hash/fnv"
	"math"
	"slices"

	"keepsake/store/tree"
)

// Position orders the files of a snapshot by when they were captured. The key
// tells files of one moment apart without naming them.
type Position struct {
	Time int64  `cbor:"0,keyasint,omitempty"` // Unix ns
	Key  uint64 `cbor:"1,keyasint,omitempty"`
}

func (p Position) compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Time, q.Time), cmp.Compare(p.Key, q.Key))
}

func positionOf(rel string, n *tree.Node) Position {
	h := fnv.New64a()
	h.Write([]byte(rel))
	const most = math.MaxInt64/1_000_000_000 - 1
	sec := min(max(n.Captured.Sec, -most), most) // what is beyond shares one second
	return Position{Time: sec*1_000_000_000 + int64(n.Captured.Nsec), Key: max(1, h.Sum64())}
}

// candidate is a file to be read again, as its node has it.
type candidate struct {
	path    string
	at      Position
	trace   trace
	sum     [32]byte
	suspect bool
}

// selection keeps the first few of many candidates, in its order.
type selection struct {
	first func(a, b Position) int // below 0 if a comes first
	limit int
	all   []candidate // a heap with the last on top
	more  bool        // some did not fit
}

func (s *selection) Len() int           { return len(s.all) }
func (s *selection) Less(i, j int) bool { return s.first(s.all[i].at, s.all[j].at) > 0 }
func (s *selection) Swap(i, j int)      { s.all[i], s.all[j] = s.all[j], s.all[i] }
func (s *selection) Push(c any)         { s.all = append(s.all, c.(candidate)) }
func (s *selection) Pop() any {
	c := s.all[len(s.all)-1]
	s.all = s.all[:len(s.all)-1]
	return c
}

// wants reports whether a candidate would be kept, before its path is made.
func (s *selection) wants(at Position) bool {
	if len(s.all) < s.limit {
		return true
	}
	s.more = true
	return s.first(at, s.all[0].at) < 0
}

func (s *selection) add(c candidate) {
	if len(s.all) == s.limit {
		s.all[0] = c
		heap.Fix(s, 0)
		return
	}
	heap.Push(s, c)
}

func (s *selection) sorted() []candidate {
	slices.SortFunc(s.all, func(a, b candidate) int { return s.first(a.at, b.at) })
	return s.all
}

// candidates walks a tree and selects the files that come next: upwards from
// what was verified, and downwards.
func candidates(ctx context.Context, o *RereadOptions, root *tree.Node, verified Cursor) (newer, older *selection, err error) {
	newer = &selection{first: Position.compare, limit: o.Candidates}
	older = &selection{first: func(a, b Position) int { return b.compare(a) }, limit: o.Candidates}
	begin := verified == Cursor{}
	var walk func(dir *tree.Node, rel string) error
	walk = func(dir *tree.Node, rel string) error {
		for n, err := range o.Repository.Entries(ctx, dir) {
			if err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				// Rot in the repository is the check's to report; the rest of
				// the source is looked at nevertheless.
				o.Log.Warn("a directory of the snapshot cannot be read; its files are not read again", "path", rel, "err", err)
				return nil
			}
			path := join(rel, string(n.Name))
			if n.Type == tree.Dir {
				if err := walk(n, path); err != nil {
					return err
				}
			}
			if !tells(n) || n.Size == 0 {
				continue
			}
			at := positionOf(path, n)
			to := older
			switch {
			case begin || at.compare(verified.Low) < 0:
			case at.compare(verified.High) > 0:
				to = newer
			default:
				continue
			}
			if to.wants(at) {
				to.add(candidate{path, at, traceOf(n), *n.SHA256, n.Flags&tree.SuspectRot != 0})
			}
		}
		return nil
	}
	return newer, older, walk(root, "")
}
