package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// besideVerbs are command lines whose output depends on the repository alone.
var besideVerbs = [][]string{
	{"snapshots"},
	{"snapshots", "--json"},
	{"snapshots", "--source", "none"},
	{"ls", "latest@Pictures"},
	{"ls", "-lR", "latest@Pictures"},
	{"ls", "-R", "--json", "latest@Pictures"},
	{"ls", "nothing"},
	{"ls", "latest@Pictures:nothing"},
	{"dump", "latest@Pictures:2026/Weber/IMG_0001.jpg"},
	{"dump", "latest@Pictures:2026"},
	{"restore", "latest@Pictures", "--target", "restored"},
	{"restore", "latest@Pictures:2026/Weber", "--target", "part", "--json"},
	{"restore", "latest@Pictures", "--target", "none", "--include", "*.nef"},
	{"restore", "latest@Pictures"},
	{"restore", "latest@Pictures", "--target", "Pictures/clip.mov"},
	{"check"},
	{"check", "--read-data", "--json"},
	{"check", "nothing"},
	{"scrub"},
	{"scrub", "--json"},
	{"key", "list"},
	{"key", "list", "--json"},
	{"key", "confirm"},
	{"backup", "nowhere"},
	{"backup", "elsewhere/Pictures"},
	{"backup", "--dry-run", "Pictures"},
	{"mount", "Pictures"},
	{"version"},
	{"frobnicate"},
}

// varying is what may differ between two runs: times, and whether there was
// time to tell of progress.
var varying = regexp.MustCompile(`in [0-9.]+m?s|"seconds":[0-9.e-]+|\{"message_type":"status","action".*\n`)

// TestVerbsBesideMount: whatever owns the state, a verb says the same.
func TestVerbsBesideMount(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	lib := m.library()
	writeFile(t, m.path("elsewhere/Pictures/a"), []byte("a"))
	writeFile(t, m.path("clients/a"), []byte("a"))
	// Files that changed while they were read are read again, and that would be
	// a snapshot more in the midst of the comparison.
	time.Sleep(2500 * time.Millisecond)
	up := m.up(lib)
	m.ok("backup", "clients", "-q")

	run := func(args []string) said {
		for _, dir := range []string{"restored", "part", "none"} {
			check(t, os.RemoveAll(m.path(dir)))
		}
		s := m.run(args...)
		if s.code == 0 && len(args) > 2 && args[2] == "--target" {
			_, n := treeSize(t, m.path(args[3]))
			if n == 0 {
				t.Errorf("%q restored nothing", args)
			}
		}
		s.stdout, s.stderr = varying.ReplaceAllString(s.stdout, ""), varying.ReplaceAllString(s.stderr, "")
		return s
	}
	beside := make([]said, len(besideVerbs))
	for i, args := range besideVerbs {
		beside[i] = run(args)
	}
	m.status("watching")
	if code := up.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("up ended with %d", code)
	}
	m.gone()
	for i, args := range besideVerbs {
		if alone := run(args); alone != beside[i] {
			t.Errorf("keepsake %s\nbeside up: %+v\nalone:     %+v", strings.Join(args, " "), beside[i], alone)
		}
	}
	m.status("nobody is watching")

	// The same with verbs that change something.
	m.besideMount(lib)
	m.gone()
	up = m.up()
	m.besideMount(lib)
	m.ok("key", "add", "--new-key-file", "beside-key")
	if code := up.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("up ended with %d", code)
	}
	m.gone()
	m.ok("snapshots", "--key-file", "beside-key")
	m.ok("check", "--read-data")
}

func (m *machine) status(want string) {
	m.t.Helper()
	if s := m.ok("status"); !strings.Contains(s.stdout, "· "+want) {
		m.t.Errorf("status does not say %q:\n%s", want, s.stdout)
	}
}

// besideMount mounts at another place, looks through it, uses it from a third
// process, and ends it.
func (m *machine) besideMount(lib string) {
	m.t.Helper()
	dir := m.path("elsewhere-view")
	mount := m.start("mount", dir)
	mount.says("Snapshots are at", time.Minute)
	sameTree(m.t, lib, filepath.Join(dir, "latest/Pictures")+"/")
	m.ok("ls", "latest@Pictures")

	// A backup shows up in every mount.
	writeFile(m.t, m.path("clients", time.Now().Format("150405.000")), []byte("b"))
	m.ok("backup", "clients")
	until(m.t, visibleWithin, "the new snapshot", func() bool {
		shown, err := os.ReadDir(filepath.Join(dir, "latest/clients") + "/")
		wanted, err2 := os.ReadDir(m.path("clients"))
		return err == nil && err2 == nil && len(shown) == len(wanted)
	})
	if code := mount.stop(syscall.SIGINT); code != 0 {
		m.t.Errorf("after SIGINT mount ended with %d", code)
	}
	for _, point := range mountsBelow(m.t, dir) {
		m.t.Errorf("%s is still mounted", point)
	}
}
