package capture_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStudioWeekRaisesNothing does a week's work in a few hours, so that all of
// it adds up in one window. The long run has the numbers of a real one.
func TestStudioWeekRaisesNothing(t *testing.T) {
	s := newStudio(t, makeTemplates(t))
	n := func(files int) int { return files / 10 }
	catalogue := int64(256 << 20)
	if os.Getenv("KEEPSAKE_LONG") != "" {
		n = func(files int) int { return files }
		catalogue = 4 << 30
	}
	lrcat := filepath.Join(s.dir, "catalogue.lrcat")
	s.fill("2025 archive", n(900), false)
	for i := range n(500) {
		write(t, filepath.Join(s.dir, "2025 raws", fmt.Sprintf("day %d", i%13), fmt.Sprintf("DSC_%04d.NEF", i)), s.kinds.raw(i))
	}
	write(t, lrcat, s.kinds.sqlite)
	s.must(os.Truncate(lrcat, catalogue))
	s.quiet("the library")

	s.fill("2026 Weber", n(1600), false)
	s.fill("2026 Okafor & sons", n(1400), false)
	s.quiet("two cards ingested")

	for i, photo := range s.files("*.JPG") {
		if strings.Contains(photo, "Weber") {
			write(t, strings.TrimSuffix(photo, "JPG")+"xmp", sidecar(i))
		}
	}
	s.quiet("sidecars written")

	s.rebuild(lrcat, catalogue)

	photos := s.files("*.JPG")
	list := filepath.Join(t.TempDir(), "list")
	s.must(os.WriteFile(list, []byte(strings.Join(photos[:min(len(photos), n(2000))], "\n")), 0o600))
	tool(t, "exiftool", "-q", "-overwrite_original", "-Artist=studio", "-Copyright=2026 studio", "-@", list)
	s.quiet("photos retagged")
	if got := int(s.last.Observation.Checked); got < n(2000) {
		t.Errorf("%d files of %d were looked at", got, n(2000))
	}
	few := filepath.Join(t.TempDir(), "few")
	s.must(os.WriteFile(few, []byte(strings.Join(photos[:n(500)], "\n")), 0o600))
	tool(t, "exiftool", "-q", "-Artist=another", "-@", few)
	s.quiet("photos retagged, with originals beside them")
	tool(t, "exiftool", "-q", "-delete_original!", "-@", few)
	s.quiet("originals deleted")

	s.must(os.Rename(filepath.Join(s.dir, "2026 Weber"), filepath.Join(s.dir, "2026-05-03 Weber, Haifa")))
	s.quiet("a project folder renamed")
	s.must(os.Rename(filepath.Join(s.dir, "2026-05-03 Weber, Haifa"), filepath.Join(s.dir, "2025 archive", "Weber")))
	s.quiet("a project folder moved")

	for i, raw := range s.files("*.NEF") {
		write(t, strings.TrimSuffix(raw, "NEF")+"dng", append(s.kinds.raw(i), "converted"...))
		s.must(os.Remove(raw))
	}
	s.quiet("RAW files converted to DNG")

	for i, photo := range s.files("*.JPG")[:n(1000)] {
		s.must(os.Rename(photo, filepath.Join(filepath.Dir(photo), fmt.Sprintf("2026-wedding-%05d.jpg", i))))
	}
	s.quiet("photos renamed in a batch")

	s.cull("Okafor", n(1400)*4/10)
	s.archive(35)
}

// rebuild replaces the catalogue as its program does: a new file grows beside
// it and takes its place, and a capture may fall between all of these.
func (s *studio) rebuild(lrcat string, size int64) {
	s.t.Helper()
	fresh := lrcat + ".tmp"
	write(s.t, fresh, append(s.kinds.sqlite[:len(s.kinds.sqlite):len(s.kinds.sqlite)], random(1, 4096)...))
	s.must(os.Truncate(fresh, size/2))
	s.quiet("a catalogue growing beside the old one")
	s.must(os.Remove(lrcat))
	s.quiet("the old catalogue deleted")
	s.must(os.Rename(fresh, lrcat))
	s.must(os.Truncate(lrcat, size))
	s.quiet("the catalogue rebuilt")
}

// cull deletes rejects all over one project.
func (s *studio) cull(project string, files int) {
	s.t.Helper()
	all := s.files("*.JPG", "*.jpg", "*.MOV")
	for i := 0; files > 0 && i < len(all); i += 2 {
		if strings.Contains(all[i], project) {
			s.must(os.Remove(all[i]))
			files--
		}
	}
	s.quiet("rejects deleted")
}

// archive adds a project that makes up some percent of the library, and then
// deletes it with its folder.
func (s *studio) archive(percent int) {
	s.t.Helper()
	have := len(s.files("*"))
	s.fill("2024 gone", have*percent/(100-percent), false)
	s.quiet("a project restored")
	before := len(s.files("*"))
	s.must(os.RemoveAll(filepath.Join(s.dir, "2024 gone")))
	s.quiet("a project deleted with its folder")
	if gone := before - len(s.files("*")); gone*100 < before*(percent-1) {
		s.t.Errorf("only %d of %d files were deleted", gone, before)
	}
}
