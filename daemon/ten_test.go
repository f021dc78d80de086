package daemon_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"keepsake/daemon"
	"keepsake/daemon/capture"
	"keepsake/daemon/config"
	"keepsake/store/storetest"
)

// wide is a library of directories in groups of at most a hundred, with a
// hundred small files in each.
type wide struct {
	dir  string
	dirs []string // relative, those that hold files
}

const perDir = 100

// rested is a settle time after which a file is no longer read so soon after its
// last change that its times prove nothing, and it has to be read once more.
const rested = 2500 * time.Millisecond

// widely makes a library of n files.
func widely(t *testing.T, n int) wide {
	t.Helper()
	w := wide{dir: filepath.Join(t.TempDir(), "lib")}
	for i := range n / perDir {
		w.dirs = append(w.dirs, fmt.Sprintf("%03d/%02d", i/100, i%100))
	}
	began := time.Now()
	work := make(chan string)
	var makers sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		makers.Go(func() {
			for rel := range work {
				if err := fill(filepath.Join(w.dir, rel), rel); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, rel := range w.dirs {
		work <- rel
	}
	close(work)
	makers.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("%d files in %d directories made in %v", n, len(w.dirs), time.Since(began).Round(time.Millisecond))
	return w
}

func fill(dir, rel string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range perDir {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("IMG_%04d.xmp", i)), fmt.Appendf(nil, "%s %04d", rel, i), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// change writes one file in each of some directories that lie far apart, and
// returns how many bytes the files have.
func (w wide) change(t *testing.T, files int, content string) (size int64) {
	t.Helper()
	for i := range files {
		rel := w.dirs[i*(len(w.dirs)/files)]
		put(t, filepath.Join(w.dir, rel, "IMG_0050.xmp"), content+rel)
		size += int64(len(content) + len(rel))
	}
	return size
}

// TestTenFilesChanged: a snapshot costs what has changed and not what exists.
// Of many files ten are written, and ten are read.
func TestTenFilesChanged(t *testing.T) {
	files := 3_000
	if os.Getenv("KEEPSAKE_LONG") != "" {
		files = 300_000
	}
	w := widely(t, files)
	k, r := keptWide(t, w)
	for round, n := range []int{10, 3} {
		before := r.progress.Counts()
		size := w.change(t, n, fmt.Sprintf("changed %d ", round))
		began := time.Now()
		var e daemon.Event
		await(t, r.events, "the snapshot", func(got daemon.Event) bool { e = got; return got.Snapshot.Number > 0 })
		seen := time.Since(began)
		wait(t, "at rest", func() bool { return !k.Facts()[0].Running })
		f, c, s := k.Facts()[0], r.progress.Counts(), e.Snapshot.Stats
		listed, read := c.Listed-before.Listed, c.ReadBytes-before.ReadBytes
		took := f.LastEnded.Sub(f.LastBegan)
		t.Logf("of %d files %d changed, %d new, %d bytes read, %d directories listed: begin of the task to publication %v, to its end %v; %v after the writes (settle time %v)\n%s",
			s.Files, s.ChangedFiles, s.NewFiles, read, listed, e.Snapshot.Finished.Time().Sub(e.Snapshot.Started.Time()).Round(time.Millisecond),
			took.Round(time.Millisecond), seen.Round(time.Millisecond), rested, resident(t))
		if int(s.Files) != files || int(s.ChangedFiles) != n || s.NewFiles != 0 || s.DeletedFiles != 0 || int64(s.ReadBytes) != size || read != size || listed != int64(n) {
			t.Errorf("%+v, %d bytes read of %d, %d directories listed for %d files", s, read, size, listed, n)
		}
		if len(e.Snapshot.Why) > 0 || e.Missing > 0 {
			t.Errorf("why %v, missing %d", e.Snapshot.Why, e.Missing)
		}
		if files > 3_000 && took > 10*time.Second {
			t.Errorf("%v for %d files", took, n)
		}
	}
}

// wideKeeper is what a keeper of a wide library tells.
type wideKeeper struct {
	events   chan daemon.Event
	progress *capture.Progress
}

// keptWide keeps a library, and waits until only events make the keeper look.
func keptWide(t *testing.T, w wide) (*daemon.Keeper, wideKeeper) {
	t.Helper()
	c := configured(w.dir, func(s *config.Source) { s.Settle = rested })
	out := wideKeeper{make(chan daemon.Event, 1000), &capture.Progress{}}
	k, err := daemon.New(t.Context(), daemon.Options{
		Repository: storetest.New(t).Open(t), Config: c, Host: "host", Progress: out.progress,
		Report: func(e daemon.Event) { out.events <- e },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := k.Run(ctx); err != nil {
			t.Errorf("keeper: %v", err)
		}
	})
	t.Cleanup(func() { cancel(); work.Wait() })
	began := time.Now()
	waitLong(t, "watched and looked at", func() bool {
		f := k.Facts()[0]
		return f.Watch.Dirty == 0 && f.Totals.Runs() >= 2 && !f.Running
	})
	f := k.Facts()[0]
	t.Logf("first snapshot and scan in %v, %d watches; %s", time.Since(began).Round(time.Millisecond), f.Watch.Watches, resident(t))
	for len(out.events) > 0 {
		<-out.events
	}
	return k, out
}

func waitLong(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Minute); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after ten minutes: not yet %s", what)
		}
	}
}

// resident says how much memory this process has.
func resident(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "VmRSS") || strings.HasPrefix(line, "VmHWM") || strings.HasPrefix(line, "RssAnon") {
			said = append(said, strings.Join(strings.Fields(line), " "))
		}
	}
	return strings.Join(said, ", ")
}
