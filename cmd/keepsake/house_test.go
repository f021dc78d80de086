package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keepsake/daemon/alert"
	"keepsake/daemon/health"
)

// house is a machine whose service keeps one source, on a disk of its own if
// that can be had, and tells somebody, who writes down what she hears.
type house struct {
	*machine
	lib     string
	heard   string // a file with an event on each line
	config  string
	service *running
}

// newHouse makes a house whose source has further keys. Nothing runs yet.
func newHouse(t *testing.T, keys string) *house {
	t.Helper()
	m := newMachine(t)
	h := &house{machine: m, lib: m.path("lib"), heard: m.path("heard"), config: m.path("keepsake.toml")}
	check(t, os.Mkdir(h.lib, 0o755))
	h.configure(keys)
	m.ok("init", "--repository", h.repository())
	return h
}

// configure writes the configuration.
func (h *house) configure(keys string) {
	h.t.Helper()
	tell := h.path("tell-me")
	check(h.t, os.WriteFile(tell, []byte("#!/bin/sh\nexec cat >>"+h.heard+"\n"), 0o700))
	check(h.t, os.WriteFile(h.config, fmt.Appendf(nil, `
repository = %q
mount = %q
[notify]
command = [%q]
[[source]]
label = "lib"
%s
`, h.repository(), h.path("view"), tell, keys), 0o600))
}

// onDisk is a source that lies in a directory, with everything forgotten that no
// rule keeps but the newest.
func onDisk(dir, more string) string {
	return fmt.Sprintf("path = %q\nevery = \"1s\"\nsettle = \"200ms\"\nkeep = { last = 1, daily = 0, weekly = 0, monthly = 0, within = \"0s\" }\n%s", dir, more)
}

// mounted gives the source a disk of its own: ext4 in an image.
func (h *house) mounted() *house {
	h.t.Helper()
	needsRoot(h.t, "mount an image")
	h.attach(h.format("image"))
	return h
}

// format makes a disk.
func (h *house) format(name string) (image string) {
	h.t.Helper()
	image = h.path(name)
	f, err := os.Create(image)
	check(h.t, err)
	check(h.t, f.Truncate(48<<20))
	check(h.t, f.Close())
	h.tool("mkfs.ext4", "-q", "-F", image)
	return image
}

// attach mounts a disk over the source.
func (h *house) attach(image string) {
	h.t.Helper()
	if out, err := exec.Command("mount", "-o", "loop", image, h.lib).CombinedOutput(); err != nil {
		h.t.Skipf("not run: mounting an image: %v %s", err, out)
	}
	h.t.Cleanup(func() {
		for slices.Contains(mountsBelow(h.t, h.dir), h.lib) {
			h.tool("umount", "-l", h.lib)
		}
	})
}

func (h *house) tool(name string, args ...string) {
	h.t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		h.t.Skipf("not run: %s is not installed", name)
	}
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		h.t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// jpeg and film are files that begin as their names promise, each like no other.
func jpeg(i int) []byte { return append([]byte("\xff\xd8\xff\xe0"), noise(20_000, byte(i))...) }
func film(i int) []byte { return append([]byte("\x00\x00\x00\x14ftypqt  "), noise(30_000, byte(i))...) }

// filled writes the source: photos and films in a few folders.
func (h *house) filled() *house {
	h.t.Helper()
	for i := range 96 {
		dir := filepath.Join(h.lib, "2026", fmt.Sprintf("card %d", i/8))
		if i%4 == 3 {
			writeFile(h.t, filepath.Join(dir, fmt.Sprintf("CLIP%04d.MOV", i)), film(i))
			continue
		}
		writeFile(h.t, filepath.Join(dir, fmt.Sprintf("IMG_%04d.JPG", i)), jpeg(i))
	}
	return h
}

