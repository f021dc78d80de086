package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// someone is another person at a machine: a user and groups, with a home of
// their own.
type someone struct {
	m    *machine
	cred syscall.Credential
	env  []string
}

func (m *machine) someone(uid, gid uint32, groups ...uint32) *someone {
	m.t.Helper()
	if os.Getuid() != 0 {
		m.t.Skip("not run: becoming another user needs root")
	}
	home, err := os.MkdirTemp(m.dir, "someone")
	check(m.t, err)
	check(m.t, os.Chown(home, int(uid), int(gid)))
	return &someone{m, syscall.Credential{Uid: uid, Gid: gid, Groups: groups}, baseEnv(home)}
}

// runs runs keepsake as this person, with more variables.
func (p *someone) runs(env []string, args ...string) said {
	p.m.t.Helper()
	ctx, cancel := context.WithTimeout(p.m.t.Context(), patience)
	defer cancel()
	c := command(ctx, "/", append(append([]string{}, p.env...), env...), 0, args...)
	c.SysProcAttr.Credential = &p.cred
	var out, told bytes.Buffer
	code, err := execute(c, &out, &told)
	if err != nil {
		p.m.t.Fatalf("keepsake %s: %v", strings.Join(args, " "), err)
	}
	return said{code, out.String(), told.String()}
}

// configured gives the machine a configuration with further lines.
func (m *machine) configured(lines string) {
	m.t.Helper()
	path := filepath.Join(m.home, ".config/keepsake/keepsake.toml")
	b, err := os.ReadFile(path)
	check(m.t, err)
	check(m.t, os.WriteFile(path, append([]byte(lines+"\n"), b...), 0o600))
}

// TestGroupMembers has people of a group and others ask a running keepsake
// whose repository they cannot open.
func TestGroupMembers(t *testing.T) {
	const studio = 64200
	m := newMachine(t)
	member, other := m.someone(64101, 64101, 4, studio), m.someone(64102, 64102, 4)
	writeFile(t, m.path("Pictures", "a.jpg"), noise(1000, 1))
	up := m.up("Pictures")
	if code := up.stop(syscall.SIGTERM); code != 0 {
		t.Fatal(code)
	}
	address := freeAddress(t)
	m.configured("group = \"64200\"\nmetrics = \"" + address + "\"")
	socket := m.path("run", "control.sock")
	at := []string{"KEEPSAKE_SOCKET=" + socket}
	up = m.with(at...).up()

	for _, args := range [][]string{{"status"}, {"status", "Pictures"}, {"snapshots"}, {"status", "--json"}, {"snapshots", "--json"}} {
		if s := member.runs(at, args...); s.code != 0 || !strings.Contains(s.stdout, "Pictures") {
			t.Errorf("a member: keepsake %s: %+v", args, s)
		}
		if s := other.runs(at, args...); s.code != 1 || s.stdout != "" || !strings.Contains(s.stderr, "permission denied") || !strings.Contains(s.stderr, "usermod -aG 64200 ") {
			t.Errorf("another: keepsake %s: %+v", args, s)
		}
	}
	for _, args := range [][]string{{"ls", "latest"}, {"dump", "latest:a.jpg"}, {"restore", "latest", "--target", "/nowhere"}, {"backup", "/etc"}, {"key", "list"}, {"check"}, {"mount", "/nowhere"}} {
		if s := member.runs(at, args...); s.code != 1 || s.stdout != "" || !strings.Contains(s.stderr, "may run status, snapshots, backup-now, ack, not "+args[0]) || !strings.Contains(s.stderr, "sudo") {
			t.Errorf("a member: keepsake %s: %+v", args, s)
		}
	}
	// Without being told they come to it when the repository is closed to them, and hear about that if nobody is there.
	closed := []string{"KEEPSAKE_REPOSITORY=" + m.repository()}
	check(t, os.Chmod(m.repository(), 0o700))
	if s := member.runs(closed, "ls", "latest"); s.code != 1 || !strings.Contains(s.stderr, "permission denied") {
		t.Errorf("a closed repository: %+v", s)
	}
	if s := member.runs([]string{"KEEPSAKE_SOCKET=" + m.path("nobody.sock")}, "status"); s.code != 1 || !strings.Contains(s.stderr, "nobody listens at") {
		t.Errorf("a socket that nobody serves: %+v", s)
	}
	// The owner may do everything there.
	if s := m.with(at...).ok("ls", "latest"); !strings.Contains(s.stdout, "a.jpg") {
		t.Errorf("the owner: %+v", s)
	}
	m.scrape(1, address, filepath.Join(m.home, ".local/state/keepsake"), socket)
	if code := up.stop(syscall.SIGTERM); code != 0 {
		t.Error(code)
	}
	if left, err := os.ReadDir(filepath.Dir(socket)); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

// TestMembersFindTheService has a member ask without having been told where, in
// a mount namespace of its own, since the service's socket has a fixed place.
func TestMembersFindTheService(t *testing.T) {
	for _, tool := range []string{"unshare", "nsenter", "setpriv"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("not run: %s is not installed (package util-linux)", tool)
		}
	}
	m := newMachine(t)
	member := m.someone(64101, 64101)
	writeFile(t, m.path("Pictures", "a.jpg"), noise(1000, 1))
	m.ok("init")
	check(t, os.MkdirAll(filepath.Join(m.home, ".config/keepsake"), 0o700))
	check(t, os.WriteFile(filepath.Join(m.home, ".config/keepsake/keepsake.toml"), []byte("group = \"64200\"\n"), 0o600))
	check(t, os.Chmod(m.repository(), 0o700))
	check(t, os.Chmod(m.home, 0o711))

	r := &running{m: m, done: make(chan struct{})}
	r.cmd = exec.Command("unshare", "--mount", "sh", "-c", "mount -t tmpfs -o mode=755 none /run && exec keepsake up Pictures")
	r.cmd.Dir, r.cmd.Env, r.cmd.Stdout, r.cmd.Stderr = m.dir, m.env, &r.out, &r.out
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	check(t, r.cmd.Start())
	go func() {
		_ = r.cmd.Wait() // stop looks at the exit code
		close(r.done)
	}()
	t.Cleanup(r.end)
	r.says("Watching.", time.Minute)

	enter := func(env []string, args ...string) said {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		c := exec.CommandContext(ctx, "nsenter", append([]string{fmt.Sprintf("--target=%d", r.cmd.Process.Pid), "--mount", "--wd=/", "--"}, args...)...)
		c.Env = env
		var out, told bytes.Buffer
		code, err := execute(c, &out, &told)
		check(t, err)
		return said{code, out.String(), told.String()}
	}
	asks := func(groups string, env []string, args ...string) said {
		t.Helper()
		return enter(append(append([]string{}, member.env...), env...),
			append([]string{"setpriv", "--reuid=64101", "--regid=64101", groups, "--", "keepsake"}, args...)...)
	}
	closed := []string{"KEEPSAKE_REPOSITORY=" + m.repository()}
	for name, env := range map[string][]string{"no repository of her own": nil, "a closed repository": closed} {
		if s := asks("--groups=64200", env, "status"); s.code != 0 || !strings.Contains(s.stdout, "Pictures") {
			t.Errorf("a member with %s: %+v", name, s)
		}
	}
	for _, try := range []struct {
		code int
		env  []string
	}{{1, closed}, {10, nil}} {
		if s := asks("--groups=64200", try.env, "ls", "latest"); s.code != try.code || !strings.Contains(s.stderr, "may run status, snapshots, backup-now, ack, not ls") || !strings.Contains(s.stderr, "sudo") {
			t.Errorf("a member lists files: %+v", s)
		}
		if s := asks("--clear-groups", try.env, "ls", "latest"); s.code != try.code || strings.Contains(s.stderr, "may run") {
			t.Errorf("another lists files: %+v", s)
		}
	}
	// Others hear what is in their way: no repository of their own, or their groups.
	if s := asks("--clear-groups", nil, "status"); s.code != 10 || !strings.Contains(s.stderr, "keepsake init") {
		t.Errorf("another without a repository: %+v", s)
	}
	if s := asks("--clear-groups", closed, "status"); s.code != 1 || !strings.Contains(s.stderr, "usermod -aG 64200 ") {
		t.Errorf("another with a closed repository: %+v", s)
	}
	// Root, whose state is elsewhere than the service's, begins no second one.
	states := m.path("states of root")
	root := append(append([]string{}, m.env...), "KEEPSAKE_STATE_DIR="+states)
	if s := enter(root, "keepsake", "status"); s.code != 0 || !strings.Contains(s.stdout, "· watching") {
		t.Errorf("root: %+v", s)
	}
	if s := enter(root, "keepsake", "ls", "latest"); s.code != 0 || !strings.Contains(s.stdout, "a.jpg") {
		t.Errorf("root: %+v", s)
	}
	if _, err := os.Lstat(states); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("root has a state of its own: %v", err)
	}
	// The control: for another repository it does.
	if s := enter(root, "keepsake", "init", "-r", m.path("another")); s.code != 0 {
		t.Errorf("root: %+v", s)
	}
	if s := enter(root, "keepsake", "status", "-r", m.path("another")); s.code != 0 || !strings.Contains(s.stdout, "no snapshots yet") {
		t.Errorf("root with another repository: %+v", s)
	}
	if code := r.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("up ended with %d", code)
	}
}

