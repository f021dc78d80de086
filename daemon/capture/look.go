package capture

import (
	"context"

	"keepsake/daemon/guard"
	"keepsake/store/tree"
)

// look is what a reader sees of a file beside storing it: how it begins, and a
// sample of it if its kind can be told by that.
type look struct {
	kind   guard.Kind
	means  bool // the name promises something
	head   [guard.HeadSize]byte
	n      int
	sample guard.Sample
}

func (l *look) begin(name string) {
	l.kind, l.means = guard.KindOf(name)
	l.n = 0
	if l.kind.Compressible() {
		l.sample.Reset()
	}
}

// see is shown each piece that is read, in order.
func (l *look) see(b []byte, off int64) {
	if !l.means {
		return
	}
	if off == 0 {
		l.n = copy(l.head[:], b)
	}
	if l.kind.Compressible() {
		l.sample.Add(b)
	}
}

func (l *look) fits() bool { return l.kind.Fits(l.head[:l.n]) }

// inspect counts whether a file that was read is what its name promises.
func (p *pass) inspect(j *fileJob, n *tree.Node, l *look) {
	if !l.means || n.Flags&(tree.KeptPrevious|tree.Torn) != 0 || n.SHA256 == nil {
		return
	}
	if j.previous == nil || j.previous.Type != tree.File {
		if n.Size > 0 && !l.fits() {
			p.seen.add(func(o *guard.Observation) { o.NewMisfit++ })
		}
		return
	}
	if j.previous.SHA256 != nil && *j.previous.SHA256 == *n.SHA256 {
		return
	}
	misfit := !l.fits()
	random := !misfit && l.kind.Compressible() && l.sample.Random()
	if misfit || random {
		// What never was as promised was not spoilt now. Only files that look
		// spoilt cost a look at what they were.
		fit, compressed := p.was(j.ctx, j.previous, l.kind)
		misfit, random = misfit && fit, random && compressed
	}
	p.seen.add(func(o *guard.Observation) {
		o.Checked++
		if misfit {
			o.Misfit++
		}
		if random {
			o.Random++
		}
	})
}

// was reports whether the previous version of a file began as its kind does,
// and whether it compressed. One that cannot be read counts as the norm of its
// kind.
func (p *pass) was(ctx context.Context, previous *tree.Node, kind guard.Kind) (fit, compressed bool) {
	if previous.Size == 0 {
		return false, false
	}
	f, err := p.repository.OpenFile(previous)
	if err != nil {
		return true, true
	}
	b := make([]byte, min(previous.Size, 64<<10)) // a segment is opened as a whole anyway
	n, err := f.ReadAt(ctx, b, 0)
	if n < len(b) && err != nil {
		return true, true
	}
	var sample guard.Sample
	sample.Add(b)
	return kind.Fits(b[:min(n, guard.HeadSize)]), !sample.Random()
}
