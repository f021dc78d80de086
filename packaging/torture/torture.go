package torture

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotEmpty means that the directory given to Build holds something already.
var ErrNotEmpty = errors.New("directory is not empty")

// Options says how large the tree is. The zero value is a quick tree of about 15 MiB; Full is what a release must stand.
type Options struct {
	Files     int  // entries of the crowded directory; 0 means 100
	Depth     int  // levels of the deep directory, of which the shortest path must fit PATH_MAX; 0 means 20
	BigSparse bool // also a sparse file of more than 5 GiB, which takes no space but the time to read it
}

// Full returns the tree that acceptance is measured on: 50,000 files in one directory, 200 levels, more than 5 GiB.
func Full() Options {
	return Options{Files: 50_000, Depth: 200, BigSparse: true}
}

// Omission is something that could not be made.
type Omission struct {
	Path string // of the entry, relative to the tree
	What string // "character device", "extended attribute of 65536 bytes"
	Err  error
}

// String returns the omission as a line for a test's log.
func (o Omission) String() string {
	return fmt.Sprintf("%q: no %s: %v", o.Path, o.What, o.Err)
}

// Build makes the tree in dir, which is created if it is missing and must be empty.
// It returns what could not be made here; the error is for failures that leave the tree without meaning.
// Most of the omissions of an ordinary user (devices, foreign owners, attributes of the system) do not befall root.
func Build(dir string, o Options) ([]Omission, error) {
	if o.Files == 0 {
		o.Files = 100
	}
	if o.Depth == 0 {
		o.Depth = 20
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	if len(entries) > 0 {
		return nil, fmt.Errorf("%s: %w", dir, ErrNotEmpty)
	}
	b := &builder{root: dir, times: map[string]time.Time{}}
	b.dir(".", 0o751)
	b.names()
	b.sizes()
	b.sparse(o.BigSparse)
	b.hardLinks()
	b.symlinks()
	b.modes()
	b.owners()
	b.special()
	b.xattrs()
	b.acls()
	b.extremeTimes()
	b.crowd(o.Files)
	b.deep(o.Depth)
	b.setTimes()
	return b.omitted, b.err
}

// builder makes entries until the first error that is no omission; after it every method does nothing.
type builder struct {
	root    string
	entries []string             // in the order of their creation: a directory stands before its contents
	times   map[string]time.Time // of entries that want a certain one
	omitted []Omission
	err     error
}

// path does not clean rel, since ".." and doubled slashes never occur and Join would cost time for each of 50,000 files.
func (b *builder) path(rel string) string { return b.root + "/" + rel }

// made notes an entry that exists now, or the error that stops the tree.
func (b *builder) made(rel string, err error) {
	if b.err != nil {
		return
	}
	if err != nil {
		b.err = fmt.Errorf("making %q: %w", rel, err)
		return
	}
	b.entries = append(b.entries, rel)
}

// try notes an omission if err is one, and reports whether all is well.
// A tree can do without; what a full disk or a failing one left out would only look like success.
func (b *builder) try(rel, what string, err error) bool {
	if b.err != nil {
		return false
	}
	if errors.Is(err, unix.EIO) || errors.Is(err, unix.EROFS) {
		b.err = fmt.Errorf("%q: %s: %w", rel, what, err)
		return false
	}
	if err != nil {
		b.omitted = append(b.omitted, Omission{Path: rel, What: what, Err: err})
	}
	return err == nil
}

// dir makes a directory, or takes over the root. The umask has no say in modes.
func (b *builder) dir(rel string, mode uint32) {
	if b.err != nil {
		return
	}
	err := unix.Mkdir(b.path(rel), mode)
	if rel == "." && errors.Is(err, unix.EEXIST) {
		err = nil
	}
	if err == nil {
		err = unix.Chmod(b.path(rel), mode)
	}
	b.made(rel, err)
}

// file makes a regular file with mode 0644.
func (b *builder) file(rel string, content []byte) {
	if b.err != nil {
		return
	}
	f, err := os.OpenFile(b.path(rel), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		_, err = f.Write(content)
		err = errors.Join(err, f.Chmod(0o644), f.Close())
	}
	b.made(rel, err)
}

// noise returns n bytes that no compressor shortens, the same for the same entry.
func noise(rel string, n int) []byte {
	var seed [32]byte
	copy(seed[:], rel)
	data := make([]byte, n)
	if _, err := rand.NewChaCha8(seed).Read(data); err != nil {
		panic("torture: ChaCha8 failed: " + err.Error()) // it never does
	}
	return data
}

// crowd fills one directory.
func (b *builder) crowd(n int) {
	b.dir("crowd", 0o755)
	for i := range n {
		rel := fmt.Sprintf("crowd/IMG_%05d.JPG", i)
		b.file(rel, []byte(rel))
	}
}

// deep nests n directories, with a file at every tenth level and at the bottom.
func (b *builder) deep(n int) {
	b.dir("deep", 0o755)
	path := "deep"
	for level := 1; level <= n; level++ {
		path = fmt.Sprintf("%s/%04d", path, level)
		b.dir(path, 0o755)
		if level%10 == 0 || level == n {
			b.file(path+"/bottom.txt", []byte(path))
		}
	}
}

// setTimes gives every entry its modification time, contents before their directories, since making an entry changes
// its directory's. Hard links are set once per name, to the same time.
func (b *builder) setTimes() {
	if b.err != nil {
		return
	}
	first := map[uint64]string{} // inode → its first name, whose time it keeps
	place := map[string]int{}
	for i, rel := range b.entries {
		place[rel] = i
		var st unix.Stat_t
		if err := unix.Lstat(b.path(rel), &st); err != nil {
			b.made(rel, err)
			return
		}
		if _, ok := first[st.Ino]; !ok {
			first[st.Ino] = rel
		} else {
			place[rel] = place[first[st.Ino]]
		}
	}
	for _, rel := range slices.Backward(b.entries) {
		t, special := b.times[rel]
		if !special {
			t = ordinaryTime(place[rel])
		}
		if err := b.setTime(rel, t); !special && err != nil {
			b.made(rel, err)
			return
		} else if special {
			b.try(rel, "modification time "+t.UTC().Format(time.RFC3339Nano), err)
		}
	}
}

// ordinaryTime spreads entries over the seconds of some days, with nanoseconds that no coarser clock could hold.
func ordinaryTime(i int) time.Time {
	return time.Unix(1_614_866_400+int64(i), int64(i*7_654_321%1_000_000_000)|1)
}

// errClamped means that the file system stored another time than it was given.
var errClamped = errors.New("the file system keeps another time")

func (b *builder) setTime(rel string, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return err
	}
	omit := unix.Timespec{Nsec: unix.UTIME_OMIT}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, b.path(rel), []unix.Timespec{omit, ts}, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	info, err := os.Lstat(b.path(rel))
	if err != nil {
		return err
	}
	if _, special := b.times[rel]; special && !info.ModTime().Equal(t) {
		return fmt.Errorf("%w: %v", errClamped, info.ModTime().UTC())
	}
	return nil
}
