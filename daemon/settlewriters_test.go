package daemon_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// open opens a file for writing as programs do.
func (s *studio) open(path string, flags int) *os.File {
	f, err := os.OpenFile(path, os.O_RDWR|flags, 0o644)
	if err != nil {
		s.t.Error(err)
		panic(err) // in a goroutine: Fatal would end only that
	}
	return f
}

func (s *studio) ok(err error) {
	if err != nil {
		s.t.Error(err)
	}
}

// pieces writes content from an offset on in pieces, with pauses between them.
func (s *studio) pieces(f *os.File, m *model, base, content []byte, pause func()) {
	const n = 8
	now := append([]byte(nil), base...)
	for i := range n {
		from, to := len(content)*i/n, len(content)*(i+1)/n
		m.change(func() []byte {
			_, err := f.WriteAt(content[from:to], int64(from))
			s.ok(err)
			if to > len(now) {
				now = append(now, make([]byte, to-len(now))...)
			}
			copy(now[from:to], content[from:to])
			return now
		})
		pause()
	}
}

// again calls a writer of one take until the time is over. All pieces of the last
// one are written: it is whole in the end.
func (s *studio) again(take func(number uint64)) func() {
	return func() {
		for n, end := uint64(1), time.Now().Add(s.p.span); n == 1 || time.Now().Before(end); n++ {
			take(n)
			s.p.pause()
		}
	}
}

// sized is a length of some pages and a rest.
func sized() int { return 50_000 + rand.N(200_000) }

// appends makes a file and appends to it.
func (s *studio) appends(pause func()) func() {
	name := fmt.Sprintf("appends %x", rand.Uint32())
	return s.again(func(n uint64) {
		f := s.open(s.path(name, fmt.Sprint(n)), os.O_CREATE|os.O_EXCL)
		defer f.Close()
		m := s.model()
		m.change(func() []byte { return nil })
		s.pieces(f, m, nil, take(n, sized()), pause)
	})
}

// fills makes a file of its final size first.
func (s *studio) fills(how string, size func(f *os.File, size int64) error) func() {
	return s.again(func(n uint64) {
		content := take(n, sized())
		f := s.open(s.path(how, fmt.Sprint(n)), os.O_CREATE|os.O_EXCL)
		defer f.Close()
		m := s.model()
		empty := make([]byte, len(content))
		m.change(func() []byte { s.ok(size(f, int64(len(content)))); return empty })
		s.p.pause()
		s.pieces(f, m, empty, content, s.p.pause)
	})
}

// backdates rewrites a file in place and sets its times back after each write.
func (s *studio) backdates() func() {
	path := s.path("backdated", "file")
	epoch := time.Unix(1_600_000_000, 0)
	now := take(0, 200_000)
	put(s.t, path, string(now))
	s.ok(os.Chtimes(path, epoch, epoch))
	m := s.model()
	m.change(func() []byte { return now })
	return s.again(func(n uint64) {
		f := s.open(path, 0)
		defer f.Close()
		content := take(n, len(now))
		s.pieces(f, m, now, content, func() { s.ok(os.Chtimes(path, epoch, epoch)); s.p.pause() })
		now = content
	})
}

// truncates empties a file and writes it anew.
func (s *studio) truncates() func() {
	path := s.path("truncated", "file")
	put(s.t, path, string(take(0, sized())))
	m := s.model()
	m.change(func() []byte { return take(0, 1) }) // of any content that is whole
	return s.again(func(n uint64) {
		f := s.open(path, 0)
		defer f.Close()
		m.change(func() []byte { s.ok(f.Truncate(0)); return nil })
		s.p.pause()
		s.pieces(f, m, nil, take(n, sized()), s.p.pause)
	})
}

// replaces writes beside a file and renames over it.
func (s *studio) replaces(name, temporary string, pause func()) func() {
	path := s.path("replaced", name)
	put(s.t, path, string(take(0, sized())))
	return s.again(func(n uint64) {
		next := s.path("replaced", temporary)
		f := s.open(next, os.O_CREATE|os.O_EXCL)
		defer f.Close()
		m := s.model()
		m.change(func() []byte { return nil })
		s.pieces(f, m, nil, take(n, sized()), pause)
		s.ok(f.Close())
		s.ok(os.Rename(next, path))
	})
}

// links writes through the second name of a file, in the source or not.
func (s *studio) links(second string) func() {
	path := s.path("linked", filepath.Base(second))
	now := take(0, 200_000)
	put(s.t, path, string(now))
	must(s.t, os.Link(path, second))
	m := s.model()
	m.change(func() []byte { return now })
	return s.again(func(n uint64) {
		f := s.open(second, 0)
		defer f.Close()
		content := take(n, len(now))
		s.pieces(f, m, now, content, s.p.pause)
		now = content
	})
}

