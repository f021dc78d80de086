package main

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestServiceSupervision is a daemon's life as its manager hears of it.
func TestServiceSupervision(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	m.library()
	m.ok("init", "-q")
	m.configure("", m.directory("Pictures"))
	d := m.daemon(2 * time.Second)

	// When it says that it is ready the view stands.
	if points := mountsBelow(t, m.mount()); len(points) != 1 {
		t.Errorf("ready, and mounted is %q", points)
	}
	for _, n := range d.g.all() {
		if n.lines[0] == "READY=1" && !strings.Contains(strings.Join(n.lines, "\n"), "STATUS=Keeping 1 source") {
			t.Errorf("ready with %q", n.lines)
		}
	}
	m.becomes("Pictures", "complete")

	// Idle, it is heard of all the same.
	n := len(d.g.all())
	until(t, time.Minute, "three beats", func() bool { return d.g.count(n, "WATCHDOG=1") >= 3 })
	d.reload()
	d.ends()
	if last := d.g.all()[len(d.g.all())-1]; strings.HasPrefix(last.lines[0], "READY") {
		t.Errorf("the last word is %q", last.lines)
	}
	m.sound()
}

// stopping is what a daemon may be doing when it is told to stop.
var stopping = []struct {
	name    string
	sources func(m *machine) []string
	// busy brings it about, and undoes what it did here.
	busy func(m *machine, d *serviced) (undo func())
}{
	{"idle", func(m *machine) []string { return []string{m.directory("Pictures")} }, func(m *machine, _ *serviced) func() {
		m.becomes("Pictures", "complete")
		return func() {}
	}},
	{"first backup", func(m *machine) []string {
		for i := range 4 {
			writeFile(m.t, m.path("Pictures", "large"+string(rune('0'+i))), noise(4<<20, byte(i)))
		}
		return []string{m.directory("Pictures")}
	}, func(m *machine, _ *serviced) func() {
		until(m.t, time.Minute, "the first backup to begin", func() bool { return m.standing("Pictures").State == "in progress" })
		return func() {}
	}},
	{"command that hangs", func(m *machine) []string {
		return []string{m.directory("Pictures"), printing("hangs", "trap '' TERM; touch "+m.path("hangs")+"; sleep 1000 & wait; wait; sleep 1000")}
	}, func(m *machine, _ *serviced) func() {
		until(m.t, time.Minute, "the command to run", func() bool { return exists(m.path("hangs")) })
		return func() {}
	}},
	{"command before", func(m *machine) []string {
		return []string{m.directory("Pictures", "before = [[\"/bin/sh\", \"-c\", \"touch "+m.path("before")+"; sleep 1000\"]]", "after = [[\"touch\", \""+m.path("after")+"\"]]")}
	}, func(m *machine, _ *serviced) func() {
		until(m.t, time.Minute, "the command to run", func() bool { return exists(m.path("before")) })
		return func() {
			if !exists(m.path("after")) {
				m.t.Error("what undoes the command before was not run")
			}
			check(m.t, os.Remove(m.path("before")))
		}
	}},
	{"open file in the view", func(m *machine) []string { return []string{m.directory("Pictures")} }, func(m *machine, _ *serviced) func() {
		m.becomes("Pictures", "complete")
		f, err := os.Open(filepath.Join(m.mount(), "latest/Pictures/clip.mov"))
		check(m.t, err)
		_, err = io.CopyN(io.Discard, f, 1000)
		check(m.t, err)
		return func() { f.Close() }
	}},
	{"client that takes nothing", func(m *machine) []string { return []string{m.directory("Pictures")} }, func(m *machine, d *serviced) func() {
		m.becomes("Pictures", "complete")
		// A client whose reader takes nothing: what it does goes on for ever.
		fifo := m.path("nobody reads")
		check(m.t, syscall.Mkfifo(fifo, 0o600))
		out, err := os.OpenFile(fifo, os.O_RDWR, 0)
		check(m.t, err)
		// It outlives the daemon, and is not counted among what is left of it.
		env := append(baseEnv(m.path("elsewhere")), "KEEPSAKE_REPOSITORY="+m.repository(), "KEEPSAKE_STATE_DIR="+m.home+"/.local/state/keepsake", "KEEPSAKE_KEY_FILE="+m.home+"/.config/keepsake/key")
		c := command(m.t.Context(), m.dir, env, 0, "dump", "latest:clip.mov")
		c.Stdout = out
		check(m.t, c.Start())
		time.Sleep(500 * time.Millisecond)
		return func() {
			out.Close()
			check(m.t, c.Process.Kill()) // it waits for its reader, who is itself
			_ = c.Wait()
		}
	}},
}

