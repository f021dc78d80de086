package capture

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// Who watches a source knows which of its files are being written, but not all of
// them: nobody has watched before the start, events get lost, directories are
// beyond the limit of watches, and what begins to be written during a run is told
// to the next one. Between two writes nothing moves, so the looks before and after
// a read do not show it. The time of the last change does: if it is longer ago
// than the settle time, the file has been at rest for so long.

var errUnrested = errors.New("the file was written just now")

// rest waits until an open file that changed before the run began has rested, as
// it was found. What changed later does not rest as long as the run goes on, so
// all waits of a run together take no longer than the settle time.
func (p *pass) rest(ctx context.Context, j *fileJob, fd int, s stat, fs mounted) (stat, error) {
	settle := p.options.Settle
	if settle <= 0 {
		return s, nil
	}
	if sighted := p.options.Sightings; fs.foreign && sighted != nil {
		if lately(s) && !captured(j.previous, s) && !sighted.rested(j.rel, s, settle) {
			return s, errUnrested
		}
		return s, nil
	}
	if (recent(s) || fs.memory) && p.mapped.has(s.inode, settle) {
		return p.restMapped(ctx, fd, s, fs)
	}
	changed := lastChange(s, fs)
	now := kernelTime(0)
	// A time in the future proves nothing; the file is read again next time.
	if changed.Compare(kernelTime(-settle)) <= 0 || changed.Compare(tree.TimeOf(now.Time().Add(racyWindow))) > 0 {
		return s, nil
	}
	if changed.Compare(p.options.began) > 0 {
		return s, errUnrested
	}
	if err := pause(ctx, settle-now.Time().Sub(changed.Time())+restMargin); err != nil {
		return s, err
	}
	again, err := statNow(fd, "")
	if err == nil && (again.size != s.size || lastChange(again, fs) != changed) {
		err = errUnrested
	}
	return again, err
}

// restMapped is rest for a file that some program has mapped for writing. How
// long ago it changed says nothing: stores through a map move its times only if
// its pages have been written back before, as they have been now. So it has to
// stay as it is for the settle time from now on. Where nothing is written back it
// never rests.
func (p *pass) restMapped(ctx context.Context, fd int, s stat, fs mounted) (stat, error) {
	now := time.Now()
	overdrawn := !p.waits.CompareAndSwap(nil, &now) && now.Sub(*p.waits.Load()) > patience*p.options.Settle
	if fs.memory || overdrawn || lastChange(s, fs).Compare(p.options.began) > 0 {
		return s, errUnrested
	}
	if err := pause(ctx, p.options.Settle); err != nil {
		return s, err
	}
	again, err := statNow(fd, "")
	if err == nil && (again.mtime != s.mtime || again.ctime != s.ctime) {
		err = errUnrested
	}
	return again, err
}

// patience bounds, in settle times, for how long a pass waits for mapped files,
// all of them together.
const patience = 3

// restMargin is more than a tick of the coarse clock that files are stamped by;
// some file systems use a finer one for those that somebody looks at.
const restMargin = 20 * time.Millisecond

// lastChange is when a file was written last. Programs set mtime as they like;
// nobody sets ctime, where there is one. Elsewhere the later one counts, unless it
// lies in the future.
func lastChange(s stat, fs mounted) tree.Time {
	if fs.exact || s.ctime.Compare(s.mtime) > 0 && s.ctime.Compare(kernelTime(racyWindow)) <= 0 {
		return s.ctime
	}
	return s.mtime
}

// halfway reports whether the kernel itself is in the middle of a change: ext4
// sets the size of a file that is cut off before it sets the times, and may wait
// for its journal in between. Where times are exact, another size comes with
// another time, unless the earlier version was read within a tick of it.
func halfway(s stat, fs mounted, previous *tree.Node) bool {
	return previous != nil && previous.Type == s.typ && fs.exact && fs.stable && previous.Inode == s.inode && previous.FS == fs.ordinal &&
		previous.CTime == s.ctime && previous.Size != s.size && previous.Flags&tree.Racy == 0
}

// emptied looks again at a file that is empty, which may be halfway and have no
// earlier version that tells. Asking where its data is waits for whoever is
// changing it: ext4 and btrfs lock the inode for both.
func emptied(fd int, s stat) (stat, error) {
	if s.size > 0 {
		return s, nil
	}
	_, _ = unix.Seek(fd, 0, unix.SEEK_DATA) // fails, as there is none
	again, err := statAt(fd, "")
	if err == nil && (again.size != s.size || again.ctime != s.ctime) {
		err = errUnrested
	}
	return again, err
}
