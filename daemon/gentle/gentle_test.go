package gentle_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/gentle"
)

// A process cannot undo what Apply does without rights, so that each test runs
// a child of its own: the test binary again, in a role.
const roleVariable = "KEEPSAKE_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := play(role); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// thread is what the kernel says of one thread.
type thread struct {
	Nice  int
	Class int // of I/O priority
}

// seen is what a child tells of itself.
type seen struct {
	Before, After []thread
	Program       thread // one that it started
	Autogroup     string
	Problems      []string
	Report        gentle.Report
}

func play(role string) error {
	var s seen
	var err error
	stop := make(chan struct{})
	var threads sync.WaitGroup
	keep := func(n int) {
		started := make(chan struct{})
		for range n {
			threads.Go(func() {
				runtime.LockOSThread() // a thread of its own, which ends with it
				started <- struct{}{}
				<-stop
			})
		}
		for range n {
			<-started
		}
	}
	keep(20)
	if s.Before, err = lookAll(); err != nil {
		return err
	}
	busy := make(chan struct{})
	go func() { // threads are made while they are set
		defer close(busy)
		for range 50 {
			keep(1)
		}
	}()
	switch role {
	case "gentle":
		s.Report = gentle.Apply(gentle.Options{})
	case "eager":
		s.Report = gentle.Apply(gentle.Options{Eager: true})
	case "process": // what seems to be enough: the process, by its id
		err = unix.Setpriority(unix.PRIO_PROCESS, os.Getpid(), gentle.Nice)
	}
	<-busy
	keep(20)
	if err != nil {
		return err
	}
	if s.After, err = lookAll(); err != nil {
		return err
	}
	if s.Program, err = lookProgram(); err != nil {
		return err
	}
	close(stop)
	threads.Wait()
	b, err := os.ReadFile("/proc/self/autogroup")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	s.Autogroup = strings.TrimSpace(string(b))
	for _, p := range s.Report.Problems {
		s.Problems = append(s.Problems, p.Error())
	}
	s.Report.Problems = nil
	return json.NewEncoder(os.Stdout).Encode(s)
}

// lookAll reads all threads from /proc/self/task.
func lookAll() ([]thread, error) {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, err
	}
	var all []thread
	for _, task := range tasks {
		t, err := look("/proc/self/task/"+task.Name()+"/stat", task.Name())
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, t)
	}
	return all, nil
}

func look(stat, id string) (thread, error) {
	b, err := os.ReadFile(stat)
	if err != nil {
		return thread{}, err
	}
	// proc_pid_stat(5): nice is field 19; the name in parentheses is field 2.
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	nice, err := strconv.Atoi(f[19-3])
	if err != nil {
		return thread{}, err
	}
	tid, err := strconv.Atoi(id)
	if err != nil {
		return thread{}, err
	}
	prio, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, uintptr(tid), 0)
	if errno != 0 {
		return thread{}, errno
	}
	return thread{nice, int(prio >> 13)}, nil
}

func lookProgram() (thread, error) {
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		return thread{}, err
	}
	t, err := look(fmt.Sprintf("/proc/%d/stat", c.Process.Pid), fmt.Sprint(c.Process.Pid))
	return t, errors.Join(err, c.Process.Kill(), ignoreExit(c.Wait()))
}

func ignoreExit(err error) error {
	if errors.As(err, new(*exec.ExitError)) {
		return nil
	}
	return err
}

func child(t *testing.T, role string, attr *syscall.SysProcAttr) seen {
	t.Helper()
	c := exec.CommandContext(t.Context(), program(t))
	c.Env = append(os.Environ(), roleVariable+"="+role)
	c.SysProcAttr = attr
	c.WaitDelay = 10 * time.Second
	var out, told bytes.Buffer
	c.Stdout, c.Stderr = &out, &told
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, &told)
	}
	var s seen
	if err := json.Unmarshal(out.Bytes(), &s); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return s
}

// program is a copy of the test binary that other users can run, too: they may
// not look into the go tool's directories.
func program(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gentle")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "child")
	if err := errors.Join(os.Chmod(dir, 0o711), os.WriteFile(path, b, 0o755)); err != nil {
		t.Fatal(err)
	}
	return path
}

// count returns how many threads have a value.
func count(all []thread, is func(thread) bool) (n int) {
	for _, t := range all {
		if is(t) {
			n++
		}
	}
	return n
}

func nice(t thread) bool { return t.Nice == gentle.Nice }
func idle(t thread) bool { return t.Class == 3 }

func TestEveryThreadIsGentle(t *testing.T) {
	if n := syscallNice(t); n >= gentle.Nice {
		t.Skipf("not run: the tests run with nice %d already", n)
	}
	s := child(t, "gentle", nil)
	if n := count(s.Before, nice); n > 0 {
		t.Errorf("%d threads were nice before", n)
	}
	if len(s.After) < 90 || count(s.After, nice) != len(s.After) || count(s.After, idle) != len(s.After) {
		t.Errorf("of %d threads %d are nice and %d idle", len(s.After), count(s.After, nice), count(s.After, idle))
	}
	if !nice(s.Program) || !idle(s.Program) {
		t.Errorf("a program that was started has %+v", s.Program)
	}
	if s.Report.Nice != gentle.Nice || !s.Report.Idle || s.Report.Threads < 20 || len(s.Problems) > 0 {
		t.Errorf("reported %+v, %q", s.Report, s.Problems)
	}
	t.Logf("%d threads before, %d set, %d after", len(s.Before), s.Report.Threads, len(s.After))
}

// TestProcessIsNotEnough is the control: what POSIX calls a process's priority
// leaves threads as they were, which the test above would see.
func TestProcessIsNotEnough(t *testing.T) {
	if n := syscallNice(t); n >= gentle.Nice {
		t.Skipf("not run: the tests run with nice %d already", n)
	}
	s := child(t, "process", nil)
	if n := count(s.After, nice); n >= len(s.After)/2 {
		t.Errorf("%d of %d threads are nice", n, len(s.After))
	}
}

func TestEager(t *testing.T) {
	s := child(t, "eager", nil)
	if count(s.After, idle) > count(s.Before, idle) || s.Report.Nice != 0 || s.Report.Idle {
		t.Errorf("%+v", s)
	}
}

// TestSession: a daemon's own session is nice as a whole, a person's is not.
func TestSession(t *testing.T) {
	if _, err := os.Stat("/proc/self/autogroup"); err != nil {
		t.Skip("not run: this kernel has no autogroups")
	}
	if s := child(t, "gentle", nil); strings.HasSuffix(s.Autogroup, "nice 10") {
		t.Errorf("a session that is not its own: %q", s.Autogroup)
	}
	s := child(t, "gentle", &syscall.SysProcAttr{Setsid: true})
	if s.Autogroup != "" && !strings.HasSuffix(s.Autogroup, "nice 10") {
		t.Errorf("its own session: %q, %q", s.Autogroup, s.Problems)
	}
}

// TestWithoutRights: none are needed.
func TestWithoutRights(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not run: needs root to become somebody else; the other tests have shown it then")
	}
	s := child(t, "gentle", &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}})
	if count(s.After, idle) != len(s.After) || len(s.Problems) > 0 {
		t.Errorf("%+v", s)
	}
}

func syscallNice(t *testing.T) int {
	is, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	return 20 - is
}
