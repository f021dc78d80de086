package fusefs_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/fusefs"
	"keepsake/store/storetest"
)

// TestLargeDirectory lists a directory of very many entries, from several
// processes' points of view at once, goes to and fro in it, and looks single
// names up, which reads a page on each level and not the directory.
func TestLargeDirectory(t *testing.T) {
	n := 3000
	if long {
		n = 200_000
	}
	dir := filepath.Join(t.TempDir(), "library")
	var names []string
	must(t, os.MkdirAll(dir, 0o755))
	for i := range n {
		names = append(names, fmt.Sprintf("IMG_%06d.jpg", i))
		must(t, os.WriteFile(filepath.Join(dir, names[i]), nil, 0o644))
	}
	r := storetest.New(t).Open(t)
	back(t, r, dir, "library", nil)
	m, asked, of := counted(t, r, func(o *fusefs.Options) { o.Nodes = n / 3 })
	latest := m.path("latest", "library") + "/"

	began := time.Now()
	for range 200 {
		i := rand.IntN(n)
		if _, err := os.Lstat(latest + names[i]); err != nil {
			t.Error(err)
		}
		absent(t, latest+names[i]+"x")
	}
	t.Logf("400 single names: %v, %d look-ups and %d listings of the repository", time.Since(began).Round(time.Millisecond), of.lookups.Load(), of.entries.Load())
	if of.entries.Load() > 0 || of.lookups.Load() > 400 || asked.lists.Load() > 0 {
		t.Errorf("single names listed the directory %d times, %d look-ups", of.entries.Load(), of.lookups.Load())
	}

	began = time.Now()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			entries, err := os.ReadDir(latest)
			same := slices.EqualFunc(entries, names, func(e os.DirEntry, name string) bool { return e.Name() == name })
			if err != nil || !same {
				t.Errorf("%d entries: %v", len(entries), err)
			}
		})
	}
	wg.Wait()
	t.Logf("four listings at once: %v, at most %d decoded nodes kept, %d nodes alive", time.Since(began).Round(time.Millisecond), m.RunNodes(), m.Live())
	toAndFro(t, latest, n)
	if kept := m.RunNodes(); kept > 8192 {
		t.Errorf("%d decoded nodes are kept", kept)
	}
	until(t, 60*time.Second, func() bool {
		_, err := os.Lstat(latest + names[0]) // who looks something up makes others go
		return err == nil && m.Live() <= n/3+200
	})
	t.Logf("heap %d MiB", heap()>>20)
}

// toAndFro goes to offsets that a listing gave out, and demands the same names
// there.
func toAndFro(t *testing.T, dir string, n int) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(fd)
	type place struct {
		off   int64
		first string
	}
	var places []place
	buf := make([]byte, 32<<10)
	total := 0
	for {
		off, err := unix.Seek(fd, 0, io.SeekCurrent)
		must(t, err)
		got, err := unix.ReadDirent(fd, buf)
		must(t, err)
		if got == 0 {
			break
		}
		_, count, names := unix.ParseDirent(buf[:got], -1, nil)
		if total += count; count > 0 {
			places = append(places, place{off, names[0]})
		}
	}
	if total != n {
		t.Errorf("%d entries", total)
	}
	for range 30 {
		p := places[rand.IntN(len(places))]
		_, err := unix.Seek(fd, p.off, io.SeekStart)
		must(t, err)
		got, err := unix.ReadDirent(fd, buf)
		must(t, err)
		if _, _, names := unix.ParseDirent(buf[:got], -1, nil); len(names) == 0 || names[0] != p.first {
			t.Errorf("at %d there is %q, before there was %q", p.off, names[:min(1, len(names))], p.first)
		}
	}
}

// TestOpenFiles holds very many files open over more packs than may be open.
func TestOpenFiles(t *testing.T) {
	packs, files := 35, 4
	if long {
		packs, files = 200, 10
	}
	p := storetest.New(t)
	p.Backend.SetOpenFiles(20)
	dir := filepath.Join(t.TempDir(), "library")
	r := p.Open(t)
	for i := range packs {
		for j := range files {
			write(t, fmt.Sprintf("%s/%03d/%d", dir, i, j), random(uint64(i*files+j), 300<<10/files))
		}
		back(t, r, dir, "library", nil)
	}
	m := mount(t, r, nil)
	var open []*os.File
	defer func() {
		for _, f := range open {
			must(t, f.Close())
		}
	}()
	for i := range packs {
		for j := range files {
			f, err := os.Open(m.path("latest", "library", fmt.Sprintf("%03d/%d", i, j)))
			must(t, err)
			open = append(open, f)
		}
	}
	for k, f := range open {
		b, err := io.ReadAll(f)
		if err != nil || !slices.Equal(b, random(uint64(k), 300<<10/files)) {
			t.Fatalf("%s: %d bytes, %v", f.Name(), len(b), err)
		}
	}
	links, err := filepath.Glob("/proc/self/fd/*")
	must(t, err)
	held := 0
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && strings.HasPrefix(to, p.Dir) {
			held++
		}
	}
	t.Logf("%d files open over %d packs: %d descriptors in the repository", len(open), packs, held)
	if held > 25 {
		t.Errorf("%d descriptors are open in the repository", held)
	}
}
