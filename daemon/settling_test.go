package daemon_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"keepsake/daemon"
	"keepsake/daemon/config"
	"keepsake/store"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// The settling suite runs a whole keeper beside programs that write slowly, and
// then looks at every file of every snapshot that was taken meanwhile. No
// version may stand there as good that was not whole.

// TestMain lets more tests run beside each other than there are processors: they
// wait more than they work.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// long says that the settle time is the real one and writers take a minute.
var long = os.Getenv("KEEPSAKE_LONG") != ""

// pace is the settle time, and for how long writers write.
type pace struct{ settle, span time.Duration }

func paces() pace {
	if long {
		return pace{5 * time.Second, time.Minute}
	}
	return pace{400 * time.Millisecond, 2 * time.Second}
}

// pause is shorter than the settle time, by a margin for slow machines.
func (p pace) pause() { time.Sleep(p.settle/20 + rand.N(p.settle/2)) }

// headLen is the size of what a take begins with: a word, its number, its whole
// length, the digest of what follows.
const headLen = 4 + 8 + 8 + sha256.Size

// take makes content that says how long it is and what it holds, so that
// whatever part of it is stored shows whether it is whole.
func take(number uint64, size int) []byte {
	b := make([]byte, max(size, headLen+1))
	r := rand.NewChaCha8([32]byte(sha256.New().Sum(binary.BigEndian.AppendUint64(nil, number))[:32]))
	_, _ = r.Read(b[headLen:]) // never fails
	sum := sha256.Sum256(b[headLen:])
	head := append(b[:0], "take"...)
	head = binary.BigEndian.AppendUint64(head, number)
	head = binary.BigEndian.AppendUint64(head, uint64(len(b)))
	copy(b[len(head):], sum[:])
	return b
}

// whole returns the number of a take, if all of it is there and nothing else.
func whole(b []byte) (number uint64, ok bool) {
	if len(b) <= headLen || string(b[:4]) != "take" || binary.BigEndian.Uint64(b[12:]) != uint64(len(b)) {
		return 0, false
	}
	return binary.BigEndian.Uint64(b[4:]), sha256.Sum256(b[headLen:]) == [32]byte(b[20:headLen])
}

// rests are contents that a file legitimately had while nobody wrote to it.
type rests struct {
	mu  sync.Mutex
	all map[[32]byte]bool
}

func (r *rests) allow(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[[32]byte]bool{}
	}
	r.all[sha256.Sum256(b)] = true
}

func (r *rests) has(b []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[sha256.Sum256(b)]
}

func (r *rests) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

// model follows what a writer did to its file. A pause that turned out as long
// as the settle time, on purpose or because the machine was busy, makes what
// the file held meanwhile a version of its own.
type model struct {
	rests   *rests
	settle  time.Duration
	content []byte
	last    time.Time // end of the last change
}

// change is called with the change, which returns the content that it left.
func (m *model) change(do func() []byte) {
	before, since := m.content, m.last
	content := do()
	now := time.Now()
	if !since.IsZero() && now.Sub(since) >= m.settle*3/4 {
		m.rests.allow(before)
	}
	m.content, m.last = append([]byte(nil), content...), now
}

// studio is a directory that a keeper keeps while it is written to.
type studio struct {
	t      *testing.T
	p      pace
	r      *store.Repository
	dir    string // that is kept
	work   string // where writers write: the same, unless another is shown there
	c      config.Config
	rests  rests
	events chan daemon.Event
	asked  int // snapshots that somebody asked for
}

func newStudio(t *testing.T, p pace, change ...func(*config.Source)) *studio {
	t.Helper()
	return newStudioIn(t, t.TempDir(), p, change...)
}

func newStudioIn(t *testing.T, base string, p pace, change ...func(*config.Source)) *studio {
	t.Helper()
	s := &studio{t: t, p: p, r: storetest.New(t).Open(t), dir: filepath.Join(base, "lib"), events: make(chan daemon.Event)}
	s.work = s.dir
	must(t, os.MkdirAll(s.dir, 0o755))
	s.c = configured(s.dir, append([]func(*config.Source){func(c *config.Source) { c.Settle = p.settle }}, change...)...)
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() { // nobody waits for them here
		for {
			select {
			case <-s.events:
			case <-done:
				return
			}
		}
	}()
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (s *studio) path(elem ...string) string {
	path := filepath.Join(append([]string{s.work}, elem...)...)
	must(s.t, os.MkdirAll(filepath.Dir(path), 0o755))
	return path
}

func (s *studio) model() *model { return &model{rests: &s.rests, settle: s.p.settle} }

// keep runs the writers beside a keeper and somebody who asks for snapshots at
// random moments, then waits until a snapshot holds everything.
func (s *studio) keep(writers ...func()) {
	s.t.Helper()
	k := kept(s.t, s.r, s.c, s.events)
	s.writeBeside(s.asking(k), writers...)
	wait(s.t, "captured whole", func() bool { return asked(s.t, k)[0].Missing == 0 })
}

// asking asks for snapshots at random moments.
func (s *studio) asking(k *daemon.Keeper) func(context.Context) {
	return func(ctx context.Context) {
		for ctx.Err() == nil {
			if err := k.BackupNow(ctx, nil, func(daemon.Looked) {}); err != nil && ctx.Err() == nil {
				s.t.Errorf("asked for a snapshot: %v", err)
				return
			}
			s.asked++
			rest(ctx, rand.N(s.p.settle))
		}
	}
}

// rounds runs writers again and again until something is noticed.
func (s *studio) rounds(noticed func() bool, writers ...func()) bool {
	s.t.Helper()
	k := kept(s.t, s.r, s.c, s.events)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		s.writeBeside(s.asking(k), writers...)
		if noticed() {
			return true
		}
	}
	return false
}

