package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/health"
)

// disaster is something that a guard has to notice.
type disaster struct {
	name   string
	strike func(h *house)
	marks  []string // some of them at least are on the snapshot
	words  string   // of the alarm
	long   bool     // only in a long run
}

var disasters = []disaster{
	{"unmounted", func(h *house) { h.tool("umount", h.lib) }, []string{"emptied", "other-file-system", "shrunk"}, "no file is left of 9", false},
	{"its disk taken away while a file is open", func(h *house) {
		f, err := os.Open(h.media()[0])
		check(h.t, err)
		h.t.Cleanup(func() { f.Close() })
		h.tool("umount", "-l", h.lib)
	}, []string{"emptied", "other-file-system", "shrunk"}, "no file is left of 9", true},
	{"emptied", func(h *house) { check(h.t, os.RemoveAll(filepath.Join(h.lib, "2026"))); h.remove("edited") }, []string{"emptied", "shrunk"}, "no file is left of 9", true},
	{"moved to another disk", func(h *house) {
		aside := h.path("aside")
		h.tool("cp", "-a", h.lib, aside)
		h.attach(h.format("other"))
		h.tool("cp", "-a", aside+"/2026", h.lib)
	}, []string{"other-file-system"}, "it lies on another file system than before: is the disk mounted?", true},
	{"overwritten in place", func(h *house) { h.overwrite(0, false) }, []string{"mass-change"}, "files hold what their names do not promise", false},
	{"overwritten, with the old times", func(h *house) { h.overwrite(0, true) }, []string{"mass-change"}, "files hold what their names do not promise", true},
	{"overwritten slowly", func(h *house) { h.overwrite(700*time.Millisecond, true) }, []string{"mass-change"}, "files hold what their names do not promise", true},
	{"renamed", func(h *house) {
		for i, path := range h.media() {
			if i%3 == 0 {
				check(h.t, os.WriteFile(path, noise(20_000, byte(i+100)), 0o644))
				check(h.t, os.Rename(path, path+".locked"))
			}
		}
	}, []string{"mass-change"}, "files were renamed to extensions that no program knows", true},
}

func (h *house) remove(pattern string) {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.lib, pattern+"*"))
	check(h.t, err)
	for _, path := range found {
		check(h.t, os.Remove(path))
	}
}

// overwrite writes noise into each third photo and film, under its old name and,
// if wanted, with its old times.
func (h *house) overwrite(pause time.Duration, sameTimes bool) {
	h.t.Helper()
	for i, path := range h.media() {
		if i%3 != 0 {
			continue
		}
		info, err := os.Stat(path)
		check(h.t, err)
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		check(h.t, err)
		_, err = f.Write(noise(int(info.Size()), byte(i+100)))
		check(h.t, err)
		check(h.t, f.Close())
		if sameTimes {
			check(h.t, os.Chtimes(path, info.ModTime(), info.ModTime()))
		}
		time.Sleep(pause)
	}
}

// TestAlarms strikes a source that the service keeps: the guard's alarm rises
// within a minute, is shown and told once, holds the last good snapshot and all
// that follow, and ends when a person says so.
func TestAlarms(t *testing.T) {
	needsRoot(t, "mount an image")
	for _, d := range disasters {
		t.Run(d.name, func(t *testing.T) {
			if d.long && os.Getenv("KEEPSAKE_LONG") == "" {
				t.Skip("not run: KEEPSAKE_LONG is not set")
			}
			t.Parallel()
			h := newHouse(t, onDisk("/nowhere", ""))
			h.configure(onDisk(h.lib, ""))
			h.mounted().filled().serve()
			h.edit("edited 1") // and the first one expires
			h.edit("edited 2")
			good := h.rests()
			until(t, patience, "one snapshot to be left, as the policy wants", func() bool { return len(h.kept()) == 1 })

			began := time.Now()
			d.strike(h)
			guarded, _ := h.stands("guarded", func(s health.Source) bool { return s.Guarded })
			took := time.Since(began)
			t.Logf("alarm after %v", took.Round(100*time.Millisecond))
			if limit := time.Minute; took > limit && !raceDetector {
				t.Errorf("the alarm took longer than %v", limit)
			}
			h.alarmed(d, guarded, good)

			before := len(h.kept())
			h.edit("since 1")
			h.edit("since 2")
			if n := len(h.kept()); n < before+2 {
				t.Errorf("%d snapshots, after there were %d and two more: something expired", n, before)
			}
			h.hears("guard")

			h.acknowledged(good)
		})
	}
}

