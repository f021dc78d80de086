package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

func pidOf(r *running) string { return strconv.Itoa(r.cmd.Process.Pid) }

// TestMountSignals: one signal ends a mount with 0, also while it is busy, and
// also if it comes twice at once. A second one that a person sends ends it at
// once. In no case does a mount stay behind.
func TestMountSignals(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	m.ok("init", "-q")
	writeFile(t, m.path("lib", "a"), noise(1<<20, 1))
	m.ok("backup", "-q", "lib")
	view := m.path("view")
	start := func() *running {
		r := m.start("mount", view)
		r.says("Ctrl-C", time.Minute)
		return r
	}
	open := func() *os.File {
		f, err := os.Open(view + "/latest/lib/a")
		check(t, err)
		return f
	}
	clean := func(what string) {
		t.Helper()
		for _, point := range mountsBelow(t, view) {
			t.Errorf("%s: %s is still mounted", what, point)
		}
		if _, err := os.Stat(view); !os.IsNotExist(err) {
			t.Errorf("%s: the directory that it made is still there: %v", what, err)
		}
	}
	for what, signals := range map[string][]syscall.Signal{
		"SIGINT": {syscall.SIGINT}, "SIGTERM": {syscall.SIGTERM}, "one press, twice": {syscall.SIGINT, syscall.SIGINT}, "both": {syscall.SIGTERM, syscall.SIGINT},
	} {
		r := start()
		f := open()
		began := time.Now()
		for _, s := range signals {
			check(t, r.cmd.Process.Signal(s))
			time.Sleep(5 * time.Millisecond)
		}
		together := time.Since(began) < onePress/2 // else this machine made two presses of it
		if code := r.wait(30 * time.Second); code != 0 && (together || len(signals) == 1) {
			t.Errorf("%s: busy, it ended with %d", what, code)
		}
		clean(what)
		if _, err := f.ReadAt(make([]byte, 10), 0); err == nil {
			t.Logf("%s: what the kernel has cached can still be read", what)
		}
		_ = f.Close() // its server is gone
	}
	r := start()
	f := open()
	defer f.Close()
	check(t, r.cmd.Process.Signal(syscall.SIGINT))
	time.Sleep(onePress + 200*time.Millisecond)
	if code := r.stop(syscall.SIGINT); code > 0 { // 0 if the first was quicker
		t.Errorf("a second SIGINT: it ended with %d", code)
	}
	clean("a second SIGINT")

	r = start()
	check(t, syscall.Unmount(view, 0))
	if code := r.wait(30 * time.Second); code != 0 {
		t.Errorf("unmounted by somebody else, it ended with %d", code)
	}
	if !strings.Contains(r.out.String(), "was unmounted by somebody else") {
		t.Errorf("it does not say that it was unmounted:\n%s", r.out.String())
	}
	clean("unmounted by somebody else")
}

// TestMountRepositoryGoesAway: one line when it goes, one when it is back, and
// what it shows is right again then.
func TestMountRepositoryGoesAway(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	m.ok("init", "-q")
	for _, name := range []string{"a", "b", "c", "d"} {
		writeFile(t, m.path("lib", name), noise(100_000, name[0]))
	}
	m.ok("backup", "-q", "lib")
	r := m.start("mount", m.path("view"))
	r.says("Ctrl-C", time.Minute)
	said := r.out.String()
	away := m.path("unplugged")
	check(t, os.Rename(m.repository(), away))
	r.says("the repository has gone away: no repository here", time.Minute)
	for _, name := range []string{"a", "b", "c", "d"} {
		if _, err := os.ReadFile(m.path("view/latest/lib", name)); err == nil {
			t.Logf("%s can be read: packs are open", name)
		}
	}
	check(t, os.Rename(away, m.repository()))
	r.says("the repository is back", time.Minute)
	sameTree(t, m.path("lib"), m.path("view/latest/lib")+"/")
	if lines := strings.Count(strings.TrimPrefix(r.out.String(), said), "\n"); lines != 2 {
		t.Errorf("it says %d lines for a repository that went and came:\n%s", lines, r.out.String())
	}
	if code := r.stop(syscall.SIGINT); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}
