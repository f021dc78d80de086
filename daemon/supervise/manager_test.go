package supervise_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience bounds every wait for what must come.
const patience = 30 * time.Second

// manager listens where a service manager would.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

// listen makes a manager at a path or at an abstract name, and the environment
// of a service that it started.
func listen(t *testing.T, name string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	t.Setenv("WATCHDOG_USEC", "")
	t.Setenv("WATCHDOG_PID", "")
	return &manager{t, conn}
}

func socketPath(t *testing.T) string { return filepath.Join(t.TempDir(), "n") }

func abstractName() string { return fmt.Sprintf("@keepsake-test-%d", os.Getpid()) }

// next returns the next message, as its assignments.
func (m *manager) next() []string {
	m.t.Helper()
	text, ok := m.within(patience)
	if !ok {
		m.t.Fatal("no message came")
	}
	return strings.Split(text, "\n")
}

// within returns the next message if one comes in time.
func (m *manager) within(d time.Duration) (string, bool) {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		m.t.Fatal(err)
	}
	b := make([]byte, 64<<10)
	n, err := m.conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "", false
	}
	if err != nil {
		m.t.Fatal(err)
	}
	return string(b[:n]), true
}

// await waits for a message that has the assignment.
func (m *manager) await(assignment string) {
	m.t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		if text, ok := m.within(time.Until(deadline)); ok && strings.Contains("\n"+text+"\n", "\n"+assignment+"\n") {
			return
		}
	}
	m.t.Fatalf("%s never came", assignment)
}

// silent demands that for a while no message has the assignment.
func (m *manager) silent(assignment string, d time.Duration) {
	m.t.Helper()
	deadline := time.Now().Add(d)
	for {
		text, ok := m.within(time.Until(deadline))
		if !ok {
			return
		}
		if strings.Contains("\n"+text+"\n", "\n"+assignment+"\n") {
			m.t.Fatalf("got %q", text)
		}
	}
}

// drain reads what has been sent before.
func (m *manager) drain() {
	for {
		if _, ok := m.within(time.Millisecond); !ok {
			return
		}
	}
}

// during runs f until the test ends or stop is called, and joins it.
func during(t *testing.T, f func(context.Context)) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}
