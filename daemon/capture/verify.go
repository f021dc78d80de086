package capture

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"keepsake/store"
	"keepsake/store/tree"
)

// verifier reads files again, one after the other.
type verifier struct {
	o           *RereadOptions
	filesystems *filesystems
	spent       int64 // of the budget
	buf         []byte
	root        int
	// The directory of the last file stays open: files that were captured
	// together lie together.
	dir  int
	path string
}

// errElsewhere is about a source whose disk is not mounted: every file of it
// would seem to be gone.
var errElsewhere = errors.New("it lies on another file system than the newest snapshot says; is its disk mounted?")

func newVerifier(o *RereadOptions, newest *store.Snapshot) (*verifier, error) {
	// Mapped memory is aligned as direct reads want it.
	buf, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return nil, fmt.Errorf("memory for reading: %w", err)
	}
	v := &verifier{o: o, filesystems: newFilesystems(newest.Filesystems), buf: buf, root: -1, dir: -1}
	if err := v.openRoot(&newest.Root); err != nil {
		v.close()
		return nil, fmt.Errorf("%s: %w", o.Path, err)
	}
	return v, nil
}

func (v *verifier) openRoot(captured *tree.Node) (err error) {
	if v.root, err = retryOpen(string(v.o.Path)); err != nil {
		v.root = -1
		return err
	}
	s, err := statAt(v.root, "")
	if err != nil {
		return err
	}
	fs, err := v.filesystems.of(s.device, v.root)
	if err == nil && v.filesystems.another(s, fs, captured) {
		err = errElsewhere
	}
	return err
}

func (v *verifier) close() {
	for _, fd := range []int{v.root, v.dir} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	_ = unix.Munmap(v.buf) // of memory that nobody uses any more
}

// look reads one candidate, and a second time if it is not as it should be. It
// returns an error only if the call cannot go on.
func (v *verifier) look(ctx context.Context, c candidate, result *RereadResult) error {
	v.spent += openCost
	var sums [2][sha256.Size]byte
	var last error
	for i := range sums {
		sum, changed, err := v.read(ctx, c, &result.Bytes)
		switch {
		case interruption(err) != nil:
			return err
		case errors.Is(err, fs.ErrNotExist) || err == nil && changed:
			result.Changed++
			return nil
		case err == nil && sum == c.sum:
			result.Files++
			if i > 0 {
				result.Transient = noted(result.Transient, c.path)
			} else if c.suspect {
				result.Mended = noted(result.Mended, c.path)
			}
			return nil
		}
		sums[i], last = sum, err
	}
	if c.suspect {
		result.Known = noted(result.Known, c.path)
	}
	if last != nil {
		result.Unreadable = noted(result.Unreadable, tree.Missed{Path: []byte(c.path), Reason: reasonOf(last), Detail: detailOf(last)})
		return nil
	}
	result.Files++
	result.Rotten = noted(result.Rotten, c.path)
	return nil
}

// read returns the digest of a file, or that it was written to since its
// capture, or is being written to.
func (v *verifier) read(ctx context.Context, c candidate, total *int64) (sum [sha256.Size]byte, changed bool, err error) {
	fd, err := v.open(c.path)
	if err != nil {
		return sum, false, err
	}
	f := os.NewFile(uintptr(fd), c.path)
	defer f.Close()
	before, err := v.same(fd, c)
	if err != nil || before == nil {
		return sum, true, err
	}
	h := sha256.New()
	n, err := v.digest(ctx, f, *before, h)
	v.spent += n
	*total += n
	if err != nil {
		return sum, false, err
	}
	after, err := v.same(fd, c)
	return [sha256.Size]byte(h.Sum(nil)), after == nil, err
}

// same returns what stat says of an open file, or nil if it is not as captured.
func (v *verifier) same(fd int, c candidate) (*stat, error) {
	s, err := statAt(fd, "")
	if err != nil {
		return nil, err
	}
	fs, err := v.filesystems.of(s.device, fd)
	if err != nil || s.typ != tree.File || s.trace(fs) != c.trace {
		return nil, err
	}
	return &s, nil
}

