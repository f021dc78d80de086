package capture_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"keepsake/daemon/capture"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// TestListedButNotFoundIsMissed captures the directory of a process that has
// died and was not waited for: the kernel lists its links, and says that they
// do not exist.
func TestListedButNotFoundIsMissed(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	write(t, filepath.Join(dir, "deleted"), []byte("x"))
	if err := os.Symlink("/bin/before", filepath.Join(dir, "exe")); err != nil {
		t.Fatal(err)
	}
	back(t, r, dir, func(o *capture.Options) { o.Now = later })

	dead := exec.CommandContext(t.Context(), "true")
	if err := dead.Start(); err != nil {
		t.Skipf("not run: %v", err)
	}
	defer func() { _ = dead.Wait() }()
	proc := fmt.Sprintf("/proc/%d", dead.Process.Pid)
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		if _, err := os.Readlink(proc + "/exe"); os.IsNotExist(err) {
			break
		}
		if time.Since(began) > 10*time.Second {
			t.Skip("not run: no dead process shows its links here")
		}
	}
	if _, err := os.Lstat(proc + "/exe"); err != nil {
		t.Skipf("not run: %v", err)
	}
	res, _ := back(t, r, dir, func(o *capture.Options) {
		o.Now, o.Path, o.Rules = later, []byte(proc), leaving(t, []string{"/*", "!/exe", "!/cwd"}, nil, false)
	})
	if res.Missing != 2 || res.Missed[0].Reason != tree.ReasonVanished || string(res.Missed[1].Path) != "exe" {
		t.Errorf("missed %v", res.Missed)
	}
	n := node(t, r, res.Snapshot, "exe")
	if n == nil || n.Flags&tree.KeptPrevious == 0 || string(n.Target) != "/bin/before" {
		t.Errorf("what stands in for the link is %+v", n)
	}
	if node(t, r, res.Snapshot, "deleted") != nil {
		t.Error("what is not listed any more is in the snapshot")
	}
}

// TestDeletedWhileWalkedIsNotMissed deletes files after they were listed: each
// look at the clock, of which there is one for each file that is read, removes
// one from the end.
func TestDeletedWhileWalkedIsNotMissed(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	name := func(i int) string { return fmt.Sprintf("%03d", i) }
	for i := range 600 {
		write(t, filepath.Join(dir, name(i)), fmt.Append(nil, i))
	}
	var left atomic.Int64
	left.Store(600)
	res, _ := back(t, r, dir, func(o *capture.Options) {
		o.Now = func() time.Time {
			if i := left.Add(-1); i >= 100 {
				_ = os.Remove(filepath.Join(dir, name(int(i))))
			}
			return later()
		}
	})
	if res.Missing != 0 {
		t.Errorf("missed %v", res.Missed)
	}
	for i := range 100 {
		if node(t, r, res.Snapshot, name(i)) == nil {
			t.Errorf("%s was never deleted", name(i))
		}
	}
	if files := res.Snapshot.Root.Below.Files; files == 600 {
		t.Error("no file was deleted before its turn: this test shows nothing")
	}
}
