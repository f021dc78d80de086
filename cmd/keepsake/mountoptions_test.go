package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mounted is how the kernel has a view mounted.
type mounted struct {
	flags     []string // of the mount and of its file system
	readAhead string   // in KiB
}

// mountedAt reads the table of mounts.
func mountedAt(t *testing.T, dir string) mounted {
	t.Helper()
	b, err := os.ReadFile("/proc/self/mountinfo")
	check(t, err)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if unescapeMount(f[4]) != dir {
			continue
		}
		b, err := os.ReadFile(filepath.Join("/sys/class/bdi", f[2], "read_ahead_kb"))
		check(t, err)
		return mounted{append(strings.Split(f[5], ","), strings.Split(f[len(f)-1], ",")...), strings.TrimSpace(string(b))}
	}
	t.Fatalf("nothing is mounted at %s", dir)
	return mounted{}
}

// is demands flags, or with a ! that they are not there.
func (m mounted) is(t *testing.T, flags ...string) {
	t.Helper()
	for _, f := range flags {
		name, not := strings.CutPrefix(f, "!")
		if slices.Contains(m.flags, name) == not {
			t.Errorf("the view is mounted %s, which is not %s", m.flags, f)
		}
	}
}

// TestMountOptions: what is asked for is what the kernel has, whoever mounts,
// and whoever was asked.
func TestMountOptions(t *testing.T) {
	needsFUSE(t)
	needsRoot(t, "setting the kernel's read-ahead")
	t.Parallel()
	m := newMachine(t)
	m.ok("init", "-q")
	writeFile(t, m.path("lib", "a"), []byte("a"))
	m.ok("backup", "-q", "lib")
	view := m.path("view")
	always := []string{"ro", "nosuid", "nodev", "default_permissions"}
	byMount := func(t *testing.T, args []string, ahead string, flags ...string) {
		t.Helper()
		r := m.start(append([]string{"mount", view}, args...)...)
		r.says("Ctrl-C", time.Minute)
		at := mountedAt(t, view)
		at.is(t, append(flags, always...)...)
		if at.readAhead != ahead {
			t.Errorf("%s: the kernel reads %s KiB ahead, not %s", args, at.readAhead, ahead)
		}
		if code := r.stop(syscall.SIGINT); code != 0 {
			t.Errorf("%s: it ended with %d", args, code)
		}
	}
	const kernels, usual = "128", "512"
	all := []string{"--no-exec", "--allow-other", "--read-ahead", "1MiB"}
	byMount(t, nil, usual, "!noexec", "!allow_other")
	byMount(t, all, "1024", "noexec", "allow_other")

	m.writeConfig("profile = \"development\"\nrepository = \"" + m.repository() + "\"\nmemory = \"100MiB\"\nno-exec = true\nread-ahead = \"2MiB\"\nmount = \"" + m.mount() + "\"\n" + m.directory("lib"))
	byMount(t, nil, "2048", "noexec", "!allow_other")
	byMount(t, []string{"--no-exec=false", "--read-ahead", "0"}, kernels, "!noexec", "!allow_other")

	d := m.daemon(0)
	d.says("msg=ready", time.Minute)
	at := mountedAt(t, m.mount())
	at.is(t, append(always, "noexec", "allow_other")...)
	if at.readAhead != "2048" {
		t.Errorf("the kernel reads %s KiB ahead in the service's view", at.readAhead)
	}
	if s := m.run("status", "--json"); !strings.Contains(s.stdout, `"cache_bytes":52428800}`) {
		t.Errorf("the service's cache is not half of its memory:\n%s", s.stdout)
	}
	// Through the control socket: the service mounts.
	byMount(t, []string{"--no-exec=false", "--read-ahead", "256KiB"}, "256", "!noexec", "!allow_other")
	d.ends()
	check(t, os.Remove(m.configPath()))

	up := m.start("up", "lib", "--mount", view, "--cache", "32MiB", "--no-exec", "--read-ahead", "256KiB", "--allow-other=false")
	up.says("Watching", time.Minute)
	mountedAt(t, view).is(t, append(always, "noexec", "!allow_other")...)
	if code := up.stop(syscall.SIGINT); code != 0 {
		t.Error("up ended with", code)
	}
	b, err := os.ReadFile(m.configPath())
	check(t, err)
	for _, line := range []string{`cache = "32MiB"`, "no-exec = true", `read-ahead = "256KiB"`} {
		if !strings.Contains(string(b), "\n"+line+"\n") {
			t.Errorf("up has not written %s into its configuration:\n%s", line, b)
		}
	}
	m.gone()
}

// TestMountOptionsRefused: as in the configuration, and before anything is
// looked at.
func TestMountOptionsRefused(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, verb := range [][]string{{"mount", "view"}, {"up", "."}} {
		for arg, want := range map[string]string{
			"--cache=4MiB":        `--cache "4MiB" is too small; with less than 8MiB`,
			"--cache=64":          `--cache "64" has no unit; write KiB`,
			"--cache=64M":         `--cache "64M" is ambiguous`,
			"--cache=":            `--cache "" is not a size`,
			"--read-ahead=1KiB":   `--read-ahead "1KiB" is too small; the kernel reads 128KiB`,
			"--read-ahead=1GiB":   `--read-ahead "1GiB" is too large`,
			"--read-ahead=130KiB": `--read-ahead "130KiB" is no multiple`,
			"--no-exec=perhaps":   `--no-exec is true or false, not "perhaps"`,
		} {
			if s := m.exits(exitUsage, append(verb, arg)...); !strings.Contains(s.stderr, want) || !strings.Contains(s.stderr, "--help") {
				t.Errorf("%s %s says %q", verb[0], arg, s.stderr)
			}
		}
	}
}

