package control_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/control"
)

// silent is a handler that writes one line, then waits for its context and tells its cause.
func silent(started chan<- struct{}, cause chan<- error) control.Handler {
	return func(ctx context.Context, _ control.Request, out control.Stream) int {
		fmt.Fprintln(out.Stdout, "started")
		started <- struct{}{}
		<-ctx.Done()
		cause <- context.Cause(ctx)
		fmt.Fprintln(out.Stderr, "interrupted, nothing was lost")
		return 130
	}
}

func TestInterruptedClientHearsTheEnd(t *testing.T) {
	started, cause := make(chan struct{}, 1), make(chan error, 1)
	w := serve(t, control.ServerOptions{Handler: silent(started, cause)})
	ctx, interrupt := context.WithCancel(context.Background())
	go func() { <-started; interrupt() }()
	var out, errs bytes.Buffer
	begin := time.Now()
	exit, err := dial(t, w.dir).Do(ctx, control.Request{Verb: "restore"}, control.Stream{Stdout: &out, Stderr: &errs})
	if exit != 130 || err != nil || out.String() != "started\n" || errs.String() != "interrupted, nothing was lost\n" {
		t.Error(exit, err, out.String(), errs.String())
	}
	within(t, cause, "cancellation")
	if d := time.Since(begin); d > 2*time.Second {
		t.Error("took", d)
	}
}

