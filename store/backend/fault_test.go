package backend_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"keepsake/store/backend"
	"keepsake/store/durable"
)

var (
	owner       = [16]byte{1}
	errInjected = errors.New("injected")
)

// faults fails operation number at, and all later ones if lasting: a dead
// process or a dead disk.
type faults struct {
	at      int
	lasting bool
	count   int
	log     []string
}

func (f *faults) hook(op durable.Op, path string) error {
	f.count++
	f.log = append(f.log, fmt.Sprint(op, " ", path))
	if f.count == f.at || f.lasting && f.count > f.at {
		return errInjected
	}
	return nil
}

func (f *faults) fired() bool { return f.at > 0 && f.count >= f.at }

// The objects of one workload: two in one new directory, one beside old ones.
var workload = map[string][]byte{
	"data/ab/1":   bytes.Repeat([]byte("one"), 100_000),
	"data/ab/2":   bytes.Repeat([]byte("two"), 100_000),
	"snapshots/3": []byte("three"),
}

func runWorkload(ctx context.Context, l *backend.Local) error {
	var staged []*backend.Staged
	for _, name := range []string{"data/ab/1", "data/ab/2", "snapshots/3"} {
		s, err := l.Stage(ctx, name)
		if err != nil {
			return errors.Join(err, discardAll(staged))
		}
		staged = append(staged, s)
		if _, err := s.Write(workload[name]); err != nil {
			return errors.Join(err, discardAll(staged))
		}
	}
	return l.Publish(ctx, staged...)
}

func discardAll(staged []*backend.Staged) (err error) {
	for _, s := range staged {
		err = errors.Join(err, s.Discard())
	}
	return err
}

func newRepository(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository")
	l, err := backend.CreateLocal(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Put(t.Context(), "snapshots/0", []byte("zero")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// whole checks, past the backend, that every visible object of the workload has
// all its bytes, and returns how many are visible.
func whole(dir string) (visible int, err error) {
	for name, want := range workload {
		got, rerr := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(rerr, fs.ErrNotExist) {
			continue
		}
		if rerr != nil || !bytes.Equal(got, want) {
			err = errors.Join(err, fmt.Errorf("%s is visible with %d of %d bytes, %v", name, len(got), len(want), rerr))
		}
		visible++
	}
	return visible, err
}

func stagedFiles(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Name() != "README.txt" {
			out = append(out, e.Name())
		}
	}
	return out
}

// recovers checks that the next process finds a clean repository and can write.
func recovers(t *testing.T, dir, what string) {
	t.Helper()
	l := openAs(t, dir, nil, owner)
	if err := l.CleanStaged(t.Context()); err != nil {
		t.Errorf("%s: cleaning: %v", what, err)
	}
	if left := stagedFiles(t, dir); len(left) > 0 {
		t.Errorf("%s: left behind %v", what, left)
	}
	if err := l.Put(t.Context(), "data/ab/again", []byte("again")); err != nil {
		t.Errorf("%s: next write: %v", what, err)
	}
	if err := l.List(t.Context(), "", func(name string, _ int64) error { return backend.CheckName(name) }); err != nil {
		t.Errorf("%s: next list: %v", what, err)
	}
}

func TestEveryOperationFailing(t *testing.T) {
	for _, lasting := range []bool{false, true} {
		for at := 1; ; at++ {
			dir := newRepository(t)
			f := &faults{}
			l := openAs(t, dir, &durable.Disk{Hook: f.hook}, owner)
			*f = faults{at: at, lasting: lasting}
			err := runWorkload(t.Context(), l)
			if !f.fired() {
				if err != nil || at < 20 {
					t.Fatalf("without a fault, %d operations: %v", at-1, err)
				}
				break
			}
			what := fmt.Sprintf("failed %q (lasting %v)", f.log[at-1], lasting)
			if !errors.Is(err, errInjected) {
				t.Errorf("%s: the error is %v", what, err)
			}
			if _, err := whole(dir); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if left := stagedFiles(t, dir); !lasting && len(left) > 0 {
				t.Errorf("%s: left behind %v", what, left)
			}
			recovers(t, dir, what)
		}
	}
}

func TestCreateInterrupted(t *testing.T) {
	for at := 1; ; at++ {
		dir := filepath.Join(t.TempDir(), "new", "repository")
		f := &faults{at: at, lasting: true}
		_, err := backend.CreateLocal(dir, &durable.Disk{Hook: f.hook})
		if !f.fired() {
			if err != nil || at < 8 {
				t.Fatalf("%d operations: %v", at-1, err)
			}
			return
		}
		if !errors.Is(err, errInjected) {
			t.Errorf("operation %q failed, but the error is %v", f.log[at-1], err)
		}
		if _, err := backend.CreateLocal(dir, nil); err != nil {
			t.Errorf("after a kill at %q: %v", f.log[at-1], err)
		}
		recovers(t, dir, "creation killed at "+f.log[at-1])
	}
}

// TestKilled is the same sweep with SIGKILL in a process of its own.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("BACKEND_TEST_DIR"); dir != "" {
		killedChild(t, dir)
		return
	}
	for at := 1; ; at++ {
		dir := newRepository(t)
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "BACKEND_TEST_DIR="+dir, "BACKEND_TEST_AT="+strconv.Itoa(at))
		out, err := cmd.CombinedOutput()
		if err == nil {
			if n, err := whole(dir); n != len(workload) || err != nil || at < 20 {
				t.Fatalf("unharmed process: %d objects after %d operations, %v", n, at-1, err)
			}
			return
		}
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("child: %v\n%s", err, out)
		}
		what := fmt.Sprintf("killed before operation %d", at)
		if _, err := whole(dir); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		recovers(t, dir, what)
	}
}

