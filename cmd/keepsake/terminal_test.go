package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal runs keepsake as a person would, at a terminal.
func (m *machine) terminal(args ...string) (*running, *os.File) {
	m.t.Helper()
	controller, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		m.t.Skipf("not run: no terminals here: %v", err)
	}
	m.t.Cleanup(func() { controller.Close() })
	n, err := unix.IoctlGetInt(int(controller.Fd()), unix.TIOCGPTN)
	check(m.t, err)
	check(m.t, unix.IoctlSetPointerInt(int(controller.Fd()), unix.TIOCSPTLCK, 0))
	check(m.t, unix.IoctlSetWinsize(int(controller.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 100}))
	tty, err := os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	check(m.t, err)
	defer tty.Close()

	r := &running{m: m, done: make(chan struct{})}
	r.cmd = command(context.Background(), m.dir, m.env, 0, args...)
	r.cmd.Stdin, r.cmd.Stdout, r.cmd.Stderr = tty, tty, tty
	// The terminal is the process's own, so that Ctrl-C reaches it.
	r.cmd.SysProcAttr.Setsid, r.cmd.SysProcAttr.Setctty = true, true
	check(m.t, r.cmd.Start())
	m.t.Cleanup(r.end)
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := controller.Read(buf)
			if n > 0 {
				_, _ = r.out.Write(buf[:n]) // a transcript takes everything
			}
			if err != nil {
				break // the last process at the terminal has ended
			}
		}
		_ = r.cmd.Wait()
		close(r.done)
	}()
	return r, controller
}

// ended waits for the end of a process at a terminal, where secrets may be shown.
func (r *running) ended() int {
	r.m.t.Helper()
	select {
	case <-r.done:
	case <-time.After(time.Minute):
		r.m.t.Fatalf("%q does not end:\n%s", r.cmd.Args[1:], r.out.String())
	}
	return r.cmd.ProcessState.ExitCode()
}

var recoveryLine = regexp.MustCompile(`Recovery +([0-9A-Z]{4}(-[0-9A-Z]{4})+)`)

// TestTerminal: at a terminal, and only there, the recovery code is shown, and
// questions are asked without showing the answers.
func TestTerminal(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	made, _ := m.terminal("init")
	if code := made.ended(); code != 0 {
		t.Fatalf("init ended with %d:\n%s", code, made.out.String())
	}
	found := recoveryLine.FindStringSubmatch(made.out.String())
	if found == nil || !strings.Contains(made.out.String(), "Write it down") {
		t.Fatalf("init does not show the recovery code:\n%s", made.out.String())
	}
	recovery := found[1]
	if files, _ := filepath.Glob(filepath.Join(m.home, ".config/keepsake/recovery-code*")); len(files) > 0 {
		t.Errorf("the code is in %q although it was shown", files)
	}

	// A wrong code is refused, naming the wrong group; the right one stops the nagging.
	for _, try := range []struct {
		typed string
		code  int
		says  string
	}{
		{swapped(recovery), exitFailed, "group 1"},
		{strings.ToLower(recovery), exitOK, "opens the repository"},
	} {
		confirm, keyboard := m.terminal("key", "confirm")
		confirm.says("Recovery code: ", time.Minute)
		_, err := keyboard.WriteString(try.typed + "\n")
		check(t, err)
		if code := confirm.ended(); code != try.code || !strings.Contains(confirm.out.String(), try.says) {
			t.Errorf("key confirm ended with %d, want %d and %q:\n%s", code, try.code, try.says, confirm.out.String())
		}
		if strings.Contains(confirm.out.String(), try.typed) {
			t.Error("the code was shown while it was typed")
		}
	}
	if s := m.ok("status"); strings.Contains(s.stderr, "key confirm") {
		t.Errorf("status still nags:\n%s", s.stderr)
	}

	// Without the key file the password is asked for; the code is one.
	check(t, os.Rename(filepath.Join(m.home, ".config/keepsake/key"), m.path("key")))
	for typed, want := range map[string]int{recovery: exitOK, "nonsense": exitPassword} {
		list, keyboard := m.terminal("key", "list")
		list.says("Password or recovery code: ", time.Minute)
		if next := "keepsake key add --new-key-file " + filepath.Join(m.home, ".config/keepsake/key"); !strings.Contains(list.out.String(), next) {
			t.Errorf("it does not say %q:\n%s", next, list.out.String())
		}
		_, err := keyboard.WriteString(typed + "\n")
		check(t, err)
		if code := list.ended(); code != want {
			t.Errorf("key list ended with %d, want %d:\n%s", code, want, list.out.String())
		}
	}

	// --json is for programs: the code goes into a file even here.
	json, _ := m.terminal("init", "--json", "-r", "other")
	if code := json.ended(); code != 0 || recoveryLine.MatchString(json.out.String()) {
		t.Errorf("init --json ended with %d:\n%s", code, json.out.String())
	}
}

