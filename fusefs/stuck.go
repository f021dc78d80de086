package fusefs

import (
	"sync/atomic"
	"time"
)

const (
	// maxStuck is how many operations may be under way that nobody waits for any
	// more. Each may hold a thread in a disk that hangs, and a program has 10,000
	// of those before it is ended; what comes beyond is refused at once.
	maxStuck = 256
	// hangingPatience is how long an operation may take that follows one which
	// took too long, until one ends. The kernel asks twice before it believes
	// that something cannot be read, and a program should not wait twice as long.
	hangingPatience = 2 * time.Second
)

// stuck counts the operations that were given up and have not ended.
type stuck struct {
	count atomic.Int64
	hangs atomic.Bool // the last operation to return was given up as too slow
}

func (s *stuck) full() bool { return s.count.Load() >= maxStuck }

func (s *stuck) patience(usual time.Duration) time.Duration {
	if s.hangs.Load() {
		return min(usual, hangingPatience)
	}
	return usual
}

// abandoned is one operation, which ends and whose caller leaves, in any order.
type abandoned struct{ first atomic.Bool } // one of the two has happened

// left is called when nobody waits any more.
func (a *abandoned) left(s *stuck) {
	if a.first.CompareAndSwap(false, true) {
		s.count.Add(1)
	}
}

// ended is called when the operation has ended.
func (a *abandoned) ended(s *stuck) {
	if !a.first.CompareAndSwap(false, true) {
		s.count.Add(-1)
	}
}
