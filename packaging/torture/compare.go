package torture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// CompareOptions widens or narrows what Compare looks at. The zero value is what `rsync -aHAX --checksum` would see.
type CompareOptions struct {
	Holes bool                  // also where files hold data and where holes; only for file systems of one block size
	Skip  func(rel string) bool // entries that are left out with all they contain; the root is "."
}

// maxDifferences bounds the answer, so that a tree that is missing as a whole does not fill a log.
const maxDifferences = 200

// Compare lists what differs between the trees a and b, their roots included, as lines that begin with a quoted path.
// It looks at names, types, permission bits, owners by number, modification times to the nanosecond (of symlinks too),
// sizes, contents byte by byte, symlink targets, device numbers, extended attributes and ACLs, and which names share an inode.
// It does not look at other times, link counts or inode numbers. What cannot be read is a difference.
func Compare(a, b string, o CompareOptions) []string {
	c := &comparison{a: a, b: b, options: o, buffers: [2][]byte{make([]byte, mib), make([]byte, mib)}}
	c.inodes = [2]map[inode]string{{}, {}}
	c.entry(".")
	if c.more > 0 {
		c.found = append(c.found, fmt.Sprintf("and %d more differences", c.more))
	}
	return c.found
}

type inode struct{ device, number uint64 }

type comparison struct {
	a, b    string
	options CompareOptions
	inodes  [2]map[inode]string // in each tree, the first name of an inode that has several
	buffers [2][]byte
	found   []string
	more    int
}

func (c *comparison) differ(rel, format string, args ...any) {
	if len(c.found) >= maxDifferences {
		c.more++
		return
	}
	c.found = append(c.found, fmt.Sprintf("%q: ", rel)+fmt.Sprintf(format, args...))
}

// unequal reports a pair of values that should be the same.
func unequal[T comparable](c *comparison, rel, what, format string, x, y T) bool {
	if x == y {
		return false
	}
	c.differ(rel, "%s "+format+" became "+format, what, x, y)
	return true
}

// entry compares one name that both trees have, and below it if it is a directory.
func (c *comparison) entry(rel string) {
	if c.options.Skip != nil && c.options.Skip(rel) {
		return
	}
	pathA, pathB := c.a+"/"+rel, c.b+"/"+rel
	if rel == "." {
		pathA, pathB = c.a, c.b
	}
	x, errA := os.Lstat(pathA)
	y, errB := os.Lstat(pathB)
	if errA != nil || errB != nil {
		c.differ(rel, "cannot be looked at: %v; %v", errA, errB)
		return
	}
	if unequal(c, rel, "type", "%v", x.Mode().Type(), y.Mode().Type()) {
		return
	}
	c.metadata(rel, x, y)
	c.links(rel, x, y)
	c.xattrs(rel, pathA, pathB)
	switch x.Mode().Type() {
	case 0:
		c.contents(rel, pathA, pathB, x.Size(), y.Size())
	case fs.ModeDir:
		c.children(rel, pathA, pathB)
	case fs.ModeSymlink:
		targetA, errA := os.Readlink(pathA)
		targetB, errB := os.Readlink(pathB)
		if errA != nil || errB != nil {
			c.differ(rel, "target cannot be read: %v; %v", errA, errB)
			return
		}
		unequal(c, rel, "target", "%q", targetA, targetB)
	}
}

func (c *comparison) metadata(rel string, x, y fs.FileInfo) {
	s, t := x.Sys().(*syscall.Stat_t), y.Sys().(*syscall.Stat_t)
	if x.Mode().Type() != fs.ModeSymlink { // a symlink's permissions mean nothing
		unequal(c, rel, "mode", "%04o", s.Mode&0o7777, t.Mode&0o7777)
	}
	unequal(c, rel, "owner", "%d", s.Uid, t.Uid)
	unequal(c, rel, "group", "%d", s.Gid, t.Gid)
	if !x.ModTime().Equal(y.ModTime()) {
		const layout = time.RFC3339Nano
		c.differ(rel, "modification time %s became %s", x.ModTime().UTC().Format(layout), y.ModTime().UTC().Format(layout))
	}
	if x.Mode()&fs.ModeDevice != 0 {
		unequal(c, rel, "device", "%#x", uint64(s.Rdev), uint64(t.Rdev))
	}
}

// links compares which earlier name of the walk an entry shares its inode with.
func (c *comparison) links(rel string, x, y fs.FileInfo) {
	if x.IsDir() {
		return
	}
	first := func(side int, info fs.FileInfo) string {
		st := info.Sys().(*syscall.Stat_t)
		if st.Nlink < 2 {
			return ""
		}
		key := inode{uint64(st.Dev), st.Ino}
		leader, ok := c.inodes[side][key]
		if !ok {
			c.inodes[side][key] = rel
		}
		return leader
	}
	if a, b := first(0, x), first(1, y); a != b {
		c.differ(rel, "hard link to %q became one to %q", a, b)
	}
}

