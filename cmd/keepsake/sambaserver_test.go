package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smbServer is a real smbd with a configuration and accounts of its own, which
// listens to this machine only.
type smbServer struct {
	t     *testing.T
	conf  string
	port  int
	cmd   *exec.Cmd
	out   transcript
	ended chan struct{}
}

// The shadow settings are what some other system might have said for all shares.
const smbGlobal = `[global]
server role = standalone server
smb ports = %[2]d
interfaces = 127.0.0.1/8
bind interfaces only = yes
disable netbios = yes
private dir = %[1]s
lock directory = %[1]s
state directory = %[1]s
cache directory = %[1]s
pid directory = %[1]s
ncalrpc dir = %[1]s/ncalrpc
log file = %[1]s/log
load printers = no
printcap name = /dev/null
disable spoolss = yes
shadow:snapdir = .snap
shadow:format = %%Y-%%m-%%d
shadow:localtime = yes
shadow:snapdirseverywhere = yes
shadow:crossmountpoints = yes
`

const smbPassword = "correct horse"

// startSamba serves shares to users of this machine until the test ends.
func startSamba(t *testing.T, dir, shares string, users ...string) *smbServer {
	t.Helper()
	for _, tool := range []string{"smbd", "smbclient", "smbpasswd"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("not run: %s is not installed (packages samba, smbclient)", tool)
		}
	}
	if modules, err := filepath.Glob("/usr/lib/*/samba/vfs/shadow_copy2.so"); err != nil || len(modules) == 0 {
		t.Skip("not run: Samba's module shadow_copy2 is not installed (package samba-vfs-modules)")
	}
	check(t, os.Mkdir(dir, 0o700))
	s := &smbServer{t: t, conf: filepath.Join(dir, "smb.conf"), ended: make(chan struct{})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	s.port = l.Addr().(*net.TCPAddr).Port
	check(t, l.Close())
	check(t, os.WriteFile(s.conf, []byte(fmt.Sprintf(smbGlobal, dir, s.port)+shares), 0o600))
	for _, user := range users {
		c := exec.Command("smbpasswd", "-c", s.conf, "-a", "-s", user)
		c.Stdin = strings.NewReader(smbPassword + "\n" + smbPassword + "\n")
		if out, err := c.CombinedOutput(); err != nil {
			t.Skipf("not run: an account for %s cannot be made: %v %s", user, err, out)
		}
	}
	s.cmd = exec.Command("smbd", "--foreground", "--no-process-group", "--configfile", s.conf)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	check(t, s.cmd.Start())
	go func() {
		_ = s.cmd.Wait() // how it ended does not matter
		close(s.ended)
	}()
	t.Cleanup(s.stop)
	until(t, patience, "smbd to answer", func() bool {
		select {
		case <-s.ended:
			log, _ := os.ReadFile(filepath.Join(dir, "log")) // whatever there is
			t.Fatalf("smbd ended: %s%s", s.out.String(), log)
		default:
		}
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.port))
		return err == nil && c.Close() == nil
	})
	return s
}

// stop ends the server and all its children, and makes sure that none is left.
func (s *smbServer) stop() {
	group := s.cmd.Process.Pid
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = syscall.Kill(-group, signal) // they may have ended
		for range 500 {
			if err := syscall.Kill(-group, 0); err == syscall.ESRCH {
				<-s.ended
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	s.t.Errorf("processes of smbd are left in group %d", group)
}

// does runs commands of smbclient as a user, and returns all that it says.
func (s *smbServer) does(user, share, commands string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	c := exec.CommandContext(ctx, "smbclient", "//127.0.0.1/"+share, "--port", strconv.Itoa(s.port), "--user", user+"%"+smbPassword,
		"--configfile", s.conf, "--command", commands)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "HOME=" + filepath.Dir(s.conf)}
	out, err := c.CombinedOutput() // a command that fails says so in its own words
	if err != nil && !bytes.Contains(out, []byte("NT_STATUS_")) {
		s.t.Fatalf("smbclient %q: %v: %s", commands, err, out)
	}
	return string(out)
}

// versions are the snapshots that hold a file, as a person's computer is told,
// with its size in each.
func (s *smbServer) versions(user, share, file string) map[string]string {
	s.t.Helper()
	all, token := map[string]string{}, ""
	for line := range strings.Lines(s.does(user, share, fmt.Sprintf("allinfo %q", file))) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "@GMT-") {
			token = line
		}
		if size, ok := strings.CutPrefix(line, "size: "); ok && token != "" {
			all[token] = size
		}
	}
	return all
}

// reads returns what a user gets of a file, or why not.
func (s *smbServer) reads(user, share, file string) (content []byte, refusal string) {
	s.t.Helper()
	to := filepath.Join(s.t.TempDir(), "got")
	said := s.does(user, share, fmt.Sprintf("get %q %q", file, to))
	b, err := os.ReadFile(to)
	if err != nil {
		return nil, said
	}
	return b, ""
}
