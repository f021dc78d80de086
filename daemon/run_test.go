package daemon_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"keepsake/daemon"
	"keepsake/daemon/config"
	"keepsake/daemon/health"
	"keepsake/daemon/schedule"
	"keepsake/packaging/torture"
	"keepsake/store"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// settle is short: these tests make no slow writers.
const settle = 150 * time.Millisecond

// configured is a configuration of one directory that is captured as soon as
// its changes rest.
func configured(dir string, change ...func(*config.Source)) config.Config {
	c := config.Default(config.Development)
	s := c.NewSource("lib", dir)
	s.Settle, s.Schedule, s.Reread = settle, schedule.Schedule{}, 0
	for _, f := range change {
		f(&s)
	}
	c.Sources = []config.Source{s}
	return c
}

// running is a keeper at work.
type running struct {
	*daemon.Keeper
	stop func() // and wait for its end
}

// run runs a keeper and hands out its events. The caller stops it.
func run(t *testing.T, r *store.Repository, c config.Config, events chan<- daemon.Event) running {
	t.Helper()
	k, err := daemon.New(t.Context(), daemon.Options{
		Repository: r, Config: c, Host: "host", Report: func(e daemon.Event) { events <- e },
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
	return running{k, func() { cancel(); work.Wait() }}
}

// kept is run until the test ends.
func kept(t *testing.T, r *store.Repository, c config.Config, events chan<- daemon.Event) *daemon.Keeper {
	t.Helper()
	k := run(t, r, c, events)
	t.Cleanup(k.stop)
	return k.Keeper
}

// newest is the newest snapshot of the only source.
func newest(t *testing.T, r *store.Repository) store.Snapshot {
	t.Helper()
	all, _, err := r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		return store.Snapshot{}
	}
	return store.Newest(all)
}

// names lists all paths of a snapshot.
func names(t *testing.T, r *store.Repository, root *tree.Node) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	var walk func(rel string, dir *tree.Node)
	walk = func(rel string, dir *tree.Node) {
		for n, err := range r.Entries(t.Context(), dir) {
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(rel, string(n.Name))
			all[path] = true
			if n.Type == tree.Dir {
				walk(path, n)
			}
		}
	}
	walk("", root)
	return all
}

// TestKeeperFollowsTheDirectory changes a directory in all the ways there are
// until the newest snapshot holds what the directory holds.
func TestKeeperFollowsTheDirectory(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	if _, err := torture.Build(dir, torture.Options{}); err != nil {
		t.Fatal(err)
	}
	events := make(chan daemon.Event, 1000)
	kept(t, r, configured(dir), events)
	if e := <-events; e.Err != nil || !e.First {
		t.Fatalf("first event %+v", e)
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	do(os.MkdirAll(at("2026/Weber/raw"), 0o755))
	do(os.WriteFile(at("2026/Weber/raw/a.CR3"), []byte("raw"), 0o644))
	do(os.WriteFile(at("top.txt"), []byte("1"), 0o644))
	do(os.Rename(at("2026/Weber"), at("2026/Huber")))
	do(os.WriteFile(at("top.txt"), []byte("two"), 0o644))
	do(os.Chmod(at("2026"), 0o700))
	do(os.Symlink("top.txt", at("link")))
	do(os.WriteFile(at("2026/Huber/raw/b.CR3"), []byte("raw"), 0o644))
	do(os.Remove(at("2026/Huber/raw/a.CR3")))

	want := map[string]bool{}
	do(filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if rel, _ := filepath.Rel(dir, path); rel != "." {
			want[rel] = true
		}
		return err
	}))
	deadline := time.After(60 * time.Second)
	for {
		newest := newest(t, r)
		if same(names(t, r, &newest.Root), want) && modeOf(t, r, newest, "2026") == 0o700 && sizeOf(t, r, newest, "top.txt") == 3 {
			break
		}
		select {
		case e := <-events:
			if e.Err != nil {
				t.Fatal(e.Err)
			}
		case <-deadline:
			t.Fatalf("after a minute the newest snapshot has %v, want %v", names(t, r, &newest.Root), want)
		}
	}
}

