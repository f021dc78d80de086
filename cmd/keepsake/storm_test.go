package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/health"
	"keepsake/packaging/torture"
)

// stormPlan is how much goes on while the daemon keeps a tree.
type stormPlan struct {
	files, dirs, writers int
	lasts                time.Duration
	single               bool          // no file has several names
	pause                time.Duration // of a writer between two operations, on average
	settle, every        time.Duration
	watches              int // the limit, where there is one
	kills                int
	patience             time.Duration // for the daemon to catch up
}

// newStormPlan is short for everyday use; KEEPSAKE_LONG=1 is the promise in full.
func newStormPlan() stormPlan {
	if os.Getenv("KEEPSAKE_LONG") != "" {
		return stormPlan{
			files: 100_000, dirs: 5000, writers: 4, lasts: 5 * time.Minute, pause: 2 * time.Millisecond,
			settle: time.Second, every: 3 * time.Second, watches: 1000, kills: 100, patience: 20 * time.Minute,
		}
	}
	p := stormPlan{
		files: 400, dirs: 40, writers: 4, lasts: 5 * time.Second, pause: 4 * time.Millisecond,
		settle: 300 * time.Millisecond, every: time.Second, watches: 15, kills: 3, patience: 2 * time.Minute,
	}
	if raceDetector {
		p.files, p.pause, p.settle = 200, 10*time.Millisecond, time.Second
	}
	return p
}

// stormSeedVariable makes a storm like an earlier one.
const stormSeedVariable = "KEEPSAKE_STORM_SEED"

func stormSeed(t *testing.T) uint64 {
	t.Helper()
	seed := rand.Uint64()
	if text := os.Getenv(stormSeedVariable); text != "" {
		var err error
		seed, err = strconv.ParseUint(text, 10, 64)
		check(t, err)
	}
	t.Logf("%s=%d", stormSeedVariable, seed)
	return seed
}

// long skips what takes minutes or concerns the whole machine.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("KEEPSAKE_LONG") == "" {
		t.Skip("not run: KEEPSAKE_LONG is not set")
	}
}

// side lets short tests run beside each other, and long ones alone.
func side(t *testing.T) {
	t.Helper()
	if os.Getenv("KEEPSAKE_LONG") == "" {
		t.Parallel()
	}
}

// kept is a machine on which keepsake daemon keeps the tree of a storm.
type kept struct {
	*weather
	m       *machine
	program string
	confine func(*exec.Cmd) // puts the daemon where limits are tighter; nil: nowhere
	daemon  *running
}

// newKept prepares a machine with a tree, and a daemon that is not yet running.
func newKept(t *testing.T, plan stormPlan) (*kept, []*writer) {
	t.Helper()
	m := newMachine(t)
	k := &kept{weather: newWeather(t, m.path("lib"), plan), m: m, program: program}
	all := k.writers()
	t.Cleanup(k.calm)
	m.ok("init", "-q")
	writeFile(t, m.path("keepsake.toml"), fmt.Appendf(nil, `mount = %q
gentle = false
[[source]]
label = "lib"
path = %q
every = %q
settle = %q
poll = "3s"
`, m.mount(), k.root, plan.every, plan.settle))
	return k, all
}

// start begins to keep.
func (k *kept) start() {
	k.t.Helper()
	c := command(context.Background(), k.m.dir, append(slices.Clone(k.m.env), "KEEPSAKE_SOCKET="+k.m.path("control.sock")),
		0, "daemon", "--config", k.m.path("keepsake.toml"))
	c.Path = k.program
	if k.confine != nil {
		k.confine(c)
	}
	k.daemon = k.m.launch(c)
}

// row is what status says of the source, and whether anybody said anything.
func (k *kept) row() (r health.Source, ok bool) {
	k.t.Helper()
	said := k.m.run("status", "--json")
	for line := range strings.Lines(said.stdout) {
		var kind struct {
			Type string `json:"message_type"`
		}
		check(k.t, json.Unmarshal([]byte(line), &kind))
		if kind.Type == "source" {
			check(k.t, json.Unmarshal([]byte(line), &r))
			ok = true
		}
	}
	return r, ok && r.Watch != nil
}

// rested waits until the daemon has looked at all that is known to have changed.
func (k *kept) rested() health.Source {
	k.t.Helper()
	since := time.Now().Add(k.plan.settle)
	var r health.Source
	until(k.t, k.plan.patience, "the daemon to catch up", func() (ok bool) {
		select {
		case <-k.daemon.done:
			k.t.Fatalf("the daemon has ended: %v", k.daemon.cmd.ProcessState)
		default:
		}
		if r, ok = k.row(); !ok || r.Newest == nil {
			return false
		}
		return !r.Running && r.Waiting == 0 && r.Watch.Dirty == 0 && r.Newest.Missed == 0 && r.Looked.After(since)
	})
	return r
}

