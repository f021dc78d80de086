package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// mountsAt starts the verb mount and waits until it shows something.
func (m *machine) mountsAt(dir string) *running {
	m.t.Helper()
	mount := m.start("mount", dir)
	mount.says("Snapshots are at", time.Minute)
	return mount
}

// opened opens a file of a view of library until the test ends.
func (m *machine) opened(dir string) *os.File {
	m.t.Helper()
	f, err := os.Open(filepath.Join(dir, "latest/Pictures/long.mov"))
	check(m.t, err)
	m.t.Cleanup(func() { f.Close() })
	_, err = f.ReadAt(make([]byte, 100), 0)
	check(m.t, err)
	check(m.t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	return f
}

// failsSoon checks that a file of a view that has gone fails, and does not hang.
func failsSoon(t *testing.T, f *os.File) {
	t.Helper()
	done := make(chan error, 1)
	go func() { _, err := f.ReadAt(make([]byte, 100), 1<<20); done <- err }()
	select {
	case err := <-done:
		if !errors.Is(err, unix.ENOTCONN) && !errors.Is(err, unix.ECONNABORTED) && !errors.Is(err, unix.EIO) {
			t.Errorf("a file of a view that has gone: %v", err)
		}
	case <-time.After(patience):
		t.Error("a file of a view that has gone hangs")
	}
}

// TestMountEnds ends the verb mount in every way while a file is open in its view.
func TestMountEnds(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	lib := m.library()
	writeFile(t, filepath.Join(lib, "long.mov"), noise(4<<20, 9))
	m.ok("init", "-q")
	m.ok("backup", "-q", lib)
	dir := m.path("view")

	// Killed, it leaves a mount that answers nobody. The next run heals it.
	mount := m.mountsAt(dir)
	f := m.opened(dir)
	mount.stop(syscall.SIGKILL)
	failsSoon(t, f)
	if _, err := os.ReadDir(dir); err == nil {
		t.Fatal("the mount works without its process")
	}
	mount = m.mountsAt(dir)
	if !strings.Contains(mount.out.String(), "still mounted from a run that was killed") {
		t.Error("it does not say that it healed the mount point")
	}
	sameTree(t, lib, dir+"/latest/Pictures/")

	// Files that are open keep nobody from ending.
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		f = m.opened(dir)
		if code := mount.stop(s); code != 0 {
			t.Errorf("after %v it ended with %d", s, code)
		}
		failsSoon(t, f)
		m.unmounted(dir)
		mount = m.mountsAt(dir)
	}

	// Somebody else unmounts it: lazily, while a file is open, and by fusermount.
	f = m.opened(dir)
	if err := unix.Unmount(dir, unix.MNT_DETACH); err == nil {
		if _, err := f.ReadAt(make([]byte, 100), 1<<20); err != nil {
			t.Errorf("a file that was open when the view was unmounted lazily: %v", err)
		}
		if code := mount.stop(syscall.SIGINT); code != 0 {
			t.Errorf("after a lazy unmount it ended with %d", code)
		}
		m.unmounted(dir)
		mount = m.mountsAt(dir)
	} else {
		t.Logf("not run: only root unmounts lazily: %v", err)
	}
	if out, err := exec.Command("fusermount3", "-u", dir).CombinedOutput(); err != nil {
		t.Fatalf("fusermount3: %v: %s", err, out)
	}
	if code := mount.wait(patience); code != 0 {
		t.Errorf("after it was unmounted it ended with %d", code)
	}
	m.unmounted(dir)
	m.ok("check")
}

func (m *machine) unmounted(dir string) {
	m.t.Helper()
	for _, point := range mountsBelow(m.t, dir) {
		m.t.Errorf("%s is still mounted", point)
	}
}

