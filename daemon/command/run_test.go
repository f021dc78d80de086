package command_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/command"
)

// patience bounds waits that end at once on a machine that is not loaded.
const patience = time.Minute

func sh(script string) command.Options {
	return command.Options{Args: []string{"/bin/sh", "-c", script}, Timeout: patience}
}

func TestOutputInputAndArguments(t *testing.T) {
	var out bytes.Buffer
	r, err := command.Run(t.Context(), command.Options{
		Args: []string{"printf", "%s|", "a b", "$HOME", ";exit 1", "*"}, Stdout: &out, Timeout: patience,
	})
	if want := "a b|$HOME|;exit 1|*|"; err != nil || out.String() != want {
		t.Errorf("arguments arrive as %q, %v; want %q", out.String(), err, want)
	}
	if r.Exit != 0 || r.Output != int64(out.Len()) {
		t.Errorf("result %+v", r)
	}
	in := strings.Repeat("0123456789", 100_000)
	out.Reset()
	if _, err := command.Run(t.Context(), command.Options{Args: []string{"cat"}, Stdin: strings.NewReader(in), Stdout: &out, Timeout: patience}); err != nil || out.String() != in {
		t.Errorf("%d bytes come back as %d, %v", len(in), out.Len(), err)
	}
	// A program that does not read what it is given has done nothing wrong.
	if _, err := command.Run(t.Context(), command.Options{Args: []string{"true"}, Stdin: strings.NewReader(in), Timeout: patience}); err != nil {
		t.Error(err)
	}
}

func TestEnvironmentIsExplicit(t *testing.T) {
	t.Setenv("KEEPSAKE_PASSWORD", "hunter2")
	t.Setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
	if inherited, err := exec.Command("/usr/bin/env").Output(); err != nil || !bytes.Contains(inherited, []byte("hunter2")) {
		t.Fatalf("control: a program that inherits sees %q, %v", inherited, err)
	}
	var out bytes.Buffer
	o := command.Options{Args: []string{"env"}, Env: []string{"PGHOST=/run/pg", "LANG=de_DE.UTF-8"}, Stdout: &out, Timeout: patience}
	if _, err := command.Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var names []string
	for line := range strings.Lines(out.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		names = append(names, name)
		if name == "LANG" && value != "de_DE.UTF-8" {
			t.Errorf("given LANG became %s", value)
		}
	}
	slices.Sort(names)
	if want := []string{"HOME", "LANG", "PATH", "PGHOST"}; !slices.Equal(names, want) {
		t.Errorf("the environment has %q, want %q", names, want)
	}
	for _, bad := range []string{"KEEPSAKE_PASSWORD=x", "KEEPSAKE_PASSWORD_FILE=x", "NOVALUE", "=x", "A=\x00"} {
		o.Env = []string{bad}
		if _, err := command.Run(t.Context(), o); !errors.Is(err, command.ErrEnvironment) || strings.Contains(err.Error(), "=x") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][]string{nil, {""}, {"no-such-program-anywhere"}, {"./sh"}, {"bin/sh"}, {"/no/such/file"}, {dir}, {plain}} {
		r, err := command.Run(t.Context(), command.Options{Args: bad})
		if !errors.Is(err, command.ErrProgram) || r.Exit != -1 {
			t.Errorf("%q: %+v, %v", bad, r, err)
		}
		form := len(bad) > 0 && bad[0] != "" && (filepath.IsAbs(bad[0]) || !strings.Contains(bad[0], "/"))
		if err := (command.Options{Args: bad}).Validate(); (err == nil) != form {
			t.Errorf("%q: %v", bad, err)
		}
	}
	// What the daemon's own PATH says is of no importance.
	t.Setenv("PATH", dir)
	if path, err := (command.Options{Args: []string{"sh"}}).Find(); err != nil || !filepath.IsAbs(path) {
		t.Errorf("sh is %q, %v", path, err)
	}
	if _, err := (command.Options{Args: []string{"sh"}, Env: []string{"PATH=" + dir}}).Find(); !errors.Is(err, command.ErrProgram) {
		t.Errorf("sh in %s: %v", dir, err)
	}
	if _, err := (command.Options{Args: []string{"/bin/sh", "-c", "exit"}, Dir: filepath.Join(dir, "gone")}).Find(); err != nil {
		t.Error(err)
	}
	if _, err := command.Run(t.Context(), command.Options{Args: []string{"true"}, Dir: filepath.Join(dir, "gone")}); !errors.Is(err, command.ErrProgram) {
		t.Errorf("in a directory that is gone: %v", err)
	}
}

