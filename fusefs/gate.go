package fusefs

import (
	"sync"
	"time"
)

// gate counts what is reading the repository, so that who unmounts can wait
// for the last of it before the repository is closed.
type gate struct {
	mu     sync.Mutex
	inside int
	closed bool
	empty  chan struct{} // closed when the gate is closed and nobody is inside
}

// enter reports whether the gate is open; if it is, leave must follow.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.closed {
		g.inside++
	}
	return !g.closed
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.check()
}

// check closes empty if it is time. g.mu is held.
func (g *gate) check() {
	if g.closed && g.inside == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
}

// close lets nobody in any more and waits until the last has left, but not
// longer than patience: a read that hangs must not keep a program from ending.
func (g *gate) close(patience time.Duration) {
	g.mu.Lock()
	empty := g.empty
	if empty == nil {
		empty = make(chan struct{})
		g.empty = empty
	}
	g.closed = true
	g.check()
	g.mu.Unlock()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-empty:
	case <-timer.C:
	}
}
