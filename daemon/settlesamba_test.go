package daemon_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
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

// samba is a real server of one directory, on a port of its own.
type samba struct {
	t    *testing.T
	conf string
	port int
	cmd  *exec.Cmd
	out  bytes.Buffer
	gone chan struct{}
}

// Small writes and few credits make the server store what a client sends little
// by little, as a slow network would.
const sambaConf = `[global]
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
map to guest = Bad User
guest account = root
load printers = no
printcap name = /dev/null
disable spoolss = yes
strict allocate = yes
smb2 max write = 65536
smb2 max credits = 2
[lib]
path = %[3]s
read only = no
guest ok = yes
force user = root
`

// startSamba serves a directory until the test ends.
func startSamba(t *testing.T, dir string) *samba {
	t.Helper()
	for _, tool := range []string{"smbd", "smbclient"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("not run: %v", err)
		}
	}
	own := t.TempDir()
	s := &samba{t: t, conf: filepath.Join(own, "smb.conf"), port: freePort(t), gone: make(chan struct{})}
	put(t, s.conf, fmt.Sprintf(sambaConf, own, s.port, dir))
	s.cmd = exec.Command("smbd", "--foreground", "--no-process-group", "--configfile", s.conf)
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Skipf("not run: %v", err)
	}
	go func() {
		_ = s.cmd.Wait() // how it ended does not matter
		close(s.gone)
	}()
	t.Cleanup(s.stop)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out, err := s.client(nil, "ls")
		if err == nil {
			return s
		}
		select {
		case <-s.gone:
			t.Skipf("not run: smbd ended: %s", s.out.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Skipf("not run: smbd does not answer: %s", out)
		}
	}
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// stop ends the server and all its children, and makes sure that none is left.
func (s *samba) stop() {
	group := s.cmd.Process.Pid
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = syscall.Kill(-group, signal) // they may have ended
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			if len(alive(group)) == 0 {
				<-s.gone
				return
			}
		}
	}
	s.t.Errorf("processes of smbd are left: %v", alive(group))
}

// alive lists the processes of a group, without those that nobody has waited for
// yet.
func alive(group int) (pids []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // state, parent, group
		if len(fields) > 2 && fields[2] == strconv.Itoa(group) && fields[0] != "Z" {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

// client runs commands of smbclient, which reads what it puts from in.
func (s *samba) client(in io.Reader, commands string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, "smbclient", "//127.0.0.1/lib", "--port", strconv.Itoa(s.port), "--no-pass", "--configfile", s.conf, "--command", commands)
	c.Stdin = in
	out, err := c.CombinedOutput()
	return string(out), err
}

// puts sends content over the network little by little.
func (s *samba) puts(p pace, content []byte, commands string) {
	r, w := io.Pipe()
	go func() {
		for len(content) > 0 {
			n := min(len(content), 64<<10)
			if _, err := w.Write(content[:n]); err != nil {
				break // the client has ended, and says why
			}
			content = content[n:]
			p.pause()
		}
		w.Close()
	}()
	if out, err := s.client(r, commands); err != nil {
		s.t.Errorf("smbclient %s: %v: %s", commands, err, out)
	}
	r.Close()
}

// observe looks at all files of the directory, as often as it can, and allows
// what each was when nobody wrote to it for nearly the settle time. It stands in
// for a model where other programs write at a pace of their own. None of them
// maps files.
func (s *studio) observe(ctx context.Context) {
	type seen struct {
		st    syscall.Stat_t
		since time.Time
		read  bool
	}
	known := map[string]*seen{}
	look := func(path string, e fs.DirEntry, err error) error {
		var st syscall.Stat_t
		if err != nil || !e.Type().IsRegular() || syscall.Lstat(path, &st) != nil {
			return nil // gone again
		}
		st.Atim = syscall.Timespec{}
		k := known[path]
		if k == nil || k.st != st {
			known[path] = &seen{st: st, since: time.Now()}
			return nil
		}
		if k.read || time.Since(k.since) < s.p.settle*2/3 {
			return nil
		}
		if b, err := os.ReadFile(path); err == nil {
			var after syscall.Stat_t
			if k.read = syscall.Lstat(path, &after) == nil; k.read {
				if after.Atim = (syscall.Timespec{}); after == st {
					s.rests.allow(b)
				}
			}
		}
		return nil
	}
	for ctx.Err() == nil {
		_ = filepath.WalkDir(s.dir, look) // what is gone is nothing to look at
		rest(ctx, s.p.settle/50)
	}
}

// beside runs something until stop is called, which waits for its end.
func beside(ctx context.Context, run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	return func() { cancel(); <-done }
}

// TestSamba has files written over the network: new ones, new content for old
// ones, and what is renamed when it is done.
func TestSamba(t *testing.T) {
	t.Parallel()
	s := newStudio(t, paces())
	smb := startSamba(t, s.dir)
	size := 600_000
	put(t, s.path("old.jpg"), string(take(0, size)))
	card := t.TempDir()
	for i := range 40 {
		put(t, filepath.Join(card, fmt.Sprintf("IMG_%d.JPG", i)), string(take(uint64(i), 20_000+i*1000)))
	}
	stop := beside(t.Context(), s.observe)
	s.keep(
		s.again(func(n uint64) { smb.puts(s.p, take(n, size), fmt.Sprintf("put - new%d.jpg", n)) }),
		s.again(func(n uint64) { smb.puts(s.p, take(n, size), "put - old.jpg") }),
		s.again(func(n uint64) {
			smb.puts(s.p, take(n, size), fmt.Sprintf("put - %d.part; rename %d.part renamed.jpg -f", n, n))
		}),
		func() {
			if out, err := smb.client(nil, "lcd "+card+"; prompt OFF; mput IMG_*"); err != nil {
				t.Errorf("mput: %v: %s", err, out)
			}
		},
	)
	stop()
	v := s.allGood(s.isWhole)
	if v.held == 0 || v.versions < 40 {
		t.Skipf("not run: the machine is so busy that nothing was in flux, or little was captured: %s", v)
	}
}
