package supervise_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/daemon/supervise"
)

func TestMessages(t *testing.T) {
	for kind, name := range map[string]string{"path": socketPath(t), "abstract": abstractName()} {
		t.Run(kind, func(t *testing.T) {
			m := listen(t, name)
			s := supervise.New(nil, supervise.Options{})
			want := func(assignments ...string) {
				t.Helper()
				if got := m.next(); !slices.Equal(got, assignments) {
					t.Errorf("got %q, want %q", got, assignments)
				}
			}
			s.Ready("Watching 3 sources")
			want("READY=1", "STATUS=Watching 3 sources")
			s.Status("Watching 3 sources") // stands already: the next message is another one
			s.Status("Reading weddings")
			want("STATUS=Reading weddings")
			s.Stopping()
			want("STOPPING=1", "STATUS=Stopping")
		})
	}
}

// TestReloading holds what Type=notify-reload demands: one message with the
// monotonic time of the sending.
func TestReloading(t *testing.T) {
	m := listen(t, socketPath(t))
	s := supervise.New(nil, supervise.Options{})
	before := monotonic(t)
	s.Reloading()
	got := m.next()
	after := monotonic(t)
	if len(got) != 2 || got[0] != "RELOADING=1" {
		t.Fatalf("got %q", got)
	}
	text, ok := strings.CutPrefix(got[1], "MONOTONIC_USEC=")
	at, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || at < before || at > after {
		t.Errorf("got %q, want a time in [%d, %d]", got[1], before, after)
	}
	s.Ready("")
	if got := m.next(); !slices.Equal(got, []string{"READY=1"}) {
		t.Errorf("got %q", got)
	}
}

func monotonic(t *testing.T) int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		t.Fatal(err)
	}
	return ts.Nano() / 1000
}

// TestStatusIsOneAssignment: a label that somebody chose must not speak for the
// service.
func TestStatusIsOneAssignment(t *testing.T) {
	m := listen(t, socketPath(t))
	s := supervise.New(nil, supervise.Options{})
	tests := []struct{ text, want string }{
		{"a\nSTOPPING=1", "STATUS=a STOPPING=1"},
		{"a\r\x00\x1bb", "STATUS=a   b"},
		{"Hochzeit Müller", "STATUS=Hochzeit Müller"},
		{"bad \xff byte", "STATUS=bad \uFFFD byte"},
		{strings.Repeat("é", 5000), "STATUS=" + strings.Repeat("é", 512) + "…"},
	}
	for _, tt := range tests {
		s.Status(tt.text)
		if got := m.next(); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%.40q: got %.60q, want %.60q", tt.text, got, tt.want)
		}
	}
}

// TestUnreachable: a manager that went away is said once and breaks nothing;
// without one there is nothing to say.
func TestUnreachable(t *testing.T) {
	var log bytes.Buffer
	s := supervise.New(nil, supervise.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	t.Setenv("NOTIFY_SOCKET", "")
	s.Ready("one")
	if log.Len() > 0 {
		t.Errorf("without a manager: %s", &log)
	}
	t.Setenv("NOTIFY_SOCKET", socketPath(t))
	s.Status("two")
	s.Status("three")
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d lines, want 1: %s", n, &log)
	}
	m := listen(t, socketPath(t))
	s.Status("four")
	m.await("STATUS=four")
}