// open opens a file below the root. No component of its path is followed if it
// is a symlink.
func (v *verifier) open(rel string) (int, error) {
	dir := parent(rel)
	if v.dir < 0 || v.path != dir {
		if err := v.enter(dir); err != nil {
			return -1, err
		}
	}
	fd, err := openAt(v.dir, base(rel), false)
	return fd, replaced(err)
}

// replaced turns what opening says of something that has taken a file's or a
// directory's name into that they are gone.
func replaced(err error) error {
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP), errors.Is(err, unix.ENXIO):
		return fs.ErrNotExist
	}
	return err
}

func (v *verifier) enter(dir string) error {
	fd, err := openAt(v.root, ".", true)
	if err != nil {
		return err
	}
	if dir != "" {
		for element := range strings.SplitSeq(dir, "/") {
			next, err := openAt(fd, element, true)
			unix.Close(fd)
			if err != nil {
				return replaced(err)
			}
			fd = next
		}
	}
	if v.dir >= 0 {
		unix.Close(v.dir)
	}
	v.dir, v.path = fd, dir
	return nil
}

// digest hashes a file as a capture does, holes as zeros, and returns how many
// bytes were read.
func (v *verifier) digest(ctx context.Context, f *os.File, s stat, sum hash.Hash) (read int64, err error) {
	fd := int(f.Fd())
	direct := setDirect(fd, true) == nil
	if !direct {
		// What the kernel does not drop is read from memory; see above.
		_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED)
		defer func() { _ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) }() // our pages are of no use to others
	}
	size, sparse := int64(s.size), s.blocks*512 < s.size
	for off := int64(0); off < size; {
		data, end := off, size
		if sparse {
			if data, end, err = nextData(f, off, size); err != nil {
				return read, err
			}
			data = max(off, data&^(align-1)) // off is aligned, or the end
			hashHole(sum, uint64(data-off))
		}
		for off = data; off < end; {
			n, err := v.piece(ctx, f, off, end, &direct)
			if err != nil {
				return read, err
			}
			sum.Write(v.buf[:n])
			read, off = read+int64(n), off+int64(n)
		}
	}
	return read, nil
}

// align is what offsets and lengths of direct reads are multiples of; no file
// system asks for more.
const align = 4096

// piece reads from off into the buffer, at most to end unless end is not
// aligned, in which case the file ends there or a hole begins, which reads as
// zeros. It leaves direct reading if the file system refuses it after all.
func (v *verifier) piece(ctx context.Context, f *os.File, off, end int64, direct *bool) (int, error) {
	want := min(int64(len(v.buf)), (end-off+align-1)&^(align-1))
	if err := wait(ctx, v.o.Limit, int(want)); err != nil {
		return 0, err
	}
	n, err := f.ReadAt(v.buf[:want], off)
	if *direct && errors.Is(err, unix.EINVAL) {
		fd := int(f.Fd())
		*direct = false
		if err := setDirect(fd, false); err != nil {
			return 0, err
		}
		_ = unix.Fadvise(fd, 0, 0, unix.FADV_DONTNEED) // as above
		n, err = f.ReadAt(v.buf[:want], off)
	}
	if n = int(min(int64(n), end-off)); n == 0 && err == io.EOF {
		return 0, io.ErrUnexpectedEOF // cut while it was read: the second attempt sees its size
	}
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// wait waits until n bytes may be read, in steps that the limiter allows.
func wait(ctx context.Context, limit *rate.Limiter, n int) error {
	if limit == nil || limit.Limit() == rate.Inf {
		return ctx.Err()
	}
	for n > 0 {
		step := min(n, max(1, limit.Burst()))
		if err := limit.WaitN(ctx, step); err != nil {
			return errors.Join(context.DeadlineExceeded, err) // now, or while waiting
		}
		n -= step
	}
	return nil
}

// setDirect makes reads of an open file bypass the page cache, or not.
func setDirect(fd int, on bool) error {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil {
		return err
	}
	if flags &^= unix.O_DIRECT; on {
		flags |= unix.O_DIRECT
	}
	_, err = unix.FcntlInt(uintptr(fd), unix.F_SETFL, flags)
	return err
}
