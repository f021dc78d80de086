package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestUpWords: what up says of sources that are new, of one that runs already,
// and of what is safe when it is stopped.
func TestUpWords(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	writeFile(t, m.path("first/a"), []byte("a"))
	writeFile(t, m.path("share/b"), []byte("b"))
	writeFile(t, m.path("other/c"), []byte("c"))
	says := func(text, want string) {
		t.Helper()
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	repository := m.path("share", "repository")
	up := m.up("first", "-r", repository)
	until(t, time.Minute, "the watches", func() bool { s := m.sources(); return len(s) == 1 && s[0].Watch != nil && s[0].Watch.Watches == 1 })
	m.ok("backup-now") // with the scan that follows the setting of the watches
	up.stop(syscall.SIGINT)
	says(up.out.String(), "Stopped. Everything seen is safe.\n")

	up = m.start("up", "--json")
	up.says(`"first":true`, time.Minute)
	up.stop(syscall.SIGINT)
	says(up.out.String(), `"message_type":"stopped"`)
	if out := up.out.String(); strings.Contains(out, "0000000000") || strings.Contains(out, "1970-") {
		t.Errorf("nothing had changed, and a snapshot is told:\n%s", out)
	}

	up = m.up("share")
	for _, want := range []string{
		"Source      share  1 file, ", "share and its repository lie on the same disk", repository + " is left out of share",
		"from now on share is kept beside the 1 source of before, until its [[source]] is removed from " + m.configPath(),
	} {
		says(up.out.String(), want)
	}
	running := fmt.Sprintf("keepsake up is running already (process %d)", up.cmd.Process.Pid)
	says(m.exits(exitSecondOwner, "up").stderr, running+"\n  keepsake status says")
	says(m.exits(exitSecondOwner, "up", "other").stderr, running+"\n  Stop it (Ctrl-C where it runs), then: keepsake up "+m.path("other"))

	f, err := os.Create(m.path("first/growing"))
	check(t, err)
	defer f.Close()
	until(t, time.Minute, "a file to be written", func() bool {
		_, err := f.WriteString("more")
		check(t, err)
		for _, s := range m.sources() {
			if s.Waiting > 0 {
				return true
			}
		}
		return false
	})
	up.stop(syscall.SIGINT)
	says(up.out.String(), "Stopped. ")
	if out := up.out.String(); strings.Contains(out, "Everything seen is safe") {
		t.Errorf("a file was being written:\n%s", out)
	}
	m.gone()
}
