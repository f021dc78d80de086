package fusefs_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/store/storetest"
)

// mountOptions returns the options of a mount, and those of its file system,
// as a process sees them.
func mountOptions(t *testing.T, process, dir string) (options, super []string) {
	t.Helper()
	b, err := os.ReadFile("/proc/" + process + "/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if f[4] == dir {
			return strings.Split(f[5], ","), strings.Split(f[len(f)-1], ",")
		}
	}
	t.Fatalf("nothing is mounted at %s", dir)
	return nil, nil
}

// checkOptions shows that nothing can be written, that programs gain no rights
// and that devices cannot be opened, whoever mounted, and that others come in
// only where the kernel looks at the permissions.
func checkOptions(t *testing.T, process, dir string, others, noExec bool) {
	t.Helper()
	options, super := mountOptions(t, process, dir)
	for option, want := range map[string]bool{"ro": true, "nosuid": true, "nodev": true, "noexec": noExec} {
		if slices.Contains(options, option) != want {
			t.Errorf("%s: %v in %q", option, !want, options)
		}
	}
	for option, want := range map[string]bool{"default_permissions": true, "allow_other": others} {
		if slices.Contains(super, option) != want {
			t.Errorf("%s: %v in %q", option, !want, super)
		}
	}
}

// TestRights has a program with all rights, a device and a plain program run
// and opened out of the mount, and for comparison on disk.
func TestRights(t *testing.T) {
	needFUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can make programs and devices that are dangerous")
	}
	dir := filepath.Join(t.TempDir(), "library")
	if !have(t, "setpriv") {
		return
	}
	program, err := os.ReadFile("/usr/bin/id")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/setuid", program)
	write(t, dir+"/setgid", program)
	err = errors.Join(os.Chmod(dir+"/setuid", 0o755|os.ModeSetuid), os.Chmod(dir+"/setgid", 0o755|os.ModeSetgid),
		unix.Mknod(dir+"/zero", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))), os.Chmod(dir+"/zero", 0o666))
	if err != nil {
		t.Fatal(err)
	}
	openUp(t, dir)
	run := func(dir, name, option string) string {
		// By another program, since Go stands still while it starts one, and the
		// mount with it.
		id := fmt.Sprint(stranger)
		out, err := exec.Command("setpriv", "--reuid", id, "--regid", id, "--clear-groups", filepath.Join(dir, name), option).CombinedOutput()
		if err != nil && strings.Contains(string(out), "Permission denied") {
			return "denied"
		}
		return strings.TrimSpace(string(out))
	}
	open := func(dir string) (err error) {
		f, err := os.Open(dir + "/zero")
		if err == nil {
			err = f.Close()
		}
		return err
	}
	if u, g := run(dir, "setuid", "-u"), run(dir, "setgid", "-g"); u != "0" || g != "0" {
		t.Logf("not shown here: on this disk programs gain nothing either: user %s, group %s", u, g)
	}
	if err := open(dir); err != nil {
		t.Logf("not shown here: on this disk devices cannot be opened either: %v", err)
	}
	r := storetest.New(t).Open(t)
	back(t, r, dir, "library", nil)
	for _, noExec := range []bool{false, true} {
		m := mount(t, r, func(o *fusefs.Options) { o.AllowOther, o.NoExec = true, noExec })
		openUp(t, m.dir)
		checkOptions(t, "self", m.dir, true, noExec)
		root := m.path("latest", "library")
		want := fmt.Sprint(stranger)
		if noExec {
			want = "denied"
		}
		if u, g := run(root, "setuid", "-u"), run(root, "setgid", "-g"); u != want || g != want {
			t.Errorf("noexec %v: a program runs as user %s, group %s; want %s", noExec, u, g, want)
		}
		if info, err := os.Stat(root + "/setuid"); err != nil || info.Mode() != 0o755|os.ModeSetuid {
			t.Errorf("the bits are shown as %v: %v", info, err)
		}
		if err := open(root); !errors.Is(err, unix.EACCES) {
			t.Errorf("opening a device: %v", err)
		}
	}
}

// TestAlone shows that without AllowOther nobody else gets in.
func TestAlone(t *testing.T) {
	m, _, _, _, _ := view(t, nil)
	checkOptions(t, "self", m.dir, false, false)
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can look with another user's eyes")
	}
	openUp(t, m.dir)
	as(t, stranger, stranger, func() {
		if _, err := os.ReadDir(m.dir); !errors.Is(err, unix.EACCES) {
			t.Errorf("another user at the root of the view: %v", err)
		}
		if _, err := os.Stat(m.path("latest")); !errors.Is(err, unix.EACCES) {
			t.Errorf("another user below it: %v", err)
		}
	})
}

// ordinaryDir and ordinaryOthers are for the process of an ordinary user.
const (
	ordinaryDir    = "KEEPSAKE_TEST_ORDINARY"
	ordinaryOthers = "KEEPSAKE_TEST_OTHERS"
)

// TestOrdinaryHelper is that process: it backs up, mounts, and unmounts when
// its standard input ends. Elsewhere it does nothing.
func TestOrdinaryHelper(t *testing.T) {
	dir := os.Getenv(ordinaryDir)
	if dir == "" {
		return
	}
	write(t, dir+"/library/public", []byte("public"))
	write(t, dir+"/library/own", []byte("own"))
	if err := os.Chmod(dir+"/library/own", 0o600); err != nil {
		t.Fatal(err)
	}
	r := storetest.New(t).Open(t)
	back(t, r, dir+"/library", "library", nil)
	others := os.Getenv(ordinaryOthers) != ""
	m, err := fusefs.Mount(t.Context(), fusefs.Options{Repository: r, Dir: dir + "/view", AllowOther: others, NoExec: !others})
	if err != nil {
		fmt.Println("refused:", strings.ReplaceAll(err.Error(), "\n", " "))
		return
	}
	fmt.Println("mounted")
	_, _ = io.ReadAll(os.Stdin) // ends when the test does
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	fmt.Println("unmounted")
}

