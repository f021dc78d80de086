package capture

import (
	"context"
	"errors"
	"time"

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
func (p *pass) rest(ctx context.Context, fd int, s stat, fs mounted) (stat, error) {
	settle := p.options.Settle
	if settle <= 0 {
		return s, nil
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
	again, err := statAt(fd, "")
	if err == nil && again != s && lastChange(again, fs) != changed {
		err = errUnrested
	}
	return again, err
}

// restMargin is more than a tick of the clock that files are stamped by.
const restMargin = 20 * time.Millisecond

// lastChange is when a file was written last. Programs set mtime as they like;
// nobody sets ctime, where there is one.
func lastChange(s stat, fs mounted) tree.Time {
	if fs.exact {
		return s.ctime
	}
	return s.mtime
}