func killedChild(t *testing.T, dir string) {
	at, err := strconv.Atoi(os.Getenv("BACKEND_TEST_AT"))
	if err != nil {
		t.Fatal(err)
	}
	count, armed := 0, false
	l := openAs(t, dir, &durable.Disk{Hook: func(durable.Op, string) error {
		if armed {
			count++
		}
		if armed && count == at {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
		return nil
	}}, owner)
	armed = true
	if err := runWorkload(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	armed = false
}

func TestFailedSyncIsNeverRepeated(t *testing.T) {
	dir := newRepository(t)
	syncs, failing := map[string]int{}, true
	l := openAs(t, dir, &durable.Disk{Hook: func(op durable.Op, path string) error {
		if op == durable.OpSync {
			if syncs[path]++; failing {
				return syscall.EIO
			}
		}
		return nil
	}}, owner)
	if err := l.Put(t.Context(), "data/ab/1", workload["data/ab/1"]); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	failing = false
	if _, err := l.Size(t.Context(), "data/ab/1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unsynced object: %v", err)
	}
	if err := l.Put(t.Context(), "data/ab/2", workload["data/ab/1"]); err != nil {
		t.Errorf("anew: %v", err)
	}
	for path, n := range syncs {
		if n != 1 {
			t.Errorf("%s was synced %d times", path, n)
		}
	}
	if len(syncs) != 2 {
		t.Errorf("synced %v", syncs)
	}
}

func TestFailedDirectorySync(t *testing.T) {
	dir := newRepository(t)
	fail := ""
	var log []string
	l := openAs(t, dir, &durable.Disk{Hook: func(op durable.Op, path string) error {
		log = append(log, op.String()+" "+strings.TrimPrefix(path, dir))
		if op == durable.OpSyncDir && path == fail {
			return syscall.EIO
		}
		return nil
	}}, owner)
	// A new directory whose parent cannot be synced is taken away again, so
	// that the next attempt has something to sync.
	fail = dir
	if err := l.Put(t.Context(), "data/ab/1", nil); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "data")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("new directory: %v", err)
	}
	// snapshots was there before this process: nothing proves it durable now.
	if err := l.Put(t.Context(), "snapshots/1", nil); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	fail = ""
	if err := l.Put(t.Context(), "snapshots/2", nil); !errors.Is(err, durable.ErrSealed) {
		t.Errorf("doubted directory: %v", err)
	}
	log = nil
	if err := l.Put(t.Context(), "data/ab/2", nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"mkdir /data", "mkdir /data/ab", "syncdir ", "syncdir /data", "syncdir /data/ab"} {
		if n := strings.Count("\n"+strings.Join(log, "\n")+"\n", "\n"+want+"\n"); n != 1 {
			t.Errorf("%q happened %d times in %q", want, n, log)
		}
	}
	// In a settled directory only the object itself is in doubt.
	fail = filepath.Join(dir, "data", "ab")
	if err := l.Put(t.Context(), "data/ab/3", nil); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	fail = ""
	if err := l.Put(t.Context(), "data/ab/4", nil); err != nil {
		t.Error(err)
	}
}