func (c *comparison) children(rel, pathA, pathB string) {
	namesA, errA := names(pathA)
	namesB, errB := names(pathB)
	if errA != nil || errB != nil {
		c.differ(rel, "cannot be listed: %v; %v", errA, errB)
		return
	}
	all := slices.Concat(namesA, namesB)
	slices.Sort(all)
	prefix := rel + "/"
	if rel == "." {
		prefix = ""
	}
	for i := 0; i < len(all); i++ {
		child := prefix + all[i]
		switch {
		case i+1 < len(all) && all[i] == all[i+1]:
			c.entry(child)
			i++
		case c.options.Skip != nil && c.options.Skip(child):
		case has(namesA, all[i]):
			c.differ(child, "is missing")
		default:
			c.differ(child, "should not be there")
		}
	}
}

// names lists a directory in the order of bytes.
func names(dir string) ([]string, error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.Readdirnames(-1)
	slices.Sort(list)
	return list, err
}

func has(sorted []string, name string) bool {
	_, ok := slices.BinarySearch(sorted, name)
	return ok
}

// contents compares two files byte by byte, which says where they part and takes no trust in a digest.
func (c *comparison) contents(rel, pathA, pathB string, sizeA, sizeB int64) {
	if unequal(c, rel, "size", "%d", sizeA, sizeB) {
		return
	}
	f, errA := openFile(pathA)
	g, errB := openFile(pathB)
	if errA == nil {
		defer f.Close()
	}
	if errB == nil {
		defer g.Close()
	}
	if errA != nil || errB != nil {
		c.differ(rel, "cannot be opened: %v; %v", errA, errB)
		return
	}
	if at, err := firstDifference(f, g, sizeA, c.buffers); err != nil {
		c.differ(rel, "cannot be read at byte %d: %v", at, err)
	} else if at < sizeA {
		c.differ(rel, "contents differ from byte %d of %d on", at, sizeA)
	}
	if c.options.Holes {
		a, errA := dataRanges(f, sizeA)
		b, errB := dataRanges(g, sizeB)
		if errA != nil || errB != nil {
			c.differ(rel, "holes cannot be found: %v; %v", errA, errB)
		} else if !slices.Equal(a, b) {
			c.differ(rel, "data at %v became data at %v", a, b)
		}
	}
}

func openFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
}

// firstDifference returns the offset at which f and g part, or size if they are equal and end there.
func firstDifference(f, g io.Reader, size int64, buffers [2][]byte) (int64, error) {
	var at int64
	for {
		n, errF := io.ReadFull(f, buffers[0])
		m, errG := io.ReadFull(g, buffers[1])
		for _, err := range []error{errF, errG} {
			if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return at, err
			}
		}
		if n == m && bytes.Equal(buffers[0][:n], buffers[1][:m]) {
			at += int64(n)
			if n < len(buffers[0]) {
				if at != size {
					return at, fmt.Errorf("both end there, but their size is %d", size)
				}
				return at, nil
			}
			continue
		}
		same := 0
		for same < min(n, m) && buffers[0][same] == buffers[1][same] {
			same++
		}
		if at += int64(same); at >= size {
			return at, fmt.Errorf("it goes on beyond its size of %d", size)
		}
		return at, nil
	}
}

// dataRange is a part of a file that is not a hole.
type dataRange struct{ from, to int64 }

func dataRanges(f *os.File, size int64) ([]dataRange, error) {
	var ranges []dataRange
	for at := int64(0); at < size; {
		from, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // a hole up to the end
		}
		if err != nil {
			return nil, err
		}
		to, err := f.Seek(from, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		if to <= from { // only a file system with a defect says so, and it would keep us here for ever
			return nil, fmt.Errorf("data at %d ends at %d", from, to)
		}
		ranges = append(ranges, dataRange{from, to})
		at = to
	}
	return ranges, nil
}

// xattrs compares all attributes that the caller can see, ACLs among them.
func (c *comparison) xattrs(rel, pathA, pathB string) {
	a, errA := readXattrs(pathA)
	b, errB := readXattrs(pathB)
	if errA != nil || errB != nil {
		c.differ(rel, "extended attributes cannot be read: %v; %v", errA, errB)
		return
	}
	all := make([]string, 0, len(a)+len(b))
	for name := range a {
		all = append(all, name)
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	for _, name := range all {
		x, inA := a[name]
		y, inB := b[name]
		switch {
		case !inB:
			c.differ(rel, "extended attribute %q is missing", name)
		case !inA:
			c.differ(rel, "extended attribute %q should not be there", name)
		case x != y:
			c.differ(rel, "extended attribute %q %s became %s", name, brief(x), brief(y))
		}
	}
}

func brief(value string) string {
	if len(value) <= 64 {
		return fmt.Sprintf("%q", value)
	}
	return fmt.Sprintf("%q… (%d bytes)", value[:64], len(value))
}
