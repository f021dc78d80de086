package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keepsake/daemon/health"
)

// printing is a source that is what a command prints, at night: the content of a
// file. Each run leaves a line in another file.
func (h *house) printing(more string) string {
	return fmt.Sprintf("command = [\"/bin/sh\", \"-c\", %q]\nfile = \"crm.dump\"\nat = [\"02:30\"]\n%s",
		"echo run >>"+h.path("runs")+"; cat "+h.path("printed"), more)
}

func (h *house) prints(size int, seed byte) {
	h.t.Helper()
	_ = os.Remove(h.path("printed")) // it may be a pipe that nobody reads, or not be there
	check(h.t, os.WriteFile(h.path("printed"), noise(size, seed), 0o600))
}

// runs is how often the command ran.
func (h *house) runs() int {
	h.t.Helper()
	b, err := os.ReadFile(h.path("runs"))
	check(h.t, err)
	return strings.Count(string(b), "\n")
}

// degraded demands that a snapshot now misses something, for a reason that status
// gives, and that it was told.
func (h *house) degraded(words string, told ...string) {
	h.t.Helper()
	if s := h.asks("backup-now"); s.code != exitIncomplete {
		h.t.Errorf("backup-now ends with %d and says\n%s%s", s.code, s.stdout, s.stderr)
	}
	for _, args := range [][]string{{"status"}, {"status", "lib"}} {
		if s := h.asks(args...); s.code != exitIncomplete || !strings.Contains(s.stdout, "degraded") || !strings.Contains(s.stdout, words) {
			h.t.Errorf("keepsake %s ends with %d and says\n%swant %q", strings.Join(args, " "), s.code, s.stdout, words)
		}
	}
	h.hears(told...)
	all := h.events()
	if e := all[len(all)-1]; !strings.Contains(strings.Join(e.Detail, "\n"), words) {
		h.t.Errorf("told %+v, want %q", e, words)
	}
}

// mended demands that a snapshot now misses nothing, and that it was told.
func (h *house) mended(told ...string) {
	h.t.Helper()
	h.agrees("backup-now")
	h.agrees("status")
	h.hears(told...)
}

// TestDumps lets dumps go wrong under the service: each bad night is seen and
// told once, and so is the next good one.
func TestDumps(t *testing.T) {
	const both = "timeout = \"2s\"\n"
	trouble := []struct {
		name    string
		further func(h *house) string // keys
		spoil   func(h *house)
		words   string
		mend    func(h *house)
	}{
		{"empty", nil, func(h *house) { h.prints(0, 0) }, "crm.dump: its command did not deliver: it printed nothing", func(h *house) { h.prints(20_000, 2) }},
		{"hanging", nil, func(h *house) { h.pipe("printed") }, "crm.dump: its command did not deliver: sh: took too long and was stopped", func(h *house) { h.prints(20_000, 2) }},
		{"before", func(h *house) string {
			return fmt.Sprintf("before = [\"test\", \"!\", \"-e\", %q]\n", h.path("spoilt"))
		},
			func(h *house) { writeFile(h.t, h.path("spoilt"), nil) }, "the source itself: its command did not deliver: before the snapshot: test: exit status 1",
			func(h *house) { check(h.t, os.Remove(h.path("spoilt"))) }},
		{"after", func(h *house) string { return fmt.Sprintf("after = [\"test\", \"!\", \"-e\", %q]\n", h.path("spoilt")) },
			func(h *house) { writeFile(h.t, h.path("spoilt"), nil) }, "after the snapshot: test: exit status 1",
			func(h *house) { check(h.t, os.Remove(h.path("spoilt"))) }},
	}
	for _, tt := range trouble {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "")
			keys := both
			if tt.further != nil {
				keys += tt.further(h)
			}
			h.configure(h.printing(keys))
			h.prints(20_000, 1)
			h.serve()
			tt.spoil(h)
			h.degraded(tt.words, "degraded")
			if s := h.asks("backup-now"); s.code != exitIncomplete {
				t.Errorf("another bad run ends with %d", s.code)
			}
			tt.mend(h)
			h.mended("degraded", "recovered")
			h.agrees("backup-now")
			h.hears("degraded", "recovered")
		})
	}
}