// differences compares the newest snapshot with the tree, through the mounted
// view, or through a restored copy where nothing can be mounted.
func (k *kept) differences() []string {
	k.t.Helper()
	if k.confine == nil && openFUSE() == nil {
		latest, err := filepath.EvalSymlinks(filepath.Join(k.m.mount(), "latest", "lib"))
		check(k.t, err)
		return torture.Compare(k.root, latest, torture.CompareOptions{})
	}
	to := k.m.path("restored")
	if s := k.m.run("restore", "latest@lib", "--target", to, "--quiet"); s.code != exitOK && s.code != exitIncomplete { // a storm raises alarms
		k.t.Fatalf("restore: %+v", s)
	}
	defer os.RemoveAll(to)
	return torture.Compare(k.root, to, torture.CompareOptions{})
}

// equal waits until the newest snapshot is equal to the tree at rest. Events say
// when that is; what they do not tell would be found by a scan in a day.
func (k *kept) equal() health.Source {
	k.t.Helper()
	began := time.Now()
	r := k.rested()
	wrong := k.differences()
	for len(wrong) > 0 && r.Watch.Dirty > 0 && time.Since(began) < k.plan.patience {
		r = k.rested() // something was on its way after all
		wrong = k.differences()
	}
	if len(wrong) > 0 {
		k.t.Errorf("the newest snapshot differs from the tree in %d places:\n%s", len(wrong), strings.Join(wrong[:min(len(wrong), 20)], "\n"))
	}
	k.t.Logf("%d files in %d directories at rest; compared after %v; %d events, %d overflows, %d times at the limit of watches",
		r.Newest.Files, r.Watch.Directories, time.Since(began).Round(time.Millisecond), r.Watch.Events, r.Watch.Overflows, r.Watch.LimitReached)
	return r
}

// stop ends the daemon in order, and demands that it left nothing behind.
func (k *kept) stop() {
	k.t.Helper()
	if code := k.daemon.stop(syscall.SIGTERM); code != 0 {
		k.t.Errorf("the daemon ended with %d", code)
	}
	k.m.gone()
}

// wasScannedFor demands that some snapshot says why it was scanned, and returns
// how many do.
func wasScannedFor(t *testing.T, j *judge, why string) int {
	t.Helper()
	if j.why[why] == 0 {
		t.Errorf("no snapshot says that it was scanned for %q: %v", why, j.why)
	}
	return j.why[why]
}

// TestStorm has writers create, edit, move, link and delete while snapshots are
// taken every few seconds. In the end the newest is equal to the tree, and none
// of them holds a half-written file without saying so.
func TestStorm(t *testing.T) {
	side(t)
	k, writers := newKept(t, newStormPlan())
	k.start()
	k.blow(writers)
	time.Sleep(k.plan.lasts)
	k.calm()
	t.Log(k.tally())
	k.equal()
	k.stop()
	j := judgeAll(k)
	k.m.ok("check")
	if j.snapshots < 2 {
		t.Errorf("%d snapshots prove little", j.snapshots)
	}
}

// TestStormByEvents is the storm without hard links, which have everything scanned
// while there are so many changes: here nothing but events tells what changed.
func TestStormByEvents(t *testing.T) {
	long(t)
	plan := newStormPlan()
	plan.single = true
	k, writers := newKept(t, plan)
	k.start()
	k.blow(writers)
	time.Sleep(k.plan.lasts)
	k.calm()
	t.Log(k.tally())
	k.equal()
	k.stop()
	if j := judgeAll(k); j.bases < j.snapshots/2 {
		t.Errorf("only %d of %d snapshots are made from events", j.bases, j.snapshots)
	}
}

// TestStormUnheard stops the daemon until the kernel's queue is full, so that what
// the writers do then is told to nobody.
func TestStormUnheard(t *testing.T) {
	side(t)
	k, _ := unheard(t, program)
	if r := k.equal(); r.Watch.Overflows == 0 {
		t.Errorf("no overflow is counted: %+v", r.Watch)
	}
	k.stop()
	wasScannedFor(t, judgeAll(k), "overflow")
}

// TestStormUnheardUnheeded is the negative control: a program that does nothing
// when events were lost fails the comparison.
func TestStormUnheardUnheeded(t *testing.T) {
	side(t)
	k, _ := unheard(t, faulty(t))
	k.rested()
	wrong := k.differences()
	if len(wrong) == 0 {
		t.Error("the comparison cannot fail")
	}
	t.Logf("%d differences where lost events are not heeded", len(wrong))
	k.stop()
}

