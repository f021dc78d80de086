package main

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// manager is a service manager that writes down what a daemon tells it.
type manager struct {
	t      *testing.T
	socket string

	mu   sync.Mutex
	told []notification
}

// notification is one message of the daemon, as its assignments.
type notification struct {
	at    time.Time
	lines []string
}

func newManager(t *testing.T) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "n") // an address of a socket is short
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	g := &manager{t: t, socket: filepath.Join(dir, "n")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: g.socket, Net: "unixgram"})
	check(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 64<<10)
		for {
			n, err := conn.Read(b)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				t.Errorf("the manager's socket: %v", err)
				return
			}
			g.mu.Lock()
			g.told = append(g.told, notification{time.Now(), strings.Split(string(b[:n]), "\n")})
			g.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-done
	})
	return g
}

// environ is what a manager gives a service that it watches.
func (g *manager) environ(watchdog time.Duration) []string {
	env := []string{"NOTIFY_SOCKET=" + g.socket}
	if watchdog > 0 {
		env = append(env, "WATCHDOG_USEC="+strconv.FormatInt(watchdog.Microseconds(), 10))
	}
	return env
}

// all are the messages so far.
func (g *manager) all() []notification {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]notification(nil), g.told...)
}

// heard are the indices of the messages from the n-th on that have a line
// beginning so.
func (g *manager) heard(n int, line string) (found []int) {
	for i, m := range g.all() {
		if i >= n && slices.ContainsFunc(m.lines, func(l string) bool { return strings.HasPrefix(l, line) }) {
			found = append(found, i)
		}
	}
	return found
}

func (g *manager) count(n int, line string) int { return len(g.heard(n, line)) }

// await waits for a message from the n-th on that has a line beginning so, and
// returns the index of the one that follows it.
func (g *manager) await(n int, line string) int {
	g.t.Helper()
	until(g.t, time.Minute, "the manager to hear "+line, func() bool { return g.count(n, line) > 0 })
	return g.heard(n, line)[0] + 1
}

// configure writes the machine's configuration: what all tests need, further
// keys, and sources.
func (m *machine) configure(keys string, sources ...string) {
	m.t.Helper()
	text := "profile = \"development\"\nrepository = \"" + m.repository() + "\"\nmount = \"" + m.mount() + "\"\nallow-other = false\n" + keys + "\n"
	m.writeConfig(text + strings.Join(sources, "\n"))
}

func (m *machine) configPath() string { return filepath.Join(m.home, ".config/keepsake/keepsake.toml") }

// writeConfig puts a text in the place of the configuration, whole at once.
func (m *machine) writeConfig(text string) {
	m.t.Helper()
	check(m.t, os.MkdirAll(filepath.Dir(m.configPath()), 0o700))
	check(m.t, os.WriteFile(m.configPath()+"~", []byte(text), 0o600))
	check(m.t, os.Rename(m.configPath()+"~", m.configPath()))
}

// directory is a source of a configuration.
func (m *machine) directory(label string, keys ...string) string {
	return "[[source]]\nlabel = \"" + label + "\"\npath = \"" + m.path(label) + "\"\n" + strings.Join(keys, "\n") + "\n"
}

// printing is a source that is what a shell command prints.
func printing(label, script string, keys ...string) string {
	return "[[source]]\nlabel = \"" + label + "\"\ncommand = [\"/bin/sh\", \"-c\", '''" + script + "''']\nfile = \"out\"\nevery = \"1h\"\n" + strings.Join(keys, "\n") + "\n"
}

// serviced is a running daemon and the manager that started it.
type serviced struct {
	*running
	g *manager
}

// daemon starts keepsake daemon as a service manager does, and waits until it
// says that it is ready.
func (m *machine) daemon(watchdog time.Duration, args ...string) *serviced {
	m.t.Helper()
	d := m.startDaemon(watchdog, args...)
	until(m.t, time.Minute, "the daemon to be ready", func() bool {
		select {
		case <-d.done:
			m.t.Fatalf("keepsake daemon ended with %v:\n%s", d.cmd.ProcessState, d.out.String())
		default:
		}
		return d.g.count(0, "READY=1") > 0
	})
	return d
}