// scrape reads the metrics at every place and has promtool check them.
func (m *machine) scrape(files int, address, states, public string) {
	m.t.Helper()
	private, err := filepath.Glob(filepath.Join(states, "*", "control.sock"))
	if err != nil || len(private) != 1 {
		m.t.Fatalf("sockets %v: %v", private, err)
	}
	// Through an open directory, since the path may be longer than an address.
	dir, err := os.Open(filepath.Dir(private[0]))
	check(m.t, err)
	defer dir.Close()
	private[0] = fmt.Sprintf("/proc/self/fd/%d/control.sock", dir.Fd())
	for _, place := range [][2]string{{"tcp", address}, {"unix", private[0]}, {"unix", public}} {
		client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, place[0], place[1])
		}}}
		resp, err := client.Get("http://localhost/metrics")
		check(m.t, err)
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		check(m.t, err)
		for _, want := range []string{
			`keepsake_source_fresh{source="Pictures"} 1`, `keepsake_source_complete{source="Pictures"} 1`, fmt.Sprintf(`keepsake_source_files{source="Pictures"} %d`, files),
			`keepsake_source_state{source="Pictures",state="complete"} 1`, "keepsake_repository_free_bytes ", "process_start_time_seconds ",
		} {
			if !strings.Contains(string(b), want) {
				m.t.Errorf("%s: no %s", place[1], want)
			}
		}
		tool, err := exec.LookPath("promtool")
		if err != nil {
			m.t.Log("not run: promtool is not installed (package prometheus)")
			continue
		}
		c := exec.Command(tool, "check", "metrics")
		c.Stdin = bytes.NewReader(b)
		if out, err := c.CombinedOutput(); err != nil || len(out) > 0 {
			m.t.Errorf("promtool: %v\n%s", err, out)
		}
	}
}

// freeAddress is a loopback address that nobody listened at a moment ago.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}
