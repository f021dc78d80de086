package daemon_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keepsake/daemon"
	"keepsake/daemon/config"
	"keepsake/daemon/health"
	"keepsake/daemon/logs"
	"keepsake/daemon/schedule"
	"keepsake/store"
	"keepsake/store/retention"
	"keepsake/store/storetest"
)

// hours is how long a simulated day is.
func hours() int {
	if os.Getenv("KEEPSAKE_LONG") != "" {
		return 24
	}
	return 3
}

// day is a keeper of several sources on a simulated clock.
type day struct {
	t     *testing.T
	clock *simulated
	place *storetest.Place
	repo  *store.Repository
	k     *daemon.Keeper
	dir   string
	round int
	lines lines
	stop  func()

	mu        sync.Mutex
	published map[string][]published // by label
	failures  map[string]int
	daily     int // snapshots of daily scans
}

// published is what the test remembers of a snapshot.
type published struct {
	id     store.SnapshotID
	source [16]byte
	item   retention.Item
}

func publishedAs(s store.Snapshot) published {
	return published{s.ID, s.Source, retention.Item{Time: s.Started.Time().In(s.Zone()), Number: s.Number, Complete: s.Complete()}}
}

// lines counts what a log writes.
type lines struct {
	mu    sync.Mutex
	n     int
	bytes int
	last  string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	l.bytes += len(p)
	l.last = string(p)
	return len(p), nil
}

// places are the directories that are sources.
var places = []string{"weddings", "projects", "catalogs", "archive", "clients"}

// newDay begins a day with the sources that a change of the configuration
// leaves.
func newDay(t *testing.T, change func(d *day, c *config.Config)) *day {
	t.Helper()
	d := &day{t: t, clock: newSimulated(), dir: t.TempDir(), published: map[string][]published{}, failures: map[string]int{}}
	d.place = storetest.New(t)
	d.place.Now, d.place.Cache = d.clock.Now, 128<<10 // full before hour 2
	d.repo = d.place.Open(t)
	c := config.Default(config.Production)
	for _, label := range places {
		d.populate(label)
		s := c.NewSource(label, d.path(label))
		s.Schedule, s.Scan, s.Reread = schedule.Schedule{}, 6*time.Hour, 64<<20
		s.Keep = retention.Policy{Within: time.Hour, Hourly: 6, Daily: 2}
		c.Sources = append(c.Sources, s)
	}
	c.Sources[1].Schedule.Every = 15 * time.Minute
	c.Sources[3].Schedule = daily(t, "00:10", "06:10", "12:10", "18:10")
	dump := c.NewSource("dump", "")
	dump.Outputs = []config.Output{{File: "crm.dump", Command: []string{"/bin/sh", "-c", "cat " + d.path("dumped")}}}
	dump.Schedule, dump.Keep = schedule.Schedule{Every: time.Hour}, c.Sources[0].Keep
	put(t, d.path("dumped"), strings.Repeat("insert into t values (1);\n", 1000))
	c.Sources = append(c.Sources, dump)
	c.Notify.Command = []string{"/bin/true"}
	if change != nil {
		change(d, &c)
	}
	calmDown()
	d.keep(c)
	return d
}

func daily(t *testing.T, times ...string) (s schedule.Schedule) {
	t.Helper()
	for _, text := range times {
		at, err := schedule.ParseTime(text)
		if err != nil {
			t.Fatal(err)
		}
		s.At = append(s.At, at)
	}
	return s
}

func (d *day) path(elem ...string) string { return filepath.Join(append([]string{d.dir}, elem...)...) }

// keep runs the keeper until the test ends.
func (d *day) keep(c config.Config) {
	d.t.Helper()
	h := logs.New(logs.Options{Writer: &d.lines, Now: d.clock.Now})
	log := slog.New(h)
	k, err := daemon.New(d.t.Context(), daemon.Options{
		Repository: d.repo, Config: c, Host: "host", Clock: d.clock, WallOffset: d.clock.offset, Log: log,
		Report: func(e daemon.Event) { d.report(log, e) },
	})
	if err != nil {
		d.t.Fatal(err)
	}
	d.k = k
	ctx, cancel := context.WithCancel(context.Background())
	var work sync.WaitGroup
	work.Go(func() {
		if err := k.Run(ctx); err != nil {
			d.t.Errorf("keeper: %v", err)
		}
	})
	d.stop = sync.OnceFunc(func() {
		cancel()
		work.Wait()
		if err := h.Flush(); err != nil {
			d.t.Error(err)
		}
	})
	d.t.Cleanup(d.stop)
}