func TestDirectorySyncsAreBatched(t *testing.T) {
	dir := newRepository(t)
	syncs := map[string]int{}
	l := openAs(t, dir, &durable.Disk{Hook: func(op durable.Op, path string) error {
		if op == durable.OpSyncDir {
			syncs[path]++
		}
		return nil
	}}, owner)
	for round := range 2 {
		clear(syncs)
		var staged []*backend.Staged
		for i := range 20 {
			s, err := l.Stage(t.Context(), fmt.Sprintf("data/0%d/%d-%d", i%2, round, i))
			if err != nil {
				t.Fatal(err)
			}
			staged = append(staged, s)
		}
		if err := l.Publish(t.Context(), staged...); err != nil {
			t.Fatal(err)
		}
		total := 0
		for path, n := range syncs {
			if total += n; n != 1 {
				t.Errorf("%s synced %d times", path, n)
			}
		}
		if want := []int{4, 2}[round]; total != want { // root, data and two below; then the two
			t.Errorf("round %d: %d directory syncs %v, want %d", round, total, syncs, want)
		}
	}
}

func TestRemoveSurfacesErrors(t *testing.T) {
	for at := 1; ; at++ {
		dir := newRepository(t)
		if err := runWorkload(t.Context(), openAs(t, dir, nil, owner)); err != nil {
			t.Fatal(err)
		}
		f := &faults{}
		l := openAs(t, dir, &durable.Disk{Hook: f.hook}, owner)
		*f = faults{at: at}
		err := l.Remove(t.Context(), "data/ab/1", "data/ab/none", "snapshots/3")
		if !f.fired() {
			if err != nil || at < 6 {
				t.Fatalf("%d operations: %v", at-1, err)
			}
			return
		}
		if !errors.Is(err, errInjected) {
			t.Errorf("failed %q: %v", f.log[at-1], err)
		}
		if err := l.Remove(t.Context(), "data/ab/1", "snapshots/3"); err != nil {
			t.Errorf("repeated after %q: %v", f.log[at-1], err)
		}
		if n, err := whole(dir); n != 1 || err != nil {
			t.Errorf("%d left, %v", n, err)
		}
	}
}

// TestNamesInADoubtedDirectory lets the sync of a directory fail after the
// renames: its objects are seen, and this process cannot make them durable.
func TestNamesInADoubtedDirectory(t *testing.T) {
	dir := newRepository(t)
	failing := filepath.Join(dir, "data", "ab")
	hook := func(op durable.Op, path string) error {
		if op == durable.OpSyncDir && path == failing {
			return syscall.EIO
		}
		return nil
	}
	l := openAs(t, dir, &durable.Disk{Hook: hook}, owner)
	if err := l.Put(t.Context(), "data/ab/1", nil); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	if err := l.SyncNames(t.Context(), "snapshots/0"); err != nil {
		t.Errorf("another directory: %v", err)
	}
	other := openAs(t, dir, &durable.Disk{Hook: hook}, owner)
	if err := other.SyncNames(t.Context(), "snapshots/0", "data/ab/1"); !errors.Is(err, syscall.EIO) {
		t.Errorf("a failing sync: %v", err)
	}
	failing = ""
	for _, l := range []*backend.Local{l, other} {
		if err := l.SyncNames(t.Context(), "data/ab/1"); !errors.Is(err, durable.ErrSealed) {
			t.Errorf("synced again: %v", err)
		}
	}
	if err := openAs(t, dir, nil, owner).SyncNames(t.Context(), "data/ab/1"); err != nil {
		t.Errorf("another process: %v", err)
	}
}

// TestSyncNames syncs each directory and, once, its way to the root.
func TestSyncNames(t *testing.T) {
	dir := newRepository(t)
	if err := runWorkload(t.Context(), openAs(t, dir, nil, owner)); err != nil {
		t.Fatal(err)
	}
	var log []string
	l := openAs(t, dir, &durable.Disk{Hook: func(op durable.Op, path string) error {
		if op == durable.OpSyncDir {
			log = append(log, "/"+strings.TrimPrefix(strings.TrimPrefix(path, dir), "/"))
		}
		return nil
	}}, owner)
	for _, want := range []string{"/ /data /data/ab /snapshots", "/data/ab /snapshots"} {
		log = nil
		if err := l.SyncNames(t.Context(), "data/ab/1", "snapshots/3", "data/ab/2"); err != nil {
			t.Fatal(err)
		}
		slices.Sort(log)
		if got := strings.Join(log, " "); got != want {
			t.Errorf("synced %q, want %q", got, want)
		}
	}
	if err := os.Rename(dir, dir+"-away"); err != nil {
		t.Fatal(err)
	}
	if err := l.SyncNames(t.Context(), "data/ab/1"); !errors.Is(err, backend.ErrNoRepository) {
		t.Errorf("the disk is away: %v", err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something was made: %v", err)
	}
}
