package fusefs_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/packaging/torture"
	"keepsake/store"
	"keepsake/store/storetest"
)

// long asks for the suites in full size.
var long = os.Getenv("KEEPSAKE_LONG") != ""

// modelTask is what TestModelClients is told in the environment.
type modelTask struct {
	Model   string
	Views   []string
	Past    string
	Seed    uint64
	Ops     int
	Clients int
	Faults  bool
	Limit   time.Duration
	Enough  int // stop at so many findings
}

const modelTaskIn = "KEEPSAKE_TEST_MODEL"

// modelReport is its last line.
type modelReport struct {
	Counts  map[string]int
	Failed  int
	Slowest time.Duration
}

// TestModelClients is the process of the clients. Elsewhere it does nothing.
func TestModelClients(t *testing.T) {
	text := os.Getenv(modelTaskIn)
	if text == "" {
		return
	}
	var task modelTask
	if err := json.Unmarshal([]byte(text), &task); err != nil {
		t.Fatal(err)
	}
	entries, files := modelEntries(t, task.Model)
	var left, wrong atomic.Int64
	left.Store(int64(task.Ops))
	clients := make([]*client, task.Clients)
	var group sync.WaitGroup
	for i := range clients {
		c := &client{
			model: task.Model, views: task.Views, past: task.Past, entries: entries, files: files, faults: task.Faults, limit: task.Limit,
			rand: rand.New(rand.NewPCG(task.Seed, uint64(i))), counts: map[string]int{},
		}
		clients[i] = c
		group.Go(func() {
			for left.Add(-1) >= 0 && wrong.Load() < int64(task.Enough) {
				if err := c.step(); err != nil {
					fmt.Println("WRONG:", err)
					wrong.Add(1)
				}
			}
			for _, k := range c.kept {
				k.close()
			}
		})
	}
	group.Wait()
	report := modelReport{Counts: map[string]int{}}
	for _, c := range clients {
		for name, n := range c.counts {
			report.Counts[name] += n
		}
		report.Failed += c.failed
		report.Slowest = max(report.Slowest, c.slowest)
	}
	out, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("REPORT:%s\n", out)
}