// report logs as the service does.
func (d *day) report(log *slog.Logger, e daemon.Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case e.Err != nil:
		d.failures[e.Label]++
		log.Error("a snapshot could not be taken; it is tried again", "source", e.Label, "error", e.Err)
	case e.Snapshot.Number > 0:
		d.published[e.Label] = append(d.published[e.Label], publishedAs(e.Snapshot))
		if slices.Contains(e.Snapshot.Why, "daily") {
			d.daily++
		}
		log.Info("snapshot", "source", e.Label, "id", e.Snapshot.ID.Short(), "files", e.Snapshot.Stats.Files, "why", e.Snapshot.Why)
	}
}

// populate makes a small library: shoots, a bundle, a catalogue with its journal.
func (d *day) populate(label string) {
	for dir := range 6 {
		for file := range 12 {
			d.write(label, fmt.Sprintf("shoot%d/IMG_%04d.dng", dir, file), 0)
		}
	}
	d.write(label, "library/main.lrcat", 0)
	d.write(label, "bundle.fcpbundle/one/event.db", 0)
	d.write(label, "bundle.fcpbundle/two/media.mov", 0)
}

// write writes a version of a file: a kilobyte that begins as its name promises.
func (d *day) write(label, rel string, version int) {
	d.t.Helper()
	head := "II*\x00"
	if strings.HasSuffix(rel, ".lrcat") || strings.HasSuffix(rel, ".db") {
		head = "SQLite format 3\x00"
	}
	if strings.HasSuffix(rel, ".mov") {
		head = "\x00\x00\x00\x14ftypqt  "
	}
	put(d.t, d.path(label, rel), head+strings.Repeat(fmt.Sprintf("%s %s %d\n", label, rel, version), 30))
}

// work is ten minutes of work in every source: files come, change, go and get
// other names, a project is begun and one archived each hour. What comes goes
// in the end, so the day leaves as much as it found.
func (d *day) work() {
	d.t.Helper()
	must := func(err error) {
		d.t.Helper()
		if err != nil {
			d.t.Fatal(err)
		}
	}
	r := d.round
	d.round++
	for _, label := range places {
		if _, err := os.Stat(d.path(label)); err != nil {
			continue // taken away by the test
		}
		name := func(r int) string { return fmt.Sprintf("shoot%d/new%d.dng", r%6, r) }
		d.write(label, name(r), 0)
		d.write(label, fmt.Sprintf("shoot%d/IMG_%04d.dng", r%6, r%12), r)
		if r >= 3 {
			must(os.Rename(d.path(label, name(r-3)), d.path(label, name(r-3)+".bak.dng")))
		}
		if r >= 6 {
			must(os.Remove(d.path(label, name(r-6)+".bak.dng")))
		}
		d.write(label, "library/main.lrcat", r)
		d.write(label, "library/main.lrcat-journal", r)
		must(os.Remove(d.path(label, "library/main.lrcat-journal")))
		d.write(label, "bundle.fcpbundle/one/event.db", r)
		if r%6 == 0 {
			for file := range 5 {
				d.write(label, fmt.Sprintf("project%d/raw/%d.dng", r/6, file), r)
			}
			must(os.Link(d.path(label, fmt.Sprintf("project%d/raw/0.dng", r/6)), d.path(label, fmt.Sprintf("project%d/cover.dng", r/6))))
		}
		if r%6 == 3 && r >= 9 {
			must(os.RemoveAll(d.path(label, fmt.Sprintf("project%d", r/6-1))))
		}
	}
	put(d.t, d.path("dumped"), strings.Repeat(fmt.Sprintf("insert into t values (%d);\n", r), 1000))
	calmDown()
}

