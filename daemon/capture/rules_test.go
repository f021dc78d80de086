package capture_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keepsake/daemon/capture"
	"keepsake/daemon/rules"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

func leaving(t *testing.T, patterns []string, presets []string, tags bool) *rules.Rules {
	t.Helper()
	r, err := rules.New(patterns, presets, tags)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func droppedBy(r *capture.Result) string {
	return strings.Trim(fmt.Sprint(numbers(r.Snapshot.Dropped)), "[]")
}

func numbers(all []tree.Dropped) (s []string) {
	for _, d := range all {
		s = append(s, fmt.Sprintf("%s=%d", d.Rule, d.Paths))
	}
	return s
}

// TestDroppedIsNamed leaves things out by each kind of rule and finds them named
// in the snapshot, after a run by events, too.
func TestDroppedIsNamed(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	for _, name := range []string{
		"a.tmp", "x/b.tmp", "x/photo.jpg", ".DS_Store", "x/.DS_Store", "scratch/one", "scratch/two/three",
		"cache/deep/file", "cache/other", "false/file", "y/c.tmp",
	} {
		write(t, filepath.Join(dir, name), []byte(name))
	}
	write(t, filepath.Join(dir, "cache/CACHEDIR.TAG"), []byte("Signature: 8a477f597d28d172789f06886806bc55\n# made by a test"))
	write(t, filepath.Join(dir, "false/CACHEDIR.TAG"), []byte("Signature: none"))
	write(t, filepath.Join(dir, "CACHEDIR.TAG"), []byte("Signature: 8a477f597d28d172789f06886806bc55")) // the root's counts for nothing
	out := leaving(t, []string{"*.tmp", "scratch/"}, []string{"nas-droppings"}, true)
	first, _ := back(t, r, dir, func(o *capture.Options) { o.Now, o.Rules = later, out })
	if got, want := droppedBy(first), "CACHEDIR.TAG=1 pattern *.tmp=3 pattern scratch/=1 preset nas-droppings=2"; got != want {
		t.Errorf("left out: %s\nwant %s", got, want)
	}
	if !first.Snapshot.Complete() || first.Snapshot.Basis != tree.Scanned {
		t.Errorf("complete %v, %v", first.Snapshot.Complete(), first.Snapshot.Basis)
	}
	for path, want := range map[string]bool{
		"a.tmp": false, "scratch": false, "cache": true, "cache/CACHEDIR.TAG": true, "cache/other": false, "cache/deep": false,
		"false/file": true, "x/photo.jpg": true, "x/b.tmp": false,
	} {
		if got := node(t, r, first.Snapshot, path) != nil; got != want {
			t.Errorf("%s is in the snapshot: %v", path, got)
		}
	}

	// By events, what was not listed is counted as before, and what was listed
	// does not make it less.
	write(t, filepath.Join(dir, "x/d.tmp"), nil)
	write(t, filepath.Join(dir, "x/new"), nil)
	second, _ := back(t, r, dir, func(o *capture.Options) {
		o.Now, o.Rules, o.Since, o.Dirty = later, out, first.Base, capture.NewDirty([]string{"x"}, nil)
	})
	if second.Snapshot.Basis != tree.Events || !slices.Equal(numbers(second.Snapshot.Dropped), numbers(first.Snapshot.Dropped)) {
		t.Errorf("%v, left out: %s", second.Snapshot.Basis, droppedBy(second))
	}
	// A scan counts afresh.
	third, _ := back(t, r, dir, func(o *capture.Options) { o.Now, o.Rules = later, out })
	if got, want := droppedBy(third), "CACHEDIR.TAG=1 pattern *.tmp=4 pattern scratch/=1 preset nas-droppings=2"; got != want {
		t.Errorf("left out: %s\nwant %s", got, want)
	}
	// Without the tag the cache is a directory like others, found by events.
	if err := os.Remove(filepath.Join(dir, "cache/CACHEDIR.TAG")); err != nil {
		t.Fatal(err)
	}
	last, _ := back(t, r, dir, func(o *capture.Options) {
		o.Now, o.Rules, o.Since, o.Dirty = later, out, third.Base, capture.NewDirty([]string{"cache"}, nil)
	})
	if node(t, r, last.Snapshot, "cache/deep/file") == nil {
		t.Error("a directory that is no cache any more was not walked")
	}
}

// TestNewRuleIsNews publishes a snapshot whose tree is the one before because a
// rule left something out that was never captured.
func TestNewRuleIsNews(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	write(t, filepath.Join(dir, "a"), []byte("a"))
	out := leaving(t, []string{"*.tmp"}, nil, false)
	same := func(o *capture.Options) { o.Now, o.Rules, o.OnlyIfChanged = later, out, true }
	back(t, r, dir, same)
	info, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "x.tmp"), []byte("a"))
	if err := os.Chtimes(dir, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if res, _ := back(t, r, dir, same); !res.Changed || len(res.Snapshot.Dropped) != 1 {
		t.Errorf("changed %v, left out %s", res.Changed, droppedBy(res))
	}
	if res, _ := back(t, r, dir, same); res.Changed {
		t.Error("nothing changed, and yet")
	}
}