func TestFailuresSayWhatTheProgramSaidAndNotItsArguments(t *testing.T) {
	const secret = "s3cret"
	tests := []struct {
		script string
		code   int
		signal syscall.Signal
		want   string
	}{
		{"echo 'connection refused' >&2; echo more >&2; exit 3", 3, 0, "sh: exit status 3: connection refused"},
		{"exit 1", 1, 0, "sh: exit status 1"},
		{"kill -9 $$", 137, syscall.SIGKILL, "sh: ended by signal 9 (killed)"},
		{"printf 'red \\033[31m\\377\\001' >&2; exit 1", 1, 0, "sh: exit status 1: red ?[31m??"},
	}
	for _, tt := range tests {
		o := sh(tt.script)
		o.Args = append(o.Args, secret)
		r, err := command.Run(t.Context(), o)
		e, ok := errors.AsType[*command.ExitError](err)
		if !ok || e.Code != tt.code || e.Signal != tt.signal || r.Exit != tt.code || err.Error() != tt.want {
			t.Errorf("%s: %+v, %v", tt.script, r, err)
		}
		if strings.Contains(fmt.Sprint(err, r), secret) {
			t.Errorf("%s: %v tells an argument", tt.script, err)
		}
	}
}

func TestTailIsBounded(t *testing.T) {
	r, err := command.Run(t.Context(), sh(`i=0; while [ $i -lt 5000 ]; do echo "line $i" >&2; i=$((i+1)); done; exit 1`))
	if err == nil || len(r.Stderr) > 4<<10 || !strings.HasSuffix(r.Stderr, "line 4999") || !strings.HasPrefix(r.Stderr, "line ") {
		t.Errorf("tail of %d bytes: %.40q… %v", len(r.Stderr), r.Stderr, err)
	}
	r, err = command.Run(t.Context(), sh(`head -c 1000000 /dev/zero | tr '\0' x >&2; exit 1`))
	if err == nil || len(r.Stderr) != 4<<10 || len(err.Error()) > 300 {
		t.Errorf("one long line: %d bytes, error of %d", len(r.Stderr), len(err.Error()))
	}
}

func TestTimeoutEndsTheWholeGroup(t *testing.T) {
	pids := filepath.Join(t.TempDir(), "pids")
	o := sh(`trap '' TERM; (trap '' TERM; echo $$ >>` + pids + `; while :; do sleep 1; done) & echo $! >>` + pids + `; while :; do sleep 1; done`)
	o.Timeout, o.Grace = 500*time.Millisecond, 200*time.Millisecond
	var out bytes.Buffer
	o.Stdout = &out
	_, err := command.Run(t.Context(), o)
	if !errors.Is(err, command.ErrTimeout) {
		t.Fatal(err)
	}
	for _, pid := range readPids(t, pids) {
		awaitGone(t, pid)
	}
}

func TestContextEndsTheProgram(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	o := sh(`trap 'echo bye >&2; exit 0' TERM; echo ready; while :; do sleep 0.1; done`)
	o.Stdout = w
	done := make(chan error, 1)
	var result command.Result
	go func() {
		var err error
		result, err = command.Run(ctx, o)
		done <- err
	}()
	if _, err := io.ReadFull(r, make([]byte, 6)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if !strings.Contains(result.Stderr, "bye") {
		t.Errorf("it was not asked before it was killed: %q", result.Stderr)
	}
	if _, err := command.Run(ctx, sh("exit 0")); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %v", err)
	}
}

// counter takes everything and keeps nothing.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) { c.n += int64(len(p)); return len(p), nil }

