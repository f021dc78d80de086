package control_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/control"
)

// People and groups that no machine has.
const (
	anna, ben = 64101, 64102
	studio    = 64200
)

// wanted are verbs that the group may run, and some that it may not.
var (
	groupMay    = []string{"status", "snapshots", "backup-now", "ack"}
	groupMayNot = []string{"restore", "dump", "ls", "backup", "pause", "forget", "key list", "key add", "mount", "check"}
)

// answers are what somebody got at a public socket, by verb: "exit 0", or the error. The information and the metrics
// are "info" and "metrics".
type answers map[string]string

func askForEverything(path string) answers {
	got := answers{}
	c, err := control.DialSocket(context.Background(), path, control.ClientOptions{Version: "test"})
	if err != nil {
		return answers{"dial": err.Error()}
	}
	for _, verb := range append(slices.Clone(groupMay), groupMayNot...) {
		exit, err := c.Do(context.Background(), control.Request{Verb: verb, Peer: control.Peer{UID: 0}}, control.Stream{})
		got[verb] = fmt.Sprint("exit ", exit)
		if err != nil {
			got[verb] = err.Error()
		}
	}
	if _, err := c.Info(context.Background()); err != nil {
		got["info"] = err.Error()
	}
	status, body, err := get(path, "/metrics")
	got["metrics"] = fmt.Sprint(status, " ", body, err)
	return got
}

// get makes a plain HTTP request at a unix socket, as curl does.
func get(socket, path string) (status int, body string, err error) {
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	resp, err := client.Get("http://keepsake" + path)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// commons is a directory that everybody may pass through, with a copy of this program.
func commons(t *testing.T) (dir, program string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("not run: becoming another user needs root")
	}
	dir, err := os.MkdirTemp("", "control")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program = filepath.Join(dir, "program")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, program
}

// askAs has another process, of this user and these groups, ask for everything.
func askAs(t *testing.T, program, socket string, cred syscall.Credential) answers {
	t.Helper()
	c := exec.Command(program)
	c.Env = []string{roleVar + "=member", pathVar + "=" + socket}
	c.Dir, c.Stderr = "/", os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &cred, Pdeathsig: syscall.SIGKILL}
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	got := answers{}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%q: %v", out, err)
	}
	return got
}

func TestGroup(t *testing.T) {
	base, program := commons(t)
	socket := filepath.Join(base, "keepsake", "control.sock")
	var mu sync.Mutex
	ran := map[string][]uint32{} // who ran what
	w := serve(t, control.ServerOptions{
		Group: studio, Public: socket,
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "figures") }),
		Handler: func(_ context.Context, r control.Request, _ control.Stream) int {
			mu.Lock()
			defer mu.Unlock()
			ran[r.Verb] = append(ran[r.Verb], r.Peer.UID)
			return 0
		},
	})
	for path, want := range map[string]fs.FileMode{filepath.Dir(socket): fs.ModeDir | 0o750, socket: fs.ModeSocket | 0o660} {
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != want || info.Sys().(*syscall.Stat_t).Gid != studio {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	member := func(who string, uid uint32, got answers) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		for _, verb := range groupMay {
			if got[verb] != "exit 0" || !slices.Contains(ran[verb], uid) {
				t.Errorf("%s may not run %s: %s; it was run by %v", who, verb, got[verb], ran[verb])
			}
		}
		for _, verb := range groupMayNot {
			if !strings.Contains(got[verb], "may run status, snapshots, backup-now, ack, not "+verb) || len(ran[verb]) > 0 {
				t.Errorf("%s ran %s: %s", who, verb, got[verb])
			}
		}
		if got["info"] != "" || got["metrics"] != "200 figures<nil>" {
			t.Errorf("%s: information %q, metrics %q", who, got["info"], got["metrics"])
		}
	}
	// More groups than fit into the first attempt at reading them, the one that counts last.
	many := []uint32{}
	for i := range uint32(300) {
		many = append(many, 70000+i)
	}
	member("a member by primary group", anna, askAs(t, program, socket, syscall.Credential{Uid: anna, Gid: studio}))
	member("a member by supplementary group", ben, askAs(t, program, socket, syscall.Credential{Uid: ben, Gid: ben, Groups: append(many, studio)}))

	// Neither the directory nor the socket lets others in; nor does the server when both do.
	stranger := syscall.Credential{Uid: ben + 1, Gid: ben + 1, Groups: append(many, studio+1)}
	if got := askAs(t, program, socket, stranger); !strings.Contains(got["dial"], "permission denied") {
		t.Errorf("a stranger: %v", got)
	}
	for _, err := range []error{os.Chmod(filepath.Dir(socket), 0o755), os.Chmod(socket, 0o666)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := askAs(t, program, socket, stranger); !strings.Contains(got["dial"], "root and members of group 64200 only, not to user 64103") {
		t.Errorf("a stranger who reaches the socket: %v", got)
	}
	// The same with the state directory's, which is nobody else's.
	if got := askAs(t, program, filepath.Join(w.dir, control.SocketName), syscall.Credential{Uid: anna, Gid: studio}); !strings.Contains(got["dial"], "permission denied") {
		t.Errorf("a member at the private socket: %v", got)
	}
	// The owner may do everything here, too.
	for verb, got := range askForEverything(socket) {
		if got != "exit 0" && verb != "metrics" {
			t.Errorf("the owner: %s: %s", verb, got)
		}
	}
	w.wait(t)
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the public socket is left behind: %v", err)
	}
}

