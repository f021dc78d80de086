package logs

import (
	"hash/maphash"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

// limiter counts records per cause.
type limiter struct {
	burst, most int
	window      time.Duration

	mu    sync.Mutex
	cells map[uint64]*cell // guarded by mu
}

// about is what a summary says of its records, and the handler it goes through,
// nil for one that has nothing bound.
type about struct {
	level   slog.Level
	message string
	format  slog.Handler
}

// cell is one cause within its window.
type cell struct {
	about
	began time.Time
	taken int
	held  int
}

// summary tells of records that were held back.
type summary struct {
	about
	held int
	over time.Duration
}

// shareCause is the cell of all causes for which there was no room.
const shareCause = 0

// maxAbout bounds the message that a cell keeps.
const maxAbout = 200

// seed makes the hashes of this process; they are compared within it only.
var seed = maphash.MakeSeed()

// mix adds to the hash of a cause.
func mix(h uint64, parts ...string) uint64 {
	var m maphash.Hash
	m.SetSeed(seed)
	_, _ = m.WriteString(strconv.FormatUint(h, 36)) // never fails, by its contract
	for _, p := range parts {
		_ = m.WriteByte(0)      // never fails, as above
		_, _ = m.WriteString(p) // never fails, as above
	}
	return max(m.Sum64(), shareCause+1)
}

// take counts one record and says whether it passes. Windows that have ended
// meanwhile come back as summaries.
func (l *limiter) take(cause uint64, now time.Time, a about) (pass bool, due []summary) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.cells[cause]
	if c == nil && len(l.cells) >= l.most {
		due = l.end(now, false)
		if len(l.cells) >= l.most {
			cause, a = shareCause, about{a.level, "records of more causes than are told apart", nil}
			c = l.cells[cause]
		}
	}
	if c != nil && l.over(c, now) {
		if c.held > 0 {
			due = append(due, c.summary(now))
		}
		c = nil
	}
	if c == nil {
		if len(a.message) > maxAbout {
			a.message = strings.ToValidUTF8(a.message[:maxAbout], "") + "…"
		}
		c = &cell{about: a, began: now}
		l.cells[cause] = c
	}
	c.taken++
	if c.taken > l.burst {
		c.held++
		return false, due
	}
	return true, due
}

// over reports whether a cell's window has ended, or makes no sense because
// the clock was set back.
func (l *limiter) over(c *cell, now time.Time) bool {
	age := now.Sub(c.began)
	return age >= l.window || age < 0
}

// end removes cells whose window has ended, or all, and returns their
// summaries.
func (l *limiter) end(now time.Time, all bool) []summary {
	var due []summary
	for cause, c := range l.cells {
		if !all && !l.over(c, now) {
			continue
		}
		if c.held > 0 {
			due = append(due, c.summary(now))
		}
		delete(l.cells, cause)
	}
	return due
}

func (l *limiter) ended(now time.Time) []summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end(now, false)
}

func (l *limiter) all(now time.Time) []summary {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end(now, true)
}

func (c *cell) summary(now time.Time) summary {
	return summary{about: c.about, held: c.held, over: now.Sub(c.began)}
}

// text is a summary for people: "… suppressed 1,234 times in 5m0s: message".
func (s summary) text() string {
	times := "times"
	if s.held == 1 {
		times = "time"
	}
	over := max(s.over, 0).Round(time.Second)
	return "… suppressed " + thousands(s.held) + " " + times + " in " + over.String() + ": " + s.message
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