// maps fills a file through a map: all of it in turn, or one page in small
// steps, which is dirty after the first.
func (s *studio) maps(name string, size, step int) func() {
	path := s.path("mapped", name)
	now := take(0, size)
	put(s.t, path, string(now))
	return s.again(func(n uint64) {
		f := s.open(path, 0)
		defer f.Close()
		m := s.model()
		m.change(func() []byte { return now })
		content := take(n, size)
		b, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			s.t.Error(err)
			return
		}
		defer func() { s.ok(unix.Munmap(b)) }()
		for from := 0; from < size; from += step {
			m.change(func() []byte { copy(b[from:min(from+step, size)], content[from:]); return b })
			s.p.pause()
		}
		now = content
		// No event tells of stores. Programs that map a file close it, or set its
		// times, when they are done.
		s.ok(os.Chtimes(path, time.Now(), time.Now()))
	})
}

// TestSlowWriters runs writers of all kinds beside the keeper.
func TestSlowWriters(t *testing.T) {
	t.Parallel()
	s := newStudio(t, paces())
	outside := filepath.Join(t.TempDir(), "outside")
	s.keep(
		s.appends(s.p.pause),
		s.appends(func() { time.Sleep(s.p.settle/20 + rand.N(s.p.settle*2)) }), // around the settle time
		s.fills("preallocated", func(f *os.File, size int64) error { return unix.Fallocate(int(f.Fd()), 0, 0, size) }),
		s.fills("kept size", func(f *os.File, size int64) error {
			return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_KEEP_SIZE, 0, size)
		}),
		s.fills("sparse", func(f *os.File, size int64) error { return f.Truncate(size) }),
		s.backdates(),
		s.truncates(),
		s.replaces("by exiftool.jpg", "by exiftool.jpg_exiftool_tmp", s.p.pause),
		s.replaces("by an editor", "by an editor.tmp", s.p.pause),
		s.replaces("often", "often~", func() { time.Sleep(s.p.settle / 50) }),
		s.links(s.path("second", "inside")),
		s.links(outside),
		s.maps("new pages", 10*4096, 4096),
		s.maps("one page", 4096, 256),
	)
	v := s.allGood(s.isWhole)
	if v.held == 0 || v.versions < 10 {
		t.Skipf("not run: the machine is so busy that nothing was in flux, or little was captured: %s", v)
	}
}

// TestMappedInMemory has files written through maps on tmpfs, where stores to a
// page leave no trace after the first: a file waits for as long as it is mapped.
func TestMappedInMemory(t *testing.T) {
	t.Parallel()
	var st unix.Statfs_t
	if err := unix.Statfs("/dev/shm", &st); err != nil || st.Type != unix.TMPFS_MAGIC {
		t.Skipf("not run: no tmpfs at /dev/shm: %v", err)
	}
	base, err := os.MkdirTemp("/dev/shm", "keepsake-test-")
	if err != nil {
		t.Skipf("not run: %v", err)
	}
	t.Cleanup(func() { must(t, os.RemoveAll(base)) })
	s := newStudioIn(t, base, paces())
	s.keep(s.maps("new pages", 10*4096, 4096), s.maps("one page", 4096, 256), s.appends(s.p.pause))
	s.allGood(s.isWhole)
}

// TestSlowWritersAreNoticed is the negative control: files that need not rest
// are stored half, and the same look at the snapshots finds them.
func TestSlowWritersAreNoticed(t *testing.T) {
	t.Parallel()
	s := newStudio(t, pace{500 * time.Millisecond, time.Second})
	s.c.Sources[0].Settle = time.Millisecond
	var v verdict
	noticed := func() bool { v = s.judge(s.isWhole); return len(v.bad) > 0 }
	if !s.rounds(noticed, s.backdates(), s.truncates()) {
		t.Errorf("files that need not rest were all stored whole: %s", v)
	}
	t.Logf("%s, of which %d are not whole", v, len(v.bad))
}

// TestSlowWritersAtTheStart begins keepers while files are being written: nothing
// was watched before, so no event has told of them.
func TestSlowWritersAtTheStart(t *testing.T) {
	t.Parallel()
	s := newStudio(t, paces())
	s.restart(s.appends(s.p.pause), s.truncates(), s.backdates(), s.fills("sparse", func(f *os.File, size int64) error { return f.Truncate(size) }))
	s.allGood(s.isWhole)
}

// TestFileHeldOpen: a file that somebody has open for writing and does not write
// to is at rest.
func TestFileHeldOpen(t *testing.T) {
	t.Parallel()
	s := newStudio(t, paces())
	path := s.path("held", "file")
	put(t, path, string(take(1, sized())))
	f := s.open(path, 0)
	defer f.Close()
	kept(t, s.r, s.c, s.events)
	is := func(number uint64) func() bool {
		return func() bool {
			newest := newest(t, s.r)
			n := filesOf(t, s.r, &newest.Root)["held/file"]
			if n == nil || n.Flags != 0 && n.Flags != tree.Racy {
				return false
			}
			got, ok := whole(contentOf(t, s.r, n))
			return ok && got == number
		}
	}
	wait(t, "captured while it is open", is(1))
	// Through the descriptor that was open all the while, and stays so.
	content := take(2, sized())
	must(t, f.Truncate(0))
	s.pieces(f, s.model(), nil, content, s.p.pause)
	wait(t, "captured as it is now", is(2))
	s.allGood(s.isWhole)
}