// asMember is as, with a group of its own.
func asMember(uid, gid int, f func()) {
	as(0, func() {
		for _, id := range []struct{ call, id int }{{unix.SYS_SETRESGID, gid}, {unix.SYS_SETRESUID, uid}} {
			if _, _, errno := unix.RawSyscall(uintptr(id.call), uintptr(id.id), uintptr(id.id), uintptr(id.id)); errno != 0 {
				panic(errno)
			}
		}
		f()
	})
}

// Members can fill their own places and no others.
func TestMembersDoNotLockTheOwnerOut(t *testing.T) {
	base, _ := commons(t)
	socket := filepath.Join(base, "keepsake", "control.sock")
	release := make(chan struct{})
	started := make(chan struct{}, control.MaxRunning)
	w := serve(t, control.ServerOptions{Group: studio, Public: socket, Handler: func(_ context.Context, r control.Request, _ control.Stream) int {
		if r.Verb == "status" {
			started <- struct{}{}
			<-release
		}
		return 0
	}})
	var work sync.WaitGroup
	for range control.MaxMembers {
		work.Go(func() {
			asMember(anna, studio, func() {
				c, err := control.DialSocket(context.Background(), socket, control.ClientOptions{})
				if err == nil {
					_, err = c.Do(context.Background(), control.Request{Verb: "status"}, control.Stream{})
				}
				if err != nil {
					t.Error(err)
				}
			})
		})
	}
	for range control.MaxMembers {
		within(t, started, "a member's request")
	}
	asMember(anna, studio, func() {
		c, err := control.DialSocket(context.Background(), socket, control.ClientOptions{})
		if err != nil {
			t.Error(err)
			return
		}
		if _, err = c.Do(context.Background(), control.Request{Verb: "ack"}, control.Stream{}); !errors.Is(err, control.ErrBusy) {
			t.Errorf("one request more: %v", err)
		}
	})
	ask(t, w.dir)
	close(release)
	work.Wait()
	asMember(anna, studio, func() {
		c, err := control.DialSocket(context.Background(), socket, control.ClientOptions{})
		if err == nil {
			_, err = c.Do(context.Background(), control.Request{Verb: "ack"}, control.Stream{})
		}
		if err != nil {
			t.Errorf("when places are free again: %v", err)
		}
	})
}