// calmDown lets real time pass, which files' times are of: a bundle that was
// written a moment ago counts as being written.
func calmDown() { time.Sleep(60 * time.Millisecond) }

// figures are what a moment costs.
type figures struct {
	heap                    uint64
	goroutines, descriptors int
}

// measure looks at the process at rest.
func (d *day) measure(hour int) figures {
	d.t.Helper()
	d.clock.rest(d.t)
	if err := d.place.Backend.Close(); err != nil { // what it keeps open for reading is bounded, and comes and goes
		d.t.Fatal(err)
	}
	f := figures{heapInUse(), runtime.NumGoroutine(), len(descriptors(d.t, ""))}
	n := 0
	d.mu.Lock()
	for _, all := range d.published {
		n += len(all)
	}
	d.mu.Unlock()
	d.t.Logf("hour %2d: heap %4d KiB, %d goroutines, %d descriptors, %d timers fired, %d log lines, %d snapshots published, %d there; repository %s, state.db %d KiB, index.db %d KiB",
		hour, f.heap>>10, f.goroutines, f.descriptors, d.clock.fired, d.lines.n, n, len(snapshots(d.t, d.repo)),
		sizeOfTree(d.t, d.place.Dir), fileSize(d.t, d.repo.State().Dir(), "state.db")>>10, fileSize(d.t, d.repo.State().Dir(), "index.db")>>10)
	return f
}

// heapInUse is what is reachable. Pools and finalizers let go of theirs some
// collections later, so of several looks the least counts.
func heapInUse() uint64 {
	least := uint64(math.MaxUint64)
	for range 4 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		least = min(least, m.HeapAlloc)
	}
	return least
}

