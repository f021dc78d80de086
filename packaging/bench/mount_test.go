package bench_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/fusefs/reference"
)

// BenchmarkMount measures what people do in a mounted view, one program after
// the other, each in a fresh mount.
func BenchmarkMount(b *testing.B) {
	p := newPlace(b, library{photos: options.photos, clip: options.clip, sidecars: options.sidecars})
	results.library = p.library.String()
	results.versions = append(results.versions, version(p.keepsake.exe, "version"))
	programs := []program{p.keepsake, &zeros{p.dir}, files{}}
	if options.restic {
		exe, err := exec.LookPath("restic")
		if err != nil {
			b.Fatal("-restic was given: ", err)
		}
		programs = append(programs, &restic{exe, p.dir})
		results.versions = append(results.versions, version(exe, "version"))
	}
	for _, program := range programs {
		program.keep(b, p.library)
	}
	unix.Sync() // what was written must not be written while something is measured
	for _, program := range programs {
		b.Run(program.name(), func(b *testing.B) {
			for range b.N {
				warm(b, program.stored(p.library))
				m := program.mount(b, p.library)
				m.measure(b, program.name(), p.library)
				m.unmount(b)
			}
			results.report(b, program.name())
		})
	}
}

// TestMount runs the benchmark once over next to nothing, so that it works when
// somebody needs it.
func TestMount(t *testing.T) {
	p := newPlace(t, library{photos: 3, clip: 1, sidecars: 10})
	for _, program := range []program{p.keepsake, &zeros{p.dir}, files{}} {
		program.keep(t, p.library)
		m := program.mount(t, p.library)
		got := m.figures(t, p.library)
		m.unmount(t)
		want := []string{"sequential", "four readers", "random 64 KiB p50"}
		if program.name() != "reference" {
			want = append(want, "walk", "heads of photos")
		}
		if program.name() == "keepsake" {
			want = append(want, "peak memory")
		}
		for _, name := range want {
			if got[name] <= 0 {
				t.Errorf("%s: %s is %v", program.name(), name, got[name])
			}
		}
		for name := range got {
			if !slices.ContainsFunc(figures, func(f figure) bool { return f.name == name }) {
				t.Errorf("%s has no row in the table", name)
			}
		}
	}
}

func (m *mounted) measure(b testing.TB, program string, l *library) {
	for name, value := range m.figures(b, l) {
		results.add(program, name, value)
	}
}

// figures measures one mount.
func (m *mounted) figures(b testing.TB, l *library) map[string]float64 {
	b.Helper()
	got := map[string]float64{}
	video := func(n int) string {
		if m.single {
			return filepath.Join(m.root, reference.File)
		}
		return filepath.Join(m.root, l.video(n))
	}
	if !m.single {
		got["walk"] = m.walk(b, l)
	}
	used := m.processor(b)
	bytes, took := m.read(b, video(0))
	got["sequential"] = float64(bytes) / 1e6 / took.Seconds()
	if m.process != nil {
		got["its processor time"] = float64(m.processor(b)-used) / float64(bytes)
	}
	got["four readers"], got["cores busy"] = m.four(b, []string{video(1), video(2), video(3), video(4)})
	got["random 64 KiB p50"], got["random 64 KiB p95"] = m.random(b, video(5))
	if !m.single {
		got["heads of photos"] = m.heads(b, l)
	}
	if m.process != nil {
		got["peak memory"] = m.peak(b)
	}
	return got
}

// walk looks at names and attributes of everything.
func (m *mounted) walk(b testing.TB, l *library) float64 {
	began, n := time.Now(), 0
	err := filepath.WalkDir(m.root, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		n++
		_, err = d.Info()
		return err
	})
	took := time.Since(began)
	must(b, err)
	if want := l.photos + clips + l.sidecars; n != want {
		b.Fatalf("a walk saw %d files of %d", n, want)
	}
	return took.Seconds()
}

