package capture

import (
	"context"
	"errors"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// attempts is how often a file that changes under the reader is read before
// its previous version is kept.
const attempts = 2

// maxKept is for how long the previous version of a file in flux is kept;
// maxKeptTorn if that one is torn itself: the next is no worse, and newer.
const (
	maxKept     = 24 * time.Hour
	maxKeptTorn = time.Hour
)

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
	flux     bool // known to be still changing, whatever the read shows
	exact    bool // its file system maintains change times
	previous *tree.Node
	out      *pending
}

// file takes a file over from the previous snapshot or has it read.
func (p *pass) file(ctx context.Context, dir int, rel, name string, s stat, previous *tree.Node) *pending {
	fs, err := p.filesystems.of(s.device, dir)
	if err != nil {
		return p.lost(rel, previous, err)
	}
	same := p.unchanged(s, fs, previous)
	p.linked.see(rel, s, same)
	if p.suspected(rel, s, fs, previous) && p.contentKnown(ctx, previous) {
		p.progress.taken(previous)
		return ready(p.keepRotten(rel, previous))
	}
	if same && !p.doubted(rel) && p.contentKnown(ctx, previous) {
		p.progress.taken(previous)
		return ready(previous)
	}
	if p.options.DryRun {
		p.progress.wouldRead(s.size, previous)
		return ready(nil)
	}
	flux := p.options.InFlux[rel]
	if flux && !p.overdue(s, previous) {
		return ready(p.unsettled(rel, previous))
	}
	if p.expired() {
		p.left.Add(1)
		return ready(kept(previous))
	}
	if e := p.twins.find(s); e != nil {
		p.progress.file(previous)
		return &pending{twin: e, name: name, missed: func() *tree.Node {
			p.missed.add(rel, tree.ReasonOther, "like another name of this file")
			return kept(previous)
		}}
	}
	job := &fileJob{ctx: ctx, dir: dir, rel: rel, name: name, listed: s, flux: flux, exact: fs.exact, previous: previous, out: &pending{done: make(chan struct{})}}
	select {
	case p.jobs <- job:
	case <-ctx.Done():
		return &pending{err: ctx.Err()}
	}
	p.twins.add(s, job.out)
	return job.out
}

// unsettled lists a file that is being written, and returns its previous version.
// What has none waits for the next run.
func (p *pass) unsettled(rel string, previous *tree.Node) *tree.Node {
	reason := tree.ReasonFlux
	if previous != nil {
		reason = tree.ReasonKept
	}
	p.missed.add(rel, reason, "")
	return kept(previous)
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
		e := p.lost(j.rel, j.previous, err)
		j.out.node, j.out.gone = e.node, e.gone
		return
	}
	if n == nil || n.Flags&tree.KeptPrevious != 0 {
		j.out.node = n // nothing was read
		return
	}
	j.out.node = p.judged(j, n, &r.look)
}

// readFile reads until what was read was at rest, or gives up.
func (p *pass) readFile(j *fileJob, r *fileReader) (*tree.Node, error) {
	var n *tree.Node
	for range attempts {
		var changed bool
		var err error
		if n, changed, err = p.readOnce(j, r); errors.Is(err, errUnrested) {
			if !p.overdue(j.listed, j.previous) {
				return p.unsettled(j.rel, j.previous), nil
			}
			j.flux = true
			n, _, err = p.readOnce(j, r)
		}
		if err != nil {
			return nil, err
		}
		if j.flux {
			break
		}
		if !changed {
			p.progress.settled(n, j.previous)
			return n, nil
		}
	}
	if j.previous != nil && j.previous.Type == tree.File && !p.overdue(j.listed, j.previous) {
		p.missed.add(j.rel, tree.ReasonKept, "")
		p.progress.problem(j.rel, tree.ReasonKept, errFlux)
		return kept(j.previous), nil
	}
	p.progress.file(j.previous)
	n.Flags |= tree.Torn
	p.missed.add(j.rel, tree.ReasonFlux, "")
	p.progress.problem(j.rel, tree.ReasonFlux, errFlux)
	return n, nil
}

// overdue reports whether a file has been in flux for so long that something
// torn is better than something old: a catalogue that is never closed would
// otherwise have no backup but its first. A file that was never captured counts
// from its birth.
func (p *pass) overdue(s stat, previous *tree.Node) bool {
	since, bound := s.btime, maxKept
	if previous != nil && previous.Type == s.typ && !previous.Captured.IsZero() {
		since = previous.Captured
		if previous.Flags&tree.Torn != 0 {
			bound = maxKeptTorn
		}
	}
	return p.now().Sub(since.Time()).Abs() > bound
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
	before, err := statNow(fd, "")
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
	settlePages(fd, before)
	if !j.flux { // else nobody believes that it rests
		if fs.exact && before.size != j.listed.size && before.ctime == j.listed.ctime && before.inode == j.listed.inode {
			return nil, false, errUnrested // halfway, too
		}
		if before, err = p.rest(j.ctx, j, fd, before, fs); err != nil {
			return nil, false, err
		}
		if before, err = emptied(fd, before); err != nil {
			return nil, false, err
		}
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
	after, err := statNow(fd, "")
	if err != nil {
		return nil, false, err
	}
	if racy(after, n.Captured) {
		n.Flags |= tree.Racy
	}
	changed = after.size != before.size || after.mtime != before.mtime || after.ctime != before.ctime || n.Size != before.size ||
		halfway(after, fs, j.previous) || !p.grouped.has(j.rel) && r.pages && logged(j.dir, j.name)
	return n, changed, nil
}
