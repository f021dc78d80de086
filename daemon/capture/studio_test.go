package capture_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"keepsake/daemon/capture"
	"keepsake/daemon/guard"
	"keepsake/store"
	"keepsake/store/storetest"
)

// studio is a library that is captured step by step, as the daemon does it: the
// window goes from run to run.
type studio struct {
	t      *testing.T
	r      *store.Repository
	dir    string
	now    time.Time
	every  time.Duration // between two captures
	limits guard.Thresholds
	window guard.Window
	last   *capture.Result
	kinds  templates
	dirty  []string // if not nil, the directories that the next run looks at
}

func newStudio(t *testing.T, kinds templates) *studio {
	t.Helper()
	return &studio{
		t: t, r: storetest.New(t).Open(t), dir: filepath.Join(t.TempDir(), "library"), now: later(), every: 10 * time.Minute, kinds: kinds,
	}
}

// run captures the library and returns the marks that it was given.
func (s *studio) run() []string {
	s.t.Helper()
	s.now = s.now.Add(s.every)
	var since store.SnapshotID
	if s.last != nil {
		since = s.last.Base
	}
	s.last, _ = back(s.t, s.r, s.dir, func(o *capture.Options) {
		o.Now, o.Guard, o.Window, o.OnlyIfChanged = func() time.Time { return s.now }, s.limits, s.window, true
		if s.dirty != nil {
			o.Dirty, o.Since = capture.NewDirty(s.dirty, nil), since
		}
	})
	s.window = s.window.Add(s.last.Observation)
	marks := []string{}
	for _, f := range s.last.Findings {
		marks = append(marks, f.Guard)
	}
	if got := s.last.Snapshot.Marks; !slices.Equal(got, marks) {
		s.t.Errorf("the manifest is marked %v, the findings are %v", got, marks)
	}
	return marks
}

// quiet captures the library and fails if a guard finds something.
func (s *studio) quiet(step string) {
	s.t.Helper()
	if marks := s.run(); len(marks) > 0 {
		s.t.Errorf("%s: %+v\n%+v", step, s.last.Findings, s.last.Observation)
	}
}

// templates are real files of a few kinds, small ones.
type templates struct{ jpeg, mov, tiff, sqlite []byte }

func makeTemplates(t *testing.T) (k templates) {
	t.Helper()
	dir := t.TempDir()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	lavfi := []string{"-v", "error", "-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=1"}
	tool(t, "ffmpeg", append(lavfi, "-frames:v", "1", filepath.Join(dir, "a.jpg"))...)
	tool(t, "ffmpeg", append(lavfi, "-c:v", "mjpeg", filepath.Join(dir, "a.mov"))...)
	tool(t, "ffmpeg", append(lavfi, "-frames:v", "1", "-pix_fmt", "rgb24", "-compression_algo", "raw", filepath.Join(dir, "a.tif"))...)
	tool(t, "sqlite3", filepath.Join(dir, "a.db"), `create table t(id integer primary key, b text);
		with recursive n(i) as (select 1 union all select i+1 from n where i < 500) insert into t select i, 'photo ' || i || ' by the sea' from n;`)
	k.jpeg, k.mov, k.tiff, k.sqlite = read("a.jpg"), read("a.mov"), read("a.tif"), read("a.db")
	return k
}

// photo is a JPEG like no other: a comment segment holds a number.
func (k templates) photo(i int) []byte {
	comment := fmt.Appendf(nil, "frame %08d", i)
	segment := binary.BigEndian.AppendUint16([]byte{0xff, 0xfe}, uint16(2+len(comment)))
	return bytes.Join([][]byte{k.jpeg[:2], segment, comment, k.jpeg[2:]}, nil)
}

// film is a QuickTime file like no other: a free atom ends it.
func (k templates) film(i int) []byte {
	body := random(uint64(i), 2000)
	atom := binary.BigEndian.AppendUint32(nil, uint32(8+len(body)))
	return bytes.Join([][]byte{k.mov, atom, []byte("free"), body}, nil)
}

// raw is a TIFF like no other, as most RAW formats are.
func (k templates) raw(i int) []byte { return fmt.Appendf(bytes.Clone(k.tiff), "%08d", i) }

func sidecar(i int) []byte {
	return fmt.Appendf(nil, "<?xpacket begin=\"\ufeff\"?>\n<x:xmpmeta xmlns:x='adobe:ns:meta/'><rating>%d</rating>\n%s</x:xmpmeta>",
		i, bytes.Repeat([]byte("<rdf:li>a wedding by the sea</rdf:li>\n"), 30))
}

// fill writes a project: photos in folders of 40, a film for each ten, sidecars
// on demand.
func (s *studio) fill(project string, files int, sidecars bool) {
	s.t.Helper()
	for i := range files {
		dir := filepath.Join(s.dir, project, fmt.Sprintf("card %d", i/40))
		n := len(project)*100_000 + i
		if i%10 == 9 {
			write(s.t, filepath.Join(dir, fmt.Sprintf("CLIP%04d.MOV", i)), s.kinds.film(n))
			continue
		}
		write(s.t, filepath.Join(dir, fmt.Sprintf("IMG_%04d.JPG", i)), s.kinds.photo(n))
		if sidecars {
			write(s.t, filepath.Join(dir, fmt.Sprintf("IMG_%04d.xmp", i)), sidecar(n))
		}
	}
}

// files returns the paths below the library that match a pattern, by name.
func (s *studio) files(patterns ...string) (all []string) {
	s.t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		for _, p := range patterns {
			if ok, _ := filepath.Match(p, filepath.Base(path)); ok && err == nil && !d.IsDir() {
				all = append(all, path)
			}
		}
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

func (s *studio) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}
