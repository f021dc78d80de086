package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// refusals are configurations and places that a daemon does not start with. It
// says why, and has touched nothing.
var refusals = []struct {
	name    string
	prepare func(m *machine)
	env     func(m *machine) []string
	code    int
	says    []string
}{
	{name: "no configuration", prepare: func(*machine) {}, code: exitUsage, says: []string{"there is no configuration", "keepsake up"}},
	{name: "a directory", prepare: func(m *machine) { check(m.t, os.MkdirAll(m.configPath(), 0o700)) }, code: exitUsage, says: []string{"is a directory"}},
	{name: "empty", prepare: func(m *machine) { m.writeConfig("") }, code: exitUsage, says: []string{"is empty"}},
	{name: "10 MB", prepare: func(m *machine) { m.writeConfig(strings.Repeat("# nothing\n", 1<<20)) }, code: exitUsage, says: []string{"10485760 bytes", "right file"}},
	{name: "no sources", prepare: func(m *machine) { m.configure("") }, code: exitUsage, says: []string{"names no source", "[[source]]"}},
	{name: "one label twice", prepare: func(m *machine) { m.configure("", m.directory("lib"), m.directory("lib")) }, code: exitUsage, says: []string{`"lib" is the label of line`, "choose another label"}},
	{name: "a schedule that never fires", prepare: func(m *machine) {
		m.configure("", m.directory("lib", `at = ["Feb 30"]`), "[[source]]\nlabel=\"dump\"\ncommand=[\"true\"]\nfile=\"x\"\n")
	}, code: exitUsage, says: []string{"2 problems", "Feb 30", "never runs"}},
	{name: "a pattern that matches all", prepare: func(m *machine) { m.configure("", m.directory("lib", `exclude = ["*"]`)) }, code: exitUsage, says: []string{"leaves out everything"}},
	{name: "a source in the state", prepare: func(m *machine) {
		check(m.t, os.Symlink(filepath.Join(m.home, ".local/state/keepsake"), m.path("lib")))
		m.configure("", m.directory("lib"))
	}, code: exitUsage, says: []string{"lies inside the state directory", "would hold itself"}},
	{name: "a source in the mount", prepare: func(m *machine) {
		m.configure("", strings.Replace(m.directory("lib"), m.path("lib"), m.mount()+"/latest", 1))
	}, code: exitUsage, says: []string{"lies inside the mount"}},
	{name: "no repository", prepare: func(m *machine) {
		check(m.t, os.RemoveAll(m.repository()))
		m.configure("", m.directory("lib"))
	}, code: exitNoRepository, says: []string{"repository", "keepsake init"}},
	{name: "a wrong key", prepare: func(m *machine) {
		m.configure("", m.directory("lib"))
		check(m.t, os.Remove(filepath.Join(m.home, ".config/keepsake/key")))
		m.ok("init", "-q", "-r", m.path("other"))
	}, code: exitPassword, says: []string{"key file"}},
}

func TestServiceRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range refusals {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.ok("init", "-q")
			test.prepare(m)
			s := m.with("KEEPSAKE_SOCKET="+m.path("run", "s")).exits(test.code, "daemon")
			for _, want := range test.says {
				if !strings.Contains(s.stderr, want) {
					t.Errorf("it does not say %q:\n%s", want, s.stderr)
				}
			}
			m.gone()
			m.noSockets()
			if test.code != exitNoRepository && test.code != exitPassword {
				check(t, os.RemoveAll(m.configPath()))
				if all := m.snapshots(); len(all) > 0 {
					t.Errorf("there are snapshots: %v", all)
				}
			}
		})
	}
}

