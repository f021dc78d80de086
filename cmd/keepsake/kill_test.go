package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killPlan is how much is backed up and how often it is killed.
type killPlan struct {
	files, size int
	moments     int
	afterPack   int // so many kills, of a hundred, must fall after the first pack was published
}

// plan is short for everyday use; KEEPSAKE_LONG=1 is the promise in full.
func (killPlan) plan() killPlan {
	switch {
	case os.Getenv("KEEPSAKE_LONG") != "":
		return killPlan{files: 540, size: 5 << 20, moments: 50, afterPack: 80}
	case raceDetector, testing.Short():
		return killPlan{files: 10, size: 5 << 20, moments: 2}
	}
	// Packs are published 256 MiB at a time: it takes two such rounds to kill between them.
	return killPlan{files: 96, size: 5 << 20, moments: 4}
}

// TestKill kills a backup at moments spread evenly over the time that it takes,
// and looks whether anything that was promised is broken.
func TestKill(t *testing.T) {
	plan := killPlan{}.plan()
	lib := filepath.Join(workDir(t), "lib")
	for i := range plan.files {
		// Sizes differ, so that packs and files do not end together.
		size := plan.size/2 + (i*7919%100)*plan.size/100
		b := noise(size, byte(i))
		copy(b, fmt.Sprint("photo ", i)) // 256 seeds are fewer than files may be
		writeFile(t, filepath.Join(lib, fmt.Sprintf("%02d/%04d.jpg", i%20, i)), b)
	}
	writeFile(t, filepath.Join(lib, "note.txt"), []byte("the last file in every order\n"))

	whole := newKillRun(t, lib)
	began := time.Now()
	whole.m.ok("backup", lib)
	unkilled := time.Since(began)
	_, stored := treeSize(t, whole.data)
	t.Logf("an unkilled run stores %d MB in %v", stored>>20, unkilled.Round(time.Millisecond))
	whole.remove()

	afterPack := 0
	for i := range plan.moments {
		var r *killRun
		for killed := false; !killed; {
			moment := unkilled * time.Duration(2*i+1) / time.Duration(2*plan.moments)
			r = newKillRun(t, lib)
			var packs int
			var took time.Duration
			if killed, packs, took = r.killAt(moment); !killed {
				t.Logf("a run that was to be killed after %d ms had ended by itself: the machine is less busy now", moment.Milliseconds())
				unkilled = min(took, unkilled*9/10)
				r.remove()
				continue
			}
			if packs > 0 {
				afterPack++
			}
			again := r.recover(stored)
			t.Logf("killed after %5d ms with %2d packs published: the next run took %d ms", moment.Milliseconds(), packs, again.Milliseconds())
		}
		if i == plan.moments/2 {
			r.loseAPack()
		}
		r.remove()
		if t.Failed() {
			return
		}
	}
	t.Logf("%d of %d kills fell after the first published pack", afterPack, plan.moments)
	if afterPack*100 < plan.moments*plan.afterPack {
		t.Errorf("only %d of %d kills fell after the first published pack: they prove too little", afterPack, plan.moments)
	}
}

// killRun is one repository with a snapshot in it, and a library to add.
type killRun struct {
	m    *machine
	lib  string
	data string
}

func newKillRun(t *testing.T, lib string) *killRun {
	t.Helper()
	m := newMachine(t)
	writeFile(t, m.path("earlier/letter.txt"), []byte("safe long ago\n"))
	m.ok("init", "-q")
	m.ok("backup", "-q", "earlier")
	return &killRun{m: m, lib: lib, data: filepath.Join(m.repository(), "data")}
}

// killAt starts a backup and kills it after a while. It reports whether there
// was still something to kill, how many data packs the backup had published,
// and how long it ran.
func (r *killRun) killAt(moment time.Duration) (killed bool, packs int, took time.Duration) {
	r.m.t.Helper()
	before, _ := treeSize(r.m.t, r.data)
	began := time.Now()
	b := r.m.start("backup", r.lib)
	select {
	case <-b.done:
	case <-time.After(moment):
	}
	code := b.stop(syscall.SIGKILL)
	took = time.Since(began)
	if code > 0 {
		r.m.t.Fatalf("the backup ended with %d before it was killed:\n%s", code, b.out.String())
	}
	if strings.Contains(b.out.String(), "snapshot ") && len(r.m.snapshots()) < 2 {
		r.m.t.Error("a snapshot was announced, and is gone")
	}
	after, _ := treeSize(r.m.t, r.data)
	return code < 0, after - before, took
}

// recover runs the backup again and demands that nothing is lost, nothing is
// wrong and nothing is stored twice.
func (r *killRun) recover(stored int64) (took time.Duration) {
	r.m.t.Helper()
	began := time.Now()
	r.m.ok("backup", r.lib)
	took = time.Since(began)
	if s := r.m.ok("check", "--read-data"); !strings.Contains(s.stdout, "everything is sound") {
		r.m.t.Errorf("check is not content:\n%s", s.stdout)
	}
	for i, s := range r.m.snapshots() {
		out := r.m.path(fmt.Sprint("restored", i))
		r.m.ok("restore", s.ID, "--target", out)
		want := r.lib
		if s.Source == "earlier" {
			want = r.m.path("earlier")
		}
		sameTree(r.m.t, want, out)
		check(r.m.t, os.RemoveAll(out))
	}
	if _, now := treeSize(r.m.t, r.data); now > stored+stored/20 {
		r.m.t.Errorf("%d bytes of data are stored where an unkilled run stores %d", now, stored)
	}
	r.staged()
	return took
}

// staged demands that no temporary file is left.
func (r *killRun) staged() {
	r.m.t.Helper()
	left, err := os.ReadDir(filepath.Join(r.m.repository(), "tmp"))
	check(r.m.t, err)
	for _, e := range left {
		if e.Name() != "README.txt" {
			r.m.t.Errorf("tmp/%s is left over", e.Name())
		}
	}
}

// loseAPack is the negative control: what the test relies on to find damage
// does find it.
func (r *killRun) loseAPack() {
	r.m.t.Helper()
	packs, err := filepath.Glob(filepath.Join(r.data, "*", "*"))
	check(r.m.t, err)
	largest := packs[0]
	for _, p := range packs {
		if fileSize(r.m.t, p) > fileSize(r.m.t, largest) {
			largest = p
		}
	}
	check(r.m.t, os.Remove(largest))
	r.m.exits(exitIncomplete, "check", "--read-data")
	r.m.exits(exitIncomplete, "check")
	r.m.exits(exitIncomplete, "restore", "latest@lib", "--target", r.m.path("holes"))
	check(r.m.t, os.RemoveAll(r.m.path("holes")))

	// The source still has it all: the next backup stores what is lost anew.
	r.m.ok("backup", r.lib)
	r.m.ok("restore", "latest@lib", "--target", r.m.path("healed"))
	sameTree(r.m.t, r.lib, r.m.path("healed"))
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	check(t, err)
	return info.Size()
}

// remove makes room for the next run.
func (r *killRun) remove() {
	r.m.t.Helper()
	check(r.m.t, os.RemoveAll(r.m.dir))
}