// TestMountBesideEnds kills the verb mount beside up, which serves its view, and
// then up itself: nothing is left but what the next runs heal.
func TestMountBesideEnds(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	lib := m.library()
	writeFile(t, filepath.Join(lib, "long.mov"), noise(4<<20, 9))
	up := m.up(lib)
	dir := m.path("view")
	mount := m.mountsAt(dir)
	f := m.opened(dir)
	mount.stop(syscall.SIGKILL)
	until(t, time.Minute, "its view to go", func() bool { return len(mountsBelow(t, dir)) == 0 })
	failsSoon(t, f)
	sameTree(t, lib, filepath.Join(m.mount(), "latest/Pictures")+"/") // that of up stays

	mount = m.mountsAt(dir)
	f = m.opened(dir)
	up.stop(syscall.SIGKILL)
	failsSoon(t, f)
	if code := mount.wait(patience); code == 0 {
		t.Error("mount ended well although nobody serves its view any more")
	}
	up = m.up()
	mount = m.mountsAt(dir)
	for _, view := range []string{m.mount(), dir} {
		sameTree(t, lib, view+"/latest/Pictures/")
	}
	if code := mount.stop(syscall.SIGINT); code != 0 {
		t.Errorf("mount ended with %d", code)
	}
	m.unmounted(dir)
	if code := up.stop(syscall.SIGINT); code != 0 {
		t.Errorf("up ended with %d", code)
	}
	m.gone()
}

// TestMountHangs mounts a repository on a file system that hangs later: it can
// be ended all the same, and when the file system goes on it is read as before.
func TestMountHangs(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	lib := m.library()
	writeFile(t, filepath.Join(lib, "long.mov"), noise(4<<20, 9))
	m.ok("init", "-q")
	m.ok("backup", "-q", lib)

	// The file system is the view of another repository, whose process is
	// stopped: what is asked of it then waits, as on a server that is away.
	far := newMachine(t)
	far.ok("init", "-q")
	far.ok("backup", "-q", m.repository())
	server := far.mountsAt(far.path("far"))
	real, err := filepath.EvalSymlinks(far.path("far/latest", filepath.Base(m.repository())))
	check(t, err)
	t.Cleanup(func() { _ = server.cmd.Process.Signal(syscall.SIGCONT) }) // else nothing can be unmounted

	// Once asked to flush, it says that it need not be told when a file is closed.
	// Else the kernel would wait for that, whoever kills the process.
	_, err = os.ReadFile(filepath.Join(real, "config"))
	check(t, err)

	near := m.with("KEEPSAKE_REPOSITORY=" + real)
	dir := m.path("view")
	mount := near.mountsAt(dir)
	f := m.opened(dir)
	check(t, server.cmd.Process.Signal(syscall.SIGSTOP))
	began, reads := time.Now(), make(chan error, 1)
	go func() {
		_, err := f.ReadAt(make([]byte, 1<<20), 1<<20)
		reads <- err
	}()
	inMemory := os.Getenv("KEEPSAKE_LONG") != ""
	if inMemory {
		// Without anybody's help it is an error after a while, and goes on later.
		select {
		case err := <-reads:
			if !errors.Is(err, unix.EIO) {
				t.Errorf("reading while it hangs: %v", err)
			}
			t.Logf("reading while it hangs: %v after %v", err, time.Since(began))
		case <-time.After(patience):
			t.Error("reading hangs as well")
		}
		check(t, server.cmd.Process.Signal(syscall.SIGCONT))
		until(t, time.Minute, "the file system to go on", func() bool {
			_, err := f.ReadAt(make([]byte, 100), 1<<20)
			return err == nil
		})
		sameTree(t, lib, dir+"/latest/Pictures/")
		check(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		check(t, server.cmd.Process.Signal(syscall.SIGSTOP))
		go func() {
			_, err := f.ReadAt(make([]byte, 1<<20), 1<<20)
			reads <- err
		}()
	}
	time.Sleep(500 * time.Millisecond)
	if got := far.listed(dir); len(got) == 0 {
		t.Error("the lists are empty while the repository hangs")
	}
	check(t, mount.cmd.Process.Signal(syscall.SIGINT))
	if code := mount.wait(patience); code != 0 {
		t.Errorf("while its repository hangs it ended with %d", code)
	}
	if err := <-reads; err == nil && !inMemory {
		t.Error("a read of a repository that hangs succeeded")
	}
	m.unmounted(dir)
	check(t, server.cmd.Process.Signal(syscall.SIGCONT))
	if code := server.stop(syscall.SIGINT); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
}

// listed lists the sources of a view.
func (m *machine) listed(view string) []os.DirEntry {
	m.t.Helper()
	entries, err := os.ReadDir(filepath.Join(view, "latest"))
	check(m.t, err)
	return entries
}