// TestMountMemory: a small cache keeps the process small while a file of many
// times its size is read, and a large one, the control, does not.
func TestMountMemory(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	const video = 48 << 20
	m := newMachine(t)
	m.ok("init", "-q")
	writeFile(t, m.path("lib", "clip.mov"), noise(video, 1))
	m.ok("backup", "-q", "lib")
	peak := func(cache string) int {
		r := m.start("mount", m.path("view"), "--cache", cache)
		r.says("Ctrl-C", time.Minute)
		f, err := os.Open(m.path("view/latest/lib/clip.mov"))
		check(t, err)
		n, err := io.Copy(io.Discard, f)
		check(t, err)
		check(t, f.Close())
		if n != video {
			t.Errorf("%d bytes were read", n)
		}
		kib := peakMemory(t, r.cmd.Process.Pid)
		if code := r.stop(syscall.SIGINT); code != 0 {
			t.Errorf("it ended with %d", code)
		}
		return kib
	}
	small, large := peak("8MiB"), peak("256MiB")
	t.Logf("peak with 8MiB %d KiB, with 256MiB %d KiB", small, large)
	if small+(24<<10) > large {
		t.Errorf("the peak is %d KiB with a cache of 8MiB and %d KiB with one of 256MiB: the option does nothing", small, large)
	}
}

// peakMemory is the largest resident memory that a process has had, in KiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(t, err)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, err := strconv.Atoi(f[1])
			check(t, err)
			return kib
		}
	}
	t.Fatal("the kernel tells no peak")
	return 0
}

// TestFoldersAreExplained: whatever lies in a view is named by what mount says,
// and nothing else is.
func TestFoldersAreExplained(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	m.ok("init", "-q")
	r := m.start("mount", m.path("view"))
	r.says("Ctrl-C", time.Minute)
	entries, err := os.ReadDir(m.path("view"))
	check(t, err)
	var there, told []string
	for _, e := range entries {
		if e.IsDir() {
			there = append(there, e.Name())
		}
	}
	for _, f := range folders {
		told = append(told, f.name)
		r.says("\n  "+f.name, time.Minute)
	}
	slices.Sort(told)
	if !slices.Equal(there, told) {
		t.Errorf("there are the folders %s, and told is of %s", there, told)
	}
	help := m.ok("mount", "--help").stdout
	for _, f := range folders {
		if !strings.Contains(help, "DIR/"+f.name+"/") || !strings.Contains(help, f.what) {
			t.Errorf("the help does not explain %s:\n%s", f.name, help)
		}
	}
	if code := r.stop(syscall.SIGINT); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// TestServiceViewForOthers: as its unit starts it, with a umask that closes
// everything, the service shows its view to all users, and to each of them what
// is theirs to read.
func TestServiceViewForOthers(t *testing.T) {
	needsFUSE(t)
	needsRoot(t, "being two users")
	t.Parallel()
	m := newMachine(t)
	m.ok("init", "-q")
	writeFile(t, m.path("lib", "open"), []byte("a"))
	writeFile(t, m.path("lib", "closed"), []byte("b"))
	check(t, os.Chmod(m.path("lib"), 0o755))
	check(t, os.Chmod(m.path("lib", "open"), 0o644))
	check(t, os.Chmod(m.path("lib", "closed"), 0o600))
	view := m.path("volume", "shares", "view")
	m.writeConfig("repository = \"" + m.repository() + "\"\nmount = \"" + view + "\"\n" + m.directory("lib"))
	c := command(t.Context(), m.dir, m.env, 0)
	c.Path, c.Args = "/bin/sh", []string{"sh", "-c", `umask 077; exec "$0" daemon`, program}
	d := m.launch(c)
	until(t, time.Minute, "the first snapshot", func() bool {
		_, err := os.Stat(filepath.Join(view, "latest/lib/open"))
		return err == nil
	})
	as := func(uid int, name string) string {
		c := exec.Command("cat", filepath.Join(view, "latest/lib", name))
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
		out, err := c.CombinedOutput()
		if err != nil {
			return err.Error() + " " + string(out)
		}
		return string(out)
	}
	if got := as(nobody, "open"); got != "a" {
		t.Errorf("another user reads %q of what all may read", got)
	}
	if got := as(nobody, "closed"); !strings.Contains(got, "Permission denied") {
		t.Errorf("another user reads %q of what is closed", got)
	}
	if got := as(0, "closed"); got != "b" {
		t.Errorf("root reads %q", got)
	}
	if code := d.stop(syscall.SIGTERM); code != 0 {
		t.Error("the service ended with", code)
	}
}
