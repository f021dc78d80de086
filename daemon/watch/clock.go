package watch

import (
	"time"

	"golang.org/x/sys/unix"
)

const (
	// clockTolerance is the change of the wall clock that counts as setting it.
	// Between two looks a clock that is slewed moves by milliseconds.
	clockTolerance = 2 * time.Second
	// readingTolerance is how long reading the two clocks may take: a machine
	// that is busy or paused in between would look like a jump.
	readingTolerance = 50 * time.Millisecond
)

// WallOffset is the default of Options.WallOffset. Sleep moves both clocks.
func WallOffset() time.Duration {
	var offset time.Duration
	for range 5 {
		before := clock(unix.CLOCK_BOOTTIME)
		wall := clock(unix.CLOCK_REALTIME)
		after := clock(unix.CLOCK_BOOTTIME)
		offset = wall - before
		if after-before < readingTolerance {
			break
		}
	}
	return offset
}

func clock(id int32) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0 // not with these clocks; and then no jump is seen
	}
	return time.Duration(t.Nano())
}

// checkClock puts everything in doubt when the wall clock was set: the times of
// files before and after can no longer be compared. Watches are not concerned.
func (l *loop) checkClock() {
	ahead := l.opts.WallOffset()
	jump := ahead - l.ahead
	l.ahead = ahead
	if jump.Abs() <= clockTolerance {
		return
	}
	l.stats.ClockJumps++
	l.doubtAll(CauseClockJump)
	l.consider = true
	l.log.Warn("the clock was set; everything will be scanned", "root", l.opts.Root, "by", jump.Round(time.Millisecond))
}
