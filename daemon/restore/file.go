package restore

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// makeFile writes a regular file under a temporary name. A *salvaged error
// means that the file is there, with gaps.
func (r *run) makeFile(ctx context.Context, j *job, temporary string, attrs []tree.Xattr) error {
	access := unix.O_WRONLY
	if r.options.Verify {
		access = unix.O_RDWR
	}
	fd, err := openAt(j.dir.fd, temporary, access|unix.O_CREAT|unix.O_EXCL, 0o600)
	if err != nil {
		return target("creating", err)
	}
	err = r.fill(ctx, j, fd, attrs)
	gaps, ok := errors.AsType[*salvaged](err)
	if err != nil && !ok {
		unix.Close(fd)
		return err
	}
	// Network file systems report a full disk here.
	if err := unix.Close(fd); err != nil && err != unix.EINTR {
		return target("closing", err)
	}
	if ok {
		return gaps
	}
	return nil
}

func (r *run) fill(ctx context.Context, j *job, fd int, attrs []tree.Xattr) error {
	err := r.content(ctx, j, fd)
	gaps, ok := errors.AsType[*salvaged](err)
	if err != nil && !ok {
		return err
	}
	if r.options.Verify && !ok {
		if err := r.verify(ctx, j, fd); err != nil {
			return err
		}
	}
	h := handle{fd: fd, fresh: true, inherits: j.dir.inherits}
	if err := r.describe(h, j.node, attrs, j.path); err != nil {
		return err
	}
	if ok {
		return gaps
	}
	return nil
}

// verify reads a file back from the disk: what the page cache holds would
// prove little.
func (r *run) verify(ctx context.Context, j *job, fd int) error {
	if j.node.SHA256 == nil {
		r.tally.missing("verification", "the snapshot has no SHA-256 of it", j.path)
		return nil
	}
	if err := again(func() error { return unix.Fdatasync(fd) }); err != nil {
		return target("writing to stable storage", err)
	}
	// Advice only; file systems in memory have nothing to drop.
	_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
	sum, err := r.digest(ctx, fd)
	if err != nil {
		return err
	}
	if sum != *j.node.SHA256 {
		return errDigest
	}
	r.tally.verified.Add(1)
	return nil
}

// salvaged says what is missing from an entry that was written nevertheless.
type salvaged struct{ what string }

func (e *salvaged) Error() string { return e.what }

// gaps sums up the ranges that could not be read.
type gaps struct {
	count int
	bytes int64
	first int64
	err   error
}

func (g *gaps) add(off, length int64, err error) {
	if g.count == 0 || off < g.first {
		g.first, g.err = off, err
	}
	g.count++
	g.bytes += length
}

func (g *gaps) salvaged() error {
	if g.count == 0 {
		return nil
	}
	return &salvaged{fmt.Sprintf("restored with %d bytes of zeros in the place of %d damaged ranges, the first at byte %d: %v", g.bytes, g.count, g.first, g.err)}
}
