package backend_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"keepsake/store/backend"
	"keepsake/store/durable"
)

func TestDirectoryGoesAwayAndReturns(t *testing.T) {
	for _, mountPoint := range []bool{false, true} {
		t.Run(fmt.Sprintf("mount point left %v", mountPoint), func(t *testing.T) {
			dir := newRepository(t)
			l := openAs(t, dir, nil, owner)
			if err := runWorkload(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			p := make([]byte, 3)
			if _, err := l.ReadAt(t.Context(), "data/ab/1", p, 0); err != nil {
				t.Fatal(err)
			}
			staged, err := l.Stage(t.Context(), "data/cd/late")
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(dir, dir+".away"); err != nil {
				t.Fatal(err)
			}
			if mountPoint {
				if err := os.Mkdir(dir, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			mustBeAway(t, l, staged)
			// The open descriptor still has the bytes, and they are right.
			if _, err := l.ReadAt(t.Context(), "data/ab/1", p, 0); err != nil || string(p) != "one" {
				t.Errorf("pooled: %q, %v", p, err)
			}
			if mountPoint {
				if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
					t.Errorf("written below the mount point: %v, %v", entries, err)
				}
				os.Remove(dir)
			}
			if err := os.Rename(dir+".away", dir); err != nil {
				t.Fatal(err)
			}
			for name, want := range workload {
				got := make([]byte, len(want))
				if _, err := l.ReadAt(t.Context(), name, got, 0); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s after the return: %v", name, err)
				}
			}
			recovers(t, dir, "return")
		})
	}
}

func mustBeAway(t *testing.T, l *backend.Local, staged *backend.Staged) {
	t.Helper()
	ctx := t.Context()
	_, readErr := l.ReadAt(ctx, "data/ab/2", make([]byte, 1), 0)
	_, sizeErr := l.Size(ctx, "data/ab/2")
	_, stageErr := l.Stage(ctx, "data/ab/9")
	_, _, freeErr := l.Free(ctx)
	_, openErr := backend.OpenLocal(l.Dir(), nil)
	none := func(string, int64) error { return nil }
	for what, err := range map[string]error{
		"read": readErr, "size": sizeErr, "stage": stageErr, "free": freeErr, "open": openErr,
		"list": l.List(ctx, "", none), "list snapshots": l.List(ctx, "snapshots/", none),
		"put": l.Put(ctx, "data/ab/9", nil), "publish": l.Publish(ctx, staged),
		"remove": l.Remove(ctx, "data/ab/2"), "clean": l.CleanStaged(ctx),
	} {
		if !errors.Is(err, backend.ErrNoRepository) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s while away: %v", what, err)
		}
	}
}

func TestStaleDescriptorIsReopened(t *testing.T) {
	dir := newRepository(t)
	var broken bool
	opens := 0
	l := openAs(t, dir, &durable.Disk{Hook: func(op durable.Op, _ string) error {
		switch {
		case op == durable.OpOpen:
			opens++
			broken = false // a new descriptor of the disk that came back
		case op == durable.OpRead && broken:
			return syscall.EIO
		}
		return nil
	}}, owner)
	p := make([]byte, 4)
	for round := range 3 {
		broken = round == 2
		if n, err := l.ReadAt(t.Context(), "snapshots/0", p, 0); n != 4 || err != nil || string(p) != "zero" {
			t.Errorf("round %d: %q, %v", round, p, err)
		}
	}
	if opens != 2 {
		t.Errorf("opened %d times, want 2", opens)
	}
}

func TestFailingDiskIsTriedOnceMoreAtMost(t *testing.T) {
	dir := newRepository(t)
	reads := 0
	l := openAs(t, dir, &durable.Disk{Hook: func(op durable.Op, _ string) error {
		if op == durable.OpRead {
			reads++
			return syscall.EIO
		}
		return nil
	}}, owner)
	for range 2 { // not pooled, since the first read failed
		reads = 0
		if _, err := l.ReadAt(t.Context(), "snapshots/0", make([]byte, 1), 0); !errors.Is(err, syscall.EIO) || reads != 1 {
			t.Errorf("%d reads, %v", reads, err)
		}
	}
}

func TestRemovedByAnotherProcess(t *testing.T) {
	dir := newRepository(t)
	l, other := openAs(t, dir, nil, owner), openAs(t, dir, nil, [16]byte{2})
	p := make([]byte, 4)
	if _, err := l.ReadAt(t.Context(), "snapshots/0", p, 0); err != nil {
		t.Fatal(err)
	}
	if err := other.Remove(t.Context(), "snapshots/0"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ReadAt(t.Context(), "snapshots/0", p, 0); err != nil || string(p) != "zero" {
		t.Errorf("pooled: %q, %v", p, err)
	}
	if _, err := l.Size(t.Context(), "snapshots/0"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("size: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ReadAt(t.Context(), "snapshots/0", p, 0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("opened anew: %v", err)
	}
}

func TestReadsAllocateNothing(t *testing.T) {
	l := openAs(t, newRepository(t), nil, owner)
	ctx, p := t.Context(), make([]byte, 4)
	allocs := testing.AllocsPerRun(100, func() {
		if _, err := l.ReadAt(ctx, "snapshots/0", p, 0); err != nil {
			t.Fatal(err)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations per read", allocs)
	}
}

// A slow read must not hold up others, nor may the pool outgrow its bound.
func TestReadsDoNotWaitAndDescriptorsAreBounded(t *testing.T) {
	dir := newRepository(t)
	slow, reached := make(chan struct{}), make(chan struct{})
	var once sync.Once
	l := openAs(t, dir, &durable.Disk{Hook: func(op durable.Op, path string) error {
		if op == durable.OpRead && strings.HasSuffix(path, "/snapshots/0") {
			once.Do(func() { close(reached); <-slow })
		}
		return nil
	}}, owner)
	l.SetOpenFiles(4)
	done := make(chan error)
	go func() {
		p := make([]byte, 4)
		_, err := l.ReadAt(t.Context(), "snapshots/0", p, 0)
		if string(p) != "zero" {
			err = errors.Join(err, fmt.Errorf("read %q", p))
		}
		done <- err
	}()
	<-reached
	for i := range 20 { // pushes the slow reader's descriptor out of the pool
		name := fmt.Sprintf("data/%d", i)
		if err := l.Put(t.Context(), name, []byte(name)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.ReadAt(t.Context(), name, make([]byte, 1), 0); err != nil {
			t.Fatal(err)
		}
	}
	if n := openBelow(t, dir); n > 5 {
		t.Errorf("%d descriptors open, with a limit of 4 and one slow reader", n)
	}
	close(slow)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := openBelow(t, dir); n > 4 {
		t.Errorf("%d descriptors open, with a limit of 4", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if n := openBelow(t, dir); n != 0 {
		t.Errorf("%d descriptors open after Close", n)
	}
}

func openBelow(t *testing.T, dir string) (n int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(links) == 0 {
		t.Skip("needs /proc")
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && strings.HasPrefix(target, dir+"/") {
			n++
		}
	}
	return n
}
