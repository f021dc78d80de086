package daemon_test

import (
	"container/heap"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// simulated is a clock that goes on when everything that can run has run. Files,
// the kernel's events, the disk and other processes are real, so "can run" is
// asked of the runtime and of the kernel: no goroutine is at work, and no
// inotify instance holds an event. Timers fire in order, those of one instant
// together.
type simulated struct {
	mu     sync.Mutex
	now    time.Time
	timers timers
	fired  int

	inotify []int // descriptors
	stacks  []byte
	states  []metrics.Sample
	busy    string // what was met at work last
}

// newSimulated begins at the present: files must not come from the future.
func newSimulated() *simulated {
	return &simulated{
		now: time.Now(), stacks: make([]byte, 1<<20),
		states: []metrics.Sample{{Name: "/sched/goroutines/running:goroutines"}, {Name: "/sched/goroutines/runnable:goroutines"}},
	}
}

type timer struct {
	at time.Time
	c  chan time.Time
}

type timers []timer

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t timers) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *timers) Push(x any)        { *t = append(*t, x.(timer)) }
func (t *timers) Pop() any {
	old := *t
	last := old[len(old)-1]
	old[len(old)-1] = timer{}
	*t = old[:len(old)-1]
	return last
}

func (s *simulated) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *simulated) After(d time.Duration) <-chan time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := make(chan time.Time, 1)
	if d <= 0 {
		c <- s.now
		return c
	}
	heap.Push(&s.timers, timer{s.now.Add(d), c})
	return c
}

// offset is that of the wall clock to the time since the boot: nobody sets it.
func (s *simulated) offset() time.Duration { return 0 }

// pass lets time pass.
func (s *simulated) pass(t *testing.T, d time.Duration) {
	t.Helper()
	end := s.Now().Add(d)
	for {
		s.rest(t)
		if !s.next(end) {
			s.mu.Lock()
			s.now = end
			s.mu.Unlock()
			return
		}
	}
}

// next fires the timers of the next instant, if it is not after the end.
func (s *simulated) next(end time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.timers) == 0 || s.timers[0].at.After(end) {
		return false
	}
	s.now = s.timers[0].at
	for len(s.timers) > 0 && !s.timers[0].at.After(s.now) {
		heap.Pop(&s.timers).(timer).c <- s.now
		s.fired++
	}
	return true
}

// rest waits until everything that can run has run.
func (s *simulated) rest(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	// The events are asked for before and after: those that came in between are
	// there still, or somebody is at work on them.
	for s.someRuns() || s.eventsWait(t) || !s.allWait() || s.eventsWait(t) {
		if time.Now().After(deadline) {
			t.Fatalf("after two minutes something still runs:\n%s", s.busy)
		}
		time.Sleep(20 * time.Microsecond)
	}
}

// someRuns is a cheap look, which is not certain to see all.
func (s *simulated) someRuns() bool {
	metrics.Read(s.states)
	return s.states[0].Value.Uint64() > 1 || s.states[1].Value.Uint64() > 0
}

// eventsWait reports whether an inotify instance holds events that nobody has
// read.
func (s *simulated) eventsWait(t *testing.T) bool {
	t.Helper()
	for again := false; ; again = true {
		waiting, gone := 0, len(s.inotify) == 0
		for _, fd := range s.inotify {
			n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
			waiting += n
			gone = gone || err != nil
		}
		if !gone || again {
			return waiting > 0
		}
		s.inotify = descriptors(t, "anon_inode:inotify")
	}
}

// descriptors are those of this process that lead to something.
func descriptors(t *testing.T, to string) (all []int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		where, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err == nil && (to == "" || where == to) {
			var fd int
			for _, c := range e.Name() {
				fd = 10*fd + int(c-'0')
			}
			all = append(all, fd)
		}
	}
	return all
}

// allWait reports whether no goroutine but this one does anything. One that waits
// for a lock waits for one that does something.
func (s *simulated) allWait() bool {
	rest := string(s.stacks[:runtime.Stack(s.stacks, true)])
	for first := true; rest != ""; first = false {
		var one string
		one, rest, _ = strings.Cut(rest, "\n\n")
		if !first && !waits(one) {
			s.busy = one
			return false
		}
	}
	return true
}

func waits(stack string) bool {
	_, state, _ := strings.Cut(stack, "[")
	if end := strings.IndexAny(state, ",]"); end >= 0 {
		state = state[:end]
	}
	if strings.Contains(stack, "runtime/pprof") {
		return true // the test is being profiled
	}
	switch state {
	case "select", "chan receive", "chan send", "sync.WaitGroup.Wait", "select (no cases)":
		return true
	case "IO wait":
		return strings.Contains(stack, "fsnotify")
	case "syscall": // the test's own children are looked after by others
		return strings.Contains(stack, "watch.(*mounts).wait") || strings.Contains(stack, "os/signal")
	}
	return false
}
