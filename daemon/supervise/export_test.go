package supervise

import (
	"context"
	"time"
)

// ProcessWork is the default of Options.Work.
func ProcessWork() uint64 { return processWork() }

// LeastWork is what counts as work between two looks.
const LeastWork = leastWork

// ExtendEvery is Extend with another pause between two looks.
func (s *Supervisor) ExtendEvery(ctx context.Context, every time.Duration) (stop func()) {
	return s.extend(ctx, every)
}
