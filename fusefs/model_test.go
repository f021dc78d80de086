package fusefs_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// client does random things to a view and compares what it is told with the
// original tree, which is the model. Many run at once, in a process of their
// own: a program that maps files of a view that it serves itself can wait for
// itself.
type client struct {
	model   string
	views   []string // folders that show the model
	past    string   // the folder of its versions
	entries []modelEntry
	files   []modelEntry // those of entries that are regular files, large ones more often
	faults  bool         // input/output errors are fine
	limit   time.Duration
	rand    *rand.Rand

	kept    []*keptFile
	counts  map[string]int // operations by name
	failed  int            // input/output errors
	slowest time.Duration
}

// modelEntry is one path of the model.
type modelEntry struct {
	rel  string
	mode uint32
	size int64
}

// keptFile is a file that stays open over many operations.
type keptFile struct {
	view, model *os.File
	entry       modelEntry
	at          int64 // where a reader in order goes on
}

// modelOps are what clients do, and how often.
var modelOps = []struct {
	name   string
	weight int
	run    func(*client) error
}{
	{"stat", 20, (*client).stat},
	{"lookup of nothing", 4, (*client).nothing},
	{"readdir", 12, (*client).list},
	{"xattr", 12, (*client).xattrs},
	{"digest", 2, (*client).digest},
	{"readlink", 3, (*client).readlink},
	{"seek hole", 10, (*client).holes},
	{"mmap", 10, (*client).mapped},
	{"read at", 20, (*client).readAt},
	{"read on", 20, (*client).readOn},
	{"read past the cache", 5, (*client).direct},
	{"versions", 6, (*client).versions},
	{"statfs", 1, (*client).statfs},
}

// wrong is what must never happen.
type wrong struct{ what string }

func (w *wrong) Error() string { return w.what }

func wrongf(format string, args ...any) error { return &wrong{fmt.Sprintf(format, args...)} }

// step does one operation.
func (c *client) step() error {
	total := 0
	for _, op := range modelOps {
		total += op.weight
	}
	pick := c.rand.IntN(total)
	for _, op := range modelOps {
		if pick -= op.weight; pick >= 0 {
			continue
		}
		c.counts[op.name]++
		begun := time.Now()
		err := op.run(c)
		took := time.Since(begun)
		c.slowest = max(c.slowest, took)
		if took > c.limit {
			return wrongf("%s took %v", op.name, took)
		}
		if w, ok := errors.AsType[*wrong](err); ok {
			return wrongf("%s: %v", op.name, w)
		}
		if err != nil && !c.faults {
			return wrongf("%s: %v", op.name, err)
		}
		if err != nil {
			c.failed++
			if !errors.Is(err, unix.EIO) && !errors.Is(err, unix.EINTR) {
				return wrongf("%s fails with another error than EIO: %v", op.name, err)
			}
		}
		return nil
	}
	panic("model: the weights do not add up")
}

func (c *client) any() modelEntry  { return c.entries[c.rand.IntN(len(c.entries))] }
func (c *client) file() modelEntry { return c.files[c.rand.IntN(len(c.files))] }

// paths returns the path of an entry in a view and in the model.
func (c *client) paths(e modelEntry) (view, model string) {
	return filepath.Join(c.views[c.rand.IntN(len(c.views))], e.rel), filepath.Join(c.model, e.rel)
}

// both does the same to the view and to the model, and compares.
func both[T any](c *client, e modelEntry, do func(path string) (T, error), equal func(a, b T) bool) error {
	view, model := c.paths(e)
	want, wantErr := do(model)
	got, err := do(view)
	switch {
	case err != nil && wantErr != nil && errors.Is(err, wantErr):
		return nil
	case err != nil && (errors.Is(err, unix.EIO) || errors.Is(err, unix.EINTR)):
		return err
	case err != nil || wantErr != nil:
		return wrongf("%q: %v, and the original says %v", e.rel, err, wantErr)
	case !equal(got, want):
		return wrongf("%q: %v, and the original says %v", e.rel, brief(got), brief(want))
	}
	return nil
}

func brief(v any) string {
	s := fmt.Sprintf("%v", v)
	return s[:min(len(s), 500)]
}

func same[T comparable](a, b T) bool { return a == b }

func (c *client) stat() error {
	type facts struct {
		mode, uid, gid  uint32
		size, links     int64
		sec, nsec, rdev int64
	}
	return both(c, c.any(), func(path string) (facts, error) {
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return facts{}, err
		}
		f := facts{mode: st.Mode, uid: st.Uid, gid: st.Gid, sec: int64(st.Mtim.Sec), nsec: int64(st.Mtim.Nsec), rdev: int64(st.Rdev)}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
		case unix.S_IFLNK:
			f.mode, f.size = unix.S_IFLNK, st.Size
		default:
			f.size, f.links = st.Size, int64(st.Nlink)
		}
		return f, nil
	}, same)
}

