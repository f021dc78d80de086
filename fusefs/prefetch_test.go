package fusefs_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/crypto"
	"keepsake/fusefs"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/storetest"
)

// metered counts the bytes that are read from data packs.
type metered struct {
	*backend.Local
	bytes atomic.Int64
}

func (m *metered) ReadAt(ctx context.Context, name string, p []byte, off int64) (int, error) {
	n, err := m.Local.ReadAt(ctx, name, p, off)
	if strings.HasPrefix(name, "data/") {
		m.bytes.Add(int64(n))
	}
	return n, err
}

// settled waits until nothing is read any more and returns how much was.
func (m *metered) settled() int64 {
	for last := int64(-1); ; time.Sleep(100 * time.Millisecond) {
		now := m.bytes.Load()
		if now == last {
			return now
		}
		last = now
	}
}

// TestPrefetch reads without the kernel's own read-ahead, first here and
// there, then in order, then elsewhere.
func TestPrefetch(t *testing.T) {
	needFUSE(t)
	place := storetest.New(t)
	dir := filepath.Join(t.TempDir(), "library")
	const size = 40 << 20
	want := random(5, size)
	write(t, dir+"/clip.mov", want)
	first, err := place.TryOpen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	back(t, first, dir, "library", nil)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	disk := &metered{Local: place.Backend}
	r, err := store.Open(t.Context(), store.Options{
		Objects: disk, StateBase: place.StateBase,
		Secret: func(context.Context, []crypto.SlotKind) (crypto.Secret, error) { return place.Secret, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	m := mount(t, r, func(o *fusefs.Options) { o.Prefetch = 4 << 20 })
	f, err := os.Open(m.path("latest", "library", "clip.mov"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
		t.Fatal(err)
	}
	read := func(off int64) {
		t.Helper()
		buf := make([]byte, 64<<10)
		if _, err := f.ReadAt(buf, off); err != nil || !bytes.Equal(buf, want[off:off+int64(len(buf))]) {
			t.Fatalf("at %d: wrong bytes or %v", off, err)
		}
	}
	before := disk.settled()
	for i := range int64(20) {
		read(i * 31 % 20 << 20)
	}
	// Three segments each at most: requests do not begin where segments do, and a
	// chunk may end in between with a short one. Prefetched were 4 MiB each.
	if got := disk.settled() - before; got > 20*3*(64<<10+64) {
		t.Errorf("20 reads of 64 KiB here and there read %d KiB", got>>10)
	}

	before = disk.settled()
	for off := int64(24 << 20); off < 25<<20; off += 64 << 10 {
		read(off)
	}
	ahead := disk.settled() - before - 1<<20
	if ahead < 512<<10 || ahead > 5<<20 {
		t.Errorf("after 1 MiB in order the view is %d KiB ahead", ahead>>10)
	}
	before = disk.settled()
	read(25 << 20)
	if got := disk.bytes.Load() - before; got > 2<<20 {
		t.Errorf("what comes next was read again: %d KiB", got>>10)
	}
	read(2 << 20)
	before = disk.settled()
	time.Sleep(200 * time.Millisecond)
	if got := disk.bytes.Load() - before; got > 0 {
		t.Errorf("after a seek %d KiB more were read ahead", got>>10)
	}
}
