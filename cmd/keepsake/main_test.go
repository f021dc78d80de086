package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// program is a copy of the test binary under the name that makes it keepsake.
var program string

// TestMain lets the test binary be the program itself, so that the tests run
// real processes: they can be killed, have another user and own a mount.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "keepsake" {
		main()
	}
	code, err := withProgram(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withProgram(run func() int) (code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	dir, err := os.MkdirTemp("", "keepsake-program")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	// Another user runs it too, and may not look into the go tool's directories.
	if err := os.Chmod(dir, 0o711); err != nil {
		return 0, err
	}
	program = filepath.Join(dir, "keepsake")
	if err := copyFile(self, program, 0o755); err != nil {
		return 0, err
	}
	if err := os.Setenv("PATH", dir+":"+os.Getenv("PATH")); err != nil {
		return 0, err
	}
	return run(), nil
}

func copyFile(from, to string, perm os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, perm)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// patience bounds every run of the program. One that takes longer hangs, and
// is made to print its goroutines.
const patience = 2 * time.Minute

// nobody is a user without rights.
const nobody = 65534

// command is keepsake with arguments, as it runs in all tests: it dies with the
// test binary, and in order, so that a test that is killed leaves no mount.
func command(ctx context.Context, dir string, env []string, uid int, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, program, args...)
	c.Dir, c.Env = dir, env
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if uid != 0 {
		c.SysProcAttr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}
	}
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGQUIT) }
	c.WaitDelay = 10 * time.Second
	return c
}

// execute runs a command to its end and audits what it said. The error is
// about the run or the audit; an exit code is none.
func execute(c *exec.Cmd, stdout, stderr io.Writer) (code int, err error) {
	var out, told bytes.Buffer
	c.Stdout, c.Stderr = &out, &told
	err = c.Run()
	_, _ = stdout.Write(out.Bytes())
	_, _ = stderr.Write(told.Bytes())
	if err != nil && !errors.As(err, new(*exec.ExitError)) {
		return 0, err
	}
	code = c.ProcessState.ExitCode()
	return code, audit(c, code, out.String(), told.String())
}

// audit checks what holds for every run of every verb, whatever the test is
// about: no crash, no secret in what was said, a reason for each failure, and
// lines of JSON with a type if JSON was asked for.
func audit(c *exec.Cmd, code int, stdout, stderr string) error {
	said := stdout + stderr
	if code < 0 || strings.Contains(stderr, "goroutine ") || strings.Contains(stderr, "DATA RACE") {
		return fmt.Errorf("keepsake crashed: %v\n%s", c.ProcessState, stderr)
	}
	if code != 0 && said == "" {
		return fmt.Errorf("exit code %d without a word", code)
	}
	for name, secret := range secretsOf(c.Env) {
		for arg := range strings.SplitSeq(strings.Join(c.Args, "\n"), "\n") {
			if strings.Contains(arg, secret) {
				return fmt.Errorf("the test itself gives away %s in an argument", name)
			}
		}
		if strings.Contains(said, secret) {
			return fmt.Errorf("the output gives away %s:\n%s", name, said)
		}
	}
	if !saysJSON(c.Args) {
		return nil
	}
	for line := range strings.Lines(said) {
		var object struct {
			Type string `json:"message_type"`
		}
		if err := json.Unmarshal([]byte(line), &object); err != nil || object.Type == "" {
			return fmt.Errorf("with --json every line is an object with a message_type, not %q (%v)", line, err)
		}
	}
	return nil
}

// saysJSON reports whether all that a command says is JSON. dump writes a
// file's bytes whatever was asked for.
func saysJSON(args []string) bool {
	asked, own := false, false
	for _, a := range args[1:] {
		asked = asked || a == "--json"
		own = own || a == "dump" || a == "completion" || a == "help" || a == "--help"
	}
	return asked && !own
}

// secretsOf are the secrets that a process with this environment could let
// slip.
func secretsOf(env []string) map[string]string {
	secrets := map[string]string{}
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		switch name {
		case "KEEPSAKE_PASSWORD", "KEEPSAKE_NEW_PASSWORD", "KEEPSAKE_RECOVERY_CODE":
			secrets[name] = value
		case "KEEPSAKE_PASSWORD_FILE", "KEEPSAKE_NEW_PASSWORD_FILE", "KEEPSAKE_RECOVERY_CODE_FILE", "KEEPSAKE_KEY_FILE":
			secrets[name] = firstLine(value)
		case "HOME":
			dir := filepath.Join(value, ".config", "keepsake")
			for _, file := range []string{"key", "recovery-code.txt", "recovery-code-2.txt"} {
				secrets[file] = firstLine(filepath.Join(dir, file))
			}
		}
	}
	for name, secret := range secrets {
		if len(secret) < 6 {
			delete(secrets, name) // not there, or not worth keeping
		}
	}
	return secrets
}

func firstLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSpace(line)
}
