package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/health"
)

// keptBy starts the daemon for some directories, and waits until it has nothing
// left to do.
func keptBy(t *testing.T, m *machine, dirs ...string) *running {
	t.Helper()
	m.ok("init", "-q")
	text := fmt.Sprintf("mount = %q\n", m.mount())
	for _, dir := range dirs {
		text += fmt.Sprintf("[[source]]\nlabel = %q\npath = %q\n", filepath.Base(dir), dir)
	}
	file := m.path("keepsake.toml")
	check(t, os.WriteFile(file, []byte(text), 0o600))
	c := command(context.Background(), m.dir, m.env, 0, "daemon", "--config", file)
	exclusive(c)
	d := m.launch(c)
	until(t, 20*time.Minute, "that all is watched and nothing waits", func() bool {
		all := m.sources()
		for _, s := range all {
			if s.Running || s.Watch == nil || s.Watch.Dirty > 0 || s.Totals.Runs() < 2 {
				return false
			}
		}
		return len(all) == len(dirs)
	})
	return d
}

// exclusive lets a process see no mounts but its own: what others mount
// meanwhile would wake it, and be measured.
func exclusive(c *exec.Cmd) {
	if os.Geteuid() == 0 {
		c.SysProcAttr.Unshareflags |= syscall.CLONE_NEWNS
	}
}

// sources is what status says, nothing while nobody answers.
func (m *machine) sources() (all []health.Source) {
	m.t.Helper()
	s := m.run("status", "--json")
	for line := range strings.Lines(s.stdout) {
		var one health.Source
		if json.Unmarshal([]byte(line), &one) == nil && one.Label != "" {
			all = append(all, one)
		}
	}
	return all
}

// procStatus is a number from /proc/PID/status of a process and its threads.
func (r *running) procStatus(key string) (sum int) {
	r.m.t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", r.cmd.Process.Pid))
	check(r.m.t, err)
	if strings.HasPrefix(key, "Vm") || strings.HasPrefix(key, "Rss") {
		files = []string{fmt.Sprintf("/proc/%d/status", r.cmd.Process.Pid)}
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has ended
		}
		for line := range strings.Lines(string(b)) {
			if rest, ok := strings.CutPrefix(line, key+":"); ok {
				n, err := strconv.Atoi(strings.Fields(rest)[0])
				check(r.m.t, err)
				sum += n
			}
		}
	}
	return sum
}

// processor is how much of it a process has used.
func (r *running) processor() time.Duration {
	r.m.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", r.cmd.Process.Pid))
	check(r.m.t, err)
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	var ticks int
	for _, f := range fields[11:13] { // utime and stime, in hundredths of a second
		n, err := strconv.Atoi(f)
		check(r.m.t, err)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// TestIdle: a daemon with nothing to do wakes up a few times a second at most,
// however many sources it has, and takes no processor time worth the name.
func TestIdle(t *testing.T) {
	if os.Getenv("KEEPSAKE_LONG") == "" {
		t.Skip("not run: KEEPSAKE_LONG is not set")
	}
	m := newMachine(t)
	m = m.with("KEEPSAKE_SOCKET=" + m.path("control.sock")) // nobody else asks
	var dirs []string
	for i := range 5 {
		dir := m.path(fmt.Sprintf("source%d", i))
		for j := range 20 {
			writeFile(t, filepath.Join(dir, fmt.Sprint(j%4), fmt.Sprint(j)), []byte("x"))
		}
		dirs = append(dirs, dir)
	}
	d := keptBy(t, m, dirs...)
	time.Sleep(15 * time.Second) // what was read right after it was made is settled
	const watched = 20 * time.Second
	switches, used := d.procStatus("voluntary_ctxt_switches"), d.processor()
	time.Sleep(watched)
	switches, used = d.procStatus("voluntary_ctxt_switches")-switches, d.processor()-used
	perMinute := switches * int(time.Minute/watched)
	t.Logf("5 idle sources: %d context switches and %v of processor time in %v, %d switches per minute; resident %d KiB",
		switches, used, watched, perMinute, d.procStatus("VmRSS"))
	if perMinute > 1000 {
		t.Errorf("%d switches per minute by a daemon with nothing to do", perMinute)
	}
}

// TestMillion: the daemon keeps a million files in 10,000 directories within
// 200 MiB, and takes a snapshot of ten that changed in under a second of work.
func TestMillion(t *testing.T) {
	if os.Getenv("KEEPSAKE_LONG") == "" {
		t.Skip("not run: KEEPSAKE_LONG is not set")
	}
	m := newMachine(t)
	m = m.with("KEEPSAKE_SOCKET=" + m.path("control.sock"))
	lib := m.path("lib")
	name := func(dir, file int) string {
		return filepath.Join(lib, fmt.Sprintf("%03d/%02d/IMG_%04d.xmp", dir/100, dir%100, file))
	}
	const dirs, perDir = 10_000, 100
	for dir := range dirs {
		check(t, os.MkdirAll(filepath.Dir(name(dir, 0)), 0o755))
		for file := range perDir {
			check(t, os.WriteFile(name(dir, file), fmt.Appendf(nil, "%d %d", dir, file), 0o644))
		}
	}
	began := time.Now()
	d := keptBy(t, m, lib)
	t.Logf("first snapshot and scan of %d files in %v; resident %d MiB, at most %d MiB, of which the heap and the like %d MiB",
		dirs*perDir, time.Since(began).Round(time.Second), d.procStatus("VmRSS")>>10, d.procStatus("VmHWM")>>10, d.procStatus("RssAnon")>>10)
	before := m.sources()[0]
	for i := range 10 {
		writeFile(t, name(i*dirs/10, 50), []byte("changed"))
	}
	var after health.Source
	until(t, patience, "the snapshot of ten files", func() bool {
		after = m.sources()[0]
		return after.Newest.Number > before.Newest.Number && !after.Running
	})
	took := after.LastEnded.Sub(after.LastBegan)
	t.Logf("ten files: basis %s, %d bytes read, task %v; resident %d MiB, anonymous %d MiB", after.Newest.Basis, after.Totals.ReadBytes-before.Totals.ReadBytes,
		took.Round(time.Millisecond), d.procStatus("VmRSS")>>10, d.procStatus("RssAnon")>>10)
	if after.Newest.Basis != "events" || after.Totals.ReadBytes-before.Totals.ReadBytes != 10*uint64(len("changed")) {
		t.Errorf("basis %s, %d bytes read", after.Newest.Basis, after.Totals.ReadBytes-before.Totals.ReadBytes)
	}
	if took > 10*time.Second || d.procStatus("RssAnon")>>10 > 200 {
		t.Errorf("task %v, %d MiB", took, d.procStatus("RssAnon")>>10)
	}
}