func TestFloodIsStopped(t *testing.T) {
	var c counter
	o := command.Options{Args: []string{"head", "-c", "100G", "/dev/zero"}, Stdout: &c, MaxOutput: 64 << 20, Timeout: patience}
	_, err := command.Run(t.Context(), o)
	if !errors.Is(err, command.ErrTooMuch) || c.n > o.MaxOutput || c.n < o.MaxOutput/2 {
		t.Errorf("%d bytes, %v", c.n, err)
	}
	// Control: as much as it may print is not too much.
	c.n = 0
	o.Args[2] = strconv.FormatInt(o.MaxOutput, 10)
	if _, err := command.Run(t.Context(), o); err != nil || c.n != o.MaxOutput {
		t.Errorf("%d bytes, %v", c.n, err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestWriterThatFailsStopsTheProgram(t *testing.T) {
	want := errors.New("disk full")
	o := command.Options{Args: []string{"yes"}, Stdout: failing{want}, Timeout: patience}
	if _, err := command.Run(t.Context(), o); !errors.Is(err, want) {
		t.Error(err)
	}
}

func TestHeldOutput(t *testing.T) {
	left := filepath.Join(t.TempDir(), "left")
	tests := []struct {
		name, script string
		want         error
		output       string
	}{
		{"by one in the group", "echo some; sleep 1000 & exit 0", command.ErrHeld, "some\n"},
		{"by one that left the group", "echo some; setsid sleep 1000 & echo $! >" + left + "; sleep 0.2; exit 0", command.ErrHeld, "some\n"},
		{"by one that still writes, and ends", "(sleep 0.1; echo rest) & echo some", nil, "some\nrest\n"},
		{"by nobody", "echo some", nil, "some\n"},
		{"standard error only", "echo some; sleep 1000 >/dev/null & exit 0", nil, "some\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			o := sh(tt.script)
			o.Stdout = &out
			if o.Grace = 20 * time.Second; tt.want != nil || strings.Contains(tt.script, "1000") {
				o.Grace = 300 * time.Millisecond
			}
			if _, err := command.Run(t.Context(), o); !errors.Is(err, tt.want) || out.String() != tt.output {
				t.Errorf("%q, %v", out.String(), err)
			}
		})
	}
	for _, pid := range readPids(t, left) {
		_ = syscall.Kill(pid, syscall.SIGKILL) // it escapes Run by design, and must not outlive the test
		awaitGone(t, pid)
	}
}

// TestSlowWriterIsNotTheProgramsFault: the program has ended, and what is in the pipe takes longer than the grace.
func TestSlowWriterIsNotTheProgramsFault(t *testing.T) {
	o := command.Options{Args: []string{"head", "-c", "100000", "/dev/zero"}, Timeout: patience, Grace: 50 * time.Millisecond}
	var c counter
	o.Stdout = writerFunc(func(p []byte) (int, error) {
		time.Sleep(150 * time.Millisecond) // longer than the grace is all that matters
		return c.Write(p)
	})
	if _, err := command.Run(t.Context(), o); err != nil || c.n != 100_000 {
		t.Errorf("%d bytes, %v", c.n, err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestNothingLeaks(t *testing.T) {
	run := func() {
		for _, script := range []string{"echo a", "exit 1", "sleep 1000 & exit 0", "cat >/dev/null", "yes", "kill -9 $$"} {
			o := sh(script)
			o.Stdin, o.Stdout, o.MaxOutput, o.Grace = strings.NewReader(strings.Repeat("x", 1<<20)), io.Discard, 1000, 50*time.Millisecond
			_, _ = command.Run(t.Context(), o) // how they end is other tests' business
		}
		for _, args := range [][]string{{"/no/such"}, {"/etc/passwd"}} {
			_, _ = command.Run(t.Context(), command.Options{Args: args, Stdin: strings.NewReader(""), Stdout: io.Discard})
		}
	}
	run() // what the runtime opens once
	descriptors, goroutines := openDescriptors(t), runtime.NumGoroutine()
	held, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if now := openDescriptors(t); now != descriptors+2 {
		t.Fatalf("control: %d descriptors after two were opened, %d before", now, descriptors)
	}
	_, _ = held.Close(), w.Close()
	for range 5 {
		run()
	}
	await(t, func() bool { return openDescriptors(t) <= descriptors && runtime.NumGoroutine() <= goroutines }, func() string {
		return fmt.Sprintf("%d descriptors, %d goroutines; before %d, %d", openDescriptors(t), runtime.NumGoroutine(), descriptors, goroutines)
	})
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("not run: no /proc")
	}
	return len(names)
}

func readPids(t *testing.T, path string) []int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for f := range strings.FieldsSeq(string(b)) {
		pid, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid)
	}
	if len(pids) == 0 {
		t.Fatal("nobody wrote a process number")
	}
	return pids
}

// awaitGone waits until a process is gone or only waits to be reaped by init.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	stat := fmt.Sprintf("/proc/%d/stat", pid)
	await(t, func() bool {
		b, err := os.ReadFile(stat)
		_, rest, _ := strings.Cut(string(b), ") ")
		return err != nil || strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
	}, func() string { return fmt.Sprintf("process %d is still there", pid) })
}

func await(t *testing.T, cond func() bool, complaint func() string) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(complaint())
		}
	}
}
