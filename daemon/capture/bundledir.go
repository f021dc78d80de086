package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// errLeftOut is about a bundle that is not captured for now, and listed.
var errLeftOut = errors.New("it waits until it is at rest")

// bundle captures a directory whose content is one thing: at a moment at which
// nothing below changes, or the previous version of all of it is kept. It owns
// fd. Nothing is held of what lies below: after the walk everything is looked at
// once more, and whatever changed since before it is newer than that.
//
// It is tried once. The next run, which follows soon after the last change,
// tries again; by then what was read is stored, and need not be stored again.
func (p *pass) bundle(ctx context.Context, fd int, rel string, s stat, previous *tree.Node) (*tree.Node, error) {
	overdue := p.overdue(s, previous)
	if p.fluxBundles[rel] && !overdue {
		unix.Close(fd)
		return p.keepBundle(rel, previous, errFlux)
	}
	look, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		unix.Close(fd)
		return p.lostDirectory(ctx, rel, s, previous, err)
	}
	since := kernelTime(-quietMargin)
	n, err := p.walkDirectory(ctx, fd, rel, s, previous)
	if n == nil || err != nil || n.Flags&tree.KeptPrevious != 0 {
		unix.Close(look)
		return n, err
	}
	n.Name, n.Bundle = []byte(base(rel)), p.bundleID(rel)
	if previous != nil {
		n.Captured = previous.Captured
		if sameTree(n, previous) {
			unix.Close(look)
			return n, nil
		}
	}
	n.Captured = tree.TimeOf(p.now())
	disturbed := p.quietBelow(look, rel, since)
	if disturbed == "" {
		return n, nil
	}
	err = fmt.Errorf("%s was written while it was read", disturbed)
	if overdue {
		n.Flags |= tree.Torn
		p.miss(rel, tree.ReasonFlux, err)
		return n, nil
	}
	p.missed.forgetBelow(rel)
	return p.keepBundle(rel, previous, err)
}

// keepBundle lets the previous version of a bundle stand in for it.
func (p *pass) keepBundle(rel string, previous *tree.Node, err error) (*tree.Node, error) {
	p.miss(rel, tree.ReasonBundle, err)
	if previous == nil {
		return nil, errLeftOut
	}
	return kept(previous), nil
}

// quietBelow looks at everything in a directory, and returns the path of
// something that changed since a moment, if there is any. What is left out does
// not count: nobody misses it. It owns fd.
//
// On a file system whose times another machine stamps, by a clock that is late,
// a change may look older than it is; it is found by the next run.
func (p *pass) quietBelow(fd int, rel string, since tree.Time) (disturbed string) {
	dir := os.NewFile(uintptr(fd), rel)
	defer dir.Close()
	again, err := openAt(fd, ".", true) // the walk's descriptor shares its place in the listing
	if err != nil {
		return rel
	}
	listing := os.NewFile(uintptr(again), rel)
	defer listing.Close()
	s, err := statNow(fd, "")
	if err != nil {
		return rel
	}
	fs, err := p.filesystems.of(s.device, fd)
	if err != nil || !rested(s, fs, since) {
		return rel
	}
	for {
		names, err := listing.Readdirnames(1024)
		for _, name := range names {
			if found := p.quietEntry(fd, rel, name, fs, since); found != "" {
				return found
			}
		}
		if err == io.EOF {
			return ""
		}
		if err != nil {
			return rel
		}
	}
}

func (p *pass) quietEntry(dir int, parent, name string, fs mounted, since tree.Time) (disturbed string) {
	rel := join(parent, name)
	s, err := statNow(dir, name)
	if err != nil {
		return rel
	}
	if _, out := p.options.Rules.MatchName(rel, s.typ == tree.Dir); out || p.own[rel] {
		return ""
	}
	if s.typ != tree.Dir {
		if (&member{name: name}).shared() || rested(s, fs, since) {
			return ""
		}
		return rel
	}
	fd, err := openAt(dir, name, true)
	if errors.Is(err, unix.EACCES) {
		return "" // it could not be captured either, which is said
	}
	if err != nil {
		return rel
	}
	return p.quietBelow(fd, rel, since)
}

// bundlesInFlux are the bundles below which something is known to be changing.
func bundlesInFlux(inFlux map[string]bool) map[string]bool {
	found := map[string]bool{}
	for rel, flux := range inFlux {
		for flux && rel != "" {
			if rel = parent(rel); isBundle(base(rel)) {
				found[rel] = true
			}
		}
	}
	return found
}