func (c *client) nothing() error {
	e := c.any()
	if e.mode&unix.S_IFMT != unix.S_IFDIR {
		e.rel = filepath.Dir(e.rel)
	}
	e.rel = filepath.Join(e.rel, fmt.Sprintf(".none-%d", c.rand.IntN(50)))
	return both(c, e, func(path string) (int, error) { return 0, unix.Lstat(path, new(unix.Stat_t)) }, same)
}

// list reads a directory through a buffer of some size, and sometimes begins again in the midst.
func (c *client) list() error {
	e := c.any()
	for e.mode&unix.S_IFMT != unix.S_IFDIR {
		e = c.any()
	}
	buf := make([]byte, 300+c.rand.IntN(32<<10))
	again := c.rand.IntN(4) == 0
	return both(c, e, func(path string) ([]string, error) {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		var names []string
		for calls := 0; ; calls++ {
			n, err := unix.ReadDirent(fd, buf)
			if err != nil {
				return nil, err
			}
			if n <= 0 {
				break
			}
			_, _, names = unix.ParseDirent(buf[:n], -1, names)
			if again && calls == 1 {
				again, names = false, nil
				if _, err := unix.Seek(fd, 0, unix.SEEK_SET); err != nil {
					return nil, err
				}
			}
		}
		slices.Sort(names)
		return names, nil
	}, slices.Equal)
}

func (c *client) xattrs() error {
	return both(c, c.any(), func(path string) ([]string, error) {
		list := make([]byte, 64<<10)
		n, err := unix.Llistxattr(path, list)
		if err != nil {
			return nil, err
		}
		var all []string
		for name := range strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00") {
			if name == "" {
				continue
			}
			value := make([]byte, 64<<10)
			n, err := unix.Lgetxattr(path, name, value)
			if err != nil {
				return nil, err
			}
			all = append(all, name+"="+string(value[:n]))
		}
		slices.Sort(all)
		return all, nil
	}, slices.Equal)
}

func (c *client) digest() error {
	e := c.file()
	view, model := c.paths(e)
	content, err := os.ReadFile(model)
	if err != nil {
		return wrongf("the model: %v", err)
	}
	got := make([]byte, 64)
	n, err := unix.Lgetxattr(view, "user.keepsake.sha256", got)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != string(got[:n]) {
		return wrongf("%q: digest %s", e.rel, got[:n])
	}
	return nil
}

func (c *client) readlink() error {
	e := c.any()
	for range 50 { // there are few
		if e.mode&unix.S_IFMT == unix.S_IFLNK {
			break
		}
		e = c.any()
	}
	return both(c, e, func(path string) (string, error) {
		target := make([]byte, 4097)
		n, err := unix.Readlink(path, target)
		return string(target[:max(n, 0)]), err
	}, same)
}

func (c *client) statfs() error {
	return unix.Statfs(c.views[c.rand.IntN(len(c.views))], new(unix.Statfs_t))
}

// holes compares where the next data and the next hole are.
func (c *client) holes() error {
	e := c.file()
	off := c.rand.Int64N(e.size + 2)
	whence := []int{unix.SEEK_DATA, unix.SEEK_HOLE}[c.rand.IntN(2)]
	return both(c, e, func(path string) (int64, error) {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return 0, err
		}
		defer unix.Close(fd)
		return unix.Seek(fd, off, whence)
	}, same)
}

// open opens a file of the view and of the model.
func (c *client) open(e modelEntry, flags int) (*keptFile, error) {
	view, model := c.paths(e)
	k := &keptFile{entry: e}
	var err error
	if k.model, err = os.Open(model); err != nil {
		return nil, wrongf("the model: %v", err)
	}
	fd, err := unix.Open(view, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		k.model.Close()
		return nil, err
	}
	k.view = os.NewFile(uintptr(fd), view)
	return k, nil
}

func (k *keptFile) close() {
	k.view.Close()
	k.model.Close()
}

