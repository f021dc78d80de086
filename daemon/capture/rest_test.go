package capture_test

import (
	"bytes"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"keepsake/daemon/capture"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// TestOnlyWhatHasRestedIsGood takes snapshots of files that nobody watched: one
// that was written just before, and one that is written again and again, with
// pauses that are longer than the read.
func TestOnlyWhatHasRestedIsGood(t *testing.T) {
	const settle = 300 * time.Millisecond
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	fresh, busy := filepath.Join(dir, "fresh"), filepath.Join(dir, "busy")
	write(t, fresh, []byte("whole"))
	write(t, busy, []byte("hal"))
	var mu sync.Mutex
	step := func() {
		mu.Lock()
		defer mu.Unlock()
		time.Sleep(20 * time.Millisecond) // more than a tick of the clock of files
		appendTo(t, busy, []byte("f"))
	}
	busily := func(o *capture.Options) {
		o.Settle = settle
		o.Now = func() time.Time { step(); return later() }
	}

	began := time.Now()
	first, _ := back(t, r, dir, busily)
	if got := content(t, r, first.Snapshot, "fresh"); string(got) != "whole" {
		t.Errorf("what rested meanwhile is %q", got)
	}
	if n := node(t, r, first.Snapshot, "busy"); n != nil || first.Missing != 1 || first.Missed[0].Reason != tree.ReasonFlux {
		t.Errorf("what is being written is stored: %v, missed %v", n, first.Missed)
	}
	if took := time.Since(began); took < settle {
		t.Errorf("nobody waited: %v", took)
	}

	rested, _ := back(t, r, dir, func(o *capture.Options) { o.Settle, o.Now = settle, later })
	good := content(t, r, rested.Snapshot, "busy")
	if rested.Missing != 0 {
		t.Errorf("at rest: missed %v", rested.Missed)
	}
	kept, _ := back(t, r, dir, busily)
	if got := content(t, r, kept.Snapshot, "busy"); !bytes.Equal(got, good) {
		t.Errorf("%q was stored instead of %q", got, good)
	}
	if kept.Missing != 1 || kept.Missed[0].Reason != tree.ReasonKept {
		t.Errorf("missed %v", kept.Missed)
	}

	// The negative control: the looks before and after the read see nothing.
	step()
	unseen, _ := back(t, r, dir, func(o *capture.Options) { o.Now = later })
	if got := content(t, r, unseen.Snapshot, "busy"); bytes.Equal(got, good) || unseen.Missing != 0 {
		t.Errorf("%q, missed %v: the test cannot fail", got, unseen.Missed)
	}
}

// TestHalfway: a size that changed without a change of the times is the kernel's
// doing, who is not through.
func TestHalfway(t *testing.T) {
	then, now := tree.Time{Sec: 1000}, tree.Time{Sec: 2000}
	known := func(change func(*tree.Node)) *tree.Node {
		n := &tree.Node{Type: tree.File, Size: 100, CTime: then, Inode: 7}
		if change != nil {
			change(n)
		}
		return n
	}
	for _, test := range []struct {
		name     string
		size     uint64
		ctime    tree.Time
		exact    bool
		previous *tree.Node
		want     bool
	}{
		{"cut off, with the times of before", 0, then, true, known(nil), true},
		{"cut off", 0, now, true, known(nil), false},
		{"as before", 100, then, true, known(nil), false},
		{"new", 0, then, true, nil, false},
		{"another file", 0, then, true, known(func(n *tree.Node) { n.Inode = 8 }), false},
		{"read within a tick", 0, then, true, known(func(n *tree.Node) { n.Flags = tree.Racy }), false},
		{"without exact times", 0, then, false, known(nil), false},
	} {
		if got := capture.Halfway(test.size, test.ctime, test.exact, test.previous); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
