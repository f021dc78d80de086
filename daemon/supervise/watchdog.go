package supervise

import (
	"context"
	"strings"
	"time"

	manager "github.com/coreos/go-systemd/v22/daemon"
)

// Run feeds the manager's watchdog until ctx ends. It returns at once if the
// manager wants none.
//
// A notification is due at half the interval. If a part is stuck then, it is
// looked at again at three quarters, and so on: one that was merely slow is
// forgiven in time, one that hangs is not.
func (s *Supervisor) Run(ctx context.Context) error {
	every := s.interval()
	if every <= 0 {
		return nil
	}
	tick := time.NewTicker(every / 4)
	defer tick.Stop()
	last, starving := time.Now().Add(-every), false // the first beat is due at once
	for {
		// A ticker that is a little early must not cost a whole quarter.
		if time.Since(last) >= every/2-every/16 {
			stuck := s.pulse.beat()
			if stuck == nil {
				s.send(manager.SdNotifyWatchdog)
				last = time.Now()
			}
			s.tellStuck(stuck, starving)
			starving = stuck != nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// tellStuck logs once per episode, and says so in the status: it is the last
// that people see of the service before the manager kills it.
func (s *Supervisor) tellStuck(stuck []string, before bool) {
	switch {
	case stuck != nil && !before:
		names := strings.Join(stuck, ", ")
		s.o.Log.Error("no progress; the service manager will restart the service if this goes on", "parts", names)
		s.Status("No progress: " + names)
	case stuck == nil && before:
		s.o.Log.Info("progress again")
		s.Status("Working again")
	}
}

func (s *Supervisor) interval() time.Duration {
	if s.o.Watchdog != 0 {
		return s.o.Watchdog
	}
	every, err := manager.SdWatchdogEnabled(false)
	if err != nil {
		s.o.Log.Warn("the watchdog is off: its environment variables make no sense", "error", err)
	}
	return every
}
