package main

import (
	"strings"
	"testing"
	"time"
)

// TestBackupOfAConfiguredSource: what the configuration says of a directory
// counts for a backup by hand, too, and who keeps it learns of the snapshot.
func TestBackupOfAConfiguredSource(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for _, name := range []string{"a.jpg", "b.tmp", "c.bak"} {
		writeFile(t, m.path("lib", name), []byte(name))
	}
	m.ok("init", "-q")
	backup := func(want string, flags ...string) {
		t.Helper()
		m.ok(append([]string{"backup", m.path("lib")}, flags...)...)
		all := m.snapshots()
		if got := m.ok("ls", all[len(all)-1].ID).stdout; got != want {
			t.Errorf("the snapshot holds %q, want %q", got, want)
		}
	}
	clients := strings.Replace(m.directory("lib", "every = \"1h\"", "exclude = [\"*.tmp\"]"), "\"lib\"", "\"clients\"", 1)
	m.configure("", clients)
	backup("a.jpg\nc.bak\n")
	backup("a.jpg\n", "--exclude", "*.bak")
	m.configure("", strings.Replace(clients, "*.tmp", "*.nothing", 1))
	backup("a.jpg\nb.tmp\nc.bak\n") // the control
	m.configure("", clients)
	d := m.daemon(0)
	m.becomes("clients", "complete")
	writeFile(t, m.path("lib/new.jpg"), []byte("new"))
	writeFile(t, m.path("lib/new.tmp"), []byte("new"))
	backup("a.jpg\nc.bak\nnew.jpg\n")
	all := m.snapshots()
	until(t, time.Minute, "the newest in status", func() bool { return m.standing("clients").Newest.Number >= uint64(len(all)) })
	m.ok("pause", "1h")
	m.ok("backup-now", "clients")
	d.ends()
	for _, want := range []string{
		"msg=\"keepsake begins\" version=" + version + " config=" + m.configPath() + " repository=" + m.repository(),
		"msg=ready sources=clients view=" + m.mount() + " metrics=none",
		"msg=paused sources=\"all sources\" until=", "msg=\"a snapshot is asked for\" sources=clients by=", "msg=\"stopping;", "msg=\"keepsake has ended\"",
	} {
		if !strings.Contains(d.out.String(), want) {
			t.Errorf("no %s in the log:\n%s", want, d.out.String())
		}
	}
}
