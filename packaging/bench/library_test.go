package bench_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// clips is how many videos a library has: each reading takes one that no other
// has touched.
const clips = 6

// library is files as a studio has them: photos and videos that cannot be
// compressed, and small files beside them that can.
type library struct {
	dir                    string
	photos, clip, sidecars int // clip in MB
	bytes                  int64
}

// name tells libraries apart by what they hold.
func (l *library) name() string {
	return fmt.Sprintf("library-%d-%d-%d", l.photos, l.clip, l.sidecars)
}

func (l *library) String() string {
	return fmt.Sprintf("%d photos of 3 to 9 MB, %d videos of %d MB, %d sidecars; %.1f GB", l.photos, clips, l.clip, l.sidecars, float64(l.bytes)/1e9)
}

func (l *library) video(n int) string { return fmt.Sprintf("video/CLIP_%03d.MOV", n) }

// make makes what is not there yet. A library that is whole has a mark.
func (l *library) make(b testing.TB) {
	b.Helper()
	mark := l.dir + ".whole"
	if text, err := os.ReadFile(mark); err == nil {
		if _, err := fmt.Sscan(string(text), &l.bytes); err == nil {
			return
		}
	}
	must(b, os.RemoveAll(l.dir))
	sizes := rand.New(rand.NewPCG(1, 2))
	for i := range l.photos {
		l.file(b, fmt.Sprintf("photos/2026-%02d/event-%03d/IMG_%05d.JPG", 1+i%12, i/50, i), uint64(i), 3e6+sizes.Int64N(6e6))
	}
	for i := range clips {
		l.file(b, l.video(i), 1<<32+uint64(i), int64(l.clip)*1e6)
	}
	for i := range l.sidecars {
		path := filepath.Join(l.dir, fmt.Sprintf("catalog/%03d/side-%06d.xmp", i/200, i))
		must(b, os.MkdirAll(filepath.Dir(path), 0o755))
		text := fmt.Appendf(nil, "<x:xmpmeta><rating>%d</rating>", i)
		for range 20 + sizes.IntN(400) {
			text = fmt.Appendf(text, " %08x", sizes.Uint32N(4000)*2654435761)
		}
		must(b, os.WriteFile(path, append(text, "</x:xmpmeta>\n"...), 0o644))
		l.bytes += int64(len(text)) + 13
	}
	must(b, os.WriteFile(mark, fmt.Append(nil, l.bytes), 0o644))
}

// file writes noise behind the head of a JPEG.
func (l *library) file(b testing.TB, name string, seed uint64, size int64) {
	b.Helper()
	path := filepath.Join(l.dir, name)
	must(b, os.MkdirAll(filepath.Dir(path), 0o755))
	f, err := os.Create(path)
	must(b, err)
	var key [32]byte
	copy(key[:], fmt.Append(nil, seed))
	w := bufio.NewWriterSize(f, 1<<20)
	_, err = w.WriteString("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00")
	_, copied := io.CopyN(w, rand.NewChaCha8(key), size-20)
	must(b, errors.Join(err, copied, w.Flush(), f.Close()))
	l.bytes += size
}

func must(b testing.TB, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