// restart is keep with keepers that begin and end at random moments.
func (s *studio) restart(writers ...func()) {
	s.t.Helper()
	begun := 0
	s.writeBeside(func(ctx context.Context) {
		for ctx.Err() == nil {
			k := run(s.t, s.r, s.c, s.events)
			begun++
			rest(ctx, rand.N(3*s.p.settle))
			k.stop()
			rest(ctx, rand.N(s.p.settle/4))
		}
	}, writers...)
	s.t.Logf("%d keepers", begun)
	k := kept(s.t, s.r, s.c, s.events)
	wait(s.t, "captured whole", func() bool { return asked(s.t, k)[0].Missing == 0 })
}

// writeBeside runs writers to their end beside something that goes on.
func (s *studio) writeBeside(beside func(context.Context), writers ...func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	var others, work sync.WaitGroup
	others.Go(func() { beside(ctx) })
	for _, w := range writers {
		work.Go(w)
	}
	work.Wait()
	cancel()
	others.Wait()
}

func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// verdict is what all snapshots hold.
type verdict struct {
	snapshots, good, versions, flagged int
	held                               int      // times that a file is listed as being written
	bad                                []string // stored as good, and is not
}

func (v verdict) String() string {
	return fmt.Sprintf("%d snapshots, %d files stored as good in %d versions, %d flagged, %d times one was in flux", v.snapshots, v.good, v.versions, v.flagged, v.held)
}

// judge looks at all files of all snapshots. Good is what is whole, or rested.
func (s *studio) judge(good func(rel string, b []byte) bool) (v verdict) {
	s.t.Helper()
	seen := map[string]bool{}
	for _, snap := range snapshots(s.t, s.r) {
		v.snapshots++
		listed := map[string]bool{}
		for _, m := range snap.Missed {
			listed[string(m.Path)] = true
			if m.Reason == tree.ReasonFlux || m.Reason == tree.ReasonKept {
				v.held++
			}
		}
		for rel, n := range filesOf(s.t, s.r, &snap.Root) {
			if n.Flags&(tree.Torn|tree.KeptPrevious) != 0 {
				if v.flagged++; !listed[rel] && !listedAbove(listed, rel) {
					s.t.Errorf("snapshot %d: %s is flagged and not listed", snap.Number, rel)
				}
			}
			if n.Flags&tree.Torn != 0 {
				continue // its content need not be whole, and nobody says so
			}
			v.good++
			key := rel + string(n.SHA256[:])
			if seen[key] {
				continue
			}
			seen[key] = true
			v.versions++
			if b := contentOf(s.t, s.r, n); !good(rel, b) {
				v.bad = append(v.bad, fmt.Sprintf("snapshot %d (%s): %s, %d bytes, flags %b", snap.Number, snap.Basis, rel, len(b), n.Flags))
			}
		}
	}
	return v
}

func listedAbove(listed map[string]bool, rel string) bool {
	for rel != "." && rel != "" {
		if rel = filepath.Dir(rel); listed[rel] {
			return true
		}
	}
	return false
}

// isWhole is what takes are judged by.
func (s *studio) isWhole(_ string, b []byte) bool {
	_, ok := whole(b)
	return ok || s.rests.has(b)
}

// allGood demands that nothing bad is stored as good, and that the newest
// snapshot holds what the directory does.
func (s *studio) allGood(good func(string, []byte) bool) verdict {
	s.t.Helper()
	v := s.judge(good)
	for _, bad := range v.bad {
		s.t.Errorf("stored as good: %s", bad)
	}
	newest := newest(s.t, s.r)
	stored := filesOf(s.t, s.r, &newest.Root)
	onDisk := 0
	must(s.t, filepath.WalkDir(s.work, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		onDisk++
		rel, _ := filepath.Rel(s.work, path)
		b, err := os.ReadFile(path)
		if n := stored[rel]; n == nil || n.Flags&(tree.Torn|tree.KeptPrevious) != 0 || *n.SHA256 != sha256.Sum256(b) {
			s.t.Errorf("the newest snapshot does not hold %s as it is: %+v", rel, n)
		}
		return err
	}))
	if len(stored) != onDisk {
		s.t.Errorf("the newest snapshot holds %d files, the directory %d", len(stored), onDisk)
	}
	s.t.Logf("%s; %d asked for, %d rests", v, s.asked, s.rests.count())
	return v
}

// filesOf lists the regular files of a snapshot by path.
func filesOf(t *testing.T, r *store.Repository, root *tree.Node) map[string]*tree.Node {
	t.Helper()
	all := map[string]*tree.Node{}
	if root.Type == 0 {
		return all // there is no snapshot yet
	}
	var walk func(rel string, dir *tree.Node)
	walk = func(rel string, dir *tree.Node) {
		for n, err := range r.Entries(t.Context(), dir) {
			must(t, err)
			path := filepath.Join(rel, string(n.Name))
			switch n.Type {
			case tree.Dir:
				walk(path, n)
			case tree.File:
				all[path] = n
			}
		}
	}
	walk("", root)
	return all
}

func contentOf(t *testing.T, r *store.Repository, n *tree.Node) []byte {
	t.Helper()
	f, err := r.OpenFile(n)
	must(t, err)
	b := make([]byte, f.Size())
	if _, err := f.ReadAt(t.Context(), b, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return b
}
