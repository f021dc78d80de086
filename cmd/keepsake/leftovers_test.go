package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// mountsBelow lists the mount points in or below a directory, deepest first.
func mountsBelow(t *testing.T, dir string) []string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mounts")
	check(t, err)
	var found []string
	for line := range strings.Lines(string(b)) {
		point := unescapeMount(strings.Fields(line)[1])
		if rel, err := filepath.Rel(dir, point); err == nil && filepath.IsLocal(rel) {
			found = append([]string{point}, found...)
		}
	}
	return found
}

// unmountBelow takes away what a test left mounted, so that one failure does
// not spoil the machine for others.
func unmountBelow(t *testing.T, dir string) {
	t.Helper()
	for _, point := range mountsBelow(t, dir) {
		t.Errorf("a mount was left behind: %s", point)
		if unix.Unmount(point, unix.MNT_DETACH) == nil {
			continue
		}
		if out, err := exec.Command("fusermount3", "-uz", point).CombinedOutput(); err != nil {
			t.Errorf("unmounting it: %v %s", err, out)
		}
	}
}

// processesOf lists the processes that have a home directory in their
// environment: keepsake and whatever it may have started.
func processesOf(t *testing.T, home string) []int {
	t.Helper()
	names, err := filepath.Glob("/proc/[0-9]*/environ")
	check(t, err)
	var found []int
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil || !strings.Contains("\x00"+string(b)+"\x00", "\x00HOME="+home+"\x00") {
			continue // it has ended, or is somebody else's
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		check(t, err)
		found = append(found, pid)
	}
	return found
}

// needsFUSE skips a test where nothing can be mounted.
func needsFUSE(t *testing.T) {
	t.Helper()
	if err := openFUSE(); err != nil {
		t.Skip("not run: FUSE is missing here:", err)
	}
}

func openFUSE() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// needsRoot skips a test that has to do what only root can.
func needsRoot(t *testing.T, what string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skipf("not run: only root can %s", what)
	}
}
