package fusefs_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/store"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

// counting counts what the view asks of a repository.
type counting struct {
	*store.Repository
	entries, lookups, lists atomic.Int64
}

func (c *counting) Entries(ctx context.Context, dir *tree.Node) iter.Seq2[*tree.Node, error] {
	c.entries.Add(1)
	return c.Repository.Entries(ctx, dir)
}

func (c *counting) Lookup(ctx context.Context, dir *tree.Node, name []byte) (*tree.Node, error) {
	c.lookups.Add(1)
	return c.Repository.Lookup(ctx, dir, name)
}

func (c *counting) Briefs(ctx context.Context) ([]*store.Brief, []error, error) {
	c.lists.Add(1)
	return c.Repository.Briefs(ctx)
}

// TestMetadataIsReadOnce lists 600 files with their attributes, opens each, and
// lists again.
func TestMetadataIsReadOnce(t *testing.T) {
	var c *counting
	m, files, _, r, _ := view(t, func(o *fusefs.Options) {})
	if err := m.Unmount(); err != nil {
		t.Fatal(err)
	}
	c = &counting{Repository: r}
	m = mount(t, r, func(o *fusefs.Options) { o.Repository = c })
	many := m.path("latest", "library", "many")
	for round := range 3 {
		entries, err := os.ReadDir(many)
		if err != nil || len(entries) != 600 {
			t.Fatalf("%d entries: %v", len(entries), err)
		}
		for _, e := range entries {
			if _, err := e.Info(); err != nil {
				t.Fatal(err)
			}
		}
		for _, e := range entries {
			if got, err := os.ReadFile(many + "/" + e.Name()); err != nil || !bytes.Equal(got, files["many/"+e.Name()]) {
				t.Fatalf("%s: %q, %v", e.Name(), got, err)
			}
		}
		// One for the root of the snapshot, one for the directory.
		if c.entries.Load() > 2 || c.lookups.Load() > 0 {
			t.Errorf("after round %d directories were read %d times and names looked up %d times", round, c.entries.Load(), c.lookups.Load())
		}
	}
	// What is not there is asked for once.
	before := c.lookups.Load() + c.entries.Load()
	for range 1000 {
		if _, err := os.Lstat(m.path("latest", "library", "photos", ".hidden")); !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if n := c.lookups.Load() + c.entries.Load() - before; n > 1 {
		t.Errorf("a name that is not there was asked for %d times", n)
	}
}

func TestListsAreReadOnceASecond(t *testing.T) {
	_, _, _, r, _ := view(t, nil)
	c := &counting{Repository: r}
	m := mount(t, r, func(o *fusefs.Options) { o.Repository = c })
	begun := time.Now()
	for range 2000 {
		_, _ = os.Lstat(m.path("latest", "none"))
		list(t, m.path("snapshots"))
	}
	if n, most := c.lists.Load(), int64(time.Since(begun)/time.Second)+2; n > most {
		t.Errorf("snapshots were listed %d times in %v", n, time.Since(begun))
	}
}

// TestSeekInDirectory goes back to each offset that a listing gave out.
func TestSeekInDirectory(t *testing.T) {
	m, _, _, _, _ := view(t, nil)
	for _, dir := range []string{m.dir, m.path("snapshots", "library"), m.path("latest", "library", "many")} {
		fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		names, offsets := readAll(t, fd)
		for i := len(names) - 1; i > 0; i -= 1 + i/37 {
			if _, err := unix.Seek(fd, offsets[i-1], unix.SEEK_SET); err != nil {
				t.Fatal(err)
			}
			if rest, _ := readAll(t, fd); len(rest) != len(names)-i || rest[0] != names[i] {
				t.Fatalf("%s: from offset %d on there are %d entries, the first %q; want %d, %q",
					dir, offsets[i-1], len(rest), rest[0], len(names)-i, names[i])
			}
		}
	}
}

func readAll(t *testing.T, fd int) (names []string, offsets []int64) {
	t.Helper()
	buf := make([]byte, 2000) // a few entries at a time
	for {
		n, err := unix.ReadDirent(fd, buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return names, offsets
		}
		for b := buf[:n]; len(b) > 0; {
			length := int(b[16]) | int(b[17])<<8
			var off int64
			for i := range 8 {
				off |= int64(b[8+i]) << (8 * i)
			}
			name, _, _ := bytes.Cut(b[19:length], []byte{0})
			names, offsets = append(names, string(name)), append(offsets, off)
			b = b[length:]
		}
	}
}

// TestNodesAreBounded lists many files under a small bound, in both ways that
// kernels can be asked to forget, while some of them are in use.
func TestNodesAreBounded(t *testing.T) {
	needFUSE(t)
	dir := filepath.Join(t.TempDir(), "library")
	const dirs, each = 10, 300
	for i := range dirs * each {
		write(t, fmt.Sprintf("%s/%d/%04d", dir, i/each, i), fmt.Appendf(nil, "%d", i))
	}
	r := storetest.New(t).Open(t)
	back(t, r, dir, "library", nil)
	for _, byName := range []bool{false, true} {
		t.Run(fmt.Sprintf("by name %v", byName), func(t *testing.T) {
			m := mount(t, r, func(o *fusefs.Options) { o.Nodes = 400 })
			if byName {
				m.TrimByName()
			}
			held, err := os.Open(m.path("latest", "library", "0", "0007"))
			if err != nil {
				t.Fatal(err)
			}
			defer held.Close()
			most := 0
			for i := range dirs {
				list := list(t, m.path("latest", "library", fmt.Sprint(i)))
				for _, name := range list {
					if info, err := os.Lstat(m.path("latest", "library", fmt.Sprint(i), name)); err != nil || info.Size() == 0 {
						t.Fatalf("%s: %v", name, err)
					}
				}
				most = max(most, m.Live())
				time.Sleep(30 * time.Millisecond)
			}
			for deadline := time.Now().Add(3 * time.Second); m.Live() > 450 && time.Now().Before(deadline); {
				time.Sleep(50 * time.Millisecond)
				_, _ = os.Lstat(m.path("latest", "library", "0", "0001"))
			}
			t.Logf("at most %d nodes, %d in the end", most, m.Live())
			if m.Live() > 450 {
				t.Errorf("%d nodes are alive", m.Live())
			}
			got := make([]byte, 10)
			if n, _ := held.ReadAt(got, 0); string(got[:n]) != "7" {
				t.Errorf("a file that was open all the time reads %q", got[:n])
			}
		})
	}
}

// slow delays every metadata read.
type slow struct {
	*store.Repository
	delay time.Duration
}

func (s *slow) Entries(ctx context.Context, dir *tree.Node) iter.Seq2[*tree.Node, error] {
	return func(yield func(*tree.Node, error) bool) {
		time.Sleep(s.delay)
		s.Repository.Entries(ctx, dir)(yield)
	}
}

func TestSlowRepository(t *testing.T) {
	_, _, _, r, _ := view(t, nil)
	s := &slow{Repository: r, delay: 3 * time.Second}
	m := mount(t, r, func(o *fusefs.Options) { o.Repository, o.Patience = s, 200*time.Millisecond })
	begun := time.Now()
	if _, err := os.ReadDir(m.path("latest", "library") + "/"); err == nil {
		t.Error("a listing that takes too long ended well")
	}
	if _, err := os.Lstat(m.path("latest", "library", "small")); err == nil {
		t.Error("a lookup that takes too long ended well")
	}
	if took := time.Since(begun); took > 2*time.Second {
		t.Errorf("they took %v", took)
	}
	if err := m.Unmount(); err != nil {
		t.Error(err)
	}
}