// nobody has a name everywhere, without which fusermount does not mount.
const nobody = 65534

// ordinary is a process of an ordinary user, in a place of its own where that
// user may open the device and the machine's rules for others are as the test
// wants them.
type ordinary struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	in   io.Closer
	says *bufio.Scanner
}

func startOrdinary(t *testing.T, rules string, others bool) *ordinary {
	t.Helper()
	base := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	p := &ordinary{t: t, dir: base + "/home"}
	err = errors.Join(os.WriteFile(base+"/test", binary, 0o755), os.WriteFile(base+"/rules", []byte(rules), 0o644), os.Mkdir(p.dir, 0o755),
		os.Chown(p.dir, nobody, nobody), os.Mkdir(base+"/dev", 0o755))
	if err != nil {
		t.Fatal(err)
	}
	openUp(t, p.dir)
	const script = `mount -t tmpfs -o dev,mode=755 keepsake-test "$1/dev" && mknod -m 666 "$1/dev/fuse" c 10 229 &&
mount --bind "$1/dev/fuse" /dev/fuse && mount --bind "$1/rules" /etc/fuse.conf &&
exec setpriv --reuid "$2" --regid "$2" --clear-groups "$1/test" -test.run='^TestOrdinaryHelper$'`
	p.cmd = exec.Command("unshare", "--mount", "--propagation", "private", "bash", "-c", script, "bash", base, fmt.Sprint(nobody))
	p.cmd.Env = append(os.Environ(), ordinaryDir+"="+p.dir, "TMPDIR="+p.dir)
	if others {
		p.cmd.Env = append(p.cmd.Env, ordinaryOthers+"=1")
	}
	out, errOut := p.cmd.StdoutPipe()
	in, errIn := p.cmd.StdinPipe()
	if err := errors.Join(errOut, errIn); err != nil {
		t.Fatal(err)
	}
	p.in, p.says, p.cmd.Stderr = in, bufio.NewScanner(out), p.cmd.Stdout
	var said strings.Builder
	p.cmd.Stderr = &said
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()   // once more after an orderly end
		_ = p.cmd.Wait() // likewise
		if t.Failed() {
			t.Logf("the ordinary user's process: %s", said.String())
		}
	})
	return p
}

// waits returns the first line with one of the words that the process says.
func (p *ordinary) waits(words ...string) string {
	p.t.Helper()
	for p.says.Scan() {
		for _, w := range words {
			if strings.HasPrefix(p.says.Text(), w) {
				return p.says.Text()
			}
		}
	}
	p.t.Fatalf("it never said %q", words)
	return ""
}

// reads returns what somebody reads there of a file, "" if nothing.
func (p *ordinary) reads(uid int, path string) string {
	p.t.Helper()
	id := fmt.Sprint(uid)
	c := exec.Command("nsenter", "--target", fmt.Sprint(p.cmd.Process.Pid), "--mount", "setpriv", "--reuid", id, "--regid", id, "--clear-groups", "cat", path)
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil && !strings.Contains(errs.String(), "Permission denied") {
		p.t.Errorf("user %d reads %s: %v: %s", uid, path, err, errs.String())
	}
	return string(out)
}

// TestOrdinaryUser mounts as a user without any rights, by fusermount.
func TestOrdinaryUser(t *testing.T) {
	needFUSE(t)
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can become somebody else")
	}
	for _, tool := range []string{"fusermount3", "unshare", "setpriv", "nsenter"} {
		if !have(t, tool) {
			return
		}
	}
	t.Run("alone", func(t *testing.T) {
		p := startOrdinary(t, "", false)
		p.waits("mounted")
		root := p.dir + "/view/latest/library/"
		checkOptions(t, fmt.Sprint(p.cmd.Process.Pid), p.dir+"/view", false, true)
		for _, test := range []struct {
			uid        int
			file, want string
		}{{nobody, "own", "own"}, {nobody, "public", "public"}, {stranger, "public", ""}, {0, "public", ""}} {
			if got := p.reads(test.uid, root+test.file); got != test.want {
				t.Errorf("user %d reads %q of %s", test.uid, got, test.file)
			}
		}
		p.ends()
	})
	t.Run("others", func(t *testing.T) {
		p := startOrdinary(t, "user_allow_other\n", true)
		p.waits("mounted")
		root := p.dir + "/view/latest/library/"
		checkOptions(t, fmt.Sprint(p.cmd.Process.Pid), p.dir+"/view", true, false)
		for _, test := range []struct {
			uid        int
			file, want string
		}{{nobody, "own", "own"}, {stranger, "public", "public"}, {stranger, "own", ""}, {0, "own", "own"}} {
			if got := p.reads(test.uid, root+test.file); got != test.want {
				t.Errorf("user %d reads %q of %s", test.uid, got, test.file)
			}
		}
		p.ends()
	})
	t.Run("others without the administrator's leave", func(t *testing.T) {
		p := startOrdinary(t, "", true)
		if said := p.waits("mounted", "refused"); !strings.Contains(said, "user_allow_other") {
			t.Errorf("it says %q", said)
		}
		p.ends()
	})
}

// ends has the process unmount and end well.
func (p *ordinary) ends() {
	p.t.Helper()
	if err := p.in.Close(); err != nil {
		p.t.Error(err)
	}
	for p.says.Scan() {
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("the ordinary user's process: %v", err)
	}
}
