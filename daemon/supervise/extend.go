package supervise

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// extension is how much longer a start may take at a time. It is generous
	// beside extendEvery, so that a machine under load misses none.
	extension   = 2 * time.Minute
	extendEvery = 20 * time.Second
	// leastWork is what Work must grow by in between: with the default a
	// hundredth of a processor's time. The runtime alone takes less.
	leastWork = 200
)

// Extend asks the manager for more time while something long goes on before
// Ready, such as rebuilding the index: as long as the process works, and until
// stop is called or ctx ends. A start that hangs is not prolonged, and the
// manager ends it. stop returns when nothing is sent any more.
func (s *Supervisor) Extend(ctx context.Context) (stop func()) {
	return s.extend(ctx, extendEvery)
}

func (s *Supervisor) extend(ctx context.Context, every time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		worked := s.o.Work()
		s.send("EXTEND_TIMEOUT_USEC=" + microseconds(extension))
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			is := s.o.Work()
			if is-worked >= leastWork {
				s.send("EXTEND_TIMEOUT_USEC=" + microseconds(extension))
			}
			worked = is
		}
	})
	return func() {
		cancel()
		work.Wait()
	}
}

// processWork counts milliseconds of processor time and blocks of disk access,
// of all threads. What waits for neither a processor nor a disk does not work.
func processWork() uint64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0 // cannot fail with this argument
	}
	cpu := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	return uint64(cpu.Milliseconds()) + uint64(u.Inblock) + uint64(u.Oublock)
}