// alarmed checks everything that says that an alarm stands.
func (h *house) alarmed(d disaster, s health.Source, good *health.Snapshot) {
	h.t.Helper()
	if s.State != health.Guarded {
		h.t.Errorf("state %s", s.State)
	}
	var guards []string
	for _, a := range s.Alarms {
		guards = append(guards, a.Guard)
		if !strings.HasPrefix(good.ID, a.PinnedID) || a.PinnedID == "" {
			h.t.Errorf("%s pins %q, want %s", a.Guard, a.PinnedID, good.ID)
		}
	}
	marked := false
	for _, snap := range h.kept() {
		marked = marked || slices.ContainsFunc(d.marks, func(m string) bool { return slices.Contains(snap.Marks, m) })
	}
	if !marked || !slices.ContainsFunc(d.marks, func(m string) bool { return slices.Contains(guards, m) }) {
		h.t.Errorf("alarms %q, snapshots %+v, want %q", guards, h.kept(), d.marks)
	}
	table := h.asks("status")
	want := fmt.Sprintf("%s pinned, expiry paused → keepsake ack lib", health.Clock(good.Time, time.Now().UTC()))
	if table.code != exitIncomplete || !strings.Contains(table.stdout, "! lib: ") || !strings.Contains(table.stdout, want) || !strings.Contains(table.stdout, d.words) {
		h.t.Errorf("status ends with %d and says\n%swant %q and %q", table.code, table.stdout, d.words, want)
	}
	if !slices.ContainsFunc(h.kept(), func(s keptSnapshot) bool { return s.ID == good.ID }) {
		h.t.Error("the last good snapshot is not there any more")
	}
	h.hears("guard")
	if e := h.events()[0]; e.Source != "lib" || !strings.Contains(e.Summary, "keepsake ack lib") || !strings.Contains(strings.Join(e.Detail, "\n"), d.words) {
		h.t.Errorf("told %+v", e)
	}
}

// acknowledged ends the alarm, and checks that everything goes on.
func (h *house) acknowledged(good *health.Snapshot) {
	h.t.Helper()
	s := h.agrees("ack", "lib", "--why", "a test of all of it")
	if !strings.Contains(s.stdout, "acknowledged; expiry goes on") {
		h.t.Errorf("ack says %q", s.stdout)
	}
	h.hears("guard", "recovered")
	h.edit("since 3")
	if s := h.asks("status"); s.code != 0 || strings.Contains(s.stdout, "!") {
		h.t.Errorf("after the alarm status ends with %d and says\n%s", s.code, s.stdout)
	}
	if s := h.agrees("ack", "--all"); !strings.Contains(s.stdout, "No alarm stood") {
		h.t.Errorf("ack says %q", s.stdout)
	}
	until(h.t, patience, "the good snapshot to expire", func() bool {
		return !slices.ContainsFunc(h.kept(), func(s keptSnapshot) bool { return s.ID == good.ID })
	})
	// A snapshot is there a moment before the older ones are forgotten.
	until(h.t, patience, "one snapshot to be left, as the policy wants", func() bool { return len(h.kept()) == 1 })
	h.hears("guard", "recovered")
	if code := h.service.stop(unix.SIGTERM); code != 0 {
		h.t.Errorf("the service ended with %d", code)
	}
}

// guardsOff is a source whose owner does not want to be asked.
const guardsOff = `
guards.emptied = false
guards.other-file-system = false
guards.shrunk.on = false
guards.overwritten.on = false
guards.random.on = false
guards.renamed.on = false
guards.scattered.on = false
`

// TestAlarmsSwitchedOff is the control: the same disasters, and nobody looks.
func TestAlarmsSwitchedOff(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	h.configure(onDisk(h.lib, guardsOff))
	h.filled().serve()
	good := h.standing().Newest
	h.overwrite(0, false)
	h.stands("captured", func(s health.Source) bool { return s.Newest.Number > good.Number && s.Waiting == 0 })
	check(t, os.RemoveAll(filepath.Join(h.lib, "2026")))
	h.stands("captured without its files", func(s health.Source) bool { return s.Newest.Files == 0 })
	h.edit("since")
	if s := h.asks("status"); s.code != 0 || strings.Contains(s.stdout, "!") {
		t.Errorf("status ends with %d and says\n%s", s.code, s.stdout)
	}
	for _, s := range h.kept() {
		if len(s.Marks) > 0 {
			t.Errorf("snapshot %d is marked %q", s.Number, s.Marks)
		}
	}
	h.hears()
}

