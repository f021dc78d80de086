package fusefs_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/store/storetest"
)

// drop makes the kernel forget what it has cached of a file.
func drop(b *testing.B, f *os.File) {
	b.Helper()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		b.Fatal(err)
	}
}

// processor measures the processor time of reader and view together, which says
// more than the clock does on a machine that is busy with other things.
func processor() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

const clip = 256 << 20

// mountClip mounts a repository with one video and returns its path in the view.
func mountClip(b *testing.B, change func(*fusefs.Options)) string {
	b.Helper()
	needFUSE(b)
	dir := filepath.Join(b.TempDir(), "library")
	write(b, dir+"/clip.mov", random(1, clip))
	r := storetest.New(b).Open(b)
	back(b, r, dir, "library", nil)
	return mount(b, r, change).path("latest", "library", "clip.mov")
}

// BenchmarkSequential reads a video as a player or cp does, from the view and
// from the reference.
func BenchmarkSequential(b *testing.B) {
	b.Run("view", func(b *testing.B) { readThrough(b, mountClip(b, nil)) })
	b.Run("view with more read-ahead", func(b *testing.B) {
		readThrough(b, mountClip(b, func(o *fusefs.Options) { o.ReadAhead = 1 << 20 }))
	})
	b.Run("reference", func(b *testing.B) { readThrough(b, mountReference(b, clip)) })
}

func readThrough(b *testing.B, path string) {
	buf := make([]byte, 1<<20)
	b.SetBytes(clip)
	b.ResetTimer()
	begun := processor()
	for range b.N {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		drop(b, f)
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
		if err != nil || n != clip {
			b.Fatalf("%d bytes: %v", n, err)
		}
		f.Close()
	}
	b.ReportMetric(float64(processor()-begun)/float64(b.N)/clip, "cpu-ns/byte")
}

// BenchmarkRandom reads 64 KiB at places all over a video.
func BenchmarkRandom(b *testing.B) {
	f, err := os.Open(mountClip(b, nil))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	b.ResetTimer()
	for i := range b.N {
		if i%512 == 0 {
			drop(b, f)
		}
		if _, err := f.ReadAt(buf, int64(i)*7919%(clip>>16)<<16); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkHeads reads the first 64 KiB of each of 1,000 photos, as a browser
// of pictures does; names is the time when they are listed first.
func BenchmarkHeads(b *testing.B) {
	needFUSE(b)
	const photos, size = 1000, 300 << 10
	dir := filepath.Join(b.TempDir(), "library")
	for i := range photos {
		write(b, filepath.Join(dir, fmt.Sprintf("day%d/IMG_%04d.JPG", i/100, i)), random(uint64(i), size))
	}
	r := storetest.New(b).Open(b)
	back(b, r, dir, "library", nil)
	buf := make([]byte, 64<<10)
	var used time.Duration
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		m := mount(b, r, nil) // anew, so that neither kernel nor view knows anything
		b.StartTimer()
		begun := processor()
		for i := range photos {
			f, err := os.Open(m.path("latest", "library", fmt.Sprintf("day%d/IMG_%04d.JPG", i/100, i)))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.ReadFull(f, buf); err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
		used += processor() - begun
		b.StopTimer()
		if err := m.Unmount(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(photos*b.N)/b.Elapsed().Seconds(), "heads/s")
	b.ReportMetric(float64(used.Microseconds())/float64(photos*b.N), "cpu-µs/head")
}

// BenchmarkWalk looks at every file of a library, names and attributes.
func BenchmarkWalk(b *testing.B) {
	needFUSE(b)
	const files = 8000
	dir := filepath.Join(b.TempDir(), "library")
	for i := range files {
		write(b, filepath.Join(dir, fmt.Sprintf("day%d/IMG_%04d.JPG", i/200, i)), nil)
	}
	r := storetest.New(b).Open(b)
	back(b, r, dir, "library", nil)
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		m := mount(b, r, nil)
		b.StartTimer()
		count := 0
		err := filepath.Walk(m.path("latest", "library")+"/", func(_ string, info os.FileInfo, err error) error {
			if err == nil && !info.IsDir() {
				count++
			}
			return err
		})
		if err != nil || count != files {
			b.Fatalf("%d files: %v", count, err)
		}
		b.StopTimer()
		if err := m.Unmount(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(b.N), "ms/walk")
}
