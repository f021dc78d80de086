package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// misplaced are mount points that cannot be, with what is said and the step
// that it names. All of them end with exitFailed, and leave everything as it was.
var misplaced = []struct {
	name, dir string
	prepare   func(m *machine, dir string)
	says      []string
}{
	{"a file", "file", func(m *machine, dir string) { writeFile(m.t, dir, nil) }, []string{"file: not a directory", "choose an empty directory"}},
	{"below a file", "file/view", func(m *machine, dir string) { writeFile(m.t, filepath.Dir(dir), nil) }, []string{"not a directory"}},
	{"a link to a file", "link", func(m *machine, dir string) {
		writeFile(m.t, m.path("file"), nil)
		check(m.t, os.Symlink("file", dir))
	}, []string{"link: not a directory"}},
	{"a link to nothing", "link", func(m *machine, dir string) { check(m.t, os.Symlink("nothing", dir)) }, []string{"is a link to nothing, which is not there", "Make that directory"}},
	{"not empty", "full", func(m *machine, dir string) { writeFile(m.t, filepath.Join(dir, "a"), nil) }, []string{`holds "a"`, "choose another directory or an empty one"}},
	{"the repository", "home/.local/share/keepsake", nil, []string{"lies inside the repository", "Choose a directory of its own"}},
	{"in the repository", "home/.local/share/keepsake/view", nil, []string{"lies inside the repository", "Choose a directory of its own"}},
	{"in the repository by a link", "link/data/view", func(m *machine, dir string) { check(m.t, os.Symlink(m.repository(), m.path("link"))) },
		[]string{"lies inside the repository"}},
	{"in the state", "home/.local/state/keepsake/*/view", nil, []string{"lies inside keepsake's state directory"}},
	{"no parent", "nowhere/view", nil, []string{"nowhere is not there", "mkdir -p "}},
	{"a system's own", "/proc", nil, []string{"something is mounted there already: proc", "choose another directory"}},
	{"nothing can be made there", "/proc/view", nil, []string{"/proc/view"}},
}

func TestMountPlaces(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	for _, test := range misplaced {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			m.ok("init", "-q")
			m.ok("snapshots") // makes the state
			dir := test.dir
			if !filepath.IsAbs(dir) {
				dir = m.path(dir)
			}
			if found, err := filepath.Glob(filepath.Dir(dir)); err == nil && len(found) == 1 {
				dir = filepath.Join(found[0], filepath.Base(dir))
			}
			if test.prepare != nil {
				test.prepare(m, dir)
			}
			s := m.exits(exitFailed, "mount", dir)
			for _, want := range test.says {
				if !strings.Contains(s.stderr, want) {
					t.Errorf("it does not say %q:\n%s", want, s.stderr)
				}
			}
			m.gone()
			m.ok("check")
		})
	}
	t.Run("no place", func(t *testing.T) {
		m := newMachine(t)
		m.exits(exitUsage, "mount")
		m.exits(exitUsage, "mount", "")
		m.exits(exitUsage, "mount", "a", "b")
		m.exits(exitNoRepository, "mount", "a")
	})
	t.Run("up", func(t *testing.T) {
		m := newMachine(t)
		m.ok("init", "-q")
		writeFile(t, m.path("lib", "a"), nil)
		for _, dir := range []string{m.path("lib", "a"), filepath.Join(m.repository(), "view")} {
			m.exits(exitFailed, "up", "lib", "--mount", dir)
		}
	})
}

// TestMountTwice: a place where a view is shown is not used again, by whichever
// process, and what is shown there goes on.
func TestMountTwice(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	m.ok("init", "-q")
	writeFile(t, m.path("lib", "a"), []byte("a"))
	m.ok("backup", "-q", "lib")
	first := m.start("mount", m.path("view"))
	first.says("Ctrl-C", time.Minute)
	const want = "a view by another keepsake that is running"
	if s := m.exits(exitFailed, "mount", m.path("view")); !strings.Contains(s.stderr, want) || !strings.Contains(s.stderr, "umount "+m.path("view")) {
		t.Errorf("through the process that shows it: %q", s.stderr)
	}
	other := m.with("KEEPSAKE_REPOSITORY="+m.path("other"), "KEEPSAKE_KEY_FILE="+m.path("other-key"))
	other.ok("init", "-q")
	if s := other.exits(exitFailed, "mount", m.path("view")); !strings.Contains(s.stderr, want) {
		t.Errorf("by another process: %q", s.stderr)
	}
	sameTree(t, m.path("lib"), m.path("view/latest/lib")+"/")
	if s := m.ok("status"); !strings.Contains(s.stdout, "\nView       "+m.path("view")+"\n") || strings.Contains(s.stderr, "does not answer") {
		t.Errorf("status does not say where snapshots are shown:\n%s%s", s.stdout, s.stderr)
	}
	if s := m.ok("status", "--json"); !strings.Contains(s.stdout, `"views":[{"path":"`+m.path("view")+`","answers":true,"allow_other":false,"no_exec":false,"cache_bytes":67108864}]`) {
		t.Errorf("status does not say where snapshots are shown:\n%s", s.stdout)
	}
	if code := first.stop(syscall.SIGINT); code != 0 {
		t.Errorf("it ended with %d", code)
	}
}

