package capture

import (
	"time"

	"keepsake/store/tree"
)

// racyWindow is how close to its last change a file must not have been read to
// count as unchanged later: file systems stamp times by a coarse clock, and
// some keep only every second one.
const racyWindow = 2 * time.Second

// unchanged reports whether what stands under a name is what the previous
// snapshot holds, so that its node can be taken over.
func (p *pass) unchanged(s stat, fs mounted, previous *tree.Node) bool {
	if previous == nil || previous.Type != s.typ || previous.Flags != 0 {
		return false
	}
	same := previous.Size == s.size && previous.MTime == s.mtime && previous.FS == fs.ordinal &&
		previous.Mode == s.mode && previous.UID == s.uid && previous.GID == s.gid && previous.Links == s.links &&
		previous.Rdev == s.rdev
	if fs.exact {
		same = same && previous.CTime == s.ctime
	}
	if fs.stable {
		same = same && previous.Inode == s.inode
	}
	return same
}

// another reports whether what stands under the name of a directory may not be
// the one that the previous snapshot holds, although files in it may be.
func (p *pass) another(s stat, fs mounted, previous *tree.Node) bool {
	switch {
	case previous == nil || p.unchanged(s, fs, previous):
		return false
	case previous.FS != fs.ordinal:
		return true
	case fs.stable:
		return previous.Inode != s.inode
	default: // a directory keeps its birth time, where it has one
		return previous.BTime == tree.Time{} || previous.BTime != s.btime
	}
}

// racy reports whether a change after the read could have left all times as
// they are, or the times lie in the future and so prove nothing.
func racy(s stat, read tree.Time) bool {
	edge := tree.TimeOf(read.Time().Add(-racyWindow))
	return s.mtime.Compare(edge) >= 0 || s.ctime.Compare(edge) >= 0
}
