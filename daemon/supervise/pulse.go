package supervise

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Pulse is what the parts of the program say about their progress.
type Pulse struct {
	born time.Time

	mu    sync.Mutex
	parts []*Part // guarded by mu
}

// NewPulse makes a pulse without parts.
func NewPulse() *Pulse { return &Pulse{born: time.Now()} }

// Part is one piece of the program that works over time. It belongs to one
// goroutine at a time. A nil Part takes everything and means nothing, so that
// rooms need not know whether they are supervised.
type Part struct {
	pulse   *Pulse
	name    string
	counter func() uint64 // may be nil

	touches atomic.Uint64
	waits   atomic.Int64 // until when, in nanoseconds after pulse.born; 0 while it works
	seen    uint64       // progress at the last beat; guarded by pulse.mu
}

// forever is the deadline of who waits for what may never come.
const forever = math.MaxInt64

// Part adds a part, which counts as working from now on. If counter is not nil,
// the part makes progress whenever the counter has another value: for work that
// is counted already, such as a capture's bytes. It is called by the watchdog
// and must not wait for anybody.
func (p *Pulse) Part(name string, counter func() uint64) *Part {
	part := &Part{pulse: p, name: name, counter: counter}
	part.touches.Store(1) // being new is progress
	p.mu.Lock()
	defer p.mu.Unlock()
	p.parts = append(p.parts, part)
	return part
}

// Touch says that progress was made. It is cheap enough for inner loops.
func (p *Part) Touch() {
	if p != nil {
		p.waits.Store(0)
		p.touches.Add(1)
	}
}

// Idle says that the part waits for what may never come, until the next Touch.
func (p *Part) Idle() {
	if p != nil {
		p.touches.Add(1)
		p.waits.Store(forever)
	}
}

// Wait says that the part waits and will show itself after d at the latest.
// The clock is the monotonic one, which like the manager's stands still while
// the machine sleeps.
func (p *Part) Wait(d time.Duration) {
	if p != nil {
		p.touches.Add(1)
		p.waits.Store(max(1, int64(time.Since(p.pulse.born)+d)))
	}
}

// End takes the part out of the pulse.
func (p *Part) End() {
	if p == nil {
		return
	}
	p.pulse.mu.Lock()
	defer p.pulse.mu.Unlock()
	p.pulse.parts = slices.DeleteFunc(p.pulse.parts, func(other *Part) bool { return other == p })
}

func (p *Part) progress() uint64 {
	n := p.touches.Load()
	if p.counter != nil {
		n += p.counter()
	}
	return n
}

// beat returns the parts that are stuck: without progress since the last beat
// and not waiting. If there are none, this is the beat that the next one counts
// from.
func (p *Pulse) beat() (stuck []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := int64(time.Since(p.born))
	is := make([]uint64, len(p.parts))
	for i, part := range p.parts {
		// The deadline first: a part that ends its wait between the two loads
		// has touched the counter by the second.
		until := part.waits.Load()
		is[i] = part.progress()
		if is[i] == part.seen && until < now {
			stuck = append(stuck, part.name)
		}
	}
	if stuck != nil {
		return stuck
	}
	for i, part := range p.parts {
		part.seen = is[i]
	}
	return nil
}
