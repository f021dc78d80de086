package capture

import (
	"context"
	"errors"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// attempts is how often a file that changes under the reader is read before
// its previous version is kept.
const attempts = 2

var (
	errFlux    = errors.New("the file was being written while it was read")
	errNotFile = errors.New("it was replaced by something that is not a regular file")
)

// fileJob is a file that has to be read.
type fileJob struct {
	ctx      context.Context // of the pass
	dir      int             // descriptor of its directory; open until the job is done
	rel      string
	name     string
	listed   stat
	previous *tree.Node
	out      *pending
}

// file takes a file over from the previous snapshot or has it read.
func (p *pass) file(ctx context.Context, dir int, rel, name string, s stat, previous *tree.Node) *pending {
	fs, err := p.filesystems.of(s.device, dir)
	if err != nil {
		return ready(p.lost(rel, previous, err))
	}
	if p.unchanged(s, fs, previous) && p.contentKnown(ctx, previous) {
		p.progress.taken(previous)
		return ready(previous)
	}
	if p.options.DryRun {
		p.progress.wouldRead(s.size, previous)
		return ready(nil)
	}
	if p.options.InFlux[rel] {
		reason := tree.ReasonFlux
		if previous != nil {
			reason = tree.ReasonKept
		}
		p.missed.add(rel, reason, "")
		return ready(kept(previous))
	}
	if p.expired() {
		p.left.Add(1)
		return ready(kept(previous))
	}
	if e := p.twins.find(s); e != nil {
		p.progress.file(previous)
		return &pending{twin: e, name: name, missed: func() { p.missed.add(rel, tree.ReasonOther, "like another name of this file") }}
	}
	job := &fileJob{ctx: ctx, dir: dir, rel: rel, name: name, listed: s, previous: previous, out: &pending{done: make(chan struct{})}}
	select {
	case p.jobs <- job:
	case <-ctx.Done():
		return &pending{err: ctx.Err()}
	}
	p.twins.add(s, job.out)
	return job.out
}

// contentKnown reports whether all chunks of a file are stored. Without a
// doubt about the repository what an earlier snapshot holds is.
func (p *pass) contentKnown(ctx context.Context, n *tree.Node) bool {
	if !p.doubt {
		return true
	}
	f, err := p.repository.OpenFile(n)
	if err != nil {
		return false
	}
	for e, err := range f.Extents(ctx, 0) {
		if err != nil {
			return false
		}
		if e.Hole {
			continue
		}
		if known, err := p.writer.Known(e.Chunk); err != nil || !known {
			return false
		}
	}
	return true
}

// do reads the file of a job and completes it.
func (j *fileJob) do(p *pass, r *fileReader) {
	defer close(j.out.done)
	n, err := p.readFile(j, r)
	if stop := interruption(err); stop != nil {
		j.out.err = stop
		return
	}
	if err != nil {
		j.out.node = p.lost(j.rel, j.previous, err)
		return
	}
	j.out.node = n
}

// readFile reads until what was read was at rest, or gives up.
func (p *pass) readFile(j *fileJob, r *fileReader) (*tree.Node, error) {
	var n *tree.Node
	for range attempts {
		var changed bool
		var err error
		if n, changed, err = p.readOnce(j, r); err != nil {
			return nil, err
		}
		if !changed {
			p.progress.file(j.previous)
			return n, nil
		}
	}
	if j.previous != nil && j.previous.Type == tree.File && j.previous.Flags&tree.Torn == 0 {
		p.missed.add(j.rel, tree.ReasonKept, "")
		p.progress.problem(j.rel, tree.ReasonKept, errFlux)
		return kept(j.previous), nil
	}
	n.Flags |= tree.Torn
	p.missed.add(j.rel, tree.ReasonFlux, "")
	p.progress.problem(j.rel, tree.ReasonFlux, errFlux)
	return n, nil
}

// readOnce opens, reads and checks a file, and reports whether it changed
// between opening and the last byte.
func (p *pass) readOnce(j *fileJob, r *fileReader) (n *tree.Node, changed bool, err error) {
	fd, err := openAt(j.dir, j.name, false)
	if err != nil {
		return nil, false, err
	}
	f := os.NewFile(uintptr(fd), "/proc/self/fd/"+strconv.Itoa(fd))
	defer f.Close()
	before, err := statAt(fd, "")
	if err != nil {
		return nil, false, err
	}
	if before.typ != tree.File {
		return nil, false, errNotFile
	}
	fs, err := p.filesystems.of(before.device, fd)
	if err != nil {
		return nil, false, err
	}
	if n, err = p.describe(j.ctx, fd, "", before, fs, j.previous); err != nil {
		return nil, false, err
	}
	n.Name = []byte(j.name)
	n.Captured = tree.TimeOf(p.now())
	// A hint for the kernel's read-ahead; nothing depends on it.
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_SEQUENTIAL)
	if err := r.read(j.ctx, f, before, n); err != nil {
		return nil, false, err
	}
	after, err := statAt(fd, "")
	if err != nil {
		return nil, false, err
	}
	if racy(after, n.Captured) {
		n.Flags |= tree.Racy
	}
	changed = after.size != before.size || after.mtime != before.mtime || after.ctime != before.ctime || n.Size != before.size
	return n, changed, nil
}
