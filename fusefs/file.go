package fusefs

import (
	"context"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"keepsake/store"
)

// file is a regular file inside a snapshot.
type file struct {
	entry
	open atomic.Int32 // handles
}

var (
	_ fs.NodeOpener      = (*file)(nil)
	_ fs.NodeOnForgetter = (*file)(nil)
)

func (f *file) OnForget() { f.v.table.forget(f.no, f) }

// Open makes a handle. The kernel may keep the content for as long as it likes.
func (f *file) Open(ctx context.Context, flags uint32) (fs.FileHandle, uint32, syscall.Errno) {
	if no := mayOpen(flags); no != 0 {
		return nil, 0, no
	}
	n, err := f.node(ctx)
	if err != nil {
		return nil, 0, f.fail(err)
	}
	content, err := f.v.repo.OpenFile(n.Clone()) // not to keep its whole page
	if err != nil {
		return nil, 0, f.fail(err)
	}
	h := &handle{f: f, content: content, size: content.Size()}
	h.ahead.h = h
	f.open.Add(1)
	return h, fuse.FOPEN_KEEP_CACHE, 0
}

// handle is an open file. Any number of reads may be under way in it.
type handle struct {
	f       *file
	content *store.File
	size    int64
	ahead   reader
}

var (
	_ fs.FileReader   = (*handle)(nil)
	_ fs.FileLseeker  = (*handle)(nil)
	_ fs.FileReleaser = (*handle)(nil)
)

// Read returns all of the request that the file has, or an error. What is in
// memory is answered at once; only what may block has to be waited for.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if off >= h.size || off < 0 {
		return fuse.ReadResultData(nil), 0
	}
	n := min(int64(len(dest)), h.size-off)
	h.ahead.note(off, n)
	var loan *store.Loan
	if h.f.v.life.Err() == nil {
		loan = h.content.LendHeld(off, n)
	}
	if loan == nil {
		var err error
		loan, err = within(h.f.v, ctx, func(ctx context.Context) (*store.Loan, error) { return h.content.Lend(ctx, off, n) })
		if err != nil {
			return nil, h.f.fail(err)
		}
	}
	return &reply{loan, int(n)}, 0
}

func (h *handle) Release(context.Context) syscall.Errno {
	h.ahead.stop()
	h.f.open.Add(-1)
	return 0
}

// Lseek finds data and holes; the kernel does all other seeking itself.
func (h *handle) Lseek(ctx context.Context, off uint64, whence uint32) (uint64, syscall.Errno) {
	if whence != unix.SEEK_DATA && whence != unix.SEEK_HOLE {
		return 0, syscall.EINVAL
	}
	if off >= uint64(h.size) {
		return 0, syscall.ENXIO
	}
	hole := whence == unix.SEEK_HOLE
	found, err := within(h.f.v, ctx, func(ctx context.Context) (int64, error) {
		for e, err := range h.content.Extents(ctx, int64(off)) {
			if err != nil {
				return 0, err
			}
			if e.Hole == hole {
				return max(e.Offset, int64(off)), nil
			}
		}
		return h.size, nil
	})
	if err != nil {
		return 0, h.f.fail(err)
	}
	if found == h.size && !hole {
		return 0, syscall.ENXIO
	}
	return uint64(found), 0
}

// reply is what a read returns: the kernel copies from the memory of the cache.
type reply struct {
	loan *store.Loan
	size int
}

var _ fuse.ReadResult = (*reply)(nil)

// maxSlices is how many slices are written at once; the kernel takes 1,024.
const maxSlices = 512

// Slices spares go-fuse a copy.
func (r *reply) Slices() ([][]byte, fuse.Status) {
	if len(r.loan.Slices) > maxSlices {
		all, status := r.Bytes(make([]byte, 0, r.size))
		return [][]byte{all}, status
	}
	return r.loan.Slices, fuse.OK
}

func (r *reply) Bytes(buf []byte) ([]byte, fuse.Status) {
	buf = buf[:0]
	for _, s := range r.loan.Slices {
		buf = append(buf, s...)
	}
	return buf, fuse.OK
}

func (r *reply) Size() int { return r.size }

func (r *reply) Done() { r.loan.Return() }
