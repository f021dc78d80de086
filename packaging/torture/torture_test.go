package torture_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/packaging/torture"
)

// quick is small enough for the many trees of these tests.
var quick = torture.Options{Files: 20, Depth: 11}

func build(t *testing.T, o torture.Options) (string, []torture.Omission) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tree")
	omitted, err := torture.Build(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return dir, omitted
}

func stat(t *testing.T, name string) unix.Stat_t {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	return st
}

func TestBuildIsRepeatable(t *testing.T) {
	a, omitted := build(t, quick)
	b, again := build(t, quick)
	for _, o := range omitted {
		t.Log(o)
	}
	if len(omitted) != len(again) {
		t.Errorf("%d omissions, then %d", len(omitted), len(again))
	}
	for _, d := range torture.Compare(a, b, torture.CompareOptions{Holes: true}) {
		t.Error(d)
	}
}

// TestBuildMakesEveryKind looks at the tree with other means than those that made it.
func TestBuildMakesEveryKind(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can make the whole tree")
	}
	dir, omitted := build(t, quick)
	for _, o := range omitted {
		if !strings.HasPrefix(o.What, "extended attribute") && !strings.HasPrefix(o.What, "modification time") {
			t.Errorf("root should be able to make this anywhere: %v", o)
		}
	}
	modes := map[string]uint32{
		"names/new\nline":                     unix.S_IFREG | 0o644,
		"names/\xff\xfe not UTF-8":            unix.S_IFREG | 0o644,
		"names/" + strings.Repeat("x", 255):   unix.S_IFREG | 0o644,
		"names/empty directory":               unix.S_IFDIR | 0o755,
		"sizes/empty":                         unix.S_IFREG | 0o644,
		"modes/file 4755":                     unix.S_IFREG | 0o4755,
		"modes/file 2755":                     unix.S_IFREG | 0o2755,
		"modes/file 0000":                     unix.S_IFREG,
		"modes/directory 1777":                unix.S_IFDIR | 0o1777,
		"owners/setuid":                       unix.S_IFREG | 0o6755,
		"special/fifo":                        unix.S_IFIFO | 0o620,
		"special/socket":                      unix.S_IFSOCK | 0o755,
		"special/null":                        unix.S_IFCHR | 0o666,
		"special/loop":                        unix.S_IFBLK | 0o660,
		"deep/0001/0002/0003/0004/0005":       unix.S_IFDIR | 0o755,
		"symlinks/dangling":                   unix.S_IFLNK | 0o777,
		"crowd/IMG_00019.JPG":                 unix.S_IFREG | 0o644,
		"links/b/same fifo":                   unix.S_IFIFO | 0o600,
		"acls/heirs/inner/heir":               unix.S_IFREG | 0o644,
		".":                                   unix.S_IFDIR | 0o751,
		"times/1901-12-13T20:45:52":           unix.S_IFREG | 0o644,
		"times/2038-01-19T03:14:07.999999999": unix.S_IFREG | 0o644,
	}
	for rel, want := range modes {
		if st := stat(t, filepath.Join(dir, rel)); st.Mode != want {
			t.Errorf("%q has mode %o, want %o", rel, st.Mode, want)
		}
	}
	if st := stat(t, filepath.Join(dir, "links/first")); st.Nlink != 4 {
		t.Errorf("links/first has %d names, want 4", st.Nlink)
	}
	if st := stat(t, filepath.Join(dir, "owners/4294967294 4294967294")); st.Uid != 1<<32-2 {
		t.Errorf("owner %d, want the largest", st.Uid)
	}
	if st := stat(t, filepath.Join(dir, "special/large minor")); unix.Minor(uint64(st.Rdev)) != 1_000_003 {
		t.Errorf("device %#x has another minor number", st.Rdev)
	}
	if st := stat(t, filepath.Join(dir, "sparse/several")); st.Size != 16<<20 || st.Blocks*512 > 4<<20 {
		t.Errorf("sparse/several: %d bytes on %d blocks", st.Size, st.Blocks)
	}
	if st := stat(t, filepath.Join(dir, "times/1969-12-31T23:59:59")); st.Mtim.Sec != -1 || st.Mtim.Nsec != 0 {
		t.Errorf("the second before the epoch became %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
	}
}

