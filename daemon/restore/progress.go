package restore

import (
	"sync/atomic"

	"keepsake/store/tree"
)

// Progress is what a running restore has done of what it will do. Skipped and
// lost entries count as done. With Include the totals grow as matches are found.
type Progress struct {
	Bytes, BytesTotal     atomic.Int64
	Entries, EntriesTotal atomic.Int64 // files, directories and others, without the target
}

// begin starts anew with all that is below a node, or with nothing if what is
// included will be found out.
func (p *Progress) begin(n *tree.Node, whole bool) {
	p.Bytes.Store(0)
	p.Entries.Store(0)
	p.BytesTotal.Store(0)
	p.EntriesTotal.Store(0)
	if whole {
		p.expect(n)
		if n.Type == tree.Dir {
			p.EntriesTotal.Add(-1) // its content goes into the target
		}
	}
}

// expect adds a node and all below it to what will be done.
func (p *Progress) expect(n *tree.Node) {
	p.EntriesTotal.Add(entries(n))
	p.BytesTotal.Add(int64(n.Size + n.Below.Bytes))
}

// pass counts a node and all below it as done.
func (p *Progress) pass(n *tree.Node) {
	p.Entries.Add(entries(n))
	p.Bytes.Add(int64(n.Size + n.Below.Bytes))
}

func entries(n *tree.Node) int64 {
	return 1 + int64(n.Below.Files+n.Below.Dirs+n.Below.Others)
}
