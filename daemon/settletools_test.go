package daemon_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("not run: %v", err)
	}
}

// runs runs a program to its end.
func (s *studio) runs(name string, args ...string) {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		s.t.Errorf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// decodes reports what ffmpeg finds wrong with a picture or film; nothing if all
// of it can be decoded.
func decodes(ctx context.Context, rel string, b []byte) string {
	c := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-xerror", "-i", "/dev/stdin", "-f", "null", "-")
	if strings.HasSuffix(rel, ".mov") { // the index is at the end until the program has moved it
		f, err := os.CreateTemp("", "keepsake-*.mov")
		if err != nil {
			return err.Error()
		}
		defer os.Remove(f.Name())
		defer f.Close()
		if _, err := f.Write(b); err != nil {
			return err.Error()
		}
		c.Args[5] = f.Name()
	} else {
		c.Stdin = bytes.NewReader(b)
	}
	out, err := c.CombinedOutput()
	if err != nil || len(out) > 0 {
		return fmt.Sprintf("%v: %s", err, out)
	}
	return ""
}

// TestRealTools has exiftool and ffmpeg work beside the keeper: every version that
// is stored as good decodes.
func TestRealTools(t *testing.T) {
	t.Parallel()
	tool(t, "exiftool")
	tool(t, "ffmpeg")
	s := newStudio(t, paces())
	for _, name := range []string{"replaced.jpg", "in place.jpg"} {
		s.runs("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=size=1280x960", "-frames:v", "1", "-q:v", "1", s.path(name))
	}
	stop := beside(t.Context(), s.observe)
	s.keep(
		s.again(func(n uint64) {
			s.runs("exiftool", "-q", "-overwrite_original", fmt.Sprintf("-Rating=%d", n%6), s.path("replaced.jpg"))
		}),
		s.again(func(n uint64) {
			s.runs("exiftool", "-q", "-overwrite_original_in_place", fmt.Sprintf("-Comment=%s", strings.Repeat("x", int(n)*100)), s.path("in place.jpg"))
		}),
		s.again(func(n uint64) {
			// At the speed of a camera; the index is moved to the front in the end,
			// which rewrites the file.
			frames := int(s.p.span.Seconds() * 10 / 4)
			s.runs("ffmpeg", "-v", "error", "-y", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=10", "-frames:v", fmt.Sprint(frames),
				"-c:v", "mjpeg", "-flush_packets", "1", "-movflags", "faststart", s.path(fmt.Sprintf("film %d.mov", n%2)))
		}),
	)
	stop()
	decoded := 0
	v := s.allGood(func(rel string, b []byte) bool {
		wrong := decodes(t.Context(), rel, b)
		if wrong == "" {
			decoded++
			return true
		}
		t.Logf("%s, %d bytes: %s", rel, len(b), wrong)
		return s.rests.has(b)
	})
	t.Logf("%d of %d versions decode, the others rested as they are", decoded, v.versions)
	if decoded < 3 {
		t.Error("too few versions were captured")
	}

	// The negative control: what is cut off does not decode.
	for _, name := range []string{"replaced.jpg", "film 1.mov"} {
		b, err := os.ReadFile(filepath.Join(s.dir, name))
		must(t, err)
		if decodes(t.Context(), name, b) != "" || decodes(t.Context(), name, b[:len(b)*2/3]) == "" {
			t.Errorf("%s: whole %q, cut off %q", name, decodes(t.Context(), name, b), decodes(t.Context(), name, b[:len(b)*2/3]))
		}
	}
}
