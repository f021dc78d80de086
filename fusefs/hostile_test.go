package fusefs_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"keepsake/store"
	"keepsake/store/object"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// TestHostileNames reads a tree whose names are anything that the kernel takes,
// through the view: in snapshots, by way of latest, and for Samba.
func TestHostileNames(t *testing.T) {
	names := []string{
		"not utf-8 \xff\xfe\x80", "new\nline", "2026-11-21T15-05-33+0100", "@GMT-2026.11.21-14.05.33", "README.txt", "latest",
		strings.Repeat("n", 255), strings.Repeat("\xf0", 255), " ", "...", "back\\slash", "colon:?*<>|\"", "tab\tbell\a", "-rf", "~", "é", "e\u0301", "CASE", "case",
	}
	dir := filepath.Join(t.TempDir(), "library")
	for _, name := range names {
		write(t, filepath.Join(dir, name, "d"), []byte("in "+name))
		write(t, filepath.Join(dir, "flat", name), []byte(name))
	}
	r := storetest.New(t).Open(t)
	s := back(t, r, dir, "library", nil)
	m := mount(t, r, nil)
	gmt := s.Started.Time().UTC().Format("@GMT-2006.01.02-15.04.05")
	for _, root := range []string{m.path("latest", "library"), m.path("previous", "library", gmt)} {
		if got := list(t, filepath.Join(root, "flat")); len(got) != len(names) {
			t.Errorf("%d names: %q", len(got), got)
		}
		for _, name := range names {
			if b, err := os.ReadFile(filepath.Join(root, "flat", name)); err != nil || string(b) != name {
				t.Errorf("%q: %q, %v", name, b, err)
			}
			if b, err := os.ReadFile(filepath.Join(root, name, "d")); err != nil || string(b) != "in "+name {
				t.Errorf("%q as a directory: %q, %v", name, b, err)
			}
		}
	}
	if _, err := os.Lstat(m.path("latest", "library", "flat", strings.Repeat("n", 256))); err == nil {
		t.Error("a name of 256 bytes is found")
	}
}

// TestHostileLabels shows sources whose labels are anything that a manifest may
// hold: each has a name of its own, whatever the case, that leads to its files.
func TestHostileLabels(t *testing.T) {
	labels := []string{
		"Photos", "photos", "PHOTOS", "a/b", "a\\b", "a:b", "..", ".", "", " ", "new\nline", "nul\x00", strings.Repeat("x", 300), strings.Repeat("X", 300),
		"2026-11-21T15-05-33+0100", "latest", "README.txt", "\u202egpj", "-rf", "straße", "STRASSE", "K\u212Ak", "kkk",
	}
	p := storetest.New(t)
	dir := filepath.Join(t.TempDir(), "library")
	write(t, dir+"/file", []byte("content"))
	r := p.Open(t)
	root := back(t, r, dir, "first", nil).Root
	storetest.Put(t, p, object.Snapshot, func(yield func(*tree.Snapshot) bool) {
		for i, label := range labels {
			at := minute(uint64(i))
			if !yield(&tree.Snapshot{
				Source: [16]byte{9, byte(i)}, Writer: [16]byte{2}, Number: 1, Basis: tree.Scanned, Label: label, Started: at, Finished: at, Root: root,
			}) {
				return
			}
		}
	})
	m := mount(t, r, nil)
	seen := map[string]bool{}
	for _, list := range []string{"latest", "snapshots", "previous", "versions"} {
		entries, err := os.ReadDir(m.path(list))
		must(t, err)
		if len(entries) != len(labels)+1 {
			t.Errorf("%s: %d of %d sources: %v", list, len(entries), len(labels)+1, entries)
		}
		for _, e := range entries {
			name := e.Name()
			key := list + "/" + strings.ToLower(strings.ToUpper(name))
			if seen[key] || !utf8.ValidString(name) || len(name) > 255 || strings.ContainsAny(name, "/\\:\n\x00") || strings.HasSuffix(name, ".") {
				t.Errorf("%s: %q", list, name)
			}
			seen[key] = true
			if list != "latest" {
				continue
			}
			if b, err := os.ReadFile(m.path(list, name, "file")); err != nil || string(b) != "content" {
				t.Errorf("%q: %q, %v", name, b, err)
			}
		}
	}
}

// TestSnapshotsOfOneSecond: each of several snapshots of one second has a folder
// with what it holds; for Samba there is the last of them.
func TestSnapshotsOfOneSecond(t *testing.T) {
	p := storetest.New(t)
	dir := filepath.Join(t.TempDir(), "library")
	r := p.Open(t)
	var roots []tree.Node
	for _, text := range []string{"first", "second", "third"} {
		write(t, dir+"/file", []byte(text))
		roots = append(roots, back(t, r, dir, "library", nil).Root)
	}
	number := uint64(0)
	ids := storetest.Put(t, p, object.Snapshot, func(yield func(*tree.Snapshot) bool) {
		for i := range roots {
			number++
			s := &tree.Snapshot{
				Source: [16]byte{9}, Writer: [16]byte{2}, Number: number, Basis: tree.Scanned, Label: "second",
				Started: tree.Time{Sec: 1_700_000_000, Nsec: uint32(i)}, Finished: tree.Time{Sec: 1_700_000_001}, Root: roots[i],
			}
			if i > 0 {
				s.Previous = &[32]byte{1}
			}
			if !yield(s) {
				return
			}
		}
	})
	m := mount(t, r, nil)
	const name = "2023-11-14T22-13-20+0000"
	for path, want := range map[string]string{
		"snapshots/second/" + name: "first",
		"snapshots/second/" + name + "-" + store.SnapshotID(ids[1]).Short(): "second",
		"snapshots/second/" + name + "-" + store.SnapshotID(ids[2]).Short(): "third",
		"previous/second/@GMT-2023.11.14-22.13.20":                          "third",
		"latest/second": "third",
	} {
		if b, err := os.ReadFile(m.path(path, "file")); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v, want %q", path, b, err, want)
		}
	}
	if got := list(t, m.path("snapshots", "second")); len(got) != 3 {
		t.Errorf("%q", got)
	}
}
