package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// memoryDisk mounts a small file system in memory until the test ends.
func (m *machine) memoryDisk(dir, options string) {
	m.t.Helper()
	needsRoot(m.t, "mount")
	check(m.t, os.MkdirAll(dir, 0o755))
	if err := unix.Mount("keepsake-test", dir, "tmpfs", 0, options); err != nil {
		m.t.Skip("not run: no file system in memory can be mounted here:", err)
	}
	m.t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) }) // it may be gone already
}

// fill fills a disk up, and returns what makes room again.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "filler")
	f, err := os.Create(name)
	check(t, err)
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	check(t, f.Close())
	return func() { check(t, os.Remove(name)) }
}

// TestServiceFullDisks fills the disk of the state, and that of the repository,
// and takes the repository away: the daemon goes on and says that it fails, what
// it has is whole, and it recovers by itself.
func TestServiceFullDisks(t *testing.T) {
	needsFUSE(t)
	for _, test := range []struct {
		name  string
		state bool // the disk is the state's
		spoil func(t *testing.T, m *machine, disk string) (mend func())
		says  string
	}{
		{"state", true, func(t *testing.T, _ *machine, disk string) func() { return fill(t, disk) }, "no space left"},
		{"repository", false, func(t *testing.T, _ *machine, disk string) func() { return fill(t, disk) }, "no space left"},
		{"repository is away", false, func(t *testing.T, m *machine, _ string) func() {
			check(t, os.Rename(m.repository(), m.repository()+"-away"))
			return func() { check(t, os.Rename(m.repository()+"-away", m.repository())) }
		}, "is its disk mounted?"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			disk := filepath.Join(m.home, ".local/share")
			if test.state {
				disk = m.path("states")
				m = m.with("KEEPSAKE_STATE_DIR=" + filepath.Join(disk, "keepsake"))
			}
			m.memoryDisk(disk, "size=24m,mode=755")
			lib := m.library()
			m.ok("init", "-q")
			teller := m.path("tell-me")
			check(t, os.WriteFile(teller, []byte("#!/bin/sh\ncat >> "+m.path("told")+"\n"), 0o700))
			m.configure("[notify]\ncommand = [\""+teller+"\"]\n", m.directory("Pictures"))
			d := m.daemon(0)
			m.becomes("Pictures", "complete")
			first, err := filepath.EvalSymlinks(filepath.Join(m.mount(), "latest/Pictures"))
			check(t, err)
			sameTree(t, lib, first+"/")

			mend := test.spoil(t, m, disk)
			for i := range 3 {
				writeFile(t, filepath.Join(lib, "new", string(rune('a'+i))), noise(1<<20, byte(i)))
			}
			for i := range 1500 { // more than fits into the free pages of a database
				writeFile(t, filepath.Join(lib, "notes", strconv.Itoa(i)), []byte(strconv.Itoa(i)))
			}
			if test.name == "repository is away" {
				// Who asks is told, whatever the answer is.
				until(t, time.Minute, "the log to say so", func() bool { return strings.Contains(d.out.String(), "could not be taken") })
			} else {
				if s := m.becomes("Pictures", "failing"); !strings.Contains(s.Reason, test.says) {
					t.Errorf("the reason is %q", s.Reason)
				}
				// What it has is whole.
				m.ok("dump", "latest:clip.mov")
			}
			until(t, time.Minute, "somebody to be told", func() bool {
				b, err := os.ReadFile(m.path("told"))
				return err == nil && strings.Contains(string(b), `"failed"`)
			})
			if s := d.out.String(); !strings.Contains(s, test.says) {
				t.Errorf("the log does not say %q", test.says)
			}
			mend()
			if os.Getenv("KEEPSAKE_LONG") == "" {
				m.ok("backup-now") // else it takes the pause of a retry
			}
			m.becomes("Pictures", "complete")
			sameTree(t, lib, filepath.Join(m.mount(), "latest/Pictures")+"/")
			until(t, time.Minute, "somebody to be told", func() bool {
				b, err := os.ReadFile(m.path("told"))
				return err == nil && strings.Contains(string(b), `"recovered"`)
			})
			d.ends(disk)
			m.sound()
			check(t, unix.Unmount(disk, unix.MNT_DETACH))
		})
	}
}

