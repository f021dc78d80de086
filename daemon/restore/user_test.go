package restore_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"keepsake/store/tree"
)

// TestOrdinaryUser restores what belongs to others, as nobody.
func TestOrdinaryUser(t *testing.T) {
	const uid = 65534
	if os.Geteuid() == 0 {
		asUser(t, uid)
		return
	}
	f := newForge(t)
	mine, foreign, device := f.file("mine", "x"), f.file("foreign", "x"), node("null", tree.CharDevice)
	mine.Mode = 0o6755
	foreign.Mode, foreign.UID, foreign.GID = 0o6755, 0, 0
	device.Rdev = tree.Rdev{Major: 1, Minor: 3}
	sealed := f.dir("sealed", f.file("inside", "x"))
	sealed.Mode = 0
	readonly := f.file("read-only", "x")
	readonly.Mode = 0o400
	readonly.Xattrs = []tree.Xattr{{Name: []byte("user.x"), Value: []byte("x")}}
	trusted := f.file("trusted", "x")
	trusted.Xattrs = []tree.Xattr{{Name: []byte("trusted.x"), Value: []byte("x")}}
	s := f.snapshot(f.dir("", mine, foreign, device, sealed, readonly, trusted))
	target := filepath.Join(t.TempDir(), "target")
	res := restored(t, f.r, s, target, nil)
	t.Cleanup(func() { must(t, os.Chmod(filepath.Join(target, "sealed"), 0o700)) })

	if !slices.Equal(lostPaths(res), []string{"null"}) {
		t.Errorf("lost %v", res.Lost)
	}
	for name, want := range map[string]os.FileMode{
		"mine":      0o755 | os.ModeSetuid | os.ModeSetgid,
		"foreign":   0o755, // what was root's to lend is not mine
		"sealed":    os.ModeDir,
		"read-only": 0o400,
	} {
		info, err := os.Lstat(filepath.Join(target, name))
		must(t, err)
		if info.Mode() != want {
			t.Errorf("%s has %v, want %v", name, info.Mode(), want)
		}
	}
	what := map[string]string{}
	for _, k := range res.NotKept {
		what[k.What] = k.Example
	}
	if len(what) != 3 || what["owner"] != "foreign" || what["set-id bits"] != "foreign" || what["trusted.* attributes"] != "trusted" {
		t.Errorf("not kept: %+v", res.NotKept)
	}
}

// asUser runs the calling test in a process of another user.
func asUser(t *testing.T, uid uint32) {
	// Neither the test binary nor the directories of package testing are open
	// to others.
	base, err := os.MkdirTemp("", "restore-user")
	must(t, err)
	defer os.RemoveAll(base)
	must(t, os.Chown(base, int(uid), int(uid)))
	self, err := os.Open("/proc/self/exe")
	must(t, err)
	defer self.Close()
	binary, err := os.OpenFile(filepath.Join(base, "test"), os.O_WRONLY|os.O_CREATE, 0o755)
	must(t, err)
	_, err = io.Copy(binary, self)
	must(t, err)
	must(t, binary.Chmod(0o755))
	must(t, binary.Close())
	child := exec.Command(binary.Name(), "-test.run=^"+t.Name()+"$", "-test.v")
	child.Env = append(os.Environ(), "TMPDIR="+base, "HOME="+base)
	child.Dir = base
	child.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := child.CombinedOutput()
	t.Logf("%s", out)
	must(t, err)
}
