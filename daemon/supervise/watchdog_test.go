package supervise_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keepsake/daemon/supervise"
)

const (
	beat = "WATCHDOG=1"
	// interval is WATCHDOG_USEC here; quiet is long enough for a watchdog that
	// beats by the clock to give itself away.
	interval = 200 * time.Millisecond
	quiet    = 8 * interval
)

// supervised is a running watchdog and the manager that listens to it.
func supervised(t *testing.T, pulse *supervise.Pulse) (*manager, *syncBuffer) {
	t.Helper()
	m := listen(t, socketPath(t))
	t.Setenv("WATCHDOG_USEC", fmt.Sprint(interval.Microseconds()))
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	log := &syncBuffer{}
	s := supervise.New(pulse, supervise.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	during(t, func(ctx context.Context) {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	return m, log
}

// syncBuffer is a log that may be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// starves demands that the beats end. Two may still come: one that is on its
// way, and one for progress that was made meanwhile. By the clock there would
// be sixteen.
func starves(m *manager) {
	m.t.Helper()
	m.drain()
	n, end := 0, time.Now().Add(quiet)
	for {
		text, ok := m.within(time.Until(end))
		if !ok {
			break
		}
		if text == beat {
			n++
		}
	}
	if n > 2 {
		m.t.Fatalf("%d beats although a part is stuck", n)
	}
}

// TestDeadlockStarvesTheWatchdog: a loop that hangs in a lock silences the
// watchdog although everything else runs on; freed, it is heard again. The
// loop's good time before is the control that beats come at all.
func TestDeadlockStarvesTheWatchdog(t *testing.T) {
	pulse := supervise.NewPulse()
	var held sync.Mutex
	loop := pulse.Part("keeper", nil)
	during(t, func(ctx context.Context) {
		for ctx.Err() == nil {
			held.Lock()
			loop.Touch()
			held.Unlock()
			time.Sleep(time.Millisecond)
		}
	})
	other := pulse.Part("watcher", nil)
	during(t, func(ctx context.Context) {
		for ctx.Err() == nil {
			other.Touch()
			time.Sleep(time.Millisecond)
		}
	})
	m, log := supervised(t, pulse)
	for range 3 {
		m.await(beat)
	}

	held.Lock()
	starves(m)
	if !strings.Contains(log.String(), "parts=keeper") {
		t.Errorf("the log does not name the part:\n%s", log)
	}
	held.Unlock()
	for range 4 {
		m.await(beat)
	}
}

func TestWaiting(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		pulse := supervise.NewPulse()
		pulse.Part("requests", nil).Idle()
		m, _ := supervised(t, pulse)
		for range 6 {
			m.await(beat)
		}
	})
	t.Run("idle, then stuck", func(t *testing.T) {
		pulse := supervise.NewPulse()
		part := pulse.Part("requests", nil)
		part.Idle()
		m, _ := supervised(t, pulse)
		m.await(beat)
		part.Touch() // begins to work and never shows itself again
		m.await("STATUS=No progress: requests")
		starves(m)
	})
	t.Run("in time", func(t *testing.T) {
		pulse := supervise.NewPulse()
		pulse.Part("schedule", nil).Wait(time.Hour)
		m, _ := supervised(t, pulse)
		for range 6 {
			m.await(beat)
		}
	})
	t.Run("overdue", func(t *testing.T) {
		pulse := supervise.NewPulse()
		pulse.Part("schedule", nil).Wait(interval)
		m, _ := supervised(t, pulse)
		m.await("STATUS=No progress: schedule")
		starves(m)
	})
	t.Run("ended", func(t *testing.T) {
		pulse := supervise.NewPulse()
		part := pulse.Part("restore", nil)
		m, _ := supervised(t, pulse)
		m.await("STATUS=No progress: restore")
		part.End()
		for range 3 {
			m.await(beat)
		}
	})
	t.Run("counted", func(t *testing.T) {
		pulse := supervise.NewPulse()
		var bytes atomic.Uint64
		pulse.Part("capture", bytes.Load)
		stop := during(t, func(ctx context.Context) {
			for ctx.Err() == nil {
				bytes.Add(1)
				time.Sleep(time.Millisecond)
			}
		})
		m, _ := supervised(t, pulse)
		for range 4 {
			m.await(beat)
		}
		stop()
		m.await("STATUS=No progress: capture")
		starves(m)
	})
}

// TestWithoutWatchdog: no demand, or one that is meant for another process.
func TestWithoutWatchdog(t *testing.T) {
	tests := map[string]struct{ usec, pid string }{
		"none":         {"", ""},
		"another's":    {"200000", "1"},
		"not a number": {"often", fmt.Sprint(os.Getpid())},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := listen(t, socketPath(t))
			t.Setenv("WATCHDOG_USEC", tt.usec)
			t.Setenv("WATCHDOG_PID", tt.pid)
			if err := supervise.New(nil, supervise.Options{}).Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			m.silent(beat, interval)
		})
	}
}

// TestNilPart: rooms that are not supervised touch nothing.
func TestNilPart(t *testing.T) {
	var p *supervise.Part
	p.Touch()
	p.Idle()
	p.Wait(time.Second)
	p.End()
}