// swapped is a recovery code with two characters of its first group exchanged.
func swapped(code string) string {
	b := []byte(code)
	for i := range 3 {
		if b[i] != b[i+1] {
			b[i], b[i+1] = b[i+1], b[i]
			return string(b)
		}
	}
	b[0] ^= 1
	return string(b)
}

// TestTerminalInterrupt: Ctrl-C ends a verb with 130, and the next run goes on.
func TestTerminalInterrupt(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for i := range 40 {
		writeFile(t, m.path("lib", fmt.Sprint(i)), noise(unit, byte(i)))
	}
	m.ok("init")
	backup, keyboard := m.terminal("backup", "lib")
	backup.says("Backing up", time.Minute)
	_, err := keyboard.WriteString("\x03")
	check(t, err)
	if code := backup.ended(); code != exitInterrupted {
		t.Errorf("a backup that was interrupted ended with %d:\n%s", code, backup.out.String())
	}
	if strings.Contains(backup.out.String(), "goroutine ") {
		t.Errorf("it crashed:\n%s", backup.out.String())
	}
	m.ok("backup", "lib")
	m.ok("check", "--read-data")
	m.ok("restore", "latest", "--target", "out")
	sameTree(t, m.path("lib"), m.path("out"))
}

// TestUpWithoutView: a machine without FUSE is told what to install, and
// everything else works.
func TestUpWithoutView(t *testing.T) {
	needsRoot(t, "hide a device")
	t.Parallel()
	m := newMachine(t)
	lib := m.library()
	check(t, os.WriteFile(m.path("without-fuse"), []byte(`#!/bin/sh -e
mount -t tmpfs none /dev
mknod -m 666 /dev/null c 1 3
exec keepsake "$@"
`), 0o755))
	start := func(args ...string) *running {
		r := &running{m: m, done: make(chan struct{})}
		r.cmd = command(context.Background(), m.dir, m.env, 0, args...)
		r.cmd.Path = m.path("without-fuse")
		// The mount of the script is in its own namespace, and goes with it.
		r.cmd.SysProcAttr.Unshareflags = syscall.CLONE_NEWNS
		r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
		check(t, r.cmd.Start())
		go func() {
			_ = r.cmd.Wait()
			close(r.done)
		}()
		t.Cleanup(r.end)
		return r
	}
	up := start("up", lib)
	up.says("Watching.", time.Minute)
	for _, want := range []string{"fuse3", "backups go on without the mounted view"} {
		if !strings.Contains(up.out.String(), want) {
			t.Errorf("up does not say %q:\n%s", want, up.out.String())
		}
	}
	writeFile(t, filepath.Join(lib, "later"), []byte("later"))
	until(t, visibleWithin, "a snapshot of the new file", func() bool {
		return strings.Contains(m.ok("ls", "latest").stdout, "later\n")
	})
	if code := up.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("up ended with %d", code)
	}
	mount := start("mount", "view")
	if code := mount.wait(time.Minute); code != exitFailed || !strings.Contains(mount.out.String(), "fuse3") {
		t.Errorf("mount ended with %d:\n%s", code, mount.out.String())
	}
	m.ok("restore", "latest", "--target", "out")
	sameTree(t, lib, m.path("out"))
}