func same(a, b map[string]bool) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if !b[name] {
			return false
		}
	}
	return true
}

func modeOf(t *testing.T, r *store.Repository, s store.Snapshot, path string) uint32 {
	if n, err := r.Resolve(t.Context(), &s.Root, path); err == nil {
		return n.Mode
	}
	return 0
}

func sizeOf(t *testing.T, r *store.Repository, s store.Snapshot, path string) uint64 {
	if n, err := r.Resolve(t.Context(), &s.Root, path); err == nil {
		return n.Size
	}
	return 0
}

// TestSourceThatIsNotThereYet begins with a directory that is missing, a file in
// the place of one, and one that is there: that one is kept all the same, and
// the others as soon as they are directories.
func TestSourceThatIsNotThereYet(t *testing.T) {
	r := storetest.New(t).Open(t)
	base := t.TempDir()
	c := configured(filepath.Join(base, "lib"))
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(os.Mkdir(filepath.Join(base, "lib"), 0o755))
	do(os.WriteFile(filepath.Join(base, "file"), nil, 0o644))
	late := []string{"later", "file"}
	for _, name := range late {
		s := c.Sources[0]
		s.Label, s.Path = name, filepath.Join(base, name)
		c.Sources = append(c.Sources, s)
	}
	events := make(chan daemon.Event, 1000)
	k := kept(t, r, c, events)
	// await waits until each of some sources has been told of in one way.
	await := func(labels []string, is func(daemon.Event) bool) {
		t.Helper()
		told := map[string]bool{}
		for deadline := time.After(time.Minute); len(told) < len(labels); {
			select {
			case e := <-events:
				if slices.Contains(labels, e.Label) && is(e) {
					told[e.Label] = true
				}
			case <-deadline:
				t.Fatalf("of %v only %v", labels, told)
			}
		}
	}
	told := map[string]daemon.Event{}
	for len(told) < len(c.Sources) {
		e := <-events
		told[e.Label] = e
	}
	if e := told["lib"]; e.Err != nil {
		t.Errorf("the source that is there: %v", e.Err)
	}
	for _, h := range k.Health() {
		if late := h.Label != "lib"; late != (h.State == health.Failing) || late && !strings.Contains(h.Reason, h.Path) {
			t.Errorf("%s is %s: %s", h.Label, h.State, h.Reason)
		}
	}
	do(os.Remove(filepath.Join(base, "file")))
	for _, name := range late {
		do(os.Mkdir(filepath.Join(base, name), 0o755))
		do(os.WriteFile(filepath.Join(base, name, "photo"), []byte("x"), 0o644))
	}
	began := time.Now()
	await(late, func(e daemon.Event) bool { return e.Err == nil && e.Snapshot.Root.Below.Files == 1 })
	t.Logf("both were kept after %v", time.Since(began))
	for _, h := range k.Health() {
		if !h.Well() {
			t.Errorf("%s is %s: %s", h.Label, h.State, h.Reason)
		}
	}
}

// TestRootThatGoesAwayIsNotEmptied removes the source: no snapshot says that
// all of it was deleted, and when it is back it is kept again.
func TestRootThatGoesAwayIsNotEmptied(t *testing.T) {
	r := storetest.New(t).Open(t)
	base := t.TempDir()
	dir := filepath.Join(base, "lib")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "photo"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	events := make(chan daemon.Event, 1000)
	kept(t, r, configured(dir), events)
	<-events
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if e := <-events; e.Err == nil {
		t.Errorf("the source is gone, and the event is %+v", e)
	}
	if err := os.Rename(dir+"-away", dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "second"), []byte("y"), 0o644); err != nil {
		t.Fatal(err)
	}
	for e := range events {
		if e.Err == nil && e.Snapshot.Root.Below.Files == 2 {
			break
		}
	}
	all, _, err := r.Snapshots(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Root.Below.Files == 0 {
			t.Errorf("snapshot %d is empty", s.Number)
		}
	}
}
