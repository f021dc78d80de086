package supervise_test

import (
	"sync/atomic"
	"testing"
	"time"

	"keepsake/daemon/supervise"
)

// TestExtend: more time is asked for at once and while the process works, not
// while it hangs.
func TestExtend(t *testing.T) {
	const more = "EXTEND_TIMEOUT_USEC=120000000"
	m := listen(t, socketPath(t))
	var work atomic.Uint64
	s := supervise.New(nil, supervise.Options{Work: func() uint64 { return work.Load() }})
	stop := s.ExtendEvery(t.Context(), 10*time.Millisecond)
	defer stop()
	m.await(more)
	m.silent(more, 500*time.Millisecond)
	for range 3 {
		work.Add(supervise.LeastWork)
		m.await(more)
	}
	stop()
	m.drain()
	work.Add(supervise.LeastWork)
	m.silent(more, 200*time.Millisecond)
}

// TestProcessWork: a busy process works.
func TestProcessWork(t *testing.T) {
	before := supervise.ProcessWork()
	deadline := time.Now().Add(patience)
	for supervise.ProcessWork()-before < supervise.LeastWork {
		if time.Now().After(deadline) {
			t.Fatal("no work was seen")
		}
	}
}
