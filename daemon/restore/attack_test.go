package restore_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/restore"
	"keepsake/store"
	"keepsake/store/tree"
)

// rounds of an attack.
func rounds() int {
	if os.Getenv("KEEPSAKE_LONG") != "" {
		return 10_000
	}
	return 1_000
}

// swapper replaces directories of a target by symlinks to the outside and back,
// as fast as it can.
func swapper(target, outside string, names ...string) (stop func() (swaps int64)) {
	var over atomic.Bool
	var count atomic.Int64
	var work sync.WaitGroup
	work.Go(func() {
		for !over.Load() {
			for _, name := range names {
				path := filepath.Join(target, name)
				aside := target + "-aside"
				if os.Rename(path, aside) != nil {
					continue
				}
				if os.Symlink(outside, path) == nil {
					count.Add(1)
				}
				// What restore made of the place meanwhile goes, too.
				_ = os.RemoveAll(path)
				if os.Rename(aside, path) != nil {
					_ = os.RemoveAll(aside)
				}
			}
		}
	})
	return func() int64 {
		over.Store(true)
		work.Wait()
		return count.Load()
	}
}

// outside is a directory that must stay as it is.
func outside(t testing.TB, base string) (path string, check func() error) {
	t.Helper()
	path = filepath.Join(base, "outside")
	write(t, path+"/canary", "canary")
	must(t, os.Chmod(path+"/canary", 0o640))
	must(t, unix.Mkfifo(path+"/fifo", 0o640))
	must(t, os.Symlink("nowhere", path+"/link"))
	must(t, os.Chmod(path, 0o711))
	state := func() string {
		var all strings.Builder
		for _, name := range []string{"", "canary", "fifo", "link"} {
			var st unix.Stat_t
			if err := unix.Lstat(filepath.Join(path, name), &st); err != nil {
				return err.Error()
			}
			fmt.Fprintf(&all, "%s: %o %d %d %v\n", name, st.Mode, st.Uid, st.Gid, st.Mtim)
		}
		for _, p := range paths(t, path) {
			fmt.Fprintln(&all, p)
		}
		b, _ := os.ReadFile(path + "/canary")
		return all.String() + string(b)
	}
	before := state()
	return path, func() error {
		if after := state(); after != before {
			return fmt.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
		return nil
	}
}

func attacked(f *forge) store.Snapshot {
	owned := func(n *tree.Node) *tree.Node {
		n.UID, n.GID = uint32(os.Getuid()), uint32(os.Getgid())
		return n
	}
	d := func(name string) *tree.Node {
		return f.dir(name, owned(f.file("canary", "evil")), f.file("new", "evil"), symlink("link", "evil"), node("fifo", tree.Fifo),
			f.dir("sub", f.file("new", "evil")))
	}
	return f.snapshot(f.dir("", d("a"), d("b"), f.dir("c", d("d"))))
}

// TestSwappedDirectories restores while directories turn into symlinks and
// back: nothing may ever arrive outside.
func TestSwappedDirectories(t *testing.T) {
	f := newForge(t)
	s := attacked(f)
	base := t.TempDir()
	target := filepath.Join(base, "target")
	out, check := outside(t, base)
	for _, name := range []string{"a", "b", "c/d"} {
		must(t, os.MkdirAll(filepath.Join(target, name), 0o755))
	}
	stop := swapper(target, out, "a", "b", "c/d", "c")
	var lost int64
	for i := range rounds() {
		// The attack may fail a run, but not turn it into a weapon.
		res, err := attempt(t, f.r, s, target, func(o *restore.Options) {
			o.Overwrite = restore.Policy(i % 2) // Always and IfChanged
			o.Delete = i%8 == 7
		})
		if err != nil {
			t.Logf("round %d: %v", i, err)
		}
		lost += res.LostCount
		if err := check(); err != nil {
			stop()
			t.Fatalf("round %d: %v", i, err)
		}
	}
	swaps := stop()
	t.Logf("%d swaps, %d entries lost to them", swaps, lost)
	if swaps < int64(rounds()) || lost == 0 {
		t.Errorf("the attack was too weak to prove anything: %d swaps, %d entries lost", swaps, lost)
	}
	must(t, check())
}

// TestSwapAttackWorks is the negative control: a writer that looks at a path and
// then uses it writes outside, usually within milliseconds.
func TestSwapAttackWorks(t *testing.T) {
	base := t.TempDir()
	target := filepath.Join(base, "target")
	out, check := outside(t, base)
	must(t, os.MkdirAll(filepath.Join(target, "a"), 0o755))
	stop := swapper(target, out, "a")
	defer stop()
	for began := time.Now(); time.Since(began) < time.Minute; {
		path := filepath.Join(target, "a", "new")
		if info, err := os.Lstat(filepath.Dir(path)); err != nil || !info.IsDir() {
			_ = os.Mkdir(filepath.Dir(path), 0o755)
			continue
		}
		_ = os.WriteFile(path, []byte("evil"), 0o644) // looked at a moment ago
		if check() != nil {
			return
		}
	}
	t.Error("the naive writer did not escape: the attack proves nothing")
}

// TestSwappedTemporaries puts links to what lies outside in the place of
// entries that have no name of their own yet.
func TestSwappedTemporaries(t *testing.T) {
	f := newForge(t)
	var children []*tree.Node
	for i := range 40 {
		for _, n := range []*tree.Node{f.file(fmt.Sprint("file", i), "evil"), symlink(fmt.Sprint("link", i), "evil"), node(fmt.Sprint("fifo", i), tree.Fifo)} {
			n.Mode, n.UID = 0o4777, 54321
			children = append(children, n)
		}
	}
	s := f.snapshot(f.dir("", children...))
	base := t.TempDir()
	target := filepath.Join(base, "target")
	must(t, os.Mkdir(target, 0o755))
	out, check := outside(t, base)
	var over atomic.Bool
	var hits atomic.Int64
	var work sync.WaitGroup
	work.Go(func() {
		for i := 0; !over.Load(); i++ {
			entries, _ := os.ReadDir(target)
			for _, e := range entries {
				if !strings.HasPrefix(e.Name(), ".keepsake-restore-") {
					continue
				}
				victim := []string{"/canary", "/fifo", "/link"}[i%3]
				mine := filepath.Join(base, "mine")
				if i%4 == 3 {
					_ = os.Symlink(out+victim, mine)
				} else if err := os.Link(out+victim, mine); err != nil && !errors.Is(err, fs.ErrExist) {
					panic(err)
				}
				if os.Rename(mine, filepath.Join(target, e.Name())) == nil {
					hits.Add(1)
				}
				_ = os.Remove(mine)
			}
		}
	})
	defer work.Wait()
	defer over.Store(true)
	var lost int64
	for i := range rounds() / 10 {
		res, err := attempt(t, f.r, s, target, func(o *restore.Options) { o.Overwrite = restore.Policy(i % 2) })
		if err != nil {
			t.Fatal(err)
		}
		lost += res.LostCount
		if err := check(); err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
	}
	over.Store(true)
	work.Wait()
	t.Logf("%d temporary names taken over, %d entries lost", hits.Load(), lost)
	if hits.Load() == 0 {
		t.Error("the attack never hit")
	}
}
