package capture

import (
	"errors"

	"keepsake/store/tree"
)

// A file whose content changed while its size and times did not was not changed
// by a program, as far as the file system knows: a disk, a controller or a
// memory did it. Its earlier version is the better one and is kept, flagged and
// listed, for as long as the size and times stay. Once they change, somebody
// has written to the file, and that is an edit like others.

// trace is what a write to a file changes, besides its content.
type trace struct {
	fs           uint32
	inode        uint64 // 0 where it is not stable
	size         uint64
	mtime, ctime tree.Time
}

func traceOf(n *tree.Node) trace { return trace{n.FS, n.Inode, n.Size, n.MTime, n.CTime} }

func (s *stat) trace(fs mounted) trace {
	t := trace{fs.ordinal, 0, s.size, s.mtime, s.ctime}
	if fs.stable {
		t.inode = s.inode
	}
	return t
}

// tells reports whether a node can be compared with what a file holds later: it
// was not captured too close to a change, nor while it changed.
func tells(n *tree.Node) bool {
	return n != nil && n.Type == tree.File && n.SHA256 != nil && n.Flags&(tree.Racy|tree.Torn) == 0
}

// suspected reports whether a file is known to have rotted, and nobody wrote to
// it since.
func (p *pass) suspected(rel string, s stat, fs mounted, previous *tree.Node) bool {
	if !tells(previous) || traceOf(previous) != s.trace(fs) {
		return false
	}
	suspect, told := p.options.Suspect[rel]
	return suspect || !told && previous.Flags&tree.SuspectRot != 0
}

// doubted reports whether a file has to be read whatever its times say.
func (p *pass) doubted(rel string) bool {
	suspect, told := p.options.Suspect[rel]
	return told && !suspect
}

// keepRotten is the earlier version of a file that rotted.
func (p *pass) keepRotten(rel string, previous *tree.Node) *tree.Node {
	p.missed.add(rel, tree.ReasonRot, "")
	n := *previous
	n.Flags = n.Flags&^tree.KeptPrevious | tree.SuspectRot
	return &n
}

// judged returns what is stored of a file that was read: itself, or its earlier
// version if it rotted. Only file systems that maintain change times themselves
// can tell rot from an edit whose times were set back; on others, what is read
// for another reason counts as edited.
func (p *pass) judged(j *fileJob, n *tree.Node, l *look) *tree.Node {
	p.inspect(j, n, l)
	if !j.exact || n.Flags != 0 || !tells(j.previous) || traceOf(n) != traceOf(j.previous) || *n.SHA256 == *j.previous.SHA256 {
		return n
	}
	if !p.contentKnown(j.ctx, j.previous) {
		p.missed.add(j.rel, tree.ReasonRot, "its earlier version is damaged in the repository; this one was stored")
		return n
	}
	p.progress.problem(j.rel, tree.ReasonRot, errRot)
	return p.keepRotten(j.rel, j.previous)
}

var errRot = errors.New("its content is not what was captured, although nothing says that it was written to")
