package fusefs

import "sync/atomic"

// maxStuck is how many operations may be under way that nobody waits for any
// more. Each may hold a thread in a disk that hangs, and a program has 10,000
// of those before it is ended; what comes beyond is refused at once.
const maxStuck = 256

// stuck counts the operations that were given up and have not ended.
type stuck struct{ count atomic.Int64 }

func (s *stuck) full() bool { return s.count.Load() >= maxStuck }

// abandoned is one operation, which ends and whose caller leaves, in any order.
type abandoned struct{ state atomic.Bool } // one of the two has happened

// left is called when nobody waits any more.
func (a *abandoned) left(s *stuck) {
	if a.state.CompareAndSwap(false, true) {
		s.count.Add(1)
	}
}

// ended is called when the operation has ended.
func (a *abandoned) ended(s *stuck) {
	if !a.state.CompareAndSwap(false, true) {
		s.count.Add(-1)
	}
}