// machineScript prepares what mount needs of a machine, in a namespace of its
// own, and becomes somebody without rights.
const machineScript = `set -e
[ -e device ] || mknod device c 10 229; chmod 666 device; mount --bind device /dev/fuse
%s
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"`

// TestMountAsUser: an ordinary user mounts by fusermount3, and is told what is
// missing where that does not work.
func TestMountAsUser(t *testing.T) {
	needsFUSE(t)
	needsRoot(t, "preparing the machine of an ordinary user")
	t.Parallel()
	for _, tool := range []string{"unshare", "setpriv", "fusermount3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("the test needs %s: %v", tool, err)
		}
	}
	m := newMachine(t)
	check(t, os.Chown(m.home, nobody, nobody))
	check(t, os.Mkdir(m.path("lib"), 0o755))
	writeFile(t, m.path("lib", "a"), []byte("a"))
	check(t, os.WriteFile(m.path("fuse.conf"), []byte("# comment\n user_allow_other \n"), 0o644))
	check(t, os.WriteFile(m.path("closed.conf"), []byte("#user_allow_other\nmount_max = 5\n"), 0o644))
	check(t, os.MkdirAll(m.path("others"), 0o755))
	const closed = "mount --bind closed.conf /etc/fuse.conf"
	view := filepath.Join(m.home, "view")
	as := func(script string, args ...string) *exec.Cmd {
		text := strings.Replace(machineScript, "%s", script, 1)
		c := command(context.Background(), m.dir, m.env, 0)
		c.Path, c.Args = "/usr/bin/unshare", append([]string{"unshare", "--mount", "sh", "-c", text, "sh", program}, args...)
		return c
	}
	for _, args := range [][]string{{"init", "-q"}, {"backup", "-q", m.path("lib")}} {
		if code, err := execute(as("", args...), io.Discard, os.Stderr); err != nil || code != 0 {
			t.Fatalf("%v: %d %v", args, code, err)
		}
	}
	for _, test := range []struct {
		name, script string
		args         []string
		says         []string
	}{
		{"no device", "umount /dev/fuse; mount --bind /dev/null /dev/fuse; mount -t tmpfs none /dev", []string{view}, []string{"install the package fuse3", "modprobe fuse", "--device /dev/fuse"}},
		{"a closed device", "chmod 600 /dev/fuse", []string{view}, []string{"/dev/fuse cannot be opened by this user", "chmod 666"}},
		{"others without leave", closed, []string{view, "--allow-other"}, []string{"/etc/fuse.conf has no line user_allow_other", "sudo tee -a /etc/fuse.conf", "without --allow-other"}},
		{"another's directory", "", []string{m.path("others")}, []string{"only on directories that they may write to", "chown"}},
		{"in another's directory", "", []string{m.path("others", "view")}, []string{"may not write to " + m.path("others"), "~/Keepsake"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out, told bytes.Buffer
			code, err := execute(as(test.script, append([]string{"mount"}, test.args...)...), &out, &told)
			check(t, err)
			if code != exitFailed {
				t.Errorf("exit code %d, want %d", code, exitFailed)
			}
			for _, want := range test.says {
				if !strings.Contains(told.String(), want) {
					t.Errorf("it does not say %q:\n%s", want, told.String())
				}
			}
		})
	}
	// Its mounts are in its namespace, and seen through its root.
	r := m.launch(as("mount --bind fuse.conf /etc/fuse.conf", "mount", view, "--allow-other", "--no-exec", "--read-ahead", "1MiB"))
	r.says("Ctrl-C", time.Minute)
	if !strings.Contains(r.out.String(), "the kernel's read-ahead stays as it is: open /sys/class/bdi/") {
		t.Errorf("nothing is said of the read-ahead that only root may set:\n%s", r.out.String())
	}
	inside := filepath.Join("/proc", pidOf(r), "root", view)
	if b, err := os.ReadFile(filepath.Join(inside, "latest/lib/a")); err != nil || string(b) != "a" {
		t.Errorf("the view of an ordinary user shows %q to root: %v", b, err)
	}
	b, err := os.ReadFile(filepath.Join("/proc", pidOf(r), "mounts"))
	check(t, err)
	_, line, _ := strings.Cut(string(b), "keepsake "+view+" ")
	line, _, _ = strings.Cut(line, "\n")
	for _, flag := range []string{"ro", "nosuid", "nodev", "noexec", "allow_other", "default_permissions"} {
		if !strings.Contains(","+strings.ReplaceAll(line, " ", ",")+",", ","+flag+",") {
			t.Errorf("the view is mounted %q, without %s", line, flag)
		}
	}
	if code := r.stop(syscall.SIGINT); code != 0 {
		t.Errorf("it ended with %d", code)
	}
	if _, err := os.Stat(view); !os.IsNotExist(err) {
		t.Errorf("the directory that it made is still there: %v", err)
	}
}

// TestViewThatDoesNotAnswer: status says so, and waits for no view.
func TestViewThatDoesNotAnswer(t *testing.T) {
	fine := t.TempDir()
	check(t, os.Mkdir(filepath.Join(fine, "latest"), 0o755))
	v := views{all: []*shown{{place: viewPlace{dir: t.TempDir()}}, {place: viewPlace{dir: fine}}}}
	if got := v.states(); got[0].Answers || !got[1].Answers {
		t.Errorf("got %+v", got)
	}
}
