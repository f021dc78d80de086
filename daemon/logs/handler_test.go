package logs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"keepsake/daemon/logs"
)

// TestConformance: whatever else it does, it is a slog.Handler.
func TestConformance(t *testing.T) {
	var b bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		b.Reset()
		return logs.New(logs.Options{Writer: &b, JSON: true})
	}, func(t *testing.T) map[string]any {
		m := map[string]any{}
		if err := json.Unmarshal(b.Bytes(), &m); err != nil {
			t.Fatal(err)
		}
		return m
	})
}

// clock is a clock that tests turn.
type clock struct{ now time.Time }

func newClock() *clock                   { return &clock{time.Date(2026, 11, 21, 15, 0, 0, 0, time.UTC)} }
func (c *clock) Now() time.Time          { return c.now }
func (c *clock) advance(d time.Duration) { c.now = c.now.Add(d) }

func TestSummary(t *testing.T) {
	var b bytes.Buffer
	c := newClock()
	h := logs.New(logs.Options{Writer: &b, Journal: true, Burst: 2, Now: c.Now})
	log := slog.New(h).With("source", "weddings")
	for i := range 1236 {
		log.Warn("a file cannot be read", "path", fmt.Sprintf("DSC%04d.ARW", i), "error", errors.New("input/output error"))
	}
	slog.New(h).With("source", "clients").Warn("a file cannot be read", "path", "x") // another cause
	c.advance(5 * time.Minute)
	log.Warn("a file cannot be read", "path", "again")
	want := `<4>level=WARN msg="a file cannot be read" source=weddings path=DSC0000.ARW error="input/output error"
<4>level=WARN msg="a file cannot be read" source=weddings path=DSC0001.ARW error="input/output error"
<4>level=WARN msg="a file cannot be read" source=clients path=x
<4>level=WARN msg="… suppressed 1,234 times in 5m0s: a file cannot be read" source=weddings
<4>level=WARN msg="a file cannot be read" source=weddings path=again
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", &b, want)
	}
}

// TestQuietEnd: what was held back is said even if nothing follows.
func TestQuietEnd(t *testing.T) {
	var b bytes.Buffer
	h := logs.New(logs.Options{Writer: &b, Burst: 1})
	log := slog.New(h)
	log.Error("disk full")
	log.Error("disk full")
	if err := h.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := h.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := b.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "suppressed 1 time in") {
		t.Errorf("got %s", got)
	}
}

// TestClockSetBack: a clock that jumps does not silence a cause.
func TestClockSetBack(t *testing.T) {
	var b bytes.Buffer
	c := newClock()
	log := slog.New(logs.New(logs.Options{Writer: &b, Burst: 1, Now: c.Now}))
	log.Warn("one")
	c.advance(-365 * 24 * time.Hour)
	log.Warn("one")
	if got := strings.Count(b.String(), "\n"); got != 2 {
		t.Errorf("%d lines: %s", got, &b)
	}
}

// lines counts what is written.
type lines struct{ n int }

func (l *lines) Write(p []byte) (int, error) {
	l.n++
	return len(p), nil
}

// TestBoundedLines: a day in which everything fails all the time, with causes
// that nobody foresaw, fills neither the disk nor memory. The same day without
// a limit is the control.
func TestBoundedLines(t *testing.T) {
	const (
		causes, burst = 32, 5
		hours         = 24
		perMinute     = 20
	)
	day := func(burst int) int {
		c, w := newClock(), &lines{}
		h := logs.New(logs.Options{Writer: w, Burst: burst, Causes: causes, Window: 10 * time.Minute, Now: c.Now})
		log := slog.New(h)
		for minute := range hours * 60 {
			for i := range perMinute {
				log.Warn("a file cannot be read", "source", "weddings", "path", fmt.Sprint(minute, i))
				log.With("source", fmt.Sprint(i%4)).Error("the disk is gone")
				log.Warn(fmt.Sprintf("a message that is not constant: %d %d", minute, i))
			}
			c.advance(time.Minute)
		}
		if err := h.Flush(); err != nil {
			t.Fatal(err)
		}
		return w.n
	}
	said := 3 * perMinute * 60 * hours
	limit := (causes + 1) * (burst + 1) * hours * 6
	if n := day(burst); n > limit {
		t.Errorf("%d lines of %d, more than %d", n, said, limit)
	} else {
		t.Logf("%d lines of %d (limit %d)", n, said, limit)
	}
	if n := day(said); n != said {
		t.Errorf("without a limit %d lines, want %d", n, said)
	}
}

// TestBoundedMemory: causes do not pile up.
func TestBoundedMemory(t *testing.T) {
	log := slog.New(logs.New(logs.Options{Writer: io.Discard}))
	many := func(from int) uint64 {
		for i := range 5_000 {
			log.Warn(strings.Repeat("long ", 200) + fmt.Sprint(from+i))
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := many(0)
	after := many(5_000)
	if after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d", before, after)
	}
	runtime.KeepAlive(log)
}
