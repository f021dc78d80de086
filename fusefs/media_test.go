package fusefs_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keepsake/store/storetest"
)

// video makes a video of noisy test pictures.
func video(t testing.TB, path, size string, seconds int, codec ...string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	source := fmt.Sprintf("testsrc2=size=%s:rate=25,noise=alls=30:allf=t", size)
	args := append([]string{"-v", "error", "-f", "lavfi", "-i", source, "-t", fmt.Sprint(seconds)}, codec...)
	if out, err := exec.Command("ffmpeg", append(args, path)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
}

// photos makes n real JPEGs in dir, each with an EXIF date of its own.
func photos(t testing.TB, dir, size string, n int) {
	t.Helper()
	video(t, dir+"/template.jpg", size, 1, "-frames:v", "1", "-q:v", "3")
	picture, err := os.ReadFile(dir + "/template.jpg")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(dir + "/template.jpg"); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		write(t, fmt.Sprintf("%s/%02d/IMG_%05d.JPG", dir, i%10, i), withEXIF(picture, i))
	}
}

// withEXIF puts a maker and a date behind the start of a JPEG.
func withEXIF(jpeg []byte, i int) []byte {
	texts := [][]byte{[]byte("KEEPCAM\x00"), fmt.Appendf(nil, "2026:%02d:%02d %02d:%02d:%02d\x00", 1+i%12, 1+i%28, i%24, i%60, i*7%60)}
	tags := []uint16{0x010f, 0x0132}
	le := binary.LittleEndian
	tiff := le.AppendUint16([]byte("II*\x00\x08\x00\x00\x00"), uint16(len(tags)))
	at := len(tiff) + 12*len(tags) + 4
	for k, tag := range tags {
		tiff = le.AppendUint16(le.AppendUint16(tiff, tag), 2) // text
		tiff = le.AppendUint32(le.AppendUint32(tiff, uint32(len(texts[k]))), uint32(at))
		at += len(texts[k])
	}
	tiff = append(append(le.AppendUint32(tiff, 0), texts[0]...), texts[1]...)
	app1 := append([]byte("Exif\x00\x00"), tiff...)
	head := binary.BigEndian.AppendUint16([]byte{0xff, 0xd8, 0xff, 0xe1}, uint16(len(app1)+2))
	return bytes.Join([][]byte{head, app1, jpeg[2:]}, nil)
}

// TestMedia has the tools of a studio read videos and photos.
func TestMedia(t *testing.T) {
	needFUSE(t)
	if !have(t, "ffmpeg") || !have(t, "exiftool") {
		return
	}
	dir := filepath.Join(t.TempDir(), "library")
	// One container has its index at the end, the other none.
	video(t, dir+"/clip.mov", "160x120", 2, "-c:v", "mpeg4", "-q:v", "2")
	video(t, dir+"/clip.mpg", "160x120", 2, "-c:v", "mpeg2video", "-q:v", "2")
	photos(t, dir+"/photos", "160x120", 30)
	// Catalogues of photo programs are databases of SQLite, which locks what it reads.
	if have(t, "sqlite3") {
		sql := "create table photo(name); insert into photo select 'IMG_' || value from generate_series(1, 20000); create index names on photo(name);"
		if out, err := exec.Command("sqlite3", dir+"/catalogue.lrcat", sql).CombinedOutput(); err != nil {
			t.Fatalf("sqlite3: %v\n%s", err, out)
		}
	}
	r := storetest.New(t).Open(t)
	back(t, r, dir, "library", nil)
	root := mount(t, r, nil).path("latest", "library")
	for _, s := range []said{
		{tool: "ffmpeg", script: `for f in clip.*; do ffmpeg -v error -i $f -f framemd5 -; ffmpeg -v error -ss 1.5 -i $f -frames:v 5 -f framemd5 -; done`},
		{tool: "ffprobe", script: `for f in clip.*; do ffprobe -v error -show_format -show_streams -show_packets $f | sha256sum; done`},
		{tool: "sqlite3", script: `sqlite3 catalogue.lrcat 'pragma integrity_check; select count(*), min(name) from photo; select rowid from photo where name = "IMG_777"'; for n in {1..5}; do sqlite3 -readonly catalogue.lrcat .dump | sha256sum; done`},
		{tool: "flock", script: `flock --shared catalogue.lrcat echo ok shared; flock --exclusive --nonblock clip.mov echo ok exclusive; flock clip.mov flock --nonblock --conflict-exit-code 9 clip.mov true; echo $? '` + strings.Repeat(" ", 100) + `'`},
		{tool: "exiftool", script: `find . -type f -print0 | sort -z | xargs -0 exiftool -q -n -json --FileAccessDate`},
	} {
		was, is := ask(t, dir, s), ask(t, root, s)
		if was != is {
			t.Errorf("%s says something else: %s\n%s", s.tool, s.script, firstDifference(was, is))
		} else if len(was) < 100 {
			t.Errorf("%s says nothing: %s", s.tool, was)
		}
	}
}

