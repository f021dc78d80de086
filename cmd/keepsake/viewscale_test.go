package main

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"keepsake/crypto"
	"keepsake/store/backend"
	"keepsake/store/object"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// residentLimit is what a process may have resident at most, in KiB.
const residentLimit = 200 << 10

// later puts snapshots of the newest root into a machine's repository, one a
// minute after it, and closes it again.
func (m *machine) later(n uint64) {
	t := m.t
	t.Helper()
	key, err := os.ReadFile(filepath.Join(m.home, ".config/keepsake/key"))
	check(t, err)
	secret, err := crypto.ParseKeyFile(key)
	check(t, err)
	local, err := backend.OpenLocal(m.repository(), nil)
	check(t, err)
	p := &storetest.Place{Dir: m.repository(), StateBase: m.path("state"), Backend: local, Secret: secret}
	r, err := p.TryOpen(t.Context())
	check(t, err)
	newest, err := r.Find(t.Context(), "latest")
	check(t, err)
	check(t, r.Close())
	storetest.Put(t, p, object.Snapshot, iter.Seq[*tree.Snapshot](func(yield func(*tree.Snapshot) bool) {
		s, before := newest.Snapshot, [32]byte(newest.ID)
		for range n {
			s.Number++
			s.Previous = &before
			s.Started.Sec += 60
			s.Finished.Sec += 60
			if !yield(&s) {
				return
			}
		}
	}))
	check(t, local.Close())
}

// lists runs ls and returns how many lines it printed.
func (m *machine) lists(args ...string) (lines int) {
	m.t.Helper()
	c := exec.CommandContext(m.t.Context(), "ls", args...)
	var out lineCounter
	var told bytes.Buffer
	c.Stdout, c.Stderr = &out, &told
	began := time.Now()
	if err := c.Run(); err != nil {
		m.t.Fatalf("ls %q: %v\n%.2000s", args, err, told.String())
	}
	m.t.Logf("ls %.60s: %d lines in %v", strings.Join(args, " "), out, time.Since(began).Round(10*time.Millisecond))
	return int(out)
}

type lineCounter int

func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

// measured runs keepsake and returns how many lines it printed, how many KiB it
// had resident at most, and how long it took. What wait(2) tells of memory would
// be that of this process, from which it was forked.
func (m *machine) measured(args ...string) (out lineCounter, peak int, took time.Duration) {
	m.t.Helper()
	c := command(context.Background(), m.dir, m.env, 0, args...)
	c.Stdout, c.Stderr = &out, os.Stderr
	began := time.Now()
	check(m.t, c.Start())
	r := &running{m: m, cmd: c, done: make(chan struct{})}
	var failed error
	go func() {
		failed = c.Wait()
		close(r.done)
	}()
	for {
		select {
		case <-r.done:
			check(m.t, failed)
			return out, peak, time.Since(began)
		case <-time.After(10 * time.Millisecond):
			peak = max(peak, r.procStatus("VmHWM"))
		}
	}
}

// small demands that a process never had more resident than it may.
func (r *running) small(when string) {
	r.m.t.Helper()
	peak := r.procStatus("VmHWM")
	r.m.t.Logf("%s: at most %d MiB resident, now %d MiB", when, peak>>10, r.procStatus("VmRSS")>>10)
	if peak > residentLimit && !raceDetector {
		r.m.t.Errorf("%s: %d MiB were resident", when, peak>>10)
	}
}

// TestMillionListed lists a million files in the view, and then the folders of
// a thousand snapshots. The process that shows them stays small.
func TestMillionListed(t *testing.T) {
	dirs, perDir, snapshots := 20, 100, uint64(20)
	if os.Getenv("KEEPSAKE_LONG") != "" {
		dirs, snapshots = 10_000, 1000
	}
	m := newMachine(t)
	lib := m.path("lib")
	for dir := range dirs {
		sub := filepath.Join(lib, fmt.Sprintf("%03d/%02d", dir/100, dir%100))
		check(t, os.MkdirAll(sub, 0o755))
		for file := range perDir {
			check(t, os.WriteFile(fmt.Sprintf("%s/IMG_%04d.xmp", sub, file), fmt.Appendf(nil, "%d %d", dir, file), 0o644))
		}
	}
	m.ok("init", "-q")
	b := m.start("backup", "-q", lib)
	if code := b.wait(20 * time.Minute); code != 0 {
		t.Fatalf("backup: %d", code)
	}
	m.later(snapshots)
	r := m.start("mount", m.mount())
	r.says("Snapshots are at", patience)
	latest := m.mount() + "/latest/lib/"
	if lines := m.lists("-lR", latest); lines < dirs*perDir {
		t.Errorf("%d lines", lines)
	}
	r.small("all files listed")
	folders, err := filepath.Glob(m.mount() + "/snapshots/lib/*")
	check(t, err)
	if uint64(len(folders)) != snapshots+1 {
		t.Errorf("%d folders", len(folders))
	}
	m.lists(append([]string{"-l"}, folders...)...)
	r.small("folders of all snapshots listed")
	if code := r.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

// TestSnapshotsByTheHundredThousand mounts and lists very many snapshots of one
// source.
func TestSnapshotsByTheHundredThousand(t *testing.T) {
	n := uint64(1500)
	if os.Getenv("KEEPSAKE_LONG") != "" {
		n = 100_000
	}
	m := newMachine(t)
	lib := m.path("lib")
	writeFile(t, lib+"/file", []byte("content"))
	m.ok("init", "-q")
	m.ok("backup", "-q", lib)
	m.later(n)
	for _, args := range [][]string{{"snapshots"}, {"snapshots", "--json"}, {"ls", "latest"}} {
		out, peak, took := m.measured(args...)
		t.Logf("keepsake %s: %d lines in %v, at most %d MiB resident", strings.Join(args, " "), out, took.Round(10*time.Millisecond), peak>>10)
		if args[0] == "snapshots" && uint64(out) < n {
			t.Errorf("%d lines", out)
		}
		if peak > residentLimit && !raceDetector {
			t.Errorf("%d MiB were resident", peak>>10)
		}
	}
	r := m.start("mount", m.mount())
	r.says("Snapshots are at", patience)
	if lines := m.lists(m.mount() + "/snapshots/lib"); uint64(lines) != n+1 {
		t.Errorf("%d folders", lines)
	}
	if lines := m.lists("-l", m.mount()+"/snapshots/lib"); uint64(lines) != n+2 {
		t.Errorf("%d folders", lines-1)
	}
	m.lists("-l", m.mount()+"/previous/lib", m.mount()+"/latest/lib/")
	r.small("listed")
	if code := r.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
}
