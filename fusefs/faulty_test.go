package fusefs_test

import (
	"context"
	"hash/maphash"
	"io"
	"io/fs"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keepsake/crypto"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/storetest"
)

// faulty is a repository's disk on which reads go wrong while faults is set.
type faulty struct {
	*backend.Local
	faults atomic.Bool
	hang   time.Duration // of the few reads that take very long
	// injected counts the faults of each kind.
	injected [faultKinds]atomic.Int64

	mu   sync.Mutex
	rand *rand.Rand
}

// The kinds of faults.
const (
	faultError   = iota // the disk fails
	faultDelay          // it is slow
	faultHang           // it is so slow that the view gives up
	faultMissing        // a pack has vanished
	faultFlip           // a bit is wrong
	faultShort          // a pack was cut off
	faultKinds
)

func newFaulty(place *storetest.Place, seed uint64, hang time.Duration) *faulty {
	return &faulty{Local: place.Backend, hang: hang, rand: rand.New(rand.NewPCG(seed, 1))}
}

// choose says what happens to a read of an object; nothing, mostly.
func (f *faulty) choose(name string) (kind int, r int64) {
	f.mu.Lock()
	n, r := f.rand.IntN(1000), f.rand.Int64()
	f.mu.Unlock()
	// Other packs vanish, and come back, ten times a second: a short run must
	// not fall into one moment that lacks the pack of everything.
	var h maphash.Hash
	h.SetSeed(faultySeed)
	_, _ = h.WriteString(name + strconv.FormatInt(time.Now().UnixMilli()/100, 10))
	switch {
	case strings.Contains(name, "/") && h.Sum64()%8 == 0:
		return faultMissing, r
	case n < 300:
		return faultError, r
	case n < 340:
		return faultDelay, r
	case n < 341:
		return faultHang, r
	case n < 370:
		return faultFlip, r
	case n < 385:
		return faultShort, r
	}
	return -1, r
}

var faultySeed = maphash.MakeSeed()

func (f *faulty) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	if !f.faults.Load() {
		return f.Local.ReadAt(ctx, name, p, off)
	}
	kind, r := f.choose(name)
	if kind >= 0 {
		f.injected[kind].Add(1)
	}
	switch kind {
	case faultError:
		return 0, syscall.EIO
	case faultMissing:
		return 0, fs.ErrNotExist
	case faultDelay:
		time.Sleep(time.Duration(r % int64(100*time.Millisecond)))
	case faultHang:
		time.Sleep(f.hang)
	}
	n, err := f.Local.ReadAt(ctx, name, p, off)
	if n > 0 && kind == faultFlip {
		p[r%int64(n)] ^= 1 << (r % 8)
	}
	if n > 0 && kind == faultShort {
		return n / 2, io.EOF
	}
	return n, err
}

func (f *faulty) List(ctx context.Context, prefix string, fn func(string, int64) error) error {
	if f.faults.Load() {
		if kind, _ := f.choose(strings.TrimSuffix(prefix, "/")); kind == faultError {
			f.injected[kind].Add(1)
			return syscall.EIO
		}
	}
	return f.Local.List(ctx, prefix, fn)
}

// openOver opens a repository whose objects are read through something else.
func openOver(t testing.TB, place *storetest.Place, o store.Options) *store.Repository {
	t.Helper()
	o.StateBase = place.StateBase
	o.Secret = func(context.Context, []crypto.SlotKind) (crypto.Secret, error) { return place.Secret, nil }
	r, err := store.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("closing the repository: %v", err)
		}
	})
	return r
}
