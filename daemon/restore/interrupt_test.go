package restore_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/restore"
	"keepsake/packaging/torture"
	"keepsake/store/storetest"
)

// TestCancelled stops restores at different moments: what has its name is
// whole, nothing else is left, and the next run completes the tree.
func TestCancelled(t *testing.T) {
	source := library(t)
	r := storetest.New(t).Open(t)
	s := back(t, r, source)
	truth := image(t, source)
	total := int64(s.Root.Below.Bytes)
	for i := range 12 {
		target := filepath.Join(t.TempDir(), "target")
		ctx, cancel := context.WithCancel(t.Context())
		progress := &restore.Progress{}
		go func() {
			for progress.Bytes.Load() <= total*int64(i)/14 && ctx.Err() == nil {
				time.Sleep(50 * time.Microsecond)
			}
			cancel()
		}()
		res, err := restore.Run(ctx, restore.Options{Repository: r, Snapshot: s, Target: target, Progress: progress})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("run %d: %v", i, err)
		}
		if res.LostCount > 0 {
			t.Errorf("an interruption lost %v", res.Lost)
		}
		noTemporaries(t, target)
		for path, is := range image(t, target) {
			if strings.HasPrefix(is, "file") && is != truth[path] {
				t.Errorf("%s is half restored", path)
			}
		}
		again := restored(t, r, s, target, func(o *restore.Options) { o.Overwrite = restore.IfChanged })
		whole(t, again)
		if again.Bytes+res.Bytes != total {
			t.Errorf("first run wrote %d bytes, second %d: together not %d", res.Bytes, again.Bytes, total)
		}
		for _, d := range torture.Compare(source, target, torture.CompareOptions{}) {
			if !strings.HasPrefix(d, `".":`) { // the second run found the target there
				t.Error(d)
			}
		}
	}
}

// killChild is set in the process that TestKilled kills: source and target.
const killChild = "KEEPSAKE_TEST_RESTORE"

// TestKilledChild is what TestKilled runs.
func TestKilledChild(t *testing.T) {
	source, target, ok := strings.Cut(os.Getenv(killChild), ":")
	if !ok {
		t.Skip("not the child")
	}
	r := storetest.New(t).Open(t)
	s := back(t, r, source)
	must(t, os.WriteFile(target+".started", nil, 0o600))
	whole(t, restored(t, r, s, target, nil))
}

// TestKilled kills restores with SIGKILL.
func TestKilled(t *testing.T) {
	source := library(t)
	truth := image(t, source)
	r := storetest.New(t).Open(t)
	s := back(t, r, source)
	halfway := 0
	for i := range 8 {
		base := t.TempDir()
		target := filepath.Join(base, "target")
		child := exec.Command(os.Args[0], "-test.run=^TestKilledChild$")
		child.Env = append(os.Environ(), killChild+"="+source+":"+target, "TMPDIR="+base)
		must(t, child.Start())
		for exists := false; !exists; {
			_, err := os.Stat(target + ".started")
			exists = err == nil
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(i)*6*time.Millisecond + time.Duration(rand.IntN(5))*time.Millisecond)
		_ = child.Process.Kill()
		_ = child.Wait()
		found := image(t, target)
		if n := len(found); n > 0 && n < len(truth) {
			halfway++
		}
		for path, is := range found {
			if strings.HasPrefix(is, "file") && is != truth[path] && !strings.HasPrefix(filepath.Base(path), ".keepsake-restore-") {
				t.Errorf("%s is half restored", path)
			}
		}
		whole(t, restored(t, r, s, target, func(o *restore.Options) { o.Overwrite = restore.IfChanged }))
		noTemporaries(t, target)
		if got := image(t, target); len(got) != len(truth) {
			t.Errorf("%d entries, want %d", len(got), len(truth))
		}
		sameImage(t, "after the second run", image(t, target), truth)
	}
	if halfway == 0 {
		t.Error("no kill came in the middle")
	}
}

// TestLeftovers: only what restore itself left is removed, whatever it is.
func TestLeftovers(t *testing.T) {
	f := newForge(t)
	s := f.snapshot(f.dir("", f.dir("d", f.file("x", "x"))))
	target := t.TempDir()
	write(t, target+"/.keepsake-restore-ab12-3", "left")
	write(t, target+"/d/.keepsake-restore-ab12-4", "left")
	must(t, os.Symlink("/etc/passwd", target+"/d/.keepsake-restore-ab12-5"))
	write(t, target+"/d/.keepsake-restore-notes", "somebody's own")
	write(t, target+"/elsewhere/.keepsake-restore-ab12-6", "not restored into")
	must(t, os.MkdirAll(target+"/d/.keepsake-restore-ab12-7", 0o700))
	must(t, unix.Mkfifo(target+"/d/.keepsake-restore-ab12-7/.keepsake-restore-ab12-7", 0o600))
	must(t, os.MkdirAll(target+"/d/.keepsake-restore-ab12-8", 0o700))
	write(t, target+"/d/.keepsake-restore-ab12-9/notes", "somebody's own")
	whole(t, restored(t, f.r, s, target, func(o *restore.Options) { o.Overwrite = restore.Never }))
	sameImage(t, "target", image(t, target), map[string]string{
		"d": "drwxr-xr-x", "d/x": "file -rw-r--r-- x", "d/.keepsake-restore-notes": "file -rw-r--r-- somebody's own",
		"d/.keepsake-restore-ab12-9": "drwxr-xr-x", "d/.keepsake-restore-ab12-9/notes": "file -rw-r--r-- somebody's own",
		"elsewhere": "drwxr-xr-x", "elsewhere/.keepsake-restore-ab12-6": "file -rw-r--r-- not restored into",
	})
}

func TestBusyTarget(t *testing.T) {
	f := newForge(t)
	s := f.snapshot(f.dir("", f.file("x", "x")))
	target := t.TempDir()
	fd, err := unix.Open(target, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.Flock(fd, unix.LOCK_EX))
	if _, err := attempt(t, f.r, s, target, nil); !errors.Is(err, restore.ErrBusy) {
		t.Errorf("got %v", err)
	}
	write(t, target+"/file", "x")
	if _, err := attempt(t, f.r, s, target+"/file", nil); !errors.Is(err, restore.ErrTarget) {
		t.Errorf("got %v", err)
	}
}

// TestFullDisk: the run ends, names the entry and the cause, and leaves no half
// file; what came before is whole.
func TestFullDisk(t *testing.T) {
	target := t.TempDir()
	if err := unix.Mount("keepsake-test", target, "tmpfs", 0, "size=20m"); err != nil {
		t.Skipf("no file system of its own: %v", err)
	}
	t.Cleanup(func() { must(t, unix.Unmount(target, 0)) })
	source := library(t)
	truth := image(t, source)
	r := storetest.New(t).Open(t)
	s := back(t, r, source)
	_, err := attempt(t, r, s, target, nil)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "restoring \"") || !strings.Contains(err.Error(), "no space left") {
		t.Fatalf("got %v", err)
	}
	noTemporaries(t, target)
	for path, is := range image(t, target) {
		if strings.HasPrefix(is, "file") && is != truth[path] {
			t.Errorf("%s is half restored", path)
		}
	}
}