// compare reads n bytes from off as a program does that goes on after a short
// read. Where the view says that the file ends, it must end.
func (k *keptFile) compare(off int64, n int) error {
	want := make([]byte, n)
	m, err := k.model.ReadAt(want, off)
	if m < n && off+int64(m) != k.entry.size && off < k.entry.size {
		return wrongf("the model: %v", err)
	}
	want = want[:m]
	got, fd := make([]byte, n), int(k.view.Fd())
	for done := 0; done < n; {
		r, err := syscall.Pread(fd, got[done:], off+int64(done))
		if err != nil {
			return err
		}
		if r == 0 {
			if done != m {
				return wrongf("%q: ends at %d of %d bytes", k.entry.rel, off+int64(done), k.entry.size)
			}
			break
		}
		done += r
		if done > m || !bytes.Equal(got[done-r:done], want[done-r:done]) {
			return wrongf("%q: wrong bytes between %d and %d of %d", k.entry.rel, off+int64(done-r), off+int64(done), k.entry.size)
		}
	}
	return nil
}

// forget lets go of what the kernel has of a file, so that the view is asked.
func (k *keptFile) forget() {
	_ = unix.Fadvise(int(k.view.Fd()), 0, 0, unix.FADV_DONTNEED) // a hint
}

func (c *client) readAt() error {
	k, err := c.open(c.file(), 0)
	if err != nil {
		return err
	}
	defer k.close()
	for range 1 + c.rand.IntN(3) {
		if err := k.compare(c.rand.Int64N(k.entry.size+1), 1+c.rand.IntN(300<<10)); err != nil {
			return err
		}
	}
	return nil
}

// readOn reads in order for a while from a file that stays open, and then elsewhere.
func (c *client) readOn() error {
	const keep = 4
	if len(c.kept) < keep {
		k, err := c.open(c.file(), 0)
		if err != nil {
			return err
		}
		if c.rand.IntN(2) == 0 {
			_ = unix.Fadvise(int(k.view.Fd()), 0, 0, unix.FADV_RANDOM) // a hint
		}
		c.kept = append(c.kept, k)
	}
	i := c.rand.IntN(len(c.kept))
	k := c.kept[i]
	if c.rand.IntN(8) == 0 {
		k.close()
		c.kept = slices.Delete(c.kept, i, i+1)
		return nil
	}
	if c.rand.IntN(3) == 0 {
		k.forget()
	}
	if c.rand.IntN(2) == 0 || k.at >= k.entry.size {
		k.at = c.rand.Int64N(k.entry.size + 1)
	}
	piece := 4096 << c.rand.IntN(6)
	for range 1 + c.rand.IntN(16) {
		if err := k.compare(k.at, piece); err != nil {
			return err
		}
		k.at += int64(piece)
	}
	return nil
}

// versions looks at the only version that a file has.
func (c *client) versions() error {
	e := c.file()
	dir := filepath.Join(c.past, e.rel)
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return err
	}
	if len(names) != 1 {
		return wrongf("%q has the versions %q", e.rel, names)
	}
	k := &keptFile{entry: e}
	if k.model, err = os.Open(filepath.Join(c.model, e.rel)); err != nil {
		return wrongf("the model: %v", err)
	}
	if k.view, err = os.Open(filepath.Join(dir, names[0])); err != nil {
		k.model.Close()
		return err
	}
	defer k.close()
	if info, err := k.view.Stat(); err != nil || info.Size() != e.size {
		return wrongf("%q: a version of %d bytes has %d: %v", e.rel, e.size, info.Size(), err)
	}
	return k.compare(c.rand.Int64N(e.size+1), 1+c.rand.IntN(100<<10))
}

func (c *client) direct() error {
	k, err := c.open(c.file(), unix.O_DIRECT)
	if err != nil {
		return err
	}
	defer k.close()
	return k.compare(c.rand.Int64N(k.entry.size/4096+1)*4096, 4096*(1+c.rand.IntN(40)))
}

// mapped compares pages of a mapped file. A page that cannot be read is SIGBUS.
func (c *client) mapped() (err error) {
	e := c.file()
	if e.size == 0 {
		return nil
	}
	k, err := c.open(e, 0)
	if err != nil {
		return err
	}
	defer k.close()
	off := c.rand.Int64N((e.size+4095)/4096) * 4096
	n := min(e.size-off, int64(1+c.rand.IntN(512<<10)))
	want := make([]byte, n)
	if _, err := k.model.ReadAt(want, off); err != nil {
		return wrongf("the model: %v", err)
	}
	got, err := unix.Mmap(int(k.view.Fd()), off, int(n), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	defer func() {
		if uerr := unix.Munmap(got); uerr != nil {
			err = wrongf("munmap: %v", uerr)
		}
	}()
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil {
			err = unix.EIO
		}
	}()
	if !bytes.Equal(got, want) {
		return wrongf("%q: wrong bytes in the pages from %d on", e.rel, off)
	}
	return nil
}
