package capture

import (
	"sync"
	"sync/atomic"

	"keepsake/store/tree"
)

// Progress counts what a run does, while it does it. Its methods are safe for
// concurrent use; the zero Progress is ready.
type Progress struct {
	dirs, files, others, listed          atomic.Int64
	newFiles, changedFiles, takenFiles   atomic.Int64
	readBytes, takenBytes, expectedBytes atomic.Int64

	mu       sync.Mutex
	problems func(path string, reason tree.Reason, err error)
}

// Counts is what a Progress has counted so far.
type Counts struct {
	Dirs, Files, Others              int64
	Listed                           int64 // Listed directories had their names read; others were taken over or passed through
	NewFiles, ChangedFiles, Unread   int64 // Unread files were taken over without being read
	ReadBytes, UnreadBytes, Expected int64 // Expected is 0 if not known beforehand
}

// Counts returns the present counts.
func (p *Progress) Counts() Counts {
	return Counts{
		Dirs: p.dirs.Load(), Files: p.files.Load(), Others: p.others.Load(), Listed: p.listed.Load(),
		NewFiles: p.newFiles.Load(), ChangedFiles: p.changedFiles.Load(), Unread: p.takenFiles.Load(),
		ReadBytes: p.readBytes.Load(), UnreadBytes: p.takenBytes.Load(), Expected: p.expectedBytes.Load(),
	}
}

// since returns what was counted after an earlier moment.
func (c Counts) since(base Counts) Counts {
	return Counts{
		Dirs: c.Dirs - base.Dirs, Files: c.Files - base.Files, Others: c.Others - base.Others, Listed: c.Listed - base.Listed,
		NewFiles: c.NewFiles - base.NewFiles, ChangedFiles: c.ChangedFiles - base.ChangedFiles, Unread: c.Unread - base.Unread,
		ReadBytes: c.ReadBytes - base.ReadBytes, UnreadBytes: c.UnreadBytes - base.UnreadBytes, Expected: c.Expected,
	}
}

// Expect says how many bytes the source has, for those who show a share.
func (p *Progress) Expect(bytes int64) { p.expectedBytes.Store(bytes) }

// OnProblem makes f be told of each path that cannot be captured, when it
// happens. f is not called concurrently.
func (p *Progress) OnProblem(f func(path string, reason tree.Reason, err error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.problems = f
}

func (p *Progress) problem(path string, reason tree.Reason, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.problems != nil {
		p.problems(path, reason, err)
	}
}

func (p *Progress) directory() { p.dirs.Add(1) }
func (p *Progress) list()      { p.listed.Add(1) }
func (p *Progress) other()     { p.others.Add(1) }
func (p *Progress) read(n int) { p.readBytes.Add(int64(n)) }

// file counts a file that was read.
func (p *Progress) file(previous *tree.Node) {
	p.files.Add(1)
	if previous == nil {
		p.newFiles.Add(1)
	} else {
		p.changedFiles.Add(1)
	}
}

// settled counts a file that was read at rest. One that was read again only
// because its last change had been too recent to trust has not changed.
func (p *Progress) settled(n, previous *tree.Node) {
	if previous != nil && n.SHA256 != nil && previous.SHA256 != nil && *n.SHA256 == *previous.SHA256 && n.MTime == previous.MTime {
		p.files.Add(1)
		p.takenFiles.Add(1)
		return
	}
	p.file(previous)
}

// taken counts a node taken over, with all below it.
func (p *Progress) taken(n *tree.Node) {
	switch n.Type {
	case tree.File:
		p.files.Add(1)
		p.takenFiles.Add(1)
		p.takenBytes.Add(int64(n.Size))
	case tree.Dir:
		p.dirs.Add(1 + int64(n.Below.Dirs))
		p.files.Add(int64(n.Below.Files))
		p.others.Add(int64(n.Below.Others))
		p.takenFiles.Add(int64(n.Below.Files))
		p.takenBytes.Add(int64(n.Below.Bytes))
	default:
		p.others.Add(1)
	}
}

// wouldRead counts a file that a dry run finds to be read.
func (p *Progress) wouldRead(size uint64, previous *tree.Node) {
	p.file(previous)
	p.readBytes.Add(int64(size))
}
