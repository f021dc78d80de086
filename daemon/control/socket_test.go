package control_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/daemon/control"
)

func ask(t *testing.T, dir string) {
	t.Helper()
	if exit, err := dial(t, dir).Do(context.Background(), control.Request{Verb: "x"}, control.Stream{}); exit != 0 || err != nil {
		t.Error(exit, err)
	}
}

func TestSocketIsPrivateAndGoesAway(t *testing.T) {
	w := serve(t, control.ServerOptions{Handler: nothing})
	path := filepath.Join(w.dir, control.SocketName)
	fi, err := os.Lstat(path)
	if err != nil || fi.Mode() != fs.ModeSocket|0o600 {
		t.Fatal(fi.Mode(), err)
	}
	ask(t, w.dir)
	w.wait(t)
	if left, err := os.ReadDir(w.dir); err != nil || len(left) != 0 {
		t.Error(left, err)
	}
	if _, err := control.Dial(context.Background(), w.dir, control.ClientOptions{}); !errors.Is(err, control.ErrNoOwner) {
		t.Error(err)
	}
	if _, err := control.Dial(context.Background(), filepath.Join(w.dir, "absent"), control.ClientOptions{}); !errors.Is(err, control.ErrNoOwner) {
		t.Error(err)
	}
}

func TestStaleSocketOfAKilledProcess(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := process(t, "owner", dir)
	kill(t, cmd)
	if fi, err := os.Lstat(filepath.Join(dir, control.SocketName)); err != nil || fi.Mode()&fs.ModeSocket == 0 {
		t.Fatal("the killed process left no socket to find:", err)
	}
	// Another one left by a kill between binding and renaming.
	l, err := net.Listen("unix", filepath.Join(dir, control.NewName))
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
	if _, err := control.Dial(context.Background(), dir, control.ClientOptions{}); !errors.Is(err, control.ErrNoOwner) {
		t.Error(err)
	}
	serveIn(t, dir, control.ServerOptions{Handler: nothing})
	ask(t, dir)
}

func TestSecondOwner(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := process(t, "owner", dir)
	err := control.Serve(context.Background(), dir, control.Info{}, nothing)
	var owned *control.OwnedError
	if !errors.Is(err, control.ErrOwned) || !errors.As(err, &owned) || owned.PID != cmd.Process.Pid {
		t.Fatal(err)
	}
	dial(t, dir) // the first is unharmed
}