// usage is the time that a program takes by the clock, all runs together and the
// best, and of the processor.
type usage struct{ clock, processor, best time.Duration }

func (u *usage) run(b *testing.B, dir string, command ...string) {
	b.Helper()
	c := exec.Command("env", append([]string{"--chdir", dir}, command...)...)
	c.Stdout = io.Discard
	begun := time.Now()
	if err := c.Run(); err != nil {
		b.Fatalf("%q: %v", command, err)
	}
	took := time.Since(begun)
	u.clock += took
	if u.best == 0 || took < u.best {
		u.best = took
	}
	u.processor += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
}

// report says how fast a tool is in the view as a share of its speed on disk,
// where everything is in the kernel's cache, and what the view itself takes
// of the processor. both is that of tool and view in the view.
func report(b *testing.B, disk, view usage, both time.Duration) {
	b.ReportMetric(disk.clock.Seconds()/float64(b.N), "disk-s")
	b.ReportMetric(view.clock.Seconds()/float64(b.N), "view-s")
	b.ReportMetric(float64(disk.clock)/float64(view.clock), "speed-ratio")
	b.ReportMetric(float64(disk.best)/float64(view.best), "best-speed-ratio")
	b.ReportMetric(float64(disk.processor)/float64(view.processor), "tool-cpu-ratio")
	b.ReportMetric((both-view.processor).Seconds()/float64(b.N), "view-cpu-s")
}

// BenchmarkFFmpeg decodes a video of several hundred megabytes on disk and out
// of the view, of which the kernel has nothing cached.
func BenchmarkFFmpeg(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "library")
	video(b, dir+"/clip.ts", "1920x1080", 12, "-c:v", "mpeg2video", "-q:v", "2", "-b:v", "200M", "-maxrate", "300M", "-bufsize", "50M")
	r := storetest.New(b).Open(b)
	back(b, r, dir, "library", nil)
	root := mount(b, r, nil).path("latest", "library")
	for name, command := range map[string][]string{
		"decode": {"ffmpeg", "-v", "error", "-i", "clip.ts", "-f", "null", "-"},
		"copy":   {"ffmpeg", "-v", "error", "-i", "clip.ts", "-c", "copy", "-f", "null", "-"},
	} {
		b.Run(name, func(b *testing.B) {
			var disk, view usage
			var both time.Duration
			for range b.N {
				disk.run(b, dir, command...)
				drop(b, root+"/clip.ts")
				begun := processor()
				view.run(b, root, command...)
				both += processor() - begun
			}
			report(b, disk, view, both)
		})
	}
}

// BenchmarkExiftool reads the metadata of 10,000 photos, folder by folder on
// disk and in the view, of which the kernel has nothing cached.
func BenchmarkExiftool(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "library")
	photos(b, dir, "320x240", 10_000)
	r := storetest.New(b).Open(b)
	back(b, r, dir, "library", nil)
	var disk, view usage
	var both time.Duration
	for range b.N {
		m := mount(b, r, nil)
		for folder := range 10 {
			command := []string{"exiftool", "-r", "-q", "-n", "-json", fmt.Sprintf("%02d", folder)}
			disk.run(b, dir, command...)
			begun := processor()
			view.run(b, m.path("latest", "library"), command...)
			both += processor() - begun
		}
	}
	report(b, disk, view, both)
}
