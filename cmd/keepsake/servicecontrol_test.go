package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// duringService are command lines that work while a daemon runs, with their exit
// codes and what they say.
var duringService = []struct {
	code int
	says string
	args []string
}{
	{0, "Pictures", []string{"status"}},
	{0, "Path", []string{"status", "Pictures"}},
	{0, "Pictures", []string{"snapshots"}},
	{0, "IMG_0001.jpg", []string{"ls", "-R", "latest@Pictures"}},
	{0, "two parties", []string{"dump", "latest@Pictures:2026/Weber/contract.txt"}},
	{0, "", []string{"restore", "latest@Pictures", "--target", "restored"}},
	{0, "sound", []string{"check"}},
	{0, "sound", []string{"check", "--read-data"}},
	{0, "", []string{"scrub"}},
	{0, "key file", []string{"key", "list"}},
	{0, "profile development", []string{"config", "show"}},
	{0, "in order", []string{"config", "check"}},
	{0, "snapshot", []string{"backup", "unrelated"}},
	{0, "unrelated", []string{"snapshots", "--source", "unrelated"}},
	{0, "Pictures", []string{"backup-now", "Pictures"}},
	{0, "No alarm stood", []string{"ack", "Pictures"}},
	{0, "", []string{"forget", "--keep-last", "1", "--dry-run"}},
	{0, "Paused until", []string{"pause", "2h", "Pictures"}},
	{0, "Going on", []string{"pause", "0", "Pictures"}},
	{0, "", []string{"version"}},
	{exitUsage, "no such source", []string{"pause", "2h", "nobody"}},
	{exitUsage, "no duration", []string{"pause", "soon"}},
	{exitFailed, "no such source", []string{"backup-now", "nobody"}},
	{exitFailed, "notify", []string{"notify", "test"}},
	{exitFailed, "another directory", []string{"backup", "--source", "Pictures", "unrelated"}},
	{exitSecondOwner, "is running already", []string{"daemon"}},
}

// TestServiceIsAsked has a running daemon carry out every verb.
func TestServiceIsAsked(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	lib := m.library()
	writeFile(t, m.path("unrelated/a"), []byte("a"))
	m.ok("init", "-q")
	address := freeAddress(t)
	m.configure("metrics = \""+address+"\"", m.directory("Pictures"))
	d := m.daemon(0)
	m.becomes("Pictures", "complete")

	for _, test := range duringService {
		s := m.with("KEEPSAKE_SOCKET=").run(test.args...)
		if s.code != test.code || !strings.Contains(s.stdout+s.stderr, test.says) {
			t.Errorf("keepsake %s: want %d and %q: %+v", strings.Join(test.args, " "), test.code, test.says, s)
		}
	}
	sameTree(t, lib, m.path("restored"))
	m.besideMount(lib)
	m.scrape(7, address, filepath.Join(m.home, ".local/state/keepsake"), m.path("run", "control.sock"))

	t.Run("pause", func(t *testing.T) {
		m.ok("pause", "2h")
		if s := m.standing("Pictures"); s.State != "paused" || time.Until(s.PausedUntil) < time.Hour {
			t.Errorf("%+v", s)
		}
		d.ends()
		d = m.daemon(0)
		if s := m.standing("Pictures"); s.State != "paused" {
			t.Errorf("after a restart: %+v", s)
		}
		writeFile(t, filepath.Join(lib, "paused"), []byte("1"))
		time.Sleep(2 * time.Second)
		shown := filepath.Join(m.mount(), "latest/Pictures/paused")
		if exists(shown) {
			t.Error("paused, it takes snapshots")
		}
		m.ok("backup-now") // but for who asks
		if !exists(shown) {
			t.Error("backup-now heeds the pause")
		}
		writeFile(t, filepath.Join(lib, "later"), []byte("2"))
		m.ok("pause", "0")
		m.appears(filepath.Join(m.mount(), "latest/Pictures/later"), filepath.Join(lib, "later"))
	})

	// The word and the code of status agree.
	t.Run("status", func(t *testing.T) {
		m.ok("status", "Pictures")
		check(t, os.Rename(lib, lib+"-away"))
		m.becomes("Pictures", "failing")
		// The newest look is recent, and what it found complete: fresh is by the clock.
		check(t, os.Mkdir(lib, 0o755))
		m.becomes("Pictures", "guarded")
		m.exits(exitIncomplete, "status")
		check(t, os.Remove(lib))
		check(t, os.Rename(lib+"-away", lib))
		m.exits(exitIncomplete, "backup-now")
		m.exits(exitIncomplete, "status")
		if s := m.ok("ack", "--all", "--why", "tried it out"); !strings.Contains(s.stdout, "acknowledged") {
			t.Errorf("%+v", s)
		}
		m.becomes("Pictures", "complete")
		m.ok("status")
	})
	d.ends()
	m.sound()
	m.exits(exitFailed, "backup-now")
	m.exits(exitFailed, "pause", "2h")
}