// TestServiceStops tells a daemon to stop whatever it does: it does so in order
// and in time, leaves nothing, and the next one goes on.
func TestServiceStops(t *testing.T) {
	needsFUSE(t)
	for _, test := range stopping {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			lib := m.library()
			m.ok("init", "-q")
			keys := ""
			if test.name == "first backup" {
				keys = "max-read = \"1MiB\""
			}
			m.configure(keys, test.sources(m)...)
			d := m.daemon(0)
			undo := test.busy(m, d)
			d.ends()
			undo()
			if left := processesOf(t, m.home); len(left) > 0 {
				t.Errorf("processes are left: %v", left)
			}

			// The next one brings to its end what this one had begun.
			m.configure("", m.directory("Pictures"))
			d = m.daemon(0)
			m.becomes("Pictures", "complete")
			sameTree(t, lib, filepath.Join(m.mount(), "latest/Pictures")+"/")
			d.ends()
			m.sound()
		})
	}
}

// TestServiceStuck: a file system that does not answer silences the watchdog,
// however well the rest runs, and one that answers again is heard of again. A
// dump that takes its time does not: the source that waits for its turn waits
// rightly.
func TestServiceStuck(t *testing.T) {
	needsFUSE(t)
	if os.Getenv("KEEPSAKE_LONG") == "" {
		t.Skip("not run: KEEPSAKE_LONG is not set")
	}
	t.Parallel()
	const watchdog = 2 * time.Second
	// The file system is served by a process that can be stopped: the view of
	// another repository.
	far := newMachine(t)
	for i := range 40 {
		writeFile(t, far.path("lib", strconv.Itoa(i)), noise(1<<20, byte(i)))
	}
	far.ok("init", "-q")
	far.ok("backup", "-q", "lib")
	server := far.start("mount", "view")
	server.says("Snapshots are at", time.Minute)

	m := newMachine(t)
	writeFile(t, m.path("near/a"), []byte("a"))
	m.ok("init", "-q")
	// The path of the snapshot, not the link to it: that one changes.
	real, err := filepath.EvalSymlinks(far.path("view/latest/lib"))
	check(t, err)
	source := "[[source]]\nlabel = \"far\"\npath = \"" + real + "\"\n"
	m.configure("max-read = \"2MiB\"\n", m.directory("near"), printing("slow", "sleep 6; echo done"))
	d := m.daemon(watchdog)
	progress := func() int { return d.g.count(0, "WATCHDOG=1") }

	// While the slow one has its turn, and while the far one is read, it is heard of.
	until(t, time.Minute, "the dump", func() bool { return m.standing("slow").State == "complete" })
	if n := d.g.count(0, "STATUS=No progress"); n > 0 && !raceDetector {
		t.Errorf("slow is taken for stuck: %v", d.g.all())
	}
	m.configure("max-read = \"2MiB\"\n", m.directory("near"), source)
	d.reload()
	// A first look may find that the files have not rested, and takes no time.
	until(t, time.Minute, "the long read", func() bool {
		if !m.standing("far").Running {
			return false
		}
		time.Sleep(time.Second)
		return m.standing("far").Running
	})
	began := progress()
	until(t, time.Minute, "beats while it is read", func() bool { return progress() >= began+3 })
	check(t, server.cmd.Process.Signal(syscall.SIGSTOP))
	t.Cleanup(func() { _ = server.cmd.Process.Signal(syscall.SIGCONT) }) // else nothing can be unmounted
	d.g.await(0, "STATUS=No progress: ")
	stuck := progress()
	time.Sleep(3 * watchdog)
	if n := progress(); n > stuck {
		t.Errorf("%d beats although a source does not answer", n-stuck)
	}
	m.standing("near") // who asks is answered
	check(t, server.cmd.Process.Signal(syscall.SIGCONT))
	until(t, time.Minute, "beats again", func() bool { return progress() >= stuck+3 })
	d.ends()
	if code := server.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
	far.gone()
}
