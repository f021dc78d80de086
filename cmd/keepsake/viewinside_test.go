package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestViewInsideSource shows the snapshots of a source inside the source: no
// snapshot holds the view, nothing waits for it, and what a killed process
// leaves there hides nothing but itself.
func TestViewInsideSource(t *testing.T) {
	m := newMachine(t)
	lib := m.path("lib")
	writeFile(t, lib+"/sub/file", []byte("content"))
	place := filepath.Join(lib, "view")
	check(t, os.Mkdir(place, 0o755))
	m.ok("init", "-q")
	m.ok("backup", "-q", lib)
	holds := func(when string, files int) {
		t.Helper()
		all := m.snapshots()
		last := all[len(all)-1]
		if last.Files != files || len(last.Marks) > 0 {
			t.Errorf("%s: %+v", when, last)
		}
		for line := range strings.Lines(m.ok("ls", "-R", "latest").stdout) {
			if strings.HasPrefix(line, "view/") && line != "view/\n" {
				t.Errorf("%s: the snapshot holds of the view %s", when, line)
			}
		}
	}

	r := m.start("mount", place)
	r.says("Snapshots are at", patience)
	writeFile(t, lib+"/second", []byte("x"))
	m.ok("backup", "-q", lib) // by the process that mounts
	holds("mounted", 2)
	check(t, r.cmd.Process.Kill())
	<-r.done
	m.exits(exitIncomplete, "backup", "-q", lib) // the dead mount cannot be read, which is said
	holds("the mount is dead", 2)

	m.writeConfig("repository = \"" + m.repository() + "\"\nmount = \"" + place + "\"\nallow-other = false\n" + m.directory("lib"))
	d := m.start("daemon")
	until(t, patience, "that the daemon shows the snapshots there", func() bool {
		_, err := os.Stat(place + "/latest/lib/second")
		return err == nil
	})
	writeFile(t, lib+"/third", []byte("x"))
	until(t, patience, "that the third file is seen in the source's own view", func() bool {
		_, err := os.Stat(place + "/latest/lib/third")
		return err == nil
	})
	holds("kept by the daemon", 3)
	began := time.Now()
	if code := d.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d after %v", code, time.Since(began))
	}
	entries, err := os.ReadDir(place)
	if err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
