package control_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/control"
)

// listen claims a state directory of its own, and gives it up after the test.
func listen(t *testing.T, o control.ServerOptions) *control.Server {
	t.Helper()
	o.Handler = nothing
	s, err := control.Listen(context.Background(), t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestPublicSocketOfAKilledProcess(t *testing.T) {
	dir, socket := t.TempDir(), filepath.Join(t.TempDir(), "keepsake", "public.sock")
	t.Setenv(pathVar, socket)
	cmd, _ := process(t, "owner", dir)
	// While it lives its sockets are its own, also for the owner of another state.
	s := listen(t, control.ServerOptions{Public: socket})
	var owned *control.OwnedError
	if p := s.Problems(); len(p) != 1 || !errors.As(p[0], &owned) || owned.PID != cmd.Process.Pid {
		t.Fatalf("a second owner: %v", p)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := control.DialSocket(context.Background(), socket, control.ClientOptions{}); err != nil {
		t.Error("the first owner's socket was harmed:", err)
	}
	kill(t, cmd)
	if info, err := os.Lstat(socket); err != nil || info.Mode()&fs.ModeSocket == 0 {
		t.Fatal("the killed process left no socket to find:", err)
	}
	if _, err := control.DialSocket(context.Background(), socket, control.ClientOptions{}); !errors.Is(err, control.ErrNoOwner) {
		t.Error(err)
	}
	serveIn(t, dir, control.ServerOptions{Handler: nothing, Public: socket})
	if _, err := control.DialSocket(context.Background(), socket, control.ClientOptions{}); err != nil {
		t.Error(err)
	}
}

func TestForeignFilesStayAtThePublicPlace(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "control.sock")
	if err := os.WriteFile(socket, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := listen(t, control.ServerOptions{Public: socket})
	if p := s.Problems(); len(p) != 1 || !errors.Is(p[0], control.ErrForeign) || !strings.Contains(p[0].Error(), socket) {
		t.Error(p)
	}
	if b, err := os.ReadFile(socket); string(b) != "precious" {
		t.Error(err)
	}
}

// A directory where others could replace the socket is not used; its rights stay as they are.
func TestPublicDirectory(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not run: giving files away needs root")
	}
	const studio = 64200
	tests := []struct {
		name     string
		base     string
		mode     fs.FileMode
		uid, gid int
		want     string // of the problem; empty if there is none
		after    fs.FileMode
	}{
		{"writable by others", "x", 0o777, 0, 0, "others may write to it", 0o777},
		{"sticky", "x", 0o777 | fs.ModeSticky, 0, 0, "others may write to it", 0o777 | fs.ModeSticky},
		{"writable by the group", "keepsake", 0o770, 0, studio, "", 0o750},
		{"another's", "x", 0o755, 64101, 0, "belongs to user 64101", 0o755},
		{"another's called keepsake", "keepsake", 0o700, 64101, 0, "belongs to user 64101", 0o700},
		{"closed to the group", "x", 0o700, 0, 0, "cannot pass through it", 0o700},
		{"open to another group", "x", 0o750, 0, 0, "cannot pass through it", 0o750},
		{"open to all", "x", 0o755, 0, 0, "", 0o755},
		{"open to all to pass", "x", 0o711, 0, 0, "", 0o711},
		{"made for keepsake", "keepsake", 0o700, 0, 0, "", 0o750},
		{"made for all", "keepsake", 0o755, 0, 0, "", 0o755},
		{"open to the group", "x", 0o710, 0, studio, "", 0o710},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), tt.base)
			for _, err := range []error{os.Mkdir(dir, 0o700), os.Chown(dir, tt.uid, tt.gid), os.Chmod(dir, tt.mode)} {
				if err != nil {
					t.Fatal(err)
				}
			}
			socket := filepath.Join(dir, "control.sock")
			s := listen(t, control.ServerOptions{Public: socket, Group: studio})
			problems := fmt.Sprint(s.Problems())
			_, err := os.Lstat(socket)
			if tt.want == "" && (problems != "[]" || err != nil) || tt.want != "" && (!strings.Contains(problems, tt.want) || !errors.Is(err, fs.ErrNotExist)) {
				t.Errorf("problems %s, socket %v", problems, err)
			}
			if info, err := os.Lstat(dir); err != nil || info.Mode() != tt.after|fs.ModeDir {
				t.Errorf("%v: %v", info.Mode(), err)
			}
		})
	}
}

