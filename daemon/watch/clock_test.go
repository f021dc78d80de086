package watch_test

import (
	"sync/atomic"
	"testing"
	"time"

	"keepsake/daemon/watch"
)

// TestClockJump sets the wall clock forth and back, and slews it by more than
// that in small steps, which is no jump.
func TestClockJump(t *testing.T) {
	const year = 365 * 24 * time.Hour
	var ahead atomic.Int64
	offset := func() time.Duration { return time.Duration(ahead.Load()) }
	h, clock := startFake(t, watch.Options{WallOffset: offset})
	for range 100 {
		ahead.Add(int64(50 * time.Millisecond))
		clock.advance(h, 5*time.Second)
	}
	if s := h.w.Stats(); s.ClockJumps != 0 || s.All {
		t.Errorf("a clock that is slewed jumps: %+v", s)
	}
	for i, by := range []time.Duration{3 * time.Second, -3 * time.Second, year, -year} {
		ahead.Add(int64(by))
		clock.advance(h, 6*time.Second)
		b := h.take()
		if s := h.w.Stats(); !b.All || s.ClockJumps != uint64(i+1) {
			t.Errorf("set by %v: %+v, %d jumps", by, b, s.ClockJumps)
		}
		wantCauses(t, b, watch.CauseClockJump)
		if b := h.take(); !b.Empty() {
			t.Errorf("and again: %+v", b)
		}
	}
	if s := h.w.Stats(); s.Walks != 1 {
		t.Errorf("%d walks: watches do not depend on the clock", s.Walks)
	}
}