// TestServiceCommands: a command that hangs is ended, one that prints nothing is missed, and each is said; what is all right beside
// them is kept.
func TestServiceCommands(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	writeFile(t, m.path("lib/a"), []byte("a"))
	m.ok("init", "-q")
	m.configure("",
		m.directory("lib"),
		printing("hangs", "sleep 1000", `timeout = "2s"`),
		printing("nothing", "true"),
		printing("fails", "echo half; echo no such table >&2; exit 7"),
		printing("good", "echo dump"))
	d := m.daemon(0)
	m.becomes("good", "complete")
	for label, want := range map[string]string{"hangs": "took too long", "nothing": "nothing", "fails": "no such table"} {
		m.becomes(label, "degraded")
		if s := m.run("status", label); s.code != exitIncomplete || !strings.Contains(s.stdout, want) {
			t.Errorf("%s: status does not say %q: %+v", label, want, s)
		}
	}
	m.becomes("lib", "complete")
	if s := m.ok("dump", "latest@good:out"); s.stdout != "dump\n" {
		t.Errorf("%+v", s)
	}
	d.ends()
}

// TestServiceIsGentle reads from the kernel what a daemon asks of the machine.
func TestServiceIsGentle(t *testing.T) {
	t.Parallel()
	for _, profile := range []string{"production", "development"} {
		t.Run(profile, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			writeFile(t, m.path("lib/a"), []byte("a"))
			m.ok("init", "-q")
			m.configure("", m.directory("lib"))
			b, err := os.ReadFile(m.configPath())
			check(t, err)
			m.writeConfig(strings.Replace(string(b), `"development"`, `"`+profile+`"`, 1))
			d := m.daemon(0)
			until(t, time.Minute, "a snapshot", func() bool { return m.standing("lib").Newest != nil })
			threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", d.cmd.Process.Pid))
			check(t, err)
			gentle := 0
			for _, dir := range threads {
				nice, idle := priorities(t, dir)
				if nice == 10 && idle {
					gentle++
				}
			}
			if want := map[string]int{"production": len(threads)}[profile]; gentle != want {
				t.Errorf("%d of %d threads are gentle, want %d", gentle, len(threads), want)
			}
			if !strings.Contains(d.out.String(), "memory_limit=268435456") {
				t.Error("there is no limit of memory")
			}
			d.ends()
		})
	}
}

// priorities are those of a thread: its nice value, and whether its disk access
// is of the idle class.
func priorities(t *testing.T, dir string) (nice int, idle bool) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return 10, true // it has ended
	}
	_, rest, _ := strings.Cut(string(b), ") ") // proc_pid_stat(5): nice is field 19
	_, err = fmt.Sscan(strings.Fields(rest)[19-3], &nice)
	check(t, err)
	var tid int
	_, err = fmt.Sscan(filepath.Base(dir), &tid)
	check(t, err)
	class, _, errno := syscall.Syscall(syscall.SYS_IOPRIO_GET, 1, uintptr(tid), 0)
	return nice, errno == 0 && class>>13 == 3
}