func fileSize(t *testing.T, dir, name string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func sizeOfTree(t *testing.T, dir string) string {
	t.Helper()
	var bytes int64
	var files int
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			files, bytes = files+1, bytes+info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d KiB in %d objects", bytes>>10, files)
}

// live lets the hours pass and returns what the second and the last one cost.
// In full a day comes before: guards remember a day, and hold its snapshots, so
// that one begins as another ends only from the second on.
func (d *day) live() (early, late figures) {
	d.t.Helper()
	d.clock.pass(d.t, time.Minute) // the first look of all
	from := 0
	if hours() == 24 {
		from = 24
	}
	for hour := 1; hour <= from+hours(); hour++ {
		for range 6 {
			d.work()
			d.clock.pass(d.t, 10*time.Minute)
		}
		switch {
		case hour == from+2:
			early = d.measure(hour)
		case hour == from+hours():
			late = d.measure(hour)
		case hour%4 == 0 || hour == 2:
			d.measure(hour)
		}
	}
	return early, late
}

// compare demands that a day leaves nothing behind.
func (d *day) compare(early, late figures) {
	d.t.Helper()
	most := early.heap + early.heap/10
	if hours() < 24 {
		most += 256 << 10 // a buffer that a pool has not let go of yet
	}
	if late.heap > most {
		d.t.Errorf("the heap grew from %d to %d KiB", early.heap>>10, late.heap>>10)
	}
	if late.goroutines != early.goroutines || late.descriptors != early.descriptors {
		d.t.Errorf("from %d to %d goroutines, from %d to %d descriptors", early.goroutines, late.goroutines, early.descriptors, late.descriptors)
	}
}

// TestDay is a day of a studio with six sources. It leaves the process as it
// was, the repository with what the policy keeps, and every source well.
func TestDay(t *testing.T) {
	d := newDay(t, func(_ *day, c *config.Config) {
		if hours() < 24 {
			for i := range c.Sources {
				c.Sources[i].Scan = 90 * time.Minute
			}
		}
	})
	began := time.Now()
	early, late := d.live()
	t.Logf("%d hours in %v", d.round/6, time.Since(began).Round(time.Millisecond))
	d.compare(early, late)
	for _, s := range d.k.Health() {
		if s.State != health.Complete || !s.Well() || len(s.Alarms) > 0 {
			t.Errorf("%s: %s, alarms %+v, last error %q", s.Label, s.State, s.Alarms, s.LastError)
		}
		if s.Watch != nil && s.Watch.Remounts+s.Watch.ClockJumps+s.Watch.Differences > 0 {
			t.Errorf("%s: %+v", s.Label, *s.Watch)
		}
		if s.Kind == health.Path && s.Reread.Files == 0 {
			t.Errorf("%s: nothing was read again", s.Label)
		}
	}
	if d.daily == 0 {
		t.Error("no scan was made of everything")
	}
	d.stop()
	d.judgeLines()
	d.judgeRetention()
}

// judgeLines demands that the log has no more to say than what was done: a line
// for each snapshot, one for each that was forgotten, and for each source a few
// an hour.
func (d *day) judgeLines() {
	d.t.Helper()
	n := 0
	for _, all := range d.published {
		n += len(all)
	}
	d.t.Logf("%d log lines, %d KiB, in %d hours", d.lines.n, d.lines.bytes>>10, d.round/6)
	if most := 2*n + 8*(len(places)+1)*d.round/6; d.lines.n > most {
		d.t.Errorf("%d log lines in %d hours, more than %d; the last one is %s", d.lines.n, d.round/6, most, d.lines.last)
	}
}

// TestDayOfFailures is a day on which one directory is not there, one cannot be
// read in full, a dump fails, and who is to be told of it cannot be told. The
// others are kept as ever, and no log fills up.
func TestDayOfFailures(t *testing.T) {
	d := newDay(t, func(d *day, c *config.Config) {
		c.Notify.Command = []string{"/bin/false"}
		c.Sources[5].Outputs[0].Command = []string{"/bin/sh", "-c", "echo out of order >&2; exit 1"}
		c.Sources[2].Before = [][]string{{"/bin/false"}}
		if err := os.Rename(d.path("clients"), d.path("clients-away")); err != nil {
			t.Fatal(err)
		}
	})
	early, late := d.live()
	d.compare(early, late)
	want := map[string]health.State{"clients": health.Failing, "catalogs": health.Degraded, "dump": health.Degraded}
	for _, s := range d.k.Health() {
		if w := want[s.Label]; w != "" && s.State != w || w == "" && !s.Well() {
			t.Errorf("%s: %s, last error %q, newest %+v", s.Label, s.State, s.LastError, s.Newest)
		}
	}
	if d.failures["clients"] < 4*(hours()-1) || d.k.Told().Failures == 0 {
		t.Errorf("failures %v, %+v: this was not the day that it was to be", d.failures, d.k.Told())
	}
	t.Logf("failed tasks %v, failed attempts to tell %d", d.failures, d.k.Told().Failures)
	d.stop()
	d.judgeLines()
}

// judgeRetention compares what is there with what the policy says of all that
// was ever published.
func (d *day) judgeRetention() {
	d.t.Helper()
	there := map[store.SnapshotID]bool{}
	for _, s := range snapshots(d.t, d.repo) {
		there[s.ID] = true
	}
	gone := 0
	for label, all := range d.published {
		var items []retention.Item
		for _, s := range all {
			items = append(items, s.item)
		}
		o, err := daemon.Expiring(d.repo, all[0].source, d.clock.Now())
		if err != nil || o.Paused != "" {
			d.t.Fatalf("%s: %q, %v", label, o.Paused, err)
		}
		kept, held := 0, 0
		for i, decision := range d.k.Config().Sources[0].Keep.Apply(items) {
			hold := o.Hold[all[i].id] != "" // for the guards
			if (decision.Keep || hold) != there[all[i].id] {
				d.t.Errorf("%s, snapshot %d of %v: there %v, the policy says %v, held %v", label, items[i].Number, items[i].Time, there[all[i].id], decision, hold)
			}
			switch {
			case decision.Keep:
				kept++
			case hold:
				held++
			default:
				gone++
			}
		}
		d.t.Logf("%s: %d snapshots published, %d kept by the policy, %d held for the guards", label, len(all), kept, held)
	}
	if gone == 0 {
		d.t.Error("nothing expired")
	}
}