func (m *machine) startDaemon(watchdog time.Duration, args ...string) *serviced {
	m.t.Helper()
	g := newManager(m.t)
	// Root's service would have its socket where all of them have it.
	env := append(g.environ(watchdog), "KEEPSAKE_SOCKET="+m.path("run", "control.sock"))
	return &serviced{m.with(env...).start(append([]string{"daemon"}, args...)...), g}
}

// reload has the daemon read its configuration again, and waits for the end of
// that.
func (d *serviced) reload() {
	d.m.t.Helper()
	n := len(d.g.all())
	check(d.m.t, d.cmd.Process.Signal(syscall.SIGHUP))
	d.g.await(d.g.await(n, "RELOADING=1"), "READY=1")
}

// ends stops the daemon and demands that this takes no longer than it may, and
// that nothing is left but mounts of the test's own.
func (d *serviced) ends(own ...string) {
	d.m.t.Helper()
	began := time.Now()
	if code := d.stop(syscall.SIGTERM); code != 0 {
		d.m.t.Errorf("after SIGTERM the daemon ended with %d", code)
	}
	took := time.Since(began)
	d.m.t.Logf("stopped within %v", took.Round(10*time.Millisecond))
	if most := 10 * time.Second; took > most && !raceDetector {
		d.m.t.Errorf("the stop took %v, and at most %v are promised", took, most)
	}
	if d.g.count(0, "STOPPING=1") != 1 {
		d.m.t.Error("the manager did not hear of the stop")
	}
	d.m.gone(own...)
	d.m.noSockets()
}

// noSockets demands that nobody's socket lies about.
func (m *machine) noSockets() {
	m.t.Helper()
	err := filepath.WalkDir(m.dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type()&os.ModeSocket != 0 {
			m.t.Errorf("a socket is left: %s", path)
		}
		return err
	})
	check(m.t, err)
}

// sound demands that everything in the repository can be read.
func (m *machine) sound() {
	m.t.Helper()
	if s := m.ok("check", "--read-data"); !strings.Contains(s.stdout, "everything is sound") {
		m.t.Errorf("check is not content:\n%s", s.stdout)
	}
}

// sourceStatus is what the tests read of a source's status.
type sourceStatus struct {
	Label  string `json:"source"`
	State  string
	Reason string
	Newest *struct {
		Files  uint64
		Number uint64
		Basis  string
		Why    []string
	}
	Running     bool
	LastError   string    `json:"last_error"`
	PausedUntil time.Time `json:"paused_until"`
}

// standing asks for the status of a source; its state is empty if there is none.
func (m *machine) standing(label string) (found sourceStatus) {
	m.t.Helper()
	for _, s := range statusOf[sourceStatus](m, "source") {
		if s.Label == label {
			found = s
		}
	}
	return found
}

// becomes waits until a source has a state.
func (m *machine) becomes(label, state string) sourceStatus {
	m.t.Helper()
	var s sourceStatus
	until(m.t, time.Minute, label+" to be "+state, func() bool {
		s = m.standing(label)
		return s.State == state
	})
	return s
}

// troubles are what status says of the daemon itself.
func (m *machine) troubles() string {
	m.t.Helper()
	all := statusOf[struct{ Troubles []string }](m, "status")
	if len(all) != 1 {
		m.t.Fatalf("%d lines of status", len(all))
	}
	return strings.Join(all[0].Troubles, "\n")
}

// statusOf reads the lines of one type from keepsake status.
func statusOf[T any](m *machine, kind string) (all []T) {
	m.t.Helper()
	s := m.run("status", "--json")
	if s.code != 0 && s.code != exitIncomplete {
		m.t.Fatalf("keepsake status: %+v", s)
	}
	for line := range strings.Lines(s.stdout) {
		var is struct {
			Type string `json:"message_type"`
		}
		check(m.t, json.Unmarshal([]byte(line), &is))
		if is.Type != kind {
			continue
		}
		var one T
		check(m.t, json.Unmarshal([]byte(line), &one))
		all = append(all, one)
	}
	return all
}
