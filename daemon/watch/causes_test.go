package watch_test

import (
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"keepsake/daemon/watch"
)

// until takes batches until one covers everything or names a subtree to scan.
func (h *harness) until() watch.Batch {
	h.t.Helper()
	for {
		if b := h.next(time.Hour); b.All || len(b.Rescan) > 0 {
			return b
		}
	}
}

func wantCauses(t *testing.T, b watch.Batch, want ...string) {
	t.Helper()
	if !slices.Equal(b.Causes, want) {
		t.Errorf("causes %q, want %q: %+v", b.Causes, want, b)
	}
}

// TestCauses gives each reason for a scan that needs no mounting.
func TestCauses(t *testing.T) {
	t.Run("start, and none for events", func(t *testing.T) {
		t.Parallel()
		h := start(t, watch.Options{})
		wantCauses(t, h.until(), watch.CauseStart)
		write(t, h.path("file"), "x")
		wantCauses(t, h.next(time.Hour))
	})
	t.Run("overflow", func(t *testing.T) {
		t.Parallel()
		var o watch.Options
		var losing atomic.Bool
		o.Drop(func(string) bool { return losing.Load() })
		h := start(t, o)
		h.first()
		losing.Store(true)
		write(t, h.path("file"), "x")
		h.eventually("the loss is known", func(s watch.Stats) bool { return s.Overflows > 0 })
		losing.Store(false)
		wantCauses(t, h.until(), watch.CauseOverflow)
	})
	t.Run("watch limit", func(t *testing.T) {
		t.Parallel()
		h := start(t, watch.Options{MaxWatches: 1, PollEvery: settle})
		must(t, os.Mkdir(h.path("d"), 0o755))
		h.first()
		b := h.until()
		for b.All {
			b = h.until()
		}
		wantCauses(t, b, watch.CauseWatchLimit)
	})
	t.Run("root replaced", func(t *testing.T) {
		t.Parallel()
		root := filepath.Join(t.TempDir(), "root")
		must(t, os.Mkdir(root, 0o755))
		h := start(t, watch.Options{Root: root})
		h.first()
		must(t, os.Rename(root, root+"-old"))
		must(t, os.Mkdir(root, 0o755))
		b := h.next(time.Hour)
		for ; !b.All; b = h.next(time.Hour) { // it may be missed for a moment
		}
		wantCauses(t, b, watch.CauseRootReplaced)
		if s := h.w.Stats(); s.Replaced == 0 {
			t.Errorf("not counted: %+v", s)
		}
	})
	t.Run("given back", func(t *testing.T) {
		t.Parallel()
		h := start(t, watch.Options{})
		must(t, os.MkdirAll(h.path("d"), 0o755))
		h.first()
		h.w.Requeue(watch.Batch{Rescan: []string{"d"}, Causes: []string{"polled"}})
		wantCauses(t, h.until(), "polled")
		h.w.Requeue(watch.Batch{Rescan: []string{"d"}, Causes: []string{"overflow"}})
		h.w.Requeue(watch.Batch{All: true, Causes: []string{"reread", "daily", "daily"}})
		b := h.until()
		wantCauses(t, b, "daily", "overflow", "reread")
		if !b.All || len(b.Rescan) > 0 {
			t.Errorf("%+v", b)
		}
		write(t, h.path("file"), "x")
		wantCauses(t, h.next(time.Hour))
	})
}