// TestServiceArranges: what is keepsake's own is left out of sources, through
// links as well, nested sources are kept twice, and both are said.
func TestServiceArranges(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	m.ok("init", "-q")
	writeFile(t, filepath.Join(m.home, "photos", "a.jpg"), []byte("a"))
	check(t, os.Symlink(m.home, m.path("home-link")))
	inner := "[[source]]\nlabel = \"inner\"\npath = \"" + filepath.Join(m.home, "photos") + "\"\n"
	linked := "[[source]]\nlabel = \"linked\"\npath = \"" + m.path("home-link") + "\"\n"
	m.configure("", m.directory("home"), inner, linked)
	d := m.daemon(0)
	for _, label := range []string{"home", "inner", "linked"} {
		m.becomes(label, "complete")
	}
	for _, want := range []string{"the repository, " + m.repository() + ", lies inside source", "the state directory, ", "the mount, ", "lies inside source"} {
		if !strings.Contains(d.out.String(), want) {
			t.Errorf("the log does not say %q", want)
		}
	}
	for _, label := range []string{"home", "linked"} {
		s := m.ok("ls", "-R", "latest@"+label)
		if !strings.Contains(s.stdout, "photos/a.jpg") {
			t.Errorf("%s: %s", label, s.stdout)
		}
		for _, own := range []string{"data/", "control.sock", "index.db", "Keepsake/latest"} {
			if strings.Contains(s.stdout, own) {
				t.Errorf("%s holds keepsake's own %s:\n%s", label, own, s.stdout)
			}
		}
	}
	// What it writes itself is no change that would make it write again.
	m.ok("backup-now")
	before := len(m.snapshots())
	time.Sleep(3 * time.Second)
	if after := len(m.snapshots()); after != before {
		t.Errorf("without a change there are %d more snapshots", after-before)
	}
	d.ends()
}

// TestServiceMountPoint: backups of a service go on although its mount point is
// taken, which is said wherever one looks, and ends when it is free. up refuses.
func TestServiceMountPoint(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	m.ok("init", "-q")
	writeFile(t, m.path("lib/a"), []byte("a"))
	m.configure("", m.directory("lib"))
	mine := filepath.Join(m.mount(), "mine")
	writeFile(t, mine, []byte("precious"))
	if s := m.exits(exitFailed, "up"); !strings.Contains(s.stderr, "not empty") {
		t.Errorf("up: %+v", s)
	}
	d := m.daemon(0)
	m.becomes("lib", "complete")
	if got := m.troubles(); !strings.Contains(got, "snapshots are not shown") || !strings.Contains(got, "mine") {
		t.Errorf("status says %q", got)
	}
	if s := m.run("status"); !strings.Contains(s.stderr, "snapshots are not shown") {
		t.Errorf("%+v", s)
	}
	if s := m.exits(exitFailed, "doctor"); !strings.Contains(s.stdout, "a mount would hide them") {
		t.Errorf("doctor: %+v", s)
	}
	if n := strings.Count(d.out.String(), "backups go on without the mounted view"); n != 1 {
		t.Errorf("the log says so %d times", n)
	}
	check(t, os.RemoveAll(m.mount()))
	until(t, time.Minute, "the mount", func() bool { return exists(filepath.Join(m.mount(), "latest/lib/a")) })
	if got := m.troubles(); got != "" {
		t.Errorf("shown again, and status says %q", got)
	}
	if s := m.run("doctor"); !strings.Contains(s.stdout, "is shown at") {
		t.Errorf("doctor: %+v", s)
	}
	d.ends()
	if exists(m.mount()) {
		t.Error("the mount point that it made is left")
	}
}

// TestServiceTwice: a second daemon is refused, a killed one is in nobody's way.
func TestServiceTwice(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	lib := m.library()
	m.ok("init", "-q")
	m.configure("", m.directory("Pictures"))
	d := m.daemon(0)
	m.becomes("Pictures", "complete")
	second := m.with("KEEPSAKE_SOCKET=" + m.path("run", "second"))
	for _, verb := range []string{"daemon", "up"} {
		if s := second.exits(exitSecondOwner, verb); !strings.Contains(s.stderr, "keepsake daemon is running already") {
			t.Errorf("%s: %+v", verb, s)
		}
	}
	sameTree(t, lib, filepath.Join(m.mount(), "latest/Pictures")+"/")
	if code := d.stop(syscall.SIGKILL); code != -1 {
		t.Fatalf("killed, it ended with %d", code)
	}
	m.ok("snapshots")
	writeFile(t, filepath.Join(lib, "later"), []byte("later"))
	d = m.daemon(0)
	if !strings.Contains(d.out.String(), "was still mounted from a run that was killed") {
		t.Error("the log does not say that the mount was healed")
	}
	m.appears(filepath.Join(m.mount(), "latest/Pictures/later"), filepath.Join(lib, "later"))
	// The newest may be the one after it already: of the scan that follows the watches.
	if s := m.ok("snapshots", "--json"); !strings.Contains(s.stdout, `"unclean-stop"`) {
		t.Errorf("no snapshot after the kill says so: %s", s.stdout)
	}
	d.ends()
	m.sound()
}