// pipe makes a file that nobody writes to, so that its reader hangs.
func (h *house) pipe(name string) {
	h.t.Helper()
	check(h.t, os.Remove(h.path(name)))
	check(h.t, syscall.Mkfifo(h.path(name), 0o600))
	h.t.Cleanup(func() { os.Remove(h.path(name)) })
}

// TestShortDump: half of the customers are gone from the dump. It is kept beside
// the last good one until a person says that it is right.
func TestShortDump(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	h.configure(h.printing(""))
	h.prints(20_000, 1)
	h.serve()
	h.prints(5_000, 2)
	h.degraded("it printed 5000 bytes, less than 50 % of the 20000 bytes before", "degraded")
	if s := h.asks("restore", "latest", "--target", "restored"); s.code != exitIncomplete || !strings.Contains(s.stderr, "the newest complete one of lib is ") {
		t.Errorf("a short dump is restored: %+v", s)
	}
	for name, size := range map[string]int64{"crm.dump": 20_000, "crm.dump.short": 5_000} {
		if info, err := os.Stat(h.path("restored", name)); err != nil || info.Size() != size {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	h.degraded("it printed 5000 bytes", "degraded") // without a word from anybody it stays so

	if s := h.agrees("ack", "lib", "--why", "the old customers went to the archive"); !strings.Contains(s.stdout, "lib: crm.dump with 5000 bytes is accepted") {
		t.Errorf("ack says %q", s.stdout)
	}
	// What was accepted survives a restart; something shorter still was not meant.
	h.service.stop(syscall.SIGTERM)
	h.service = h.start("daemon", "--config", h.config)
	h.prints(1_000, 3)
	until(t, patience, "the service", func() bool { return h.asks("backup-now").code == exitIncomplete })
	h.prints(4_800, 4)
	h.mended("degraded", "recovered")
	if row := h.standing(); row.Newest.Files != 1 || row.Newest.Bytes != 4_800 {
		t.Errorf("%+v", row.Newest)
	}
	h.prints(2_000, 5)
	if s := h.asks("backup-now"); s.code != exitIncomplete {
		t.Errorf("accepted once, and for ever: %d", s.code)
	}
}

// TestDumpsKeepTheirHours: a service that starts again has no reason to run a
// dump that is due at night, unless one failed.
func TestDumpsKeepTheirHours(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "")
	h.configure(h.printing(""))
	h.prints(20_000, 1)
	h.serve()
	ran := h.runs()
	restart := func() {
		h.service.stop(syscall.SIGTERM)
		h.service = h.start("daemon", "--config", h.config)
		until(t, patience, "the service to answer", func() bool {
			return strings.Contains(h.agreesAtLast("status").stdout, "· watching")
		})
	}
	restart()
	if row := h.standing(); !row.Well() || row.NextRun.UTC().Format("15:04") != "02:30" {
		t.Errorf("after a restart %s, the next run is at %v", row.State, row.NextRun)
	}
	if h.runs() != ran {
		t.Errorf("the dump ran %d times at a restart", h.runs()-ran)
	}
	// A run that failed altogether is made up for.
	data := filepath.Join(h.repository(), "data")
	check(t, os.Rename(data, data+"-away"))
	writeFile(t, data, nil)
	h.prints(20_000, 2)
	if s := h.asks("backup-now"); s.code == 0 {
		t.Fatalf("a repository that cannot store took a snapshot:\n%s", s.stdout)
	}
	check(t, os.Remove(data))
	check(t, os.Rename(data+"-away", data))
	ran = h.runs()
	restart()
	h.stands("well again", func(s health.Source) bool { return s.Well() })
	if h.runs() == ran {
		t.Error("a failed dump was not made up for")
	}
}

// agreesAtLast is agrees while the service may be changing hands.
func (h *house) agreesAtLast(args ...string) (s said) {
	h.t.Helper()
	until(h.t, patience, strings.Join(args, " "), func() bool { s = h.asks(args...); return s.code == 0 })
	return s
}