// TestAlarmOfOneShot: keepsake backup raises the same alarms, with the guards
// that the configuration gives its source.
func TestAlarmOfOneShot(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	h.configure(onDisk(h.lib, ""))
	h.filled().agrees("backup", h.lib)
	good := h.standing().Newest
	h.overwrite(0, false)
	s := h.asks("backup", h.lib)
	if s.code != exitIncomplete || !strings.Contains(s.stderr, "Nothing expires until keepsake ack lib") {
		t.Errorf("backup ends with %d and says\n%s", s.code, s.stderr)
	}
	row := h.standing()
	if !row.Guarded || len(row.Alarms) != 1 || row.Alarms[0].Guard != "mass-change" || !strings.HasPrefix(good.ID, row.Alarms[0].PinnedID) {
		t.Errorf("status knows %+v", row.Alarms)
	}
	if s := h.asks("status"); s.code != exitIncomplete || !strings.Contains(s.stdout, "! lib: 32 files hold what their names do not promise") {
		t.Errorf("status ends with %d and says\n%s", s.code, s.stdout)
	}
	// The rules of a person wait for it, too.
	if s := h.agrees("forget", "--keep-last", "1"); !strings.Contains(s.stderr, "an alarm stands (mass-change)") || len(h.kept()) != 2 {
		t.Errorf("forget says %q, %d are left", s.stderr, len(h.kept()))
	}
	h.agrees("ack", "lib", "--why", "a test")
	h.agrees("backup", h.lib)
	if s := h.asks("status"); s.code != 0 {
		t.Errorf("status ends with %d and says\n%s", s.code, s.stdout)
	}
	if h.agrees("forget", "--keep-last", "1"); len(h.kept()) != 1 {
		t.Errorf("%d are left", len(h.kept()))
	}

	h.configure(onDisk(h.lib, guardsOff))
	check(t, os.RemoveAll(filepath.Join(h.lib, "2026")))
	h.agrees("backup", h.lib)
	if row := h.standing(); row.Guarded {
		t.Errorf("guards that are switched off found %+v", row.Alarms)
	}
}

// TestAlarmSurvivesKills kills the service as soon as a marked snapshot can be
// seen, before the alarm is noted. The next start raises it.
func TestAlarmSurvivesKills(t *testing.T) {
	t.Parallel()
	rounds := 2
	if os.Getenv("KEEPSAKE_LONG") != "" {
		rounds = 15
	}
	h := newHouse(t, "")
	h.configure(onDisk(h.lib, ""))
	h.filled().serve()
	lost := 0
	for round := range rounds {
		h.edit(fmt.Sprint("before ", round))
		good := h.rests()
		known := len(h.published())
		check(t, os.Rename(filepath.Join(h.lib, "2026"), h.path("aside")))
		h.remove("before")
		for began := time.Now(); len(h.published()) == known; time.Sleep(100 * time.Microsecond) {
			if time.Since(began) > patience {
				t.Fatal("no snapshot of what is left")
			}
		}
		h.service.stop(unix.SIGKILL)
		if !h.standing().Guarded {
			lost++ // the snapshot is there, the alarm is not yet
		}
		h.service = h.start("daemon", "--config", h.config)
		row, _ := h.stands("guarded again", func(s health.Source) bool { return s.Guarded })
		if a := row.Alarms[0]; a.Guard != "emptied" || !strings.HasPrefix(good.ID, a.PinnedID) || a.PinnedID == "" {
			t.Errorf("round %d: %+v, want %s pinned", round, a, good.ID)
		}
		h.agrees("ack", "lib")
		check(t, os.Rename(h.path("aside"), filepath.Join(h.lib, "2026")))
		h.stands("well", func(s health.Source) bool { return s.Well() && s.Newest.Files > 90 })
	}
	t.Logf("%d of %d kills came between the snapshot and its alarm", lost, rounds)
	if lost == 0 {
		t.Error("no kill came in time: this test shows nothing")
	}
}

// published are the manifests in the repository.
func (h *house) published() []string {
	h.t.Helper()
	found, err := filepath.Glob(filepath.Join(h.repository(), "snapshots/*"))
	check(h.t, err)
	return slices.DeleteFunc(found, func(name string) bool { return strings.Contains(filepath.Base(name), ".") })
}
