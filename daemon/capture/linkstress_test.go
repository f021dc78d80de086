package capture_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"keepsake/daemon/capture"
	"keepsake/store/tree"
)

// linkWorld changes a source at random, and notes the directories of which
// inotify would tell.
type linkWorld struct {
	*linkedLib
	random *rand.Rand
	events map[string]bool
	next   int
}

func (w *linkWorld) files() (all []string) {
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(w.dir, path) // both are absolute
			all = append(all, rel)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

func (w *linkWorld) told(rel string) {
	if rel = filepath.Dir(rel); rel == "." {
		rel = ""
	}
	w.events[rel] = true
}

func (w *linkWorld) step() {
	all := w.files()
	pick := func() string { return all[w.random.IntN(len(all))] }
	w.next++
	name := fmt.Sprintf("d%d/%s%d", w.random.IntN(6), []string{"", "sub/"}[w.random.IntN(2)], w.next)
	var err error
	switch op := w.random.IntN(10); {
	case op < 2 || len(all) < 5:
		made := filepath.Dir(name)
		write(w.t, w.path(name), fmt.Append(nil, "file ", w.next))
		w.told(name)
		w.told(made) // it may be new
		w.told(filepath.Dir(made))
	case op < 5:
		if err = os.MkdirAll(filepath.Dir(w.path(name)), 0o755); err == nil {
			err = os.Link(w.path(pick()), w.path(name))
		}
		w.told(name)
		w.told(filepath.Dir(name))
		w.told(filepath.Dir(filepath.Dir(name)))
	case op < 8:
		victim := pick()
		w.write(victim, fmt.Sprint("written ", w.next))
		w.told(victim)
	case op < 9:
		victim := pick()
		err = os.Remove(w.path(victim))
		w.told(victim)
	default: // a directory moves, and its own directory tells
		from, to := fmt.Sprintf("d%d/sub", w.random.IntN(6)), fmt.Sprintf("d%d/moved%d", w.random.IntN(6), w.next)
		if os.MkdirAll(filepath.Dir(w.path(to)), 0o755) == nil && os.Rename(w.path(from), w.path(to)) == nil {
			w.told(from)
			w.told(to)
			w.told("x") // the root: the directory of to may be new
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// stale counts the files of which the snapshot has not what is there.
func (w *linkWorld) stale(res *capture.Result) (n int) {
	for _, name := range w.files() {
		want, err := os.ReadFile(w.path(name))
		if err != nil {
			w.t.Fatal(err)
		}
		info, err := os.Lstat(w.path(name))
		if err != nil {
			w.t.Fatal(err)
		}
		have := node(w.t, w.r, res.Snapshot, name)
		if have == nil || uint64(have.Links) != linkCount(info) || string(content(w.t, w.r, res.Snapshot, name)) != string(want) {
			n++
		}
	}
	return n
}

// TestRandomLinks takes a snapshot by events after every few random changes of
// many linked files, each of which has to equal the tree.
func TestRandomLinks(t *testing.T) {
	rounds, misses := 25, 0
	if os.Getenv("KEEPSAKE_LONG") != "" {
		rounds = 1000
	}
	for _, follow := range []bool{true, false} {
		w := &linkWorld{linkedLib: newLinkedLib(t, "d0/first", "d1/sub/second"), random: rand.New(rand.NewPCG(3, 4)), events: map[string]bool{}}
		if !follow {
			w.links = nil // the negative control
		}
		w.back()
		byEvents := 0
		for range rounds {
			for range 1 + w.random.IntN(6) {
				w.step()
			}
			var dirs []string
			for dir := range w.events {
				dirs = append(dirs, dir)
			}
			clear(w.events)
			res := w.back(append(dirs, "none")...)
			if res.Snapshot.Basis == tree.Events {
				byEvents++
			}
			switch n := w.stale(res); {
			case follow && n > 0:
				t.Fatalf("snapshot %d: %d files are not as they are; events %q, why %v", res.Snapshot.Number, n, dirs, res.Snapshot.Why)
			case n > 0:
				misses++
			}
		}
		t.Logf("names followed: %v; %d of %d snapshots by events", follow, byEvents, rounds)
		if byEvents == 0 {
			t.Error("every snapshot was a scan: this test shows nothing")
		}
	}
	if misses == 0 {
		t.Error("without the table nothing is missed: this test shows nothing")
	}
}