// modelEntries lists the model.
func modelEntries(t *testing.T, dir string) (all, files []modelEntry) {
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(path, &st); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		e := modelEntry{rel: rel, mode: st.Mode, size: st.Size}
		if rel == "." {
			return err // in latest it is a symlink
		}
		all = append(all, e)
		if st.Mode&unix.S_IFMT == unix.S_IFREG {
			for range 1 + min(st.Size>>20, 40) {
				files = append(files, e)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all, files
}

// runModel runs the clients, and returns what they found wrong.
func runModel(t *testing.T, task modelTask) (wrong []string, report modelReport) {
	t.Helper()
	text, err := json.Marshal(task)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestModelClients$", "-test.v")
	cmd.Env = append(os.Environ(), modelTaskIn+"="+string(text))
	out, err := cmd.CombinedOutput()
	found := false
	for line := range strings.Lines(string(out)) {
		if w, ok := strings.CutPrefix(line, "WRONG: "); ok {
			wrong = append(wrong, strings.TrimSpace(w))
		}
		if r, ok := strings.CutPrefix(line, "REPORT:"); ok {
			found = json.Unmarshal([]byte(r), &report) == nil
		}
	}
	if err != nil || !found {
		t.Fatalf("the clients ended with %v and said:\n%s", err, out[:min(len(out), 20_000)])
	}
	return wrong, report
}

// modelTree is the torture tree and what the mounted view makes hard: files of
// several windows of read-ahead, a large one with holes, directories of more
// than a page, names of one inode in several of them.
func modelTree(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if _, err := torture.Build(dir, torture.Options{Files: 300}); err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/video/a.mov", random(1, 12<<20))
	write(t, dir+"/video/b.mov", random(2, 12<<20)) // as long, and different throughout
	write(t, dir+"/text/long.sql", bytes.Repeat([]byte("insert into photos values (1, 'x'), (2, 'y');\n"), 100_000))
	f, err := os.Create(dir + "/video/holes.raw")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(32 << 20); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := f.WriteAt(random(uint64(i+10), 128<<10), int64(i)*1536<<10); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"text/a.mov", "crowd/a.mov"} {
		if err := os.Link(dir+"/video/a.mov", filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// views are the folders of a mount that show the only snapshot of a source.
func views(t *testing.T, m *mounted, source string) []string {
	t.Helper()
	real, err := filepath.EvalSymlinks(m.path("latest", source))
	if err != nil {
		t.Fatal(err)
	}
	all := []string{m.path("latest", source), real}
	for _, name := range list(t, m.path("previous", source)) {
		all = append(all, m.path("previous", source, name))
	}
	return all
}

// TestModel compares random operations with the original tree: without faults,
// while the disk under the repository fails in every way, and after that. Then
// it shows that it notices what it is for.
func TestModel(t *testing.T) {
	needFUSE(t)
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dir := modelTree(t)
	place := storetest.New(t)
	first, err := place.TryOpen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	back(t, first, dir, "model", nil)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	ops, faultyOps := 1500, 400
	if long {
		ops, faultyOps = 10_000, 10_000
	}
	// Little is kept, so that most of what is asked for is read again.
	small := func(o *fusefs.Options) {
		o.Prefetch, o.Nodes, o.Patience = 4<<20, 300, 2*time.Second
	}
	disk := newFaulty(place, seed, 3*time.Second)
	r := openOver(t, place, store.Options{Objects: disk, Cache: 6 << 20})
	task := modelTask{Model: dir, Seed: seed, Ops: ops, Clients: 8, Limit: 30 * time.Second, Enough: 10}
	t.Run("all is well", func(t *testing.T) {
		m := mount(t, r, small)
		task.Views, task.Past = views(t, m, "model"), m.path("versions", "model")
		wrong, report := runModel(t, task)
		t.Logf("%+v", report)
		for _, w := range wrong {
			t.Error(w)
		}
		for _, op := range modelOps {
			if report.Counts[op.name] == 0 {
				t.Errorf("%s was never tried", op.name)
			}
		}
	})
	t.Run("faults", func(t *testing.T) {
		task := task
		task.Ops = faultyOps
		faultyModel(t, task, disk, mount(t, r, small))
	})
	for i, p := range plants {
		if i >= fewPlants && !long {
			break
		}
		t.Run("planted: "+p.name, func(t *testing.T) {
			task := task
			task.Enough = 1
			if p.limit != 0 {
				task.Limit = p.limit
			}
			m := mountBy(t, r, small, func(o fusefs.Options) (*fusefs.Mounted, error) {
				return fusefs.MountOver(t.Context(), o, p.over)
			})
			task.Views, task.Past = views(t, m, "model"), m.path("versions", "model")
			wrong, _ := runModel(t, task)
			if !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, p.found) }) {
				t.Errorf("nobody noticed; found was %q", wrong)
			}
		})
	}
}

func faultyModel(t *testing.T, task modelTask, disk *faulty, m *mounted) {
	task.Views, task.Past, task.Faults = views(t, m, "model"), m.path("versions", "model"), true
	disk.faults.Store(true)
	wrong, report := runModel(t, task)
	disk.faults.Store(false)
	t.Logf("%+v", report)
	for _, w := range wrong {
		t.Error(w)
	}
	for kind := range disk.injected {
		// Short runs do not come to the rare ones.
		if disk.injected[kind].Load() == 0 && (long || kind == faultError || kind == faultDelay) {
			t.Errorf("no fault of kind %d was injected", kind)
		}
	}
	// Much is in memory, and a read that fails once is tried again.
	if report.Failed == 0 && long || report.Failed > task.Ops*3/4 {
		t.Errorf("%d of %d operations failed", report.Failed, task.Ops)
	}
	// Everything can be read again, if only after what hangs has ended.
	var different []string
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Second) {
		different = torture.Compare(task.Model, task.Views[0]+"/.", torture.CompareOptions{Holes: true})
		if len(different) == 0 {
			break
		}
	}
	for _, d := range different {
		t.Errorf("after the faults: %s", d)
	}
}
