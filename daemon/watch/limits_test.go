package watch_test

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/watch"
)

const (
	// insideVariable tells a test that it runs in a user namespace of its own.
	insideVariable = "KEEPSAKE_TEST_INSIDE"

	watchLimitFile    = "/proc/sys/user/max_inotify_watches"
	instanceLimitFile = "/proc/sys/user/max_inotify_instances"
	queueLimitFile    = "/proc/sys/fs/inotify/max_queued_events"
)

// inside runs the calling test once more in a user namespace of its own, where
// the kernel's limits of inotify can be set without taking anything from
// others. It reports whether this is that run. (fs.inotify.max_user_watches is
// not of that kind: it is the limit of the outermost namespace, everywhere.)
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) != "" {
		return true
	}
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=10m")
	c.Env = append(os.Environ(), insideVariable+"=1")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := c.CombinedOutput()
	if _, ran := errors.AsType[*exec.ExitError](err); err != nil && !ran {
		t.Skipf("not run: no user namespaces here: %v", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	return false
}

// setLimit writes a limit of this user namespace.
func setLimit(t *testing.T, file, value string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(value), 0); err != nil {
		t.Skipf("not run: %v", err)
	}
}

// TestTenWatches has the kernel refuse watches from the eleventh on.
func TestTenWatches(t *testing.T) {
	if !inside(t) {
		return
	}
	setLimit(t, watchLimitFile, "10")
	h := start(t, watch.Options{PollEvery: settle})
	h.first()
	m := make(mirror)
	m.tree(h.root, ".")
	done := chaos(t, h.root, 3, 1500*time.Millisecond)
	if wrong := h.follow(m, done); len(wrong) > 0 {
		t.Errorf("%d differences, first %s; %+v", len(wrong), wrong[0], h.w.Stats())
	}
	if s := h.w.Stats(); s.LimitReached == 0 || s.Watches > 10 {
		t.Errorf("the limit was not reached: %+v", s)
	}
}

// TestNoInstance has the kernel refuse a second inotify instance.
func TestNoInstance(t *testing.T) {
	if !inside(t) {
		return
	}
	setLimit(t, instanceLimitFile, "1")
	h := start(t, watch.Options{})
	h.first()
	second := start(t, watch.Options{PollEvery: settle})
	second.first()
	if s := second.w.Stats(); s.Watches != 0 || s.AtLimit != 1 || s.LimitReached != 1 {
		t.Errorf("without an instance: %+v", s)
	}
	// It is scanned by the clock instead, and watched as soon as that can be.
	if b := second.next(time.Hour); !b.All || !slices.Contains(b.Causes, watch.CauseWatchLimit) {
		t.Errorf("without an instance: %+v", b)
	}
	h.stop()
	second.eventually("watched", func(s watch.Stats) bool { return s.Watches == 1 && s.AtLimit == 0 })
}

// shortQueue has the kernel's queues hold 16 events, for everyone on this
// machine, until the test ends.
func shortQueue(t *testing.T) {
	t.Helper()
	long(t)
	before, err := os.ReadFile(queueLimitFile)
	must(t, err)
	if err := os.WriteFile(queueLimitFile, []byte("16"), 0); err != nil {
		t.Skipf("not run: %v", err)
	}
	t.Cleanup(func() { must(t, os.WriteFile(queueLimitFile, before, 0)) })
}

// long skips what takes minutes or concerns the whole machine.
func long(t *testing.T) {
	t.Helper()
	if os.Getenv("KEEPSAKE_LONG") == "" {
		t.Skip("not run: KEEPSAKE_LONG is not set")
	}
}
