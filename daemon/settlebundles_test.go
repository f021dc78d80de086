package daemon_test

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keepsake/store"
	"keepsake/store/tree"
)

// generations rewrites files that belong together, one after the other, all to
// the same number.
type generations struct {
	s     *studio
	names []string

	mu    sync.Mutex
	mixed map[string]bool // states between two generations in which all of them rested
}

// state is the numbers of all files.
func state(numbers []uint64) string { return fmt.Sprint(numbers) }

// begin makes the first generation.
func (s *studio) generations(names ...string) *generations {
	g := &generations{s: s, names: names, mixed: map[string]bool{}}
	for _, name := range names {
		put(s.t, s.path(name), string(take(1, 60_000)))
	}
	return g
}

func (g *generations) write() {
	now := make([]uint64, len(g.names))
	for i := range now {
		now[i] = 1
	}
	g.s.again(func(n uint64) {
		for i, name := range g.names {
			before, began := state(now), time.Now()
			f := g.s.open(g.s.path(name), 0)
			g.s.pieces(f, g.s.model(), nil, take(n+1, 60_000), func() { time.Sleep(g.s.p.settle / 20) })
			g.s.ok(f.Close())
			now[i] = n + 1
			if i < len(g.names)-1 {
				g.s.p.pause()
			}
			// A machine so busy that they all rested half way.
			if time.Since(began) >= g.s.p.settle*2/3+g.s.p.settle*8/20 {
				g.mu.Lock()
				g.mixed[before], g.mixed[state(now)] = true, true
				g.mu.Unlock()
			}
		}
		time.Sleep(g.s.p.settle * 5 / 4)
	})()
}

// judge demands that the files in a snapshot are all there and of one generation.
func (g *generations) judge(snap store.Snapshot, files map[string]*tree.Node) (number uint64) {
	t := g.s.t
	numbers := make([]uint64, len(g.names))
	there := 0
	for i, name := range g.names {
		n := files[name]
		if n == nil {
			continue // it waits, as the others must
		}
		there++
		if n.Flags&tree.Torn != 0 || n.Bundle == 0 && !strings.Contains(name, ".fcpbundle/") {
			t.Errorf("snapshot %d: %s has flags %b, bundle %x", snap.Number, name, n.Flags, n.Bundle)
		}
		var ok bool
		if numbers[i], ok = whole(contentOf(t, g.s.r, n)); !ok {
			t.Errorf("snapshot %d: %s is not whole", snap.Number, name)
		}
	}
	if there == 0 {
		return 0
	}
	for _, n := range numbers {
		if n != numbers[0] && !g.mixed[state(numbers)] {
			t.Errorf("snapshot %d (%s): %s are of generations %v", snap.Number, snap.Basis, g.names, numbers)
			break
		}
	}
	return numbers[0]
}

// catalogue is a database that a real SQLite writes: sums never change.
type catalogue struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startCatalogue(t *testing.T, path string) *catalogue {
	t.Helper()
	if _, err := exec.LookPath("sqlite3"); err != nil {
		t.Skipf("not run: %v", err)
	}
	c := &catalogue{t: t, cmd: exec.Command("sqlite3", path)}
	var err error
	c.in, err = c.cmd.StdinPipe()
	must(t, err)
	out, err := c.cmd.StdoutPipe()
	must(t, err)
	c.out = bufio.NewReader(out)
	must(t, c.cmd.Start())
	t.Cleanup(func() {
		c.in.Close()
		_ = c.cmd.Wait() // it ends with its input
	})
	c.do(`PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=20; PRAGMA cache_size=10;
CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER, pad BLOB);
WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM c WHERE x<200) INSERT INTO t SELECT x, 1000, randomblob(2000) FROM c;`)
	return c
}

// do runs statements and waits until they have been carried out.
func (c *catalogue) do(sql string) {
	fmt.Fprintln(c.in, sql, "SELECT 'done';")
	for {
		line, err := c.out.ReadString('\n')
		if err != nil {
			c.t.Errorf("sqlite3: %v", err)
			return
		}
		if line == "done\n" {
			return
		}
	}
}

// work changes the catalogue without a pause of a settle time, then rests, and
// again.
func (c *catalogue) work(s *studio) func() {
	i := 0
	return s.again(func(uint64) {
		for end := time.Now().Add(2 * s.p.settle); time.Now().Before(end); i++ {
			c.do(fmt.Sprintf("BEGIN; UPDATE t SET v=v-7, pad=randomblob(2000) WHERE id=%d; UPDATE t SET v=v+7 WHERE id=%d; COMMIT;", 1+i%100, 200-i%100))
			time.Sleep(s.p.settle / 50)
		}
		time.Sleep(s.p.settle * 2)
	})
}

