package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/control"
)

// The test binary is also the processes that the tests kill.
const (
	roleVar = "KEEPSAKE_TEST_CONTROL_ROLE"
	dirVar  = "KEEPSAKE_TEST_CONTROL_DIR"
	// pathVar is a public socket's path.
	pathVar = "KEEPSAKE_TEST_CONTROL_PATH"
)

func TestMain(m *testing.M) {
	dir := os.Getenv(dirVar)
	switch os.Getenv(roleVar) {
	case "":
		os.Exit(m.Run())
	case "owner": // says "listening", writes one line for every request, and stays
		s, err := control.Listen(context.Background(), dir, control.ServerOptions{Public: os.Getenv(pathVar), Handler: func(ctx context.Context, _ control.Request, out control.Stream) int {
			fmt.Fprintln(out.Stdout, "started")
			<-ctx.Done()
			return 0
		}})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("listening")
		os.Exit(exitOf(s.Serve(context.Background())))
	case "member": // asks for everything at a public socket and prints what came of it, in JSON
		os.Exit(exitOf(json.NewEncoder(os.Stdout).Encode(askForEverything(os.Getenv(pathVar)))))
	case "client": // copies what it gets
		c, err := control.Dial(context.Background(), dir, control.ClientOptions{})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		_, err = c.Do(context.Background(), control.Request{Verb: "wait"}, control.Stream{Stdout: os.Stdout})
		os.Exit(exitOf(err))
	}
}

func exitOf(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// process starts a role and returns once it has printed its first line.
func process(t *testing.T, role, dir string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVar+"="+role, dirVar+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%s: %v", role, err)
	}
	return cmd, strings.TrimSpace(line)
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// owner is a server that a test runs.
type owner struct {
	dir    string
	server *control.Server
	stop   context.CancelFunc
	done   chan error
}

// serve starts a server in a directory of its own and stops it after the test, which fails if it does not stop.
func serve(t testing.TB, o control.ServerOptions) *owner {
	t.Helper()
	return serveIn(t, t.TempDir(), o)
}

func serveIn(t testing.TB, dir string, o control.ServerOptions) *owner {
	t.Helper()
	s, err := control.Listen(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	w := &owner{dir: dir, server: s, stop: cancel, done: make(chan error, 1)}
	go func() { w.done <- s.Serve(ctx); close(w.done) }()
	t.Cleanup(func() { w.wait(t) })
	return w
}

func (w *owner) wait(t testing.TB) {
	t.Helper()
	w.stop()
	select {
	case err := <-w.done:
		if err != nil {
			t.Error("serve:", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the server does not stop")
	}
}

func dial(t testing.TB, dir string) *control.Client {
	t.Helper()
	c, err := control.Dial(context.Background(), dir, control.ClientOptions{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// raw is a connection without any client's manners.
func raw(t *testing.T, dir string) net.Conn {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(dir, control.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

func post(body string) string {
	return fmt.Sprintf("POST /v1/verb HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// within fails the test if c does not deliver soon. Soon is far from any time-out that would hide a defect.
func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(3 * time.Second):
		t.Fatalf("%s: nothing within 3 s", what)
		panic("unreachable")
	}
}

// record notes writes of both outputs and progress in one sequence.
type record struct{ events []string }

func (r *record) stream() control.Stream {
	return control.Stream{Stdout: recordWriter{r, "out "}, Stderr: recordWriter{r, "err "}, Progress: func(e json.RawMessage) error {
		r.events = append(r.events, "pro "+string(e))
		return nil
	}}
}

type recordWriter struct {
	r    *record
	kind string
}

func (w recordWriter) Write(p []byte) (int, error) {
	w.r.events = append(w.r.events, w.kind+string(p))
	return len(p), nil
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

var _ io.Writer = writerFunc(nil)