// TestServiceReadsSlowly: max-read holds, and a control without it is faster.
func TestServiceReadsSlowly(t *testing.T) {
	t.Parallel()
	const size = 3 << 20
	took := map[string]time.Duration{}
	for _, keys := range []string{"", "max-read = \"1MiB\""} {
		m := newMachine(t)
		writeFile(t, m.path("lib/a"), noise(size, 1))
		m.ok("init", "-q")
		m.configure(keys, m.directory("lib"))
		began := time.Now()
		d := m.daemon(0)
		m.becomes("lib", "complete")
		took[keys] = time.Since(began)
		d.ends()
	}
	t.Logf("3 MiB took %v", took)
	if slow := took["max-read = \"1MiB\""]; slow < 1500*time.Millisecond || slow > 3*time.Minute || took[""] > slow {
		t.Errorf("3 MiB took %v", took)
	}
}

// TestServiceTellsNoSecret debugs a daemon with all that it can say, and looks
// for what opens the repository in its log and where the kernel shows it. That it
// finds what is there, the path of the home directory, shows that it looks.
func TestServiceTellsNoSecret(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.library()
	m.ok("init", "-q")
	secrets := secretsOf(m.env)
	if secrets["key"] == "" || secrets["recovery-code.txt"] == "" {
		t.Fatalf("there are no secrets to look for: %d", len(secrets))
	}
	m.configure("", m.directory("Pictures"), printing("env", "env; tr '\\0' '\\n' < /proc/$PPID/environ; tr '\\0' ' ' < /proc/$PPID/cmdline"))
	d := m.daemon(0, "-v", "-v")
	m.becomes("Pictures", "complete")
	m.becomes("env", "complete")
	m.ok("restore", "latest@Pictures", "--target", "restored")
	m.ok("key", "add", "--new-key-file", "second")
	d.reload() // says which file was read
	m.ok("backup-now")
	seen := map[string]string{"the log": d.out.String(), "what a command sees": m.ok("dump", "latest@env:out").stdout}
	for _, name := range []string{"cmdline", "environ"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", d.cmd.Process.Pid, name))
		check(t, err)
		seen[name] = string(b)
	}
	secrets["second"] = firstLine(m.path("second"))
	for where, text := range seen {
		if where != "cmdline" && !strings.Contains(text, m.home) {
			t.Errorf("%s does not even name the home directory: %.200s", where, text)
		}
		for name, secret := range secrets {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s", where, name)
			}
		}
	}
	d.ends()
}

// TestServiceLogIsBounded has a source fail as fast as it can, and counts lines.
func TestServiceLogIsBounded(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	writeFile(t, m.path("lib/a"), []byte("a"))
	m.ok("init", "-q")
	m.configure("", m.directory("lib"))
	d := m.daemon(0)
	m.becomes("lib", "complete")
	check(t, os.Rename(m.path("lib"), m.path("away")))
	m.becomes("lib", "failing")
	const often = 60
	for range often {
		m.exits(exitFailed, "backup-now", "-q")
	}
	check(t, os.Rename(m.path("away"), m.path("lib")))
	m.becomes("lib", "complete")
	d.ends()
	const line = "a snapshot could not be taken"
	n := strings.Count(d.out.String(), line)
	t.Logf("%d failures made %d lines", often, n)
	if n < 2 || n > 15 {
		t.Errorf("%d lines say that %d times a snapshot could not be taken", n, often)
	}
	if held := slices.ContainsFunc(strings.Split(d.out.String(), "\n"), func(l string) bool { return strings.Contains(l, "suppressed") && strings.Contains(l, line) }); !held {
		t.Error("nothing says how many more there were")
	}
}