// TestFull builds what acceptance is measured on, and counts it.
func TestFull(t *testing.T) {
	if testing.Short() {
		t.Skip("not run: 50,000 files take some seconds")
	}
	dir, _ := build(t, torture.Full())
	crowd, err := os.ReadDir(filepath.Join(dir, "crowd"))
	if err != nil || len(crowd) != 50_000 {
		t.Errorf("%d files in one directory, want 50,000 (%v)", len(crowd), err)
	}
	if st := stat(t, filepath.Join(dir, "sparse/more than 5 GiB")); st.Size <= 5<<30 || st.Blocks*512 > 8<<20 {
		t.Errorf("%d bytes on %d blocks, want more than 5 GiB on few", st.Size, st.Blocks)
	}
	levels := 0
	for at := filepath.Join(dir, "deep"); ; levels++ {
		inner, err := filepath.Glob(at + "/0*")
		if err != nil || len(inner) != 1 {
			break
		}
		at = inner[0]
	}
	if levels != 200 {
		t.Errorf("%d levels, want 200", levels)
	}
}

func TestBuildRefusesWhatHoldsSomething(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "precious"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := torture.Build(dir, quick); !errors.Is(err, torture.ErrNotEmpty) {
		t.Errorf("got %v, want ErrNotEmpty", err)
	}
}

// TestOmissionsOfAnOrdinaryUser builds without root's rights: devices and foreign owners are named, all else is there.
func TestOmissionsOfAnOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can become somebody else")
	}
	const nobody = 65534
	dir := t.TempDir()
	for _, name := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(name, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	var omitted, differences []string
	var failure error
	done := make(chan struct{})
	go func() {
		defer close(done)
		// The thread alone becomes nobody; it ends with this goroutine, since it is never unlocked.
		runtime.LockOSThread()
		for _, call := range []uintptr{unix.SYS_SETGROUPS, unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
			id := uintptr(nobody)
			if call == unix.SYS_SETGROUPS {
				id = 0
			}
			if _, _, errno := unix.RawSyscall(call, id, id, id); errno != 0 {
				failure = errno
				return
			}
		}
		if failure = unix.Access(dir, unix.W_OK); failure != nil {
			return
		}
		for _, name := range []string{"a", "b"} {
			list, err := torture.Build(filepath.Join(dir, name), quick)
			if failure = err; err != nil {
				return
			}
			omitted = omitted[:0]
			for _, o := range list {
				omitted = append(omitted, o.Path+": "+o.What)
			}
		}
		differences = torture.Compare(filepath.Join(dir, "a"), filepath.Join(dir, "b"), torture.CompareOptions{})
	}()
	<-done
	if errors.Is(failure, unix.EACCES) {
		t.Skip("not run: nobody else may enter the directory for temporary files")
	}
	if failure != nil {
		t.Fatal(failure)
	}
	for _, want := range []string{"special/null: character device", "special/loop: block device", "owners/54321 54322: owner 54321:54322", "modes/file 0000: unreadable file"} {
		if !slices.Contains(omitted, want) {
			t.Errorf("%q is not among the omissions %q", want, omitted)
		}
	}
	if len(differences) > 0 {
		t.Errorf("two trees differ: %q", differences)
	}
}

// TestRsyncAgrees copies the tree with another program and asks both what was lost.
func TestRsyncAgrees(t *testing.T) {
	rsync, err := exec.LookPath("rsync")
	if err != nil {
		t.Skip("not run: rsync is not installed")
	}
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can copy the whole tree")
	}
	a, _ := build(t, quick)
	b := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command(rsync, "-aHAXS", a+"/", b+"/").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, d := range torture.Compare(a, b, torture.CompareOptions{}) {
		t.Error(d)
	}
	if err := os.Chmod(filepath.Join(b, "sizes/empty"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(rsync, "-aHAXn", "--checksum", "--itemize-changes", a+"/", b+"/").CombinedOutput()
	if lines := strings.TrimSpace(string(out)); err != nil || lines != ".f...p..... sizes/empty" {
		t.Errorf("rsync: %v: %q", err, lines)
	}
	got := torture.Compare(a, b, torture.CompareOptions{})
	if want := []string{`"sizes/empty": mode 0644 became 0600`}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