// TestServiceSourceGoes takes a source away in several ways while a daemon keeps
// it, one of them in the midst of a scan. No snapshot says that its files are
// deleted without being marked, and when it is back it is kept again.
func TestServiceSourceGoes(t *testing.T) {
	needsFUSE(t)
	for _, test := range []struct {
		name     string
		mounted  bool
		scanning bool
		lose     func(t *testing.T, m *machine)
		state    string // that it has then; a guard's stands until a person has looked
		back     func(t *testing.T, m *machine)
	}{
		{"renamed", false, false, func(t *testing.T, m *machine) {
			check(t, os.Rename(m.path("lib"), m.path("away")))
		}, "failing", func(t *testing.T, m *machine) {
			check(t, os.Rename(m.path("away"), m.path("lib")))
		}},
		{"renamed while scanned", false, true, func(t *testing.T, m *machine) {
			check(t, os.Rename(m.path("lib"), m.path("away")))
		}, "failing", func(t *testing.T, m *machine) {
			check(t, os.Rename(m.path("away"), m.path("lib")))
		}},
		{"unmounted", true, false, func(t *testing.T, m *machine) {
			// Nothing of keepsake holds it but a scan.
			until(t, time.Minute, "the unmounting", func() bool { return unix.Unmount(m.path("lib"), 0) == nil })
		}, "guarded", func(t *testing.T, m *machine) {
			check(t, unix.Mount(m.path("disk"), m.path("lib"), "", unix.MS_BIND, ""))
		}},
		{"unmounted while scanned", true, true, func(t *testing.T, m *machine) {
			check(t, unix.Unmount(m.path("lib"), unix.MNT_DETACH))
		}, "guarded", func(t *testing.T, m *machine) {
			check(t, unix.Mount(m.path("disk"), m.path("lib"), "", unix.MS_BIND, ""))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			const files = 12
			if test.mounted {
				m.memoryDisk(m.path("disk"), "size=64m,mode=755")
				check(t, os.Mkdir(m.path("lib"), 0o755))
				check(t, unix.Mount(m.path("disk"), m.path("lib"), "", unix.MS_BIND, ""))
				t.Cleanup(func() { _ = unix.Unmount(m.path("lib"), unix.MNT_DETACH) })
			}
			for i := range files {
				writeFile(t, m.path("lib", string(rune('a'+i))), noise(300_000, byte(i)))
			}
			m.ok("init", "-q")
			m.configure("", m.directory("lib"))
			d := m.daemon(0)
			m.becomes("lib", "complete")
			if test.scanning {
				m.configure("max-read = \"1MiB\"\n", m.directory("lib"))
				d.reload()
				for i := range files {
					writeFile(t, m.path("lib", string(rune('a'+i))), noise(300_000, byte(files+i)))
				}
				until(t, time.Minute, "the scan", func() bool { return strings.Contains(m.run("status", "--json").stdout, `"running":true`) })
				time.Sleep(500 * time.Millisecond)
			}
			test.lose(t, m)
			m.becomes("lib", test.state)
			test.back(t, m)
			if test.state == "guarded" {
				m.exits(exitIncomplete, "backup-now")
				m.becomes("lib", "guarded")
				m.ok("ack", "lib")
			}
			m.becomes("lib", "complete")
			until(t, time.Minute, "all of it to be shown", func() bool {
				names, err := os.ReadDir(filepath.Join(m.mount(), "latest/lib") + "/")
				return err == nil && len(names) == files
			})
			sameTree(t, m.path("lib"), filepath.Join(m.mount(), "latest/lib")+"/")
			for _, s := range m.snapshots() {
				if s.Files < files && len(s.Marks) == 0 && s.Missed == 0 {
					t.Errorf("a snapshot of %d files looks innocent: %+v", s.Files, s)
				}
			}
			d.ends(m.path("lib"), m.path("disk"))
			if test.mounted {
				check(t, unix.Unmount(m.path("lib"), unix.MNT_DETACH))
				check(t, unix.Unmount(m.path("disk"), unix.MNT_DETACH))
			}
		})
	}
}