// media are the photos and films of the source.
func (h *house) media() (all []string) {
	h.t.Helper()
	all, err := filepath.Glob(filepath.Join(h.lib, "2026/*/*"))
	check(h.t, err)
	return all
}

// serve starts the service and waits until the source is complete.
func (h *house) serve() *house {
	h.t.Helper()
	h.service = h.start("daemon", "--config", h.config)
	h.stands("well", func(s health.Source) bool { return s.Well() && !s.First })
	return h
}

// asks runs a verb as somebody at this machine does.
func (h *house) asks(args ...string) said {
	h.t.Helper()
	return h.run(append(args, "--config", h.config)...)
}

func (h *house) agrees(args ...string) said {
	h.t.Helper()
	s := h.asks(args...)
	if s.code != 0 {
		h.t.Fatalf("keepsake %q: exit code %d\n%s%s", args, s.code, s.stdout, s.stderr)
	}
	return s
}

// standing is what status says of the source.
func (h *house) standing() (found health.Source) {
	h.t.Helper()
	for line := range strings.Lines(h.asks("status", "lib", "--json").stdout) {
		var s struct {
			Type string `json:"message_type"`
			health.Source
		}
		check(h.t, json.Unmarshal([]byte(line), &s))
		if s.Type == "source" {
			found = s.Source
		}
	}
	return found
}

// stands waits until the source stands as it should, and says how long that took.
func (h *house) stands(what string, as func(health.Source) bool) (s health.Source, took time.Duration) {
	h.t.Helper()
	took = until(h.t, patience, "the source to be "+what, func() bool { s = h.standing(); return as(s) })
	return s, took
}

// kept are the snapshots that are not forgotten, oldest first.
func (h *house) kept() (all []keptSnapshot) {
	h.t.Helper()
	for line := range strings.Lines(h.agrees("snapshots", "--json").stdout) {
		var s keptSnapshot
		check(h.t, json.Unmarshal([]byte(line), &s))
		all = append(all, s)
	}
	return all
}

type keptSnapshot struct {
	ID     string   `json:"id"`
	Number uint64   `json:"number"`
	Marks  []string `json:"marks"`
	Missed []struct {
		Path   string `json:"path"`
		Reason string `json:"reason"`
	} `json:"missed_paths"`
}

// edit writes something harmless and waits for the snapshot that holds it.
func (h *house) edit(name string) {
	h.t.Helper()
	before := h.standing().Newest.Number
	writeFile(h.t, filepath.Join(h.lib, name), []byte(name))
	h.stands("captured after "+name, func(s health.Source) bool { return s.Newest.Number > before })
}

// rests waits until nothing is left to capture, not even for having been written
// a moment before it was read, and returns the newest snapshot.
func (h *house) rests() *health.Snapshot {
	h.t.Helper()
	until(h.t, patience, "the source to rest", func() bool {
		return strings.Contains(h.agrees("backup-now", "lib").stdout, "nothing has changed")
	})
	return h.standing().Newest
}

// events are those that were told.
func (h *house) events() (all []alert.Event) {
	h.t.Helper()
	b, err := os.ReadFile(h.heard)
	if err != nil && !os.IsNotExist(err) {
		h.t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		var e alert.Event
		check(h.t, json.Unmarshal(line, &e))
		all = append(all, e)
	}
	return all
}

// kinds are those of the events that were told, in order.
func (h *house) kinds() (all []string) {
	h.t.Helper()
	for _, e := range h.events() {
		all = append(all, e.Kind)
	}
	return all
}

// hears waits until exactly these kinds of events were told.
func (h *house) hears(kinds ...string) {
	h.t.Helper()
	until(h.t, patience, fmt.Sprintf("the events %q; there are %q", kinds, h.kinds()), func() bool { return len(h.kinds()) >= len(kinds) })
	if got := h.kinds(); !slices.Equal(got, kinds) {
		h.t.Errorf("told %q, want %q:\n%+v", got, kinds, h.events())
	}
}