// judgeCatalogue opens the copy in a snapshot as its program would.
func (s *studio) judgeCatalogue(snap store.Snapshot, files map[string]*tree.Node) (digest string) {
	main := files["cat.lrcat"]
	if main == nil || main.Flags&tree.Torn != 0 {
		return ""
	}
	to := s.t.TempDir()
	for _, name := range []string{"cat.lrcat", "cat.lrcat-wal", "cat.lrcat-shm"} {
		if n := files[name]; n != nil {
			put(s.t, filepath.Join(to, name), string(contentOf(s.t, s.r, n)))
			if name != "cat.lrcat-shm" {
				digest += string(n.SHA256[:])
			}
		}
	}
	out, err := exec.Command("sqlite3", filepath.Join(to, "cat.lrcat"), "PRAGMA integrity_check; SELECT sum(v), count(*) FROM t;").CombinedOutput()
	if got := strings.TrimSpace(string(out)); err != nil || got != "ok\n200000|200" {
		s.t.Errorf("snapshot %d (%s): the catalogue says %q, %v", snap.Number, snap.Basis, got, err)
	}
	return digest
}

// TestBundles has bundles of all kinds written beside the keeper: what a snapshot
// holds of one is of one moment.
func TestBundles(t *testing.T) {
	t.Parallel()
	s := newStudio(t, paces())
	s.bundles(s.keep)
}

// TestBundlesAtTheStart is the same with keepers that come and go.
func TestBundlesAtTheStart(t *testing.T) {
	t.Parallel()
	s := newStudio(t, paces())
	s.bundles(s.restart)
}

func (s *studio) bundles(keep func(writers ...func())) {
	catalogue := startCatalogue(s.t, s.path("cat.lrcat"))
	all := map[string]*generations{
		"photo": s.generations("IMG_1.CR3", "IMG_1.xmp"),
		"named": s.generations("IMG_2.NEF", "IMG_2.NEF.xmp"),
		"film":  s.generations("Film.fcpbundle/CurrentVersion.flexolibrary", "Film.fcpbundle/2026/a.mov", "Film.fcpbundle/2026/Render/b.mov", "Film.fcpbundle/Settings.plist"),
	}
	k := run(s.t, s.r, s.c, s.events)
	wait(s.t, "captured before anybody writes", func() bool { l := asked(s.t, k.Keeper)[0]; return l.Err == nil && l.Missing == 0 })
	k.stop()
	keep(all["photo"].write, all["named"].write, all["film"].write, catalogue.work(s))
	versions := map[string]map[string]bool{"catalogue": {}}
	taken := snapshots(s.t, s.r)
	for _, snap := range taken {
		files := filesOf(s.t, s.r, &snap.Root)
		versions["catalogue"][s.judgeCatalogue(snap, files)] = true
		for of, g := range all {
			if versions[of] == nil {
				versions[of] = map[string]bool{}
			}
			versions[of][fmt.Sprint(g.judge(snap, files))] = true
		}
	}
	for of, v := range versions {
		s.t.Logf("%s: %d versions in %d snapshots", of, len(v), len(taken))
		if len(v) < 2 {
			s.t.Errorf("no new version of the %s was captured", of)
		}
	}
}

// TestBundlesAreJudged is the negative control: files that need not rest and do
// not say by their names that they belong together are stored at several moments.
func TestBundlesAreJudged(t *testing.T) {
	t.Parallel()
	s := newStudio(t, pace{1500 * time.Millisecond, time.Second})
	s.c.Sources[0].Settle = time.Millisecond
	g := s.generations("IMG_1.CR3", "IMG_1.txt")
	mixed := func() bool {
		for _, snap := range snapshots(t, s.r) {
			files := filesOf(t, s.r, &snap.Root)
			if len(files) < 2 {
				continue
			}
			a, okA := whole(contentOf(t, s.r, files["IMG_1.CR3"]))
			b, okB := whole(contentOf(t, s.r, files["IMG_1.txt"]))
			if a != b || !okA || !okB {
				return true
			}
		}
		return false
	}
	if !s.rounds(mixed, g.write) {
		t.Error("files that do not belong together were all captured at one moment")
	}
}