// open opens a file of which the kernel has nothing, but for the files themselves.
func (m *mounted) open(b testing.TB, path string) *os.File {
	f, err := os.Open(path)
	must(b, err)
	if m.single { // somebody has read it before
		must(b, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	}
	return f
}

// read reads a file from its beginning to its end, as a player or cp does.
func (m *mounted) read(b testing.TB, path string) (int64, time.Duration) {
	f := m.open(b, path)
	defer f.Close()
	buf := make([]byte, 1<<20)
	began := time.Now()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, buf)
	must(b, err)
	return n, time.Since(began)
}

// four reads four videos at once, and says how busy that keeps the machine.
func (m *mounted) four(b testing.TB, paths []string) (rate, busy float64) {
	var readers sync.WaitGroup
	var sums [4]int64
	work, all := busyTime(b)
	began := time.Now()
	for i, path := range paths {
		readers.Go(func() { sums[i], _ = m.read(b, path) })
	}
	readers.Wait()
	took := time.Since(began)
	after, allAfter := busyTime(b)
	var sum int64
	for _, n := range sums {
		sum += n
	}
	if allAfter > all {
		busy = 100 * float64(after-work) / float64(allAfter-all)
	}
	return float64(sum) / 1e6 / took.Seconds(), busy
}

// random reads 200 pieces of 64 KiB, and returns the median and the 95th
// percentile in milliseconds.
func (m *mounted) random(b testing.TB, path string) (p50, p95 float64) {
	f := m.open(b, path)
	defer f.Close()
	must(b, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
	info, err := f.Stat()
	must(b, err)
	at := rand.New(rand.NewPCG(3, 4))
	buf := make([]byte, 64<<10)
	var all []float64
	for range 200 {
		off := at.Int64N(info.Size() - int64(len(buf)))
		began := time.Now()
		_, err := f.ReadAt(buf, off)
		must(b, err)
		all = append(all, float64(time.Since(began))/1e6)
	}
	slices.Sort(all)
	return all[100], all[190]
}

// heads reads the first 64 KiB of each photo, as a browser of pictures does.
func (m *mounted) heads(b testing.TB, l *library) float64 {
	buf := make([]byte, 64<<10)
	n := 0
	began := time.Now()
	err := filepath.WalkDir(filepath.Join(m.root, "photos"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		n++
		_, err = io.ReadFull(f, buf)
		return errors.Join(err, f.Close())
	})
	must(b, err)
	if n != l.photos {
		b.Fatalf("%d photos of %d", n, l.photos)
	}
	return float64(n) / time.Since(began).Seconds()
}

// peak is the largest resident memory of the process that mounts, in MiB.
func (m *mounted) peak(b testing.TB) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", m.process.Pid))
	must(b, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmHWM:" {
			kib, err := strconv.ParseFloat(f[1], 64)
			must(b, err)
			return kib / 1024
		}
	}
	b.Fatal("the kernel tells no peak")
	return 0
}

// ticks are how the kernel counts processor time.
const tick = 10 * time.Millisecond

// processor is the processor time of the process that mounts.
func (m *mounted) processor(b testing.TB) time.Duration {
	if m.process == nil {
		return 0
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.process.Pid))
	must(b, err)
	// Behind the name, which may hold blanks, proc_pid_stat(5) counts from 3.
	_, after, _ := strings.Cut(string(text), ") ")
	return tick * time.Duration(sum(b, strings.Fields(after)[14-3:16-3]))
}

// busyTime is how much of all processors' time was worked in, and all of it.
func busyTime(b testing.TB) (work, all int64) {
	text, err := os.ReadFile("/proc/stat")
	must(b, err)
	line, _, _ := strings.Cut(string(text), "\n")
	f := strings.Fields(line)[1:9] // without the time of guests, which is counted twice
	all = sum(b, f)
	return all - sum(b, f[3:5]), all
}

func sum(b testing.TB, fields []string) (total int64) {
	for _, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		must(b, err)
		total += n
	}
	return total
}
