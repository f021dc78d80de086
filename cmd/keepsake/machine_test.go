package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// machine is a person's computer: a home directory, and keepsake run in it.
type machine struct {
	t    *testing.T
	dir  string // where commands run, and everything lies
	home string
	env  []string
}

// newMachine makes a machine that is gone when the test ends.
func newMachine(t *testing.T) *machine {
	t.Helper()
	dir := workDir(t)
	m := &machine{t: t, dir: dir, home: filepath.Join(dir, "home")}
	check(t, os.Mkdir(m.home, 0o755))
	m.env = baseEnv(m.home)
	return m
}

// baseEnv is an environment in which only home says where things are.
func baseEnv(home string) []string {
	env := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TZ=UTC", "TMPDIR=" + os.Getenv("TMPDIR")}
	if raceDetector {
		env = append(env, "GORACE=atexit_sleep_ms=10") // a second for each of hundreds of processes otherwise
	}
	for _, name := range []string{"GOCOVERDIR", "GOMAXPROCS"} {
		if v := os.Getenv(name); v != "" {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// workDir is a directory that other users may pass through.
func workDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	check(t, err)
	for _, d := range []string{dir, filepath.Dir(dir)} {
		check(t, os.Chmod(d, 0o711))
	}
	// Registered after t.TempDir, so done before it removes the directory.
	t.Cleanup(func() { unmountBelow(t, dir) })
	return dir
}

// with returns the same machine with further variables set.
func (m *machine) with(env ...string) *machine {
	changed := *m
	changed.env = append(append([]string{}, m.env...), env...)
	return &changed
}

func (m *machine) path(elem ...string) string {
	return filepath.Join(append([]string{m.dir}, elem...)...)
}

func (m *machine) repository() string { return filepath.Join(m.home, ".local/share/keepsake") }
func (m *machine) mount() string      { return filepath.Join(m.home, "Keepsake") }

// said is the outcome of a run.
type said struct {
	code           int
	stdout, stderr string
}

func (m *machine) run(args ...string) said {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	var out, told bytes.Buffer
	code, err := execute(command(ctx, m.dir, m.env, 0, args...), &out, &told)
	if err != nil {
		m.t.Fatalf("keepsake %s: %v", strings.Join(args, " "), err)
	}
	return said{code, out.String(), told.String()}
}

// exits runs keepsake and demands an exit code.
func (m *machine) exits(code int, args ...string) said {
	m.t.Helper()
	s := m.run(args...)
	if s.code != code {
		m.t.Fatalf("keepsake %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), s.code, code, s.stdout, s.stderr)
	}
	return s
}

func (m *machine) ok(args ...string) said {
	m.t.Helper()
	return m.exits(0, args...)
}

// snapshot is what the tests read of a snapshot.
type snapshot struct {
	ID     string   `json:"id"`
	Time   string   `json:"time"`
	Source string   `json:"source"`
	Basis  string   `json:"basis"`
	Files  int      `json:"files"`
	Missed int      `json:"missed"`
	Marks  []string `json:"marks"`
}

func (m *machine) snapshots() []snapshot {
	m.t.Helper()
	var all []snapshot
	for line := range strings.Lines(m.ok("snapshots", "--json").stdout) {
		var s snapshot
		check(m.t, json.Unmarshal([]byte(line), &s))
		all = append(all, s)
	}
	return all
}

// running is a keepsake that goes on beside the test.
type running struct {
	m    *machine
	cmd  *exec.Cmd
	out  transcript
	done chan struct{}
}

// transcript is the output of a running process, as far as it got.
type transcript struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// start begins a run that is ended at the latest when the test ends.
func (m *machine) start(args ...string) *running {
	m.t.Helper()
	return m.launch(command(context.Background(), m.dir, m.env, 0, args...))
}

// launch is start for a command that is not quite the usual one.
func (m *machine) launch(c *exec.Cmd) *running {
	m.t.Helper()
	r := &running{m: m, cmd: c, done: make(chan struct{})}
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	check(m.t, r.cmd.Start())
	go func() {
		_ = r.cmd.Wait() // the exit code is looked at by those who wait for it
		close(r.done)
	}()
	m.t.Cleanup(func() {
		if m.t.Failed() {
			m.t.Logf("keepsake %s said:\n%s", strings.Join(c.Args[1:], " "), r.out.String())
		}
		r.end()
	})
	return r
}

// end stops the process, by force if it must.
func (r *running) end() {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = r.cmd.Process.Signal(s) // it may have ended
		select {
		case <-r.done:
			return
		case <-time.After(15 * time.Second):
		}
	}
}

// stop sends a signal and returns the exit code, -1 if a signal ended it.
func (r *running) stop(s syscall.Signal) int {
	r.m.t.Helper()
	if err := r.cmd.Process.Signal(s); !errors.Is(err, os.ErrProcessDone) {
		check(r.m.t, err)
	}
	return r.wait(30 * time.Second)
}

// wait waits for the end and audits the transcript.
func (r *running) wait(limit time.Duration) int {
	r.m.t.Helper()
	select {
	case <-r.done:
	case <-time.After(limit):
		r.m.t.Fatalf("keepsake %s did not end within %v", strings.Join(r.cmd.Args[1:], " "), limit)
	}
	code := r.cmd.ProcessState.ExitCode()
	if code >= 0 {
		check(r.m.t, audit(r.cmd, code, "", r.out.String()))
	}
	return code
}

// says waits until the process has said something.
func (r *running) says(text string, limit time.Duration) {
	r.m.t.Helper()
	until(r.m.t, limit, "that it says "+text, func() bool {
		select {
		case <-r.done:
			if !strings.Contains(r.out.String(), text) {
				r.m.t.Fatalf("keepsake ended (%v) before it said %q", r.cmd.ProcessState, text)
			}
		default:
		}
		return strings.Contains(r.out.String(), text)
	})
}

// until waits for something to become true, and returns how long that took.
func until(t *testing.T, limit time.Duration, what string, holds func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !holds() {
		if time.Since(began) > limit {
			t.Fatalf("waited %v in vain for %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
	return time.Since(began)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writeFile makes a file with its directories.
func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	check(t, os.WriteFile(path, data, 0o644))
}

// noise is data that cannot be compressed, the same for the same seed.
func noise(size int, seed byte) []byte {
	b := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{seed, 1}).Read(b) // never fails
	return b
}

// sameTree demands that two directories hold the same names and bytes.
func sameTree(t *testing.T, want, got string) {
	t.Helper()
	// diff is independent of all that is tested here.
	if out, err := exec.Command("diff", "-r", "--no-dereference", want, got).CombinedOutput(); err != nil {
		t.Fatalf("%s and %s differ (%v):\n%.2000s", want, got, err, out)
	}
}

// treeSize is the number of files below a directory and their bytes.
func treeSize(t *testing.T, dir string) (files int, bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		files++
		bytes += info.Size()
		return nil
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return files, bytes
}
