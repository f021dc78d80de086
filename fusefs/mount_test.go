package fusefs_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/fusefs/mountpoint"
	"keepsake/store/storetest"
)

// helperDir names the mount point in the process that TestHealAfterKill kills.
const helperDir = "KEEPSAKE_TEST_MOUNT"

// TestHelper is that process: it mounts, says so and waits to be killed. Elsewhere it does nothing.
func TestHelper(t *testing.T) {
	dir := os.Getenv(helperDir)
	if dir == "" {
		return
	}
	r := storetest.New(t).Open(t)
	if _, err := fusefs.Mount(t.Context(), fusefs.Options{Repository: r, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	fmt.Println("mounted")
	select {}
}

// killed returns a mount point whose server was killed.
func killed(t *testing.T) string {
	t.Helper()
	needFUSE(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "mount")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	c := exec.Command(self, "-test.run=^TestHelper$")
	c.Env = append(os.Environ(), helperDir+"="+dir, "TMPDIR="+t.TempDir())
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan() && lines.Text() != "mounted"; {
	}
	if _, err := os.Stat(filepath.Join(dir, "README.txt")); err != nil {
		t.Errorf("the helper did not mount: %v", err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	if err := unix.Statfs(dir, new(unix.Statfs_t)); !errors.Is(err, unix.ENOTCONN) {
		t.Fatalf("after the kill the mount point says: %v", err)
	}
	return dir
}

func TestHealAfterKill(t *testing.T) {
	dir := killed(t)
	healed, err := mountpoint.Heal(dir)
	if err != nil || !healed {
		t.Fatalf("healed %v: %v", healed, err)
	}
	if got := list(t, dir); len(got) != 0 {
		t.Errorf("the mount point holds %q", got)
	}
	if healed, err := mountpoint.Heal(dir); err != nil || healed {
		t.Errorf("healed again %v: %v", healed, err)
	}
}

func TestMountHeals(t *testing.T) {
	dir := killed(t)
	r := storetest.New(t).Open(t)
	m, err := fusefs.Mount(t.Context(), fusefs.Options{Repository: r, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, dir); len(got) != 5 {
		t.Errorf("the view holds %q", got)
	}
	if err := m.Unmount(); err != nil {
		t.Error(err)
	}
}

func TestHealRefuses(t *testing.T) {
	m, _, _, r, _ := view(t, nil)
	if _, err := mountpoint.Heal(m.dir); !errors.Is(err, mountpoint.ErrMounted) {
		t.Errorf("a live view: %v", err)
	}
	if _, err := fusefs.Mount(t.Context(), fusefs.Options{Repository: r, Dir: m.dir}); !errors.Is(err, mountpoint.ErrMounted) {
		t.Errorf("mounting on a live view: %v", err)
	}
	if got := list(t, m.dir); len(got) != 5 {
		t.Errorf("after that the view holds %q", got)
	}
	dir := t.TempDir()
	if _, err := mountpoint.Heal(dir); err != nil {
		t.Errorf("an empty directory: %v", err)
	}
	if healed, err := mountpoint.Heal(dir + "/missing/too"); err != nil || healed {
		t.Errorf("a missing directory: %v", err)
	}
	write(t, dir+"/notes.txt", []byte("mine"))
	if _, err := mountpoint.Heal(dir); !errors.Is(err, mountpoint.ErrNotEmpty) || !strings.Contains(err.Error(), "notes.txt") {
		t.Errorf("a directory with files: %v", err)
	}
	if _, err := mountpoint.Heal(dir + "/notes.txt"); !errors.Is(err, mountpoint.ErrNoDirectory) {
		t.Errorf("a file: %v", err)
	}
	other := t.TempDir()
	if err := unix.Mount("none", other, "tmpfs", 0, "size=64k"); err != nil {
		t.Logf("another mount was not tried: %v", err)
		return
	}
	defer func() { _ = unix.Unmount(other, unix.MNT_DETACH) }()
	if _, err := mountpoint.Heal(other); !errors.Is(err, mountpoint.ErrMounted) || !strings.Contains(err.Error(), "tmpfs") {
		t.Errorf("a tmpfs: %v", err)
	}
}

func TestMountPointIsMadeAndRemoved(t *testing.T) {
	needFUSE(t)
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "a directory \\ with\nodd characters", "mount")
	m, err := fusefs.Mount(t.Context(), fusefs.Options{Repository: r, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, dir); len(got) != 5 {
		t.Errorf("the view holds %q", got)
	}
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	m.Wait()
	if _, err := os.Lstat(dir); !os.IsNotExist(err) {
		t.Errorf("the mount point is still there: %v", err)
	}
	if err := m.Unmount(); err != nil {
		t.Errorf("unmounting twice: %v", err)
	}
}

func TestUnmountWithOpenFiles(t *testing.T) {
	m, files, _, _, _ := view(t, nil)
	f, err := os.Open(m.path("latest", "library", "video", "large.mov"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 4096)
	if _, err := io.ReadFull(f, head); err != nil || !bytes.Equal(head, files["video/large.mov"][:4096]) {
		t.Fatalf("reading before: %v", err)
	}
	begun := time.Now()
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("unmounting took %v", took)
	}
	m.Wait()
	if _, err := os.Lstat(m.dir); !os.IsNotExist(err) {
		t.Errorf("the mount point is still there: %v", err)
	}
	if _, err := f.ReadAt(head, 10<<20); err == nil {
		t.Error("an open file can be read after the view was unmounted")
	}
}

func TestUnmountedByOthers(t *testing.T) {
	m, _, _, _, _ := view(t, nil)
	if err := unix.Unmount(m.dir, 0); err != nil {
		t.Skipf("not run: only root can unmount so: %v", err)
	}
	gone := make(chan struct{})
	go func() { m.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-time.After(5 * time.Second):
		t.Error("the view does not notice that it was unmounted")
	}
}

func TestNewSnapshotAppears(t *testing.T) {
	place := storetest.New(t)
	dir := filepath.Join(t.TempDir(), "library")
	write(t, dir+"/first", []byte("1"))
	r := place.Open(t)
	m := mount(t, r, nil)
	if got := list(t, m.path("latest")); len(got) != 0 {
		t.Fatalf("latest of an empty repository holds %q", got)
	}
	link := m.path("latest", "library")
	if _, err := os.Stat(link); !os.IsNotExist(err) {
		t.Fatalf("before the first snapshot: %v", err)
	}
	back(t, r, dir, "library", nil)
	m.Refresh()
	if got := list(t, link+"/"); !slices.Equal(got, []string{"first"}) {
		t.Errorf("right after Refresh latest holds %q", got)
	}

	write(t, dir+"/second", []byte("2"))
	time.Sleep(1100 * time.Millisecond)          // so that the folder is named by another second
	if _, err := os.Readlink(link); err != nil { // and the kernel has the old link
		t.Fatal(err)
	}
	back(t, r, dir, "library", nil)
	m.Refresh()
	if got := list(t, link+"/"); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("right after the second Refresh latest holds %q", got)
	}

	write(t, dir+"/third", []byte("3"))
	back(t, r, dir, "library", nil)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if _, err := os.Stat(link + "/third"); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("without Refresh the third snapshot does not appear within 5 s")
		}
	}
	if got := list(t, m.path("snapshots", "library")); len(got) != 3 {
		t.Errorf("snapshots: %q", got)
	}
}
