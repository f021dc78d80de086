package supervise

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	manager "github.com/coreos/go-systemd/v22/daemon"
)

// StopWithin is how long a clean stop takes at most. The unit's TimeoutStopSec
// is longer, so that a clean stop is never cut short.
const StopWithin = 10 * time.Second

// maxStatus bounds a status text; a longer one is cut.
const maxStatus = 1 << 10

// Options says how a Supervisor works. The zero value does what the
// environment asks for.
type Options struct {
	// Watchdog is how often the manager must hear of progress; 0 means what
	// WATCHDOG_USEC and WATCHDOG_PID say, and less than 0 never.
	Watchdog time.Duration
	// Work returns a number that grows while this process does something; nil
	// means its processor time and its disk accesses. See Extend.
	Work func() uint64
	// Log is told what the manager could not be told, and which part is stuck;
	// nil means nobody.
	Log *slog.Logger
}

// Supervisor talks to the service manager. Its methods may be called from any
// goroutine.
type Supervisor struct {
	o     Options
	pulse *Pulse

	mu      sync.Mutex
	status  string // as last sent; guarded by mu
	refused bool   // the last message could not be sent; guarded by mu
}

// New makes a Supervisor whose watchdog listens to a pulse; nil stands for one
// without parts.
func New(p *Pulse, o Options) *Supervisor {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Work == nil {
		o.Work = processWork
	}
	if p == nil {
		p = NewPulse()
	}
	return &Supervisor{o: o, pulse: p}
}

// Ready says that the service does what it is for: after the start, and again
// after each reload.
func (s *Supervisor) Ready(status string) { s.send(manager.SdNotifyReady, s.newStatus(status)) }

// Reloading says that the configuration is being read anew. Ready must follow,
// whatever comes of it.
func (s *Supervisor) Reloading() {
	// The manager tells by the time whether this answers its own signal.
	s.send(manager.SdNotifyReloading, strings.TrimSuffix(manager.SdNotifyMonotonicUsec(), "\n"))
}

// Stopping says that the end has begun.
func (s *Supervisor) Stopping() { s.send(manager.SdNotifyStopping, s.newStatus("Stopping")) }

// Status says in one line what the service does: systemctl status shows it to
// anybody, so that it names sources by their labels and no file. A text that
// was said last is not said again.
func (s *Supervisor) Status(text string) {
	if line := s.newStatus(text); line != "" {
		s.send(line)
	}
}

// newStatus returns the assignment for a text, or nothing if it stands already.
func (s *Supervisor) newStatus(text string) string {
	text = oneLine(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if text == "" || text == s.status {
		return ""
	}
	s.status = text
	return "STATUS=" + text
}

// oneLine makes a text that is one assignment and that a manager accepts.
func oneLine(text string) string {
	text = strings.ToValidUTF8(text, "\uFFFD")
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, text)
	if len(text) > maxStatus {
		text = strings.ToValidUTF8(text[:maxStatus], "") + "…"
	}
	return strings.TrimSpace(text)
}

// send passes assignments on in one message, which the manager takes as one.
func (s *Supervisor) send(assignments ...string) {
	var lines []string
	for _, a := range assignments {
		if a != "" {
			lines = append(lines, a)
		}
	}
	_, err := manager.SdNotify(false, strings.Join(lines, "\n"))
	s.mu.Lock()
	before := s.refused
	s.refused = err != nil
	s.mu.Unlock()
	if err != nil && !before { // once per episode
		s.o.Log.Warn("the service manager cannot be told how the service is; if this goes on it will restart it", "error", err)
	}
}

// microseconds is a duration as sd_notify(3) wants it.
func microseconds(d time.Duration) string { return fmt.Sprint(d.Microseconds()) }