func TestOptionsThatCannotWork(t *testing.T) {
	figures := http.NotFoundHandler()
	for _, o := range []control.ServerOptions{
		{Public: "control.sock"}, {Public: "/"}, {Public: "/run/../run/x"}, {Public: "/run/keepsake/"},
		{MetricsAddress: "127.0.0.1:0"}, // and nothing to serve there
		{Metrics: figures, MetricsAddress: ":9273"},
		{Metrics: figures, MetricsAddress: "0.0.0.0:9273"},
		{Metrics: figures, MetricsAddress: "[::]:9273"},
		{Metrics: figures, MetricsAddress: "192.168.1.7:9273"},
		{Metrics: figures, MetricsAddress: "[::ffff:192.168.1.7]:9273"},
		{Metrics: figures, MetricsAddress: "nas.example:9273"},
		{Metrics: figures, MetricsAddress: "127.0.0.1"},
		{Metrics: figures, MetricsAddress: "127.0.0.1:http"},
		{Metrics: figures, MetricsAddress: "127.0.0.1:99999"},
	} {
		o.Handler = nothing
		s, err := control.Listen(context.Background(), t.TempDir(), o)
		if err == nil {
			s.Close()
			t.Errorf("accepted: %+v", o)
		}
	}
	for _, address := range []string{"127.0.0.1:9273", "127.8.9.10:1", "[::1]:9273", "[::ffff:127.0.0.1]:9273"} {
		if err := control.CheckMetricsAddress(address); err != nil {
			t.Error(err)
		}
	}
}

// freePort is an address that nobody listened at a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestMetricsByTCP(t *testing.T) {
	address := freePort(t)
	figures := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "figures") })
	asked := false
	w := serve(t, control.ServerOptions{
		Metrics: figures, MetricsAddress: address,
		Handler: func(context.Context, control.Request, control.Stream) int { asked = true; return 0 },
	})
	request := func(method, path, host string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(method, "http://"+address+path, strings.NewReader(`{"protocol":2,"verb":"status","options":{}}`))
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			r.Host = host
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	for _, host := range []string{"", "localhost", "localhost:9273", "127.0.0.1", "[::1]:9273"} {
		if status, body := request("GET", "/metrics", host); status != 200 || body != "figures" {
			t.Errorf("host %q: %d %q", host, status, body)
		}
	}
	for _, host := range []string{"evil.example", "localhost.evil.example", "192.168.1.7:9273", "0.0.0.0"} {
		if status, body := request("GET", "/metrics", host); status != http.StatusForbidden || strings.Contains(body, "figures") {
			t.Errorf("host %q: %d %q", host, status, body)
		}
	}
	for _, r := range [][2]string{{"GET", "/"}, {"GET", "/v1/info"}, {"POST", "/v1/verb"}, {"POST", "/metrics"}, {"GET", "/metrics/x"}, {"GET", "/debug/pprof/"}} {
		if status, body := request(r[0], r[1], ""); status == http.StatusOK || strings.Contains(body, "figures") {
			t.Errorf("%s %s: %d %q", r[0], r[1], status, body)
		}
	}
	if asked {
		t.Error("a verb was run by TCP")
	}
	if status, body, err := get(filepath.Join(w.dir, control.SocketName), "/metrics"); status != 200 || body != "figures" || err != nil {
		t.Errorf("at the socket: %d %q %v", status, body, err)
	}

	// A port that is taken costs the metrics, not the owner.
	s := listen(t, control.ServerOptions{Metrics: figures, MetricsAddress: address})
	if p := s.Problems(); len(p) != 1 || !errors.Is(p[0], syscall.EADDRINUSE) {
		t.Error(p)
	}
	w.wait(t)
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("the address is still served")
	}
}

func TestNoMetricsWithoutAHandler(t *testing.T) {
	w := serve(t, control.ServerOptions{Handler: nothing})
	if status, _, err := get(filepath.Join(w.dir, control.SocketName), "/metrics"); status != http.StatusNotFound || err != nil {
		t.Error(status, err)
	}
}

// Connections at the public socket are bounded; those that end make room.
func TestStrangersDoNotUseUpDescriptors(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "control.sock")
	w := serve(t, control.ServerOptions{Handler: nothing, Public: socket, HeaderTimeout: time.Minute})
	var idle []net.Conn
	dropped := func(c net.Conn) bool {
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err := c.Read(make([]byte, 1))
		return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
	}
	for range control.MaxStrangers + 20 {
		c, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		idle = append(idle, c)
	}
	eventually(t, "dropping what is too much", func() bool {
		n := 0
		for _, c := range idle {
			if dropped(c) {
				n++
			}
		}
		return n == 20
	})
	ask(t, w.dir) // the state directory's socket is another
	for _, c := range idle {
		c.Close()
	}
	eventually(t, "an answer when there is room again", func() bool {
		_, err := control.DialSocket(context.Background(), socket, control.ClientOptions{})
		return err == nil
	})
}

func TestPeerHasAName(t *testing.T) {
	if got := (control.Peer{UID: 0}).User(); got != "root" {
		t.Error(got)
	}
	if got := (control.Peer{UID: 64101}).User(); got != "user 64101" {
		t.Error(got)
	}
	if id, err := exec.Command("id", "-un").Output(); err == nil {
		if got := (control.Peer{UID: uint32(os.Getuid())}).User(); got != strings.TrimSpace(string(id)) {
			t.Errorf("%s, id says %s", got, id)
		}
	}
}