// Many processes that start after a kill must not remove each other's sockets.
func TestOneOfManyClaims(t *testing.T) {
	for range 20 {
		dir := t.TempDir()
		l, err := net.Listen("unix", filepath.Join(dir, control.SocketName))
		if err != nil {
			t.Fatal(err)
		}
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		l.Close()
		var won atomic.Int32
		var winner atomic.Pointer[control.Server]
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				s, err := control.Listen(context.Background(), dir, control.ServerOptions{Handler: nothing})
				switch {
				case err == nil:
					won.Add(1)
					winner.Store(s)
				case !errors.Is(err, control.ErrOwned):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d owners", won.Load())
		}
		if err := winner.Load().Close(); err != nil {
			t.Error(err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 0 {
			t.Error("left behind:", left)
		}
	}
}

func TestForeignFilesStay(t *testing.T) {
	for _, name := range []string{control.SocketName, control.NewName} {
		for kind, plant := range map[string]func(path string) error{
			"file":      func(p string) error { return os.WriteFile(p, []byte("precious"), 0o600) },
			"directory": func(p string) error { return os.Mkdir(p, 0o700) },
			"symlink":   func(p string) error { return os.Symlink("/nowhere", p) },
			"fifo":      func(p string) error { return unix.Mkfifo(p, 0o600) },
		} {
			dir := t.TempDir()
			path := filepath.Join(dir, name)
			if err := plant(path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(path)
			_, err := control.Listen(context.Background(), dir, control.ServerOptions{Handler: nothing})
			if !errors.Is(err, control.ErrForeign) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s %s: %v", name, kind, err)
			}
			if after, err := os.Lstat(path); err != nil || !os.SameFile(before, after) {
				t.Errorf("%s %s was touched: %v", name, kind, err)
			}
		}
	}
}

func TestForeignSocketStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, control.SocketName)
	c, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := control.Listen(context.Background(), dir, control.ServerOptions{Handler: nothing}); !errors.Is(err, control.ErrForeign) {
		t.Error(err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
	if _, err := control.Dial(context.Background(), dir, control.ClientOptions{}); !errors.Is(err, control.ErrForeign) {
		t.Error(err)
	}
}

// A server that ends must not remove its successor's socket.
func TestWithdrawalKnowsItsOwnSocket(t *testing.T) {
	w := serve(t, control.ServerOptions{Handler: nothing})
	if err := os.Remove(filepath.Join(w.dir, control.SocketName)); err != nil {
		t.Fatal(err)
	}
	next := serveIn(t, w.dir, control.ServerOptions{Handler: nothing})
	w.wait(t)
	ask(t, next.dir)
}

func TestPathsOfAnyLength(t *testing.T) {
	base := t.TempDir()
	// The address holds 107 bytes of path; the temporary name is longer than the final one.
	for _, n := range []int{90, 103, 104, 105, 107, 108, 109, 120, 250, 1500} {
		dir := base
		for len(dir)+1+len(control.SocketName) < n {
			dir = filepath.Join(dir, strings.Repeat("d", min(200, max(1, n-len(dir)-2-len(control.SocketName)))))
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		w := serveIn(t, dir, control.ServerOptions{Handler: nothing})
		ask(t, dir)
		if _, err := control.Listen(context.Background(), dir, control.ServerOptions{Handler: nothing}); !errors.Is(err, control.ErrOwned) {
			t.Error(len(dir), err)
		}
		w.wait(t)
		if _, err := control.Dial(context.Background(), dir, control.ClientOptions{}); !errors.Is(err, control.ErrNoOwner) {
			t.Error(len(dir), err)
		}
	}
}

func TestRelativeDirectoryThatLooksAbstract(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.Mkdir("@state", 0o700); err != nil {
		t.Fatal(err)
	}
	serveIn(t, "@state", control.ServerOptions{Handler: nothing})
	ask(t, "@state")
	if _, err := os.Lstat("@state/" + control.SocketName); err != nil {
		t.Error(err)
	}
}

func TestOtherUsersAreRefused(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("becoming another user needs root")
	}
	const other = 65533
	open := func(dir string) { // a path that everyone may walk, so that only the credentials are left to refuse
		for _, p := range []string{filepath.Dir(dir), dir, filepath.Join(dir, control.SocketName)} {
			if err := os.Chmod(p, 0o777); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	}
	asked := false
	w := serve(t, control.ServerOptions{Handler: func(context.Context, control.Request, control.Stream) int { asked = true; return 0 }})
	c := dial(t, w.dir)

	as(other, func() {
		if _, err := control.Dial(context.Background(), w.dir, control.ClientOptions{}); !errors.Is(err, control.ErrRefused) {
			t.Error("closed directory:", err)
		}
	})
	open(w.dir)
	as(other, func() {
		_, err := control.Dial(context.Background(), w.dir, control.ClientOptions{})
		if !errors.Is(err, control.ErrRefused) || !strings.Contains(err.Error(), "not to user 65533") {
			t.Error("info:", err)
		}
		_, err = c.Do(context.Background(), control.Request{Verb: "x"}, control.Stream{})
		if !errors.Is(err, control.ErrRefused) || !strings.Contains(err.Error(), "not to user 65533") {
			t.Error("verb:", err)
		}
	})
	if asked {
		t.Error("the handler was reached")
	}

	// The other way round: a socket that somebody planted in root's directory.
	dir := t.TempDir()
	open(dir)
	var planted *control.Server
	as(other, func() {
		var err error
		if planted, err = control.Listen(context.Background(), dir, control.ServerOptions{Handler: nothing}); err != nil {
			t.Error(err)
		}
	})
	if planted == nil {
		return
	}
	defer planted.Close()
	if _, err := control.Dial(context.Background(), dir, control.ClientOptions{}); !errors.Is(err, control.ErrRefused) || !strings.Contains(err.Error(), "65533") {
		t.Error("planted socket:", err)
	}
}

// as runs f on a thread that belongs to another user, and which dies with it.
func as(uid int, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			panic(errno)
		}
		f()
	}()
	<-done
}
