package fusefs

import (
	"context"
	"iter"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"keepsake/store/tree"
)

// dirHandle is an open directory of a snapshot: a stream of its entries, read
// a run at a time. go-fuse calls its methods one after the other.
type dirHandle struct {
	d      *dir
	stream *stream
	run    []*tree.Node
	before uint64 // entries before the first of run, "." and ".." not counted
	at     int    // in run, or in the dots below zero: -2 is "."
	begun  bool
	end    bool // run is the last one
	failed syscall.Errno

	// The entry that was produced last; nil if that was none of the snapshot's.
	last *tree.Node
	name string
	no   number
}

var (
	_ fs.FileReaddirenter = (*dirHandle)(nil)
	_ fs.FileLookuper     = (*dirHandle)(nil)
	_ fs.FileSeekdirer    = (*dirHandle)(nil)
	_ fs.FileReleasedirer = (*dirHandle)(nil)
	_ fs.FileFsyncdirer   = (*dirHandle)(nil)
)

// dotCount is how many entries come before those of the snapshot.
const dotCount = 2

func (h *dirHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if !h.begun {
		h.begun, h.at = true, -dotCount
	}
	h.last = nil
	if h.at < 0 {
		e := dots(&h.d.Inode)[dotCount+h.at]
		h.at++
		e.Off = uint64(dotCount + h.at)
		return &e, 0
	}
	for h.at == len(h.run) {
		if h.end || h.failed != 0 {
			return nil, h.failed
		}
		if err := h.next(ctx); err != 0 {
			return nil, err
		}
	}
	n := h.run[h.at]
	h.at++
	h.last, h.name, h.no = n, string(n.Name), h.d.number(n)
	return &fuse.DirEntry{Name: h.name, Mode: typeBits(n.Type), Ino: h.no.ino, Off: dotCount + h.before + uint64(h.at)}, 0
}

// next reads the run after this one. After an error the handle answers with it
// until it is rewound.
func (h *dirHandle) next(ctx context.Context) syscall.Errno {
	if h.stream == nil {
		h.stream = newStream(h.d)
	}
	s := h.stream
	got, err := within(h.d.v, ctx, func(context.Context) (*run, error) { return s.read() })
	if err != nil {
		h.failed = h.d.fail(err)
		h.close()
		return h.failed
	}
	h.before += uint64(len(h.run))
	h.run, h.end, h.at = got.nodes, got.last, 0
	h.d.v.runs.add(got)
	return 0
}

// Lookup answers for the entry that was produced last, for which nothing needs
// to be read.
func (h *dirHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	if h.last == nil || h.name != name {
		return h.d.Lookup(ctx, name, out)
	}
	return h.d.child(ctx, h.last, h.name, h.no, out)
}

// Seekdir goes to an offset that Readdirent gave out. What lies before the
// present run is read again from the beginning.
func (h *dirHandle) Seekdir(ctx context.Context, off uint64) syscall.Errno {
	if off >= dotCount+h.before && off <= dotCount+h.before+uint64(len(h.run)) && h.begun && h.failed == 0 {
		h.at = int(off - dotCount - h.before)
		return 0
	}
	if off < dotCount+h.before || !h.begun || h.failed != 0 {
		h.rewind()
	}
	if off < dotCount {
		h.at = int(off) - dotCount
		return 0
	}
	for off > dotCount+h.before+uint64(len(h.run)) {
		if h.end {
			return syscall.EINVAL
		}
		if err := h.next(ctx); err != 0 {
			return err
		}
	}
	h.at = int(off - dotCount - h.before)
	return 0
}

func (h *dirHandle) rewind() {
	h.close()
	*h = dirHandle{d: h.d, begun: true}
}

func (h *dirHandle) Releasedir(context.Context, uint32) { h.close() }

func (h *dirHandle) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }

func (h *dirHandle) close() {
	if h.stream != nil {
		h.stream.close()
		h.stream = nil
	}
}

// stream pulls the entries of a directory. A read that was given up by who
// asked for it may still be going on when the stream is closed.
type stream struct {
	mu    sync.Mutex
	d     *dir
	pull  func() (*tree.Node, error, bool)
	stop  func()
	begun bool
	done  bool
}

func newStream(d *dir) *stream {
	s := &stream{d: d}
	s.pull, s.stop = iter.Pull2(d.v.repo.Entries(d.v.life, d.treeNode()))
	return s
}

// read returns the next run, the last of which may be empty.
func (s *stream) read() (*run, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &run{dir: s.d, first: !s.begun, nodes: make([]*tree.Node, 0, min(s.d.entries, runLength))}
	s.begun = true
	for len(r.nodes) < runLength && !s.done {
		n, err, ok := s.pull()
		if err != nil {
			return nil, err
		}
		if !ok {
			s.done = true
			break
		}
		r.nodes = append(r.nodes, n)
	}
	r.last = s.done
	return r, nil
}

// close ends the stream, behind a read that is under way.
func (s *stream) close() {
	if s.mu.TryLock() {
		defer s.mu.Unlock()
		s.done = true
		s.stop()
		return
	}
	go func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.done = true
		s.stop()
	}()
}
