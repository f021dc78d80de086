package fusefs_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keepsake/fusefs"
)

// TestVersionsUnderUse has many readers list and read versions at random while
// snapshots are taken, and little is kept of what is known: what a version
// holds says by itself whether it is the right one.
func TestVersionsUnderUse(t *testing.T) {
	l := newTimed(t)
	r := rand.New(rand.NewPCG(3, 3))
	change := func() {
		for range 5 {
			path := fmt.Sprintf("d%d/e%d/f%d.txt", r.IntN(4), r.IntN(4), r.IntN(6))
			if r.IntN(4) == 0 {
				l.remove(path)
			} else {
				l.write(path, fmt.Sprintf("%s at %s", path, l.now.Add(time.Minute).Format("15-04-05")))
			}
		}
	}
	for range 12 {
		change()
		l.take()
	}
	m := mount(t, l.r, nil)
	fusefs.LimitPasts(m.Mounted, 100)
	root := m.path("versions", "library")
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for seed := range uint64(6) {
		readers.Go(func() {
			r := rand.New(rand.NewPCG(seed, 7))
			for {
				select {
				case <-stop:
					return
				default:
					useVersions(t, root, r)
				}
			}
		})
	}
	for range 8 {
		change()
		l.take()
		m.Refresh()
	}
	close(stop)
	readers.Wait()
	if cost := fusefs.PastCost(m.Mounted); cost > 200 {
		t.Errorf("it counts as %d", cost)
	}
}

// useVersions goes down at random and checks what it finds at the end.
func useVersions(t testing.TB, dir string, r *rand.Rand) {
	root := dir
	for {
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) == 0 {
			t.Errorf("%s has %d entries: %v", dir, len(entries), err)
			return
		}
		e := entries[r.IntN(len(entries))]
		path := filepath.Join(dir, e.Name())
		if e.IsDir() {
			dir = path
			continue
		}
		b, err := os.ReadFile(path)
		name := strings.TrimPrefix(dir, root+"/")
		was, ok := strings.CutPrefix(string(b), name+" at ")
		if err != nil || !ok || was != e.Name()[len("2026-11-21T"):len("2026-11-21T15-05-33")] {
			t.Errorf("%s holds %q: %v", path, b, err)
		}
		return
	}
}

// TestWalkingVersionsIsBounded walks more merged directories than nodes may be
// kept alive, on kernels that can prune and on others.
func TestWalkingVersionsIsBounded(t *testing.T) {
	l := newTimed(t)
	for i := range 600 {
		l.write(fmt.Sprintf("d%02d/f%04d", i%10, i), "")
	}
	l.take()
	for _, byName := range []bool{false, true} {
		m := mount(t, l.r, func(o *fusefs.Options) { o.Nodes = 150 })
		if byName {
			m.TrimByName()
		}
		count := 0
		err := filepath.WalkDir(m.path("versions", "library"), func(_ string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				count++
			}
			return err
		})
		if err != nil || count != 600 {
			t.Fatalf("%d versions: %v", count, err)
		}
		for deadline := time.Now().Add(time.Minute); m.Live() > 300; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("by name %v: %d nodes are alive", byName, m.Live())
			}
			// What was looked up last may have been in use when others were
			// forgotten; the next look asks again.
			if _, err := os.Stat(m.path("versions", "library", fmt.Sprintf("d%02d", count%10))); err != nil {
				t.Fatal(err)
			}
			count++
		}
		if err := m.Unmount(); err != nil {
			t.Error(err)
		}
	}
}
