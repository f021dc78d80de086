package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServiceReload changes the configuration of a running daemon in all the
// ways there are.
func TestServiceReload(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	for _, file := range []string{"lib/photo.jpg", "lib/cache.tmp", "lib/sub/more.jpg", "lib/sub/more.tmp", "second/a", "third/a"} {
		writeFile(t, m.path(file), []byte(file))
	}
	m.ok("init", "-q")
	m.configure("", m.directory("lib"), m.directory("second"))
	d := m.daemon(0)
	m.becomes("lib", "complete")
	m.becomes("second", "complete")
	latest := filepath.Join(m.mount(), "latest")
	has := func(path string, want bool) {
		t.Helper()
		until(t, visibleWithin, path, func() bool { return exists(filepath.Join(latest, path)) == want })
	}

	t.Run("invalid", func(t *testing.T) {
		// Where the daemon listens must not depend on what is invalid.
		asks := m.with("KEEPSAKE_SOCKET=" + m.path("run", "control.sock"))
		for _, invalid := range []struct{ name, text string }{
			{"empty", ""},
			{"no TOML", "[[source]\n"},
			{"no source", "profile = \"development\"\n"},
			{"unknown key", "colour = 1\n" + m.directory("lib")},
			{"inside", "repository = \"" + m.repository() + "\"\n[[source]]\nlabel = \"x\"\npath = \"" + m.repository() + "/x\"\n"},
		} {
			name, text := invalid.name, invalid.text
			m.writeConfig(text)
			n := len(d.g.all())
			d.reload()
			if name == "empty" && d.g.count(n, "STATUS=The new configuration is invalid, the old one stays") != 1 {
				t.Errorf("%s: the manager hears %v", name, d.g.all()[n:])
			}
			if got := asks.troubles(); !strings.Contains(got, "not in force") || !strings.Contains(got, m.configPath()) {
				t.Errorf("%s: status says %q", name, got)
			}
		}
		if n := strings.Count(d.out.String(), "the configuration is not taken over; the old one stays"); n != 5 {
			t.Errorf("the log says so %d times", n)
		}
		writeFile(t, m.path("lib/meanwhile.jpg"), []byte("x"))
		has("lib/meanwhile.jpg", true)
		if s := asks.ok("dump", "latest@lib:meanwhile.jpg"); s.stdout != "x" || !strings.Contains(s.stderr, "config check") {
			t.Errorf("%+v", s)
		}
		// The control: where the sources are needed it is an error, with all that is wrong.
		if s := m.exits(exitUsage, "daemon"); !strings.Contains(s.stderr, "inside") {
			t.Errorf("%+v", s)
		}
	})

	t.Run("sources come and go, and nothing is lost", func(t *testing.T) {
		// A file changes in each moment around the reload.
		end := make(chan struct{})
		done := make(chan int)
		go func() {
			n := 0
			for ; ; n++ {
				name := m.path("lib", "sub", time.Now().Format("150405.000000"))
				if os.WriteFile(name, []byte(name), 0o644) != nil {
					break
				}
				select {
				case <-end:
					done <- n + 1
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
			done <- n
		}()
		m.configure("", m.directory("lib", "exclude = [\"*.tmp\"]"), m.directory("third"))
		d.reload()
		if !strings.Contains(d.out.String(), "added=third removed=second changed=lib\n") {
			t.Errorf("the log does not say what changed:\n%s", d.out.String())
		}
		close(end)
		written := <-done
		has("third/a", true)
		has("lib/cache.tmp", false)
		has("lib/sub/more.tmp", false)
		until(t, time.Minute, "all files", func() bool {
			names, err := os.ReadDir(filepath.Join(latest, "lib", "sub") + "/")
			return err == nil && len(names) == written+1
		})
		if got := m.troubles(); got != "" {
			t.Errorf("after a good reload status says %q", got)
		}
		if s := m.standing("lib"); len(s.Newest.Why) > 0 && strings.Contains(strings.Join(s.Newest.Why, " "), "unclean") || strings.Contains(d.out.String(), "keepsake was killed") {
			t.Errorf("a reload is taken for a kill: %v", s.Newest.Why)
		}
		// What is no longer kept is there still.
		has("second/a", true)
		if s := m.standing("second"); s.State != "retired" {
			t.Errorf("second is %s", s.State)
		}
		n := m.standing("third").Newest.Number
		writeFile(t, m.path("third/b"), []byte("b"))
		has("third/b", true)
		if after := m.standing("third").Newest; after.Number <= n || after.Basis != "events" {
			t.Errorf("third: %+v", after)
		}
		check(t, os.WriteFile(m.path("second/b"), nil, 0o644))
		m.ok("backup-now")
		has("second/b", false)
	})

	t.Run("excludes go", func(t *testing.T) {
		m.configure("", m.directory("lib"), m.directory("third"))
		d.reload()
		has("lib/cache.tmp", true)
		has("lib/sub/more.tmp", true)
	})

	t.Run("restart", func(t *testing.T) {
		m.configure("metrics = \"127.0.0.1:1\"\n", m.directory("lib"), m.directory("third"))
		d.reload()
		for where, text := range map[string]string{"status": m.troubles(), "the log": d.out.String()} {
			if !strings.Contains(text, "count when keepsake starts again: metrics") {
				t.Errorf("%s does not say what needs a restart: %s", where, text)
			}
		}
		m.configure("", m.directory("lib"), m.directory("third"))
		d.reload()
		if got := m.troubles(); got != "" {
			t.Errorf("the change is taken back, and status says %q", got)
		}
	})

	t.Run("memory", func(t *testing.T) {
		m.configure("memory = \"123MiB\"\n", m.directory("lib"), m.directory("third"))
		d.reload()
		if !strings.Contains(d.out.String(), "memory_limit=128974848") {
			t.Error("the new limit is not in force")
		}
	})

	t.Run("notify", func(t *testing.T) {
		if s := m.exits(exitFailed, "notify", "test"); !strings.Contains(s.stderr, "notify") {
			t.Errorf("%+v", s)
		}
		teller := m.path("tell-me")
		check(t, os.WriteFile(teller, []byte("#!/bin/sh\ncat >> "+m.path("told")+"\n"), 0o700))
		m.configure("[notify]\ncommand = [\""+teller+"\"]\n", m.directory("lib"), m.directory("third"))
		d.reload()
		m.ok("notify", "test")
		b, err := os.ReadFile(m.path("told"))
		check(t, err)
		if !strings.Contains(string(b), `"test"`) {
			t.Errorf("told: %s", b)
		}
	})

	t.Run("label moves", func(t *testing.T) {
		m.configure("", strings.Replace(m.directory("lib"), m.path("lib"), m.path("second"), 1), m.directory("third"))
		d.reload()
		if got := m.troubles(); !strings.Contains(got, "a label is bound to what it was given to") {
			t.Errorf("status says %q", got)
		}
	})
	d.ends()
	m.sound()
}

// TestServiceHangUpBeforeReady: a reload that comes before the daemon can is
// done when it can.
func TestServiceHangUpBeforeReady(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	writeFile(t, m.path("lib/a"), []byte("a"))
	m.ok("init", "-q")
	// The password is asked for in the midst of the start.
	gate := m.path("gate")
	check(t, syscall.Mkfifo(gate, 0o600))
	b, err := os.ReadFile(filepath.Join(m.home, ".config/keepsake/recovery-code.txt"))
	check(t, err)
	code := strings.TrimSpace(string(b))
	m.configure("", m.directory("lib"))
	d := m.with("KEEPSAKE_PASSWORD_COMMAND=touch " + m.path("asked") + "; cat " + gate).startDaemon(0)
	until(t, time.Minute, "the start", func() bool { return exists(m.path("asked")) })
	check(t, d.cmd.Process.Signal(syscall.SIGHUP))
	check(t, os.WriteFile(gate, []byte(code+"\n"), 0o600))
	d.g.await(0, "RELOADING=1")
	until(t, time.Minute, "the end of the reload", func() bool { return d.g.count(0, "READY=1") == 2 })
	if first := d.g.all(); d.g.count(0, "RELOADING=1") != 1 {
		t.Errorf("%v", first)
	}
	d.ends()
}

// TestServiceWithoutItsLog: the reader of standard error goes, and backups go on.
func TestServiceWithoutItsLog(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	writeFile(t, m.path("lib/a"), []byte("a"))
	m.ok("init", "-q")
	m.configure("", m.directory("lib"), printing("signals", "grep SigIgn /proc/self/status"))
	r, w, err := os.Pipe()
	check(t, err)
	g := newManager(t)
	c := command(t.Context(), m.dir, append(append([]string{}, m.env...), append(g.environ(0), "KEEPSAKE_SOCKET="+m.path("run", "s"))...), 0, "daemon", "-v")
	c.Stdout, c.Stderr = w, w
	check(t, c.Start())
	w.Close()
	d := &serviced{&running{m: m, cmd: c, done: make(chan struct{})}, g}
	go func() {
		_ = c.Wait() // its code is looked at below
		close(d.done)
	}()
	t.Cleanup(d.end)
	g.await(0, "READY=1")
	m.becomes("lib", "complete")
	r.Close()
	for _, name := range []string{"b", "c", "d"} {
		writeFile(t, m.path("lib", name), []byte(name))
		m.ok("backup-now", "lib")
	}
	if s := m.standing("lib"); s.Newest.Files != 4 {
		t.Errorf("%+v", s)
	}
	// A program that it starts dies of a broken pipe as everywhere.
	m.becomes("signals", "complete")
	_, mask, _ := strings.Cut(strings.TrimSpace(m.ok("dump", "latest@signals:out").stdout), "\t")
	if n, err := strconv.ParseUint(mask, 16, 64); err != nil || n&(1<<(syscall.SIGPIPE-1)) != 0 {
		t.Errorf("commands ignore the signals %q: %v", mask, err)
	}
	d.ends()
}
