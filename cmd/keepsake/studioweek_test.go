package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keepsake/daemon/health"
)

// TestStudioWeek does a week's work under the eyes of the service, in a minute:
// all of it adds up in one window, and none of it raises an alarm.
func TestStudioWeek(t *testing.T) {
	for _, tool := range []string{"ffmpeg", "exiftool", "sqlite3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("not run: %s is not installed", tool)
		}
	}
	t.Parallel()
	s := &week{house: newHouse(t, ""), scale: 40, catalogue: 32 << 20}
	if os.Getenv("KEEPSAKE_LONG") != "" {
		s.scale, s.catalogue = 1, 4<<30
	}
	s.house.configure(onDisk(s.lib, ""))
	s.makeTemplate()
	s.shoot("2025 archive", 900)
	for i := range s.n(500) {
		writeFile(t, filepath.Join(s.lib, "2025 raws", fmt.Sprintf("day %d", i%13), fmt.Sprintf("DSC_%04d.NEF", i)), append([]byte("II*\x00"), noise(9000, byte(i))...))
	}
	s.serve()
	for _, step := range s.steps() {
		step.do()
		s.quiet(step.name)
	}
	s.hears()
	if row := s.standing(); row.Totals.Degraded > 0 {
		t.Logf("%d runs missed files that were being written", row.Totals.Degraded)
	}
}

// week is a house whose studio works.
type week struct {
	*house
	scale     int // every number of files is divided by it
	catalogue int64
	jpeg      []byte
	shot      int
}

type step struct {
	name string
	do   func()
}

func (s *week) n(files int) int { return max(files/s.scale, 8) }

func (s *week) steps() []step {
	lrcat := filepath.Join(s.lib, "catalogue.lrcat")
	at := func(name string) string { return filepath.Join(s.lib, name) }
	return []step{
		{"two cards ingested", func() { s.shoot("2026 Weber", 1600); s.shoot("2026 Okafor & sons", 1400) }},
		{"a catalogue made", func() { s.makeCatalogue(lrcat, s.catalogue) }},
		{"sidecars written", func() {
			for i, photo := range s.find("Weber", ".JPG") {
				writeFile(s.t, strings.TrimSuffix(photo, "JPG")+"xmp", fmt.Appendf(nil, "<?xpacket?>\n<x:xmpmeta><rating>%d</rating></x:xmpmeta>", i))
			}
		}},
		{"photos retagged", func() { s.exiftool(2000, "-overwrite_original", "-Artist=studio", "-Copyright=2026 studio") }},
		{"photos retagged, with originals beside them", func() { s.exiftool(500, "-Artist=another") }},
		{"originals deleted", func() { s.exiftool(500, "-delete_original!") }},
		{"the catalogue rebuilt", func() {
			s.makeCatalogue(lrcat+".tmp", s.catalogue/2)
			s.quiet("a catalogue growing beside the old one")
			check(s.t, os.Rename(lrcat+".tmp", lrcat))
			check(s.t, os.Truncate(lrcat, s.catalogue))
		}},
		{"a project renamed", func() { check(s.t, os.Rename(at("2026 Weber"), at("2026-05-03 Weber, Haifa"))) }},
		{"a project moved", func() { check(s.t, os.Rename(at("2026-05-03 Weber, Haifa"), at("2025 archive/Weber"))) }},
		{"RAW made DNG", func() {
			for i, raw := range s.find("", ".NEF") {
				writeFile(s.t, strings.TrimSuffix(raw, "NEF")+"dng", append([]byte("II*\x00"), noise(9500, byte(i))...))
				check(s.t, os.Remove(raw))
			}
		}},
		{"photos renamed in a batch", func() {
			for i, photo := range first(s.find("", ".JPG"), s.n(1000)) {
				check(s.t, os.Rename(photo, filepath.Join(filepath.Dir(photo), fmt.Sprintf("2026-wedding-%05d.jpg", i))))
			}
		}},
		{"rejects deleted", func() {
			for _, photo := range first(s.find("Okafor", ""), s.n(1400)*4/10) {
				check(s.t, os.Remove(photo))
			}
		}},
		{"a project restored", func() { s.shoot("2024 gone", len(s.find("", ""))*s.scale*35/65) }},
		{"35 % deleted with its folder", func() {
			all, gone := len(s.find("", "")), len(s.find("2024 gone", ""))
			check(s.t, os.RemoveAll(at("2024 gone")))
			if gone*100 < all*34 {
				s.t.Errorf("only %d of %d files were deleted", gone, all)
			}
		}},
	}
}

func first(all []string, n int) []string { return all[:min(n, len(all))] }

// quiet has what was done captured, and demands that no guard minds.
func (s *week) quiet(step string) {
	s.t.Helper()
	var now said
	until(s.t, patience, "a snapshot that misses nothing", func() bool {
		now = s.asks("backup-now", "lib")
		return now.code != exitIncomplete || len(s.standing().Alarms) > 0
	})
	row := s.standing()
	if now.code != 0 || row.Guarded || row.State != health.Complete {
		s.t.Fatalf("after %s: %s, alarms %+v\n%s%s", step, row.State, row.Alarms, now.stdout, now.stderr)
	}
}

// makeTemplate makes a photo that programs can read.
func (s *week) makeTemplate() {
	s.t.Helper()
	path := s.path("template.jpg")
	s.tool("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=1", "-frames:v", "1", path)
	b, err := os.ReadFile(path)
	check(s.t, err)
	s.jpeg = b
}

// shoot ingests a project: photos in folders of 40, of which every tenth is a film.
func (s *week) shoot(project string, files int) {
	s.t.Helper()
	for i := range s.n(files) {
		s.shot++
		dir := filepath.Join(s.lib, project, fmt.Sprintf("card %d", i/40))
		if i%10 == 9 {
			writeFile(s.t, filepath.Join(dir, fmt.Sprintf("CLIP%04d.MOV", i)), film(s.shot))
			continue
		}
		// A comment makes it like no other.
		comment := fmt.Appendf(nil, "frame %08d", s.shot)
		segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xfe}, uint16(2+len(comment)))
		writeFile(s.t, filepath.Join(dir, fmt.Sprintf("IMG_%04d.JPG", i)), bytes.Join([][]byte{s.jpeg[:2], segment, comment, s.jpeg[2:]}, nil))
	}
}

// makeCatalogue makes a real database, with a hole behind it.
func (s *week) makeCatalogue(path string, size int64) {
	s.t.Helper()
	s.tool("sqlite3", path, `create table t(id integer primary key, b text);
		with recursive n(i) as (select 1 union all select i+1 from n where i < 500) insert into t select i, 'photo ' || i || ' by the sea' from n;`)
	check(s.t, os.Truncate(path, size))
}

// exiftool works on the first photos by name.
func (s *week) exiftool(files int, args ...string) {
	s.t.Helper()
	list := s.path("list")
	check(s.t, os.WriteFile(list, []byte(strings.Join(first(s.find("", ".JPG"), s.n(files)), "\n")), 0o600))
	s.tool("exiftool", append(append([]string{"-q"}, args...), "-@", list)...)
}

// find lists files by name whose path has something in it and an end.
func (s *week) find(in, end string) (all []string) {
	s.t.Helper()
	check(s.t, filepath.WalkDir(s.lib, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, in) && strings.HasSuffix(path, end) {
			all = append(all, path)
		}
		return err
	}))
	slices.Sort(all)
	return all
}