func unheard(t *testing.T, program string) (*kept, []*writer) {
	t.Helper()
	plan := newStormPlan()
	plan.files, plan.dirs, plan.lasts = 400, 40, 1500*time.Millisecond
	k, writers := newKept(t, plan)
	k.program = program
	flood := filepath.Join(k.root, "flood")
	for _, name := range []string{"a", "b"} {
		writeFile(t, filepath.Join(flood, name), record(nil, 1, 100))
	}
	// What is captured right after it changed is read again by the next run,
	// whatever events say.
	time.Sleep(2500 * time.Millisecond)
	k.start()
	// The first two look at everything.
	for r := k.rested(); r.Totals.Runs() < 3; {
		r = k.rested()
	}
	check(t, k.daemon.cmd.Process.Signal(syscall.SIGSTOP))
	// Events of one file in a row count as one.
	for i := range queueLength(t) * 5 / 4 {
		check(t, os.Chtimes(filepath.Join(flood, []string{"a", "b"}[i%2]), time.Time{}, time.Unix(int64(i), 0)))
	}
	k.blow(writers)
	time.Sleep(k.plan.lasts)
	k.calm()
	t.Log(k.tally())
	check(t, k.daemon.cmd.Process.Signal(syscall.SIGCONT))
	return k, writers
}

const queueFile = "/proc/sys/fs/inotify/max_queued_events"

// queueLength is how many events the kernel keeps for a watcher.
func queueLength(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile(queueFile)
	check(t, err)
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	check(t, err)
	if n > 1<<20 {
		t.Skipf("not run: %d events are a long wait", n)
	}
	return n
}

// faulty builds a keepsake that does not heed lost events.
func faulty(t *testing.T) string {
	t.Helper()
	tool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("not run: the go tool is missing here")
	}
	path := filepath.Join(workDir(t), "keepsake")
	if out, err := exec.Command(tool, "build", "-tags", "faults", "-buildvcs=false", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("building it: %v\n%s", err, out)
	}
	return path
}

// TestStormShortQueue is the storm with a kernel that keeps 16 events.
func TestStormShortQueue(t *testing.T) {
	long(t)
	before, err := os.ReadFile(queueFile)
	check(t, err)
	if err := os.WriteFile(queueFile, []byte("16"), 0); err != nil {
		t.Skipf("not run: %v", err)
	}
	t.Cleanup(func() { check(t, os.WriteFile(queueFile, before, 0)) })
	k, writers := newKept(t, newStormPlan())
	k.start()
	k.blow(writers)
	time.Sleep(k.plan.lasts)
	k.calm()
	t.Log(k.tally())
	if r := k.equal(); r.Watch.Overflows == 0 {
		t.Errorf("no overflow is counted: %+v", r.Watch)
	}
	k.stop()
	wasScannedFor(t, judgeAll(k), "overflow")
}

// TestStormFewWatches is the storm with a kernel that grants watches for some of
// the directories only.
func TestStormFewWatches(t *testing.T) {
	side(t)
	k, writers := newKept(t, newStormPlan())
	k.confine = fewWatches(t, k.plan.watches)
	k.start()
	k.blow(writers)
	time.Sleep(k.plan.lasts)
	k.calm()
	t.Log(k.tally())
	if r := k.equal(); r.Watch.LimitReached == 0 || !r.Watch.AtLimit || r.Polled == "" || r.Watch.Watches > uint64(k.plan.watches) {
		t.Errorf("status does not tell of the limit: %+v, polled %q", r.Watch, r.Polled)
	}
	k.stop()
	wasScannedFor(t, judgeAll(k), "watch-limit")
}

// fewWatches has a command run in a user namespace of its own, where the limit
// of watches can be set without taking any from others.
func fewWatches(t *testing.T, watches int) func(*exec.Cmd) {
	t.Helper()
	confine := func(c *exec.Cmd) {
		c.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		c.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		c.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		script := fmt.Sprintf(`echo %d > /proc/sys/user/max_inotify_watches && exec "$0" "$@"`, watches)
		c.Args = append([]string{"sh", "-c", script, c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
	}
	try := exec.Command("true")
	try.SysProcAttr = &syscall.SysProcAttr{}
	confine(try)
	if out, err := try.CombinedOutput(); err != nil {
		t.Skipf("not run: no limits of our own here: %v %s", err, out)
	}
	return confine
}