func TestPatienceEnds(t *testing.T) {
	started, release := make(chan struct{}, 1), make(chan struct{})
	w := serve(t, control.ServerOptions{Handler: func(context.Context, control.Request, control.Stream) int {
		started <- struct{}{}
		<-release // a handler that does not obey
		return 0
	}})
	defer close(release)
	ctx, interrupt := context.WithCancel(context.Background())
	go func() { <-started; interrupt() }()
	c, err := control.Dial(context.Background(), w.dir, control.ClientOptions{Patience: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := c.Do(ctx, control.Request{Verb: "x"}, control.Stream{}); exit != -1 || !errors.Is(err, context.Canceled) {
		t.Error(exit, err)
	}
}

func TestKilledClientCancels(t *testing.T) {
	started, cause := make(chan struct{}, 1), make(chan error, 1)
	w := serve(t, control.ServerOptions{Handler: silent(started, cause)})
	cmd, line := process(t, "client", w.dir)
	if line != "started" {
		t.Fatal(line)
	}
	select {
	case err := <-cause:
		t.Fatal("cancelled before the kill:", err)
	case <-time.After(50 * time.Millisecond):
	}
	kill(t, cmd)
	within(t, cause, "cancellation")
}

func TestKilledClientFreesAStuckWriter(t *testing.T) {
	full, ended := make(chan struct{}, 1), make(chan error, 1)
	w := serve(t, control.ServerOptions{Handler: func(_ context.Context, _ control.Request, out control.Stream) int {
		for i := 0; ; i++ {
			if i == 1 {
				full <- struct{}{}
			}
			if _, err := out.Stdout.Write(make([]byte, 4<<20)); err != nil {
				ended <- err
				return 1
			}
		}
	}})
	c := raw(t, w.dir)
	fmt.Fprint(c, post(`{"protocol":2,"verb":"dump"}`))
	// Nothing is read, so the first write cannot have gone through.
	select {
	case <-full:
		t.Fatal("4 MiB were buffered for a client that does not read")
	case <-ended:
		t.Fatal("a slow client is not a dead one")
	case <-time.After(100 * time.Millisecond):
	}
	c.Close()
	if err := within(t, ended, "failing write"); !errors.Is(err, control.ErrGone) {
		t.Error(err)
	}
}

// The time-outs of a request's arrival must not end the request.
func TestSilenceIsNotAbsence(t *testing.T) {
	w := serve(t, control.ServerOptions{HeaderTimeout: 50 * time.Millisecond, Handler: func(ctx context.Context, _ control.Request, out control.Stream) int {
		select {
		case <-ctx.Done():
			return 1
		case <-time.After(300 * time.Millisecond):
			return 0
		}
	}})
	c, err := control.Dial(context.Background(), w.dir, control.ClientOptions{AnswerTimeout: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if exit, err := c.Do(context.Background(), control.Request{Verb: "x"}, control.Stream{}); exit != 0 || err != nil {
		t.Error(exit, err)
	}
}

func TestStopLetsRequestsFinish(t *testing.T) {
	started, release := make(chan struct{}, 1), make(chan struct{})
	w := serve(t, control.ServerOptions{Handler: func(ctx context.Context, _ control.Request, out control.Stream) int {
		started <- struct{}{}
		<-release
		fmt.Fprint(out.Stdout, context.Cause(ctx))
		return 0
	}})
	var out bytes.Buffer
	c := dial(t, w.dir)
	result := make(chan error, 1)
	go func() {
		exit, err := c.Do(context.Background(), control.Request{Verb: "x"}, control.Stream{Stdout: &out})
		result <- errors.Join(err, exitError(exit))
	}()
	within(t, started, "start")
	w.stop()
	eventually(t, "the socket goes", func() bool {
		_, err := os.Lstat(filepath.Join(w.dir, control.SocketName))
		return os.IsNotExist(err)
	})
	if _, err := c.Do(context.Background(), control.Request{Verb: "x"}, control.Stream{}); !errors.Is(err, control.ErrNoOwner) {
		t.Error("a new request:", err)
	}
	select {
	case err := <-w.done:
		t.Fatal("Serve left its handler behind:", err)
	default:
	}
	close(release)
	if err := within(t, result, "answer"); err != nil || out.String() != "<nil>" {
		t.Error(err, out.String())
	}
	within(t, w.done, "Serve")
}

func TestStopCancelsAfterTheGrace(t *testing.T) {
	started, cause := make(chan struct{}, 1), make(chan error, 1)
	w := serve(t, control.ServerOptions{Grace: 50 * time.Millisecond, Handler: silent(started, cause)})
	var errs bytes.Buffer
	result := make(chan error, 1)
	c := dial(t, w.dir)
	go func() {
		exit, err := c.Do(context.Background(), control.Request{Verb: "x"}, control.Stream{Stderr: &errs})
		result <- errors.Join(err, exitError(exit-130))
	}()
	within(t, started, "start")
	w.stop()
	if err := within(t, cause, "cancellation"); !errors.Is(err, control.ErrStopping) {
		t.Error(err)
	}
	if err := within(t, result, "answer"); err != nil || errs.String() != "interrupted, nothing was lost\n" {
		t.Error(err, errs.String())
	}
	within(t, w.done, "Serve")
}

func TestStopIsNotHeldUpByAClientThatDoesNotRead(t *testing.T) {
	started, ended := make(chan struct{}, 1), make(chan error, 1)
	w := serve(t, control.ServerOptions{Grace: 20 * time.Millisecond, Farewell: 50 * time.Millisecond,
		Handler: func(_ context.Context, _ control.Request, out control.Stream) int {
			started <- struct{}{}
			_, err := out.Stdout.Write(make([]byte, 4<<20))
			ended <- err
			return 1
		}})
	fmt.Fprint(raw(t, w.dir), post(`{"protocol":2,"verb":"dump"}`))
	within(t, started, "start")
	w.stop()
	if err := within(t, ended, "failing write"); !errors.Is(err, control.ErrGone) {
		t.Error(err)
	}
	within(t, w.done, "Serve")
}

// TestHurry: who is told to stop does not wait as long as who is merely done, not
// even for a client that does not read.
func TestHurry(t *testing.T) {
	started, ended := make(chan struct{}, 1), make(chan error, 1)
	w := serve(t, control.ServerOptions{Grace: time.Hour, Farewell: 50 * time.Millisecond,
		Handler: func(ctx context.Context, _ control.Request, out control.Stream) int {
			started <- struct{}{}
			_, err := out.Stdout.Write(make([]byte, 4<<20))
			ended <- errors.Join(err, context.Cause(ctx))
			return 1
		}})
	fmt.Fprint(raw(t, w.dir), post(`{"protocol":2,"verb":"dump"}`))
	within(t, started, "start")
	w.server.Hurry()
	w.stop()
	if err := within(t, ended, "failing write"); !errors.Is(err, control.ErrGone) || !errors.Is(err, control.ErrStopping) {
		t.Error(err)
	}
	within(t, w.done, "Serve")
}

// The caller of Serve closes what handlers use.
func TestServeNeverLeavesAHandlerBehind(t *testing.T) {
	started, release := make(chan struct{}, 1), make(chan struct{})
	w := serve(t, control.ServerOptions{Grace: 10 * time.Millisecond, Farewell: 10 * time.Millisecond,
		Handler: func(context.Context, control.Request, control.Stream) int {
			started <- struct{}{}
			<-release // a handler that does not obey
			return 0
		}})
	fmt.Fprint(raw(t, w.dir), post(`{"protocol":2,"verb":"x"}`))
	within(t, started, "start")
	w.stop()
	select {
	case <-w.done:
		t.Error("Serve returned before its handler")
	case <-time.After(200 * time.Millisecond):
	}
	close(release)
	within(t, w.done, "Serve")
}

func TestStopRefusesWhatWasOnlyConnected(t *testing.T) {
	started, release := make(chan struct{}, 2), make(chan struct{})
	w := serve(t, control.ServerOptions{Handler: func(context.Context, control.Request, control.Stream) int {
		started <- struct{}{}
		<-release
		return 0
	}})
	defer w.wait(t)
	defer close(release)
	early := raw(t, w.dir)
	fmt.Fprint(raw(t, w.dir), post(`{"protocol":2,"verb":"x"}`)) // accepted after the early one
	within(t, started, "start")
	w.stop()
	eventually(t, "the socket goes", func() bool {
		_, err := os.Lstat(filepath.Join(w.dir, control.SocketName))
		return os.IsNotExist(err)
	})
	time.Sleep(50 * time.Millisecond) // the file goes a moment before the rest
	fmt.Fprint(early, post(`{"protocol":2,"verb":"x"}`))
	b, _ := io.ReadAll(early)
	if !bytes.Contains(b, []byte("503")) || !bytes.Contains(b, []byte(`"code":"stopping"`)) {
		t.Errorf("%q", b)
	}
}

func TestKilledOwnerIsAnErrorNotSuccess(t *testing.T) {
	dir := t.TempDir()
	cmd, line := process(t, "owner", dir)
	if line != "listening" {
		t.Fatal(line)
	}
	c := dial(t, dir)
	var out bytes.Buffer
	exit, err := c.Do(context.Background(), control.Request{Verb: "x"}, control.Stream{Stdout: writerFunc(func(p []byte) (int, error) {
		kill(t, cmd)
		return out.Write(p)
	})})
	if exit != -1 || !errors.Is(err, control.ErrBroken) || out.String() != "started\n" {
		t.Error(exit, err, out.String())
	}
	if _, err := c.Do(context.Background(), control.Request{Verb: "x"}, control.Stream{}); !errors.Is(err, control.ErrNoOwner) {
		t.Error("after the kill:", err)
	}
}

func TestStoppedOwnerIsNamed(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := process(t, "owner", dir)
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the process stops", func() bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", cmd.Process.Pid))
		return err == nil && bytes.Contains(b, []byte(") T "))
	})
	_, err := control.Dial(context.Background(), dir, control.ClientOptions{AnswerTimeout: 100 * time.Millisecond})
	if !errors.Is(err, control.ErrNoAnswer) || !bytes.Contains([]byte(err.Error()), fmt.Append(nil, cmd.Process.Pid)) {
		t.Error(err)
	}
	// It is silent, but it lives: its socket is not a stale one.
	_, err = control.Listen(context.Background(), dir, control.ServerOptions{Handler: nothing})
	var owned *control.OwnedError
	if !errors.As(err, &owned) || owned.PID != cmd.Process.Pid {
		t.Error(err)
	}
}

func exitError(n int) error {
	if n != 0 {
		return fmt.Errorf("exit code differs by %d", n)
	}
	return nil
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never happens: ", what)
		}
	}
}
