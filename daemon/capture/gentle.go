package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"
)

// ReadOptions say how gently files are read. The zero value reads as fast as it
// can.
type ReadOptions struct {
	// Limit bounds the bytes read per second; its burst has to be at least 1.
	Limit *rate.Limiter
	// Gentle leaves the page cache as it was: what was in it stays, and what only
	// the backup read is dropped. That needs cachestat(2), of Linux 6.5; without
	// it nothing is dropped, since that could be what the NAS serves. Where the
	// kernel lets only owners ask about a file, it is the same for others' files.
	Gentle bool
}

func (o ReadOptions) validate() error {
	if o.Limit != nil && o.Limit.Limit() != rate.Inf && o.Limit.Burst() < 1 {
		return errors.New("the limiter for reading has no burst, so nothing could ever be read; give it at least one byte")
	}
	return nil
}

const (
	// gentleStep is the least that is dropped at once, and gentleSteps how many
	// steps a file has at most: one bit is kept for each, and one question asked.
	gentleStep  = 4 << 20
	gentleSteps = 4096
	// limitedRead is the most that is read at once under a limit.
	limitedRead = 256 << 10
)

// content reads one open file, gently if asked to. It serves one file after the
// other.
type content struct {
	ctx   context.Context
	f     *os.File
	limit *rate.Limiter

	drop    bool
	step    int64
	cached  [gentleSteps / 64]uint64 // steps of which something was in the cache
	dropped int64                    // everything before it was dropped, or stays
	end     int64                    // of what was read
}

// open begins a file. What of it is in the cache is asked beforehand: later
// the kernel has read ahead.
func (c *content) open(ctx context.Context, f *os.File, size uint64, o ReadOptions) {
	c.ctx, c.f, c.limit = ctx, f, o.Limit
	c.drop, c.dropped, c.end = o.Gentle, 0, 0
	if !c.drop {
		return
	}
	c.cached = [gentleSteps / 64]uint64{}
	c.step = gentleStep
	for int64(size)/c.step >= gentleSteps {
		c.step *= 2
	}
	for off := int64(0); off < int64(size); off += c.step {
		var found unix.Cachestat_t
		err := retry(func() error {
			return unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Off: uint64(off), Len: uint64(c.step)}, &found, 0)
		})
		if err != nil {
			c.drop = false // nothing is known
			return
		}
		if n := off / c.step; found.Cache > 0 {
			c.cached[n/64] |= 1 << (n % 64)
		}
	}
}

// ReadAt implements io.ReaderAt; its offsets ascend.
func (c *content) ReadAt(b []byte, off int64) (n int, err error) {
	for n < len(b) && err == nil {
		piece := b[n:]
		if c.limit != nil {
			piece = piece[:min(len(piece), limitedRead, max(1, c.limit.Burst()))]
			if err := c.wait(len(piece)); err != nil {
				return n, err
			}
		}
		var got int
		got, err = c.f.ReadAt(piece, off+int64(n))
		n += got
	}
	if c.drop {
		c.end = max(c.end, off+int64(n))
		c.dropBehind(c.end - c.end%c.step)
	}
	return n, err
}

func (c *content) wait(n int) error {
	err := c.limit.WaitN(c.ctx, n)
	if err == nil || c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	// Its deadline would pass while it waits.
	return fmt.Errorf("waiting to read: %w: %w", err, context.DeadlineExceeded)
}

// dropBehind drops whole steps before an offset, but for those that were in the
// cache before.
func (c *content) dropBehind(to int64) {
	for ; c.dropped < to; c.dropped += c.step {
		if n := c.dropped / c.step; c.cached[n/64]&(1<<(n%64)) == 0 {
			// A hint: what the kernel keeps, it keeps.
			_ = unix.Fadvise(int(c.f.Fd()), c.dropped, c.step, unix.FADV_DONTNEED)
		}
	}
}

// close drops what is left, and what was read ahead.
func (c *content) close() {
	if c.drop && c.end > 0 {
		c.dropBehind(c.end + c.step - 1)
	}
}

// section reads a stretch of the file.
func (c *content) section(off, n int64) *io.SectionReader { return io.NewSectionReader(c, off, n) }
