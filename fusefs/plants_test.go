package fusefs_test

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// plants are defects that are put between the kernel and the view, each with a
// word of what TestModel must find.
var plants = []struct {
	name, found string
	over        func(fuse.RawFileSystem) fuse.RawFileSystem
	limit       time.Duration // of an operation, if not the usual
}{
	{"a stale handle", "wrong bytes", func(fs fuse.RawFileSystem) fuse.RawFileSystem {
		return &stale{RawFileSystem: fs, next: map[uint64]uint64{}}
	}, 0},
	{"a short reply", "", // in pages of a mapped file it looks like wrong bytes
		func(fs fuse.RawFileSystem) fuse.RawFileSystem { return &short{RawFileSystem: fs} }, 0},
	{"an operation that hangs", "took", func(fs fuse.RawFileSystem) fuse.RawFileSystem { return &hanging{RawFileSystem: fs} }, time.Second},
	{"a hole that is elsewhere", "seek hole", func(fs fuse.RawFileSystem) fuse.RawFileSystem { return &shifted{fs} }, 0},
	{"an attribute that is lost", "xattr", func(fs fuse.RawFileSystem) fuse.RawFileSystem { return &bare{fs} }, 0},
	{"a name that is lost", "no such file", func(fs fuse.RawFileSystem) fuse.RawFileSystem { return &nameless{RawFileSystem: fs} }, 0},
}

// fewPlants is how many of them a short run tries.
const fewPlants = 3

// stale answers the first read after a seek with what a reader in order would
// have got, as a prefetch does that was not told of the seek.
type stale struct {
	fuse.RawFileSystem
	mu   sync.Mutex
	next map[uint64]uint64 // by handle
}

func (s *stale) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	s.mu.Lock()
	next, ok := s.next[in.Fh]
	s.next[in.Fh] = in.Offset + uint64(in.Size)
	s.mu.Unlock()
	res, status := s.RawFileSystem.Read(cancel, in, buf)
	if !ok || next == in.Offset || !status.Ok() {
		return res, status
	}
	elsewhere := *in
	elsewhere.Offset = next
	other, status := s.RawFileSystem.Read(cancel, &elsewhere, buf)
	if !status.Ok() || other.Size() != res.Size() { // so that the bytes alone can tell
		return res, fuse.OK
	}
	res.Done()
	return other, fuse.OK
}

// short answers some reads with half of what there is.
type short struct {
	fuse.RawFileSystem
	count atomic.Int64
}

func (s *short) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	res, status := s.RawFileSystem.Read(cancel, in, buf)
	if !status.Ok() || s.count.Add(1)%20 != 0 {
		return res, status
	}
	b, status := res.Bytes(buf)
	half := append([]byte(nil), b[:len(b)/2]...)
	res.Done()
	return fuse.ReadResultData(half), status
}

// shifted finds holes a block too late.
type shifted struct{ fuse.RawFileSystem }

func (s *shifted) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	status := s.RawFileSystem.Lseek(cancel, in, out)
	if in.Whence == unix.SEEK_HOLE {
		out.Offset += 4096
	}
	return status
}

// bare lists no attributes.
type bare struct{ fuse.RawFileSystem }

func (b *bare) ListXAttr(<-chan struct{}, *fuse.InHeader, []byte) (uint32, fuse.Status) {
	return 0, fuse.OK
}

// nameless does not find some names.
type nameless struct {
	fuse.RawFileSystem
	count atomic.Int64
}

func (n *nameless) Lookup(cancel <-chan struct{}, h *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	if n.count.Add(1)%40 == 0 {
		return fuse.ENOENT
	}
	return n.RawFileSystem.Lookup(cancel, h, name, out)
}

// hanging hangs now and then.
type hanging struct {
	fuse.RawFileSystem
	count atomic.Int64
}

func (s *hanging) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	if s.count.Add(1)%20 == 0 {
		time.Sleep(1500 * time.Millisecond)
	}
	return s.RawFileSystem.Open(cancel, in, out)
}
