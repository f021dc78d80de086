package fusefs_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/store/storetest"
)

// drop makes the kernel forget what it has cached of a file.
func drop(b *testing.B, path string) {
	b.Helper()
	f, err := os.Open(path)
	if err == nil {
		err = errors.Join(unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED), f.Close())
	}
	if err != nil {
		b.Fatal(err)
	}
}

// processor measures the processor time of readers and view together, which says
// more than the clock does on a machine that is busy with other things.
func processor() (sum time.Duration) {
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		if err := unix.Getrusage(who, &u); err == nil {
			sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
	}
	return sum
}

const (
	clips = 4
	clip  = 128 << 20
)

// mountClips mounts a repository with videos and returns their paths in the view.
func mountClips(b *testing.B, change func(*fusefs.Options)) (paths []string) {
	b.Helper()
	needFUSE(b)
	dir := filepath.Join(b.TempDir(), "library")
	for i := range clips {
		write(b, fmt.Sprintf("%s/clip%d.mov", dir, i), random(uint64(i), clip))
	}
	r := storetest.New(b).Open(b)
	back(b, r, dir, "library", nil)
	m := mount(b, r, change)
	for i := range clips {
		paths = append(paths, m.path("latest", "library", fmt.Sprintf("clip%d.mov", i)))
	}
	return paths
}

// machine is the processor time that all programs of this machine together have taken.
func machine(b *testing.B) time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		b.Fatal(err)
	}
	var user, nice, system, idle, wait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &wait, &irq, &softirq, &steal); err != nil {
		b.Fatal(err)
	}
	return time.Duration(user+nice+system+irq+softirq+steal) * 10 * time.Millisecond
}

// taken is what some reading took.
type taken struct {
	bytes           int64
	clock, computed time.Duration
}

// read reads files to the end, all at once, as cp does: in processes of their
// own, or the scheduler of ours would have a say in it.
func (t *taken) read(b *testing.B, paths ...string) {
	b.Helper()
	for _, path := range paths {
		drop(b, path)
	}
	begun, computed := time.Now(), processor()
	var readers sync.WaitGroup
	for _, path := range paths {
		readers.Go(func() {
			if out, err := exec.Command("dd", "if="+path, "of=/dev/null", "bs=1M").CombinedOutput(); err != nil {
				b.Errorf("%s: %v: %s", path, err, out)
			}
		})
	}
	readers.Wait()
	t.clock, t.computed = t.clock+time.Since(begun), t.computed+processor()-computed
	t.bytes += clip * int64(len(paths))
}

func (t *taken) speed() float64 { return float64(t.bytes) / t.clock.Seconds() / 1e6 }

func (t *taken) report(b *testing.B, name string) {
	b.ReportMetric(t.speed(), name+"-MB/s")
	b.ReportMetric(float64(t.computed)/float64(t.bytes), name+"-cpu-ns/B")
}

// BenchmarkSequential reads videos from the reference and from the view by
// turns: the kernel's own read-ahead, then more of it, and four at once.
func BenchmarkSequential(b *testing.B) {
	zeros := mountReference(b, clip)
	plain := mountClips(b, func(o *fusefs.Options) { o.ReadAhead = 128 << 10 })
	raised := mountClips(b, func(o *fusefs.Options) { o.ReadAhead = 1 << 20 })
	var reference, view, more, four taken
	everybody := machine(b)
	b.ResetTimer()
	for range b.N {
		reference.read(b, zeros)
		view.read(b, plain[0])
		more.read(b, raised[0])
		four.read(b, plain...)
	}
	b.StopTimer()
	everybody = machine(b) - everybody
	own := reference.computed + view.computed + more.computed + four.computed
	// The view needs all processors, the reference does not: other programs make it look worse.
	b.ReportMetric(100*(everybody-own).Seconds()/b.Elapsed().Seconds()/float64(runtime.NumCPU()), "others-%")
	reference.report(b, "reference")
	view.report(b, "view")
	more.report(b, "more")
	four.report(b, "four")
	b.ReportMetric(view.speed()/reference.speed(), "view/reference")
	b.ReportMetric(more.speed()/reference.speed(), "more/reference")
	b.ReportMetric(four.speed()/view.speed(), "four/view")
	b.ReportMetric(100*four.computed.Seconds()/four.clock.Seconds()/float64(runtime.NumCPU()), "four-%busy")
}

// BenchmarkRandom reads 64 KiB at places all over a video.
func BenchmarkRandom(b *testing.B) {
	f, err := os.Open(mountClips(b, nil)[0])
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
			drop(b, f.Name())
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
