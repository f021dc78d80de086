package capture_test

import (
	"archive/zip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"keepsake/daemon/capture"
	"keepsake/daemon/guard"
	"keepsake/daemon/rules"
	"keepsake/store"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// TestRealFilesKeepTheirPromise: what the tools of studios write begins as its
// name says, and what compresses does so before and after.
func TestRealFilesKeepTheirPromise(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	// One call for all: it starts slowly.
	args := []string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=s=720x576:r=25:d=0.2", "-f", "lavfi", "-i", "sine=d=0.2"}
	for _, ext := range []string{"jpg", "png", "tif", "gif", "webp", "dpx", "exr", "bmp"} {
		args = append(args, "-map", "0", "-frames:v", "1", "-s", "64x48", at("a."+ext))
	}
	for _, ext := range []string{"mov", "mp4", "mkv", "avi", "mts", "m4v"} {
		args = append(args, "-map", "0", "-s", "64x48", at("a."+ext))
	}
	args = append(args, "-map", "0", "-c:v", "mpeg2video", at("a.mxf"))
	for _, ext := range []string{"wav", "aiff", "m4a", "flac", "mp3"} {
		args = append(args, "-map", "1", at("a."+ext))
	}
	tool(t, "ffmpeg", args...)
	tool(t, "exiftool", "-q", "-o", at("a.xmp"), "-XMP:Rating=5", at("a.jpg"))
	tool(t, "sqlite3", at("a.lrcat"), "create table t(a); insert into t values('photo');")
	pack(t, at("a.docx"))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, e := range entries {
		b, err := os.ReadFile(at(e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		kind, ok := guard.KindOf(e.Name())
		if !ok {
			continue
		}
		checked++
		if !kind.Fits(b[:min(len(b), guard.HeadSize)]) {
			t.Errorf("%s begins %q", e.Name(), b[:min(len(b), 16)])
		}
		var sample guard.Sample
		if sample.Add(b); kind.Compressible() && sample.Random() {
			t.Errorf("%s looks random", e.Name())
		}
	}
	t.Logf("%d kinds checked", checked)
	if checked < 15 {
		t.Errorf("only %d kinds were checked", checked)
	}
}

func pack(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	if _, err := w.Create("word/document.xml"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNotesSurviveInTheState: window and cursor are kept from run to run.
func TestNotesSurviveInTheState(t *testing.T) {
	s := newStudio(t, makeTemplates(t))
	s.fill("2026", 60, true)
	s.run()
	for _, path := range s.files("*.xmp") {
		s.must(os.WriteFile(path, random(5, 900), 0o600))
	}
	s.run()
	want := s.window
	const kind = "window"
	s.must(s.r.State().SetNote([16]byte{1}, kind, want))
	var got guard.Window
	if ok, err := s.r.State().Note([16]byte{1}, kind, &got); !ok || err != nil || len(got.Observations) != len(want.Observations) {
		t.Fatalf("%v, %v, %+v", ok, err, got)
	}
	for i := range got.Observations {
		a, b := got.Observations[i], want.Observations[i]
		if a.Time.Unix() != b.Time.Unix() {
			t.Errorf("time %v, want %v", a.Time, b.Time)
		}
		if a.Time = b.Time; a != b {
			t.Errorf("got %+v, want %+v", a, b)
		}
	}
	cursor := capture.Cursor{Low: capture.Position{Time: -5, Key: 1 << 63}, High: capture.Position{Time: 1 << 62, Key: 7}}
	var back capture.Cursor
	s.must(s.r.State().SetNote([16]byte{1}, "cursor", cursor))
	if ok, err := s.r.State().Note([16]byte{1}, "cursor", &back); !ok || err != nil || back != cursor {
		t.Errorf("%v, %v, %+v", ok, err, back)
	}
}

// TestRulesDeleteNothing: what is left out from now on was not deleted.
func TestRulesDeleteNothing(t *testing.T) {
	s := newStudio(t, makeTemplates(t))
	s.fill("2026", 200, true)
	s.fill("2026/cache", 300, false)
	s.quiet("the library")
	rules, err := rules.New([]string{"*.xmp", "*.JPG"}, nil, true)
	s.must(err)
	write(t, filepath.Join(s.dir, "2026/cache/CACHEDIR.TAG"), []byte("Signature: 8a477f597d28d172789f06886806bc55\n"))
	res, _ := back(t, s.r, s.dir, func(o *capture.Options) { o.Now, o.Rules, o.Window = later, rules, s.window })
	if len(res.Findings) > 0 || res.Observation.Deleted > 0 || res.Observation.LeftOut.Files < 600 {
		t.Errorf("found %+v: %+v", res.Findings, res.Observation)
	}
}

// TestPassesOfOneRunAddUp: what the first pass read is not new to the second,
// and yet the run's.
func TestPassesOfOneRunAddUp(t *testing.T) {
	s := newStudio(t, makeTemplates(t))
	s.fill("2026", 100, false)
	s.quiet("the library")
	for i, path := range s.files("*.JPG") {
		write(t, path, random(uint64(i), 3000))
	}
	passes := 1
	var ticks atomic.Int64
	begin := later()
	res, _ := back(t, s.r, s.dir, func(o *capture.Options) {
		o.PassTime = 20 * time.Second
		o.Published = func(s store.Snapshot) {
			passes++
			if s.Basis != tree.InProgress {
				t.Errorf("basis %v", s.Basis)
			}
		}
		o.Now = func() time.Time { return begin.Add(time.Duration(ticks.Add(1)) * time.Second) }
	})
	o := res.Observation
	if o.Misfit != 90 || o.Modified != 90 || o.Before.Files != 100 || o.After.Files != 100 || len(res.Findings) != 1 {
		t.Errorf("in %d passes: %+v, found %v", passes, o, res.Findings)
	}
	if passes < 2 {
		t.Error("there was only one pass")
	}
}

// TestSameDiskUnderAnotherNumber: a disk that is known by its device number
// comes back under another, and is still the same.
func TestSameDiskUnderAnotherNumber(t *testing.T) {
	d := newDisk(t)
	r := storetest.New(t).Open(t)
	write(t, filepath.Join(d.point, "photo.jpg"), []byte("photo"))
	first, _ := back(t, r, d.point, func(o *capture.Options) { o.Now = later })
	d.unmount()
	d.do("tune2fs", "-U", "random", d.image)
	d.mount()
	res, _ := back(t, r, d.point, func(o *capture.Options) { o.Now = later })
	if len(res.Findings) > 0 || res.Snapshot.Root.FS == first.Snapshot.Root.FS {
		t.Errorf("found %v, file systems %d and %d", res.Findings, first.Snapshot.Root.FS, res.Snapshot.Root.FS)
	}
	// Another disk in its place is another.
	d.unmount()
	t.Setenv("E2FSPROGS_FAKE_TIME", "1700000000") // two births in one second are alike
	d.do("mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-b", "4096", d.image)
	d.mount()
	write(t, filepath.Join(d.point, "photo.jpg"), []byte("photo"))
	if res, _ = back(t, r, d.point, func(o *capture.Options) { o.Now = later }); len(res.Findings) != 1 || res.Findings[0].Guard != guard.Elsewhere {
		t.Errorf("found %v", res.Findings)
	}
}
