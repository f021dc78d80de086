package fusefs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"keepsake/packaging/torture"
)

// waysToRead are the ways in which programs get at a file's bytes.
var waysToRead = map[string]func(f *os.File, size int) ([]byte, error){
	"a private mapping": func(f *os.File, size int) ([]byte, error) { return mapped(f, size, unix.MAP_PRIVATE) },
	"a shared mapping":  func(f *os.File, size int) ([]byte, error) { return mapped(f, size, unix.MAP_SHARED) },
	"reads of 4,097 bytes past the cache": func(f *os.File, size int) ([]byte, error) {
		return direct(f, size, 4097)
	},
	"reads of 1,000,003 bytes past the cache": func(f *os.File, size int) ([]byte, error) {
		return direct(f, size, 1_000_003)
	},
	"the end first": func(f *os.File, size int) ([]byte, error) {
		all := make([]byte, size)
		const step = 77_777
		for from := size - size%step; from >= 0; from -= step {
			if n, err := f.ReadAt(all[from:min(from+step, size)], int64(from)); err != nil {
				return all[:n], err
			}
		}
		return all, nil
	},
	"scattered buffers": func(f *os.File, size int) ([]byte, error) {
		all := make([]byte, size)
		a, b := size/3, size/2
		n, err := unix.Preadv(int(f.Fd()), [][]byte{all[:a], all[a:b], all[b:]}, 0)
		return all[:max(n, 0)], err
	},
	"a copy by the kernel": func(f *os.File, size int) ([]byte, error) {
		to, err := os.CreateTemp("", "keepsake-ways")
		if err != nil {
			return nil, err
		}
		defer to.Close()
		if err := os.Remove(to.Name()); err != nil {
			return nil, err
		}
		if _, err := io.Copy(to, f); err != nil { // copy_file_range or sendfile
			return nil, err
		}
		if _, err := to.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		return io.ReadAll(to)
	},
}

func mapped(f *os.File, size, how int) ([]byte, error) {
	if size == 0 {
		return nil, nil // which cannot be mapped
	}
	m, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, how)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(m), unix.Munmap(m)
}

// direct reads with O_DIRECT, by sizes and into memory that no disk would take.
func direct(f *os.File, size, step int) ([]byte, error) {
	fd, err := unix.Open(f.Name(), unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	d := os.NewFile(uintptr(fd), f.Name())
	defer d.Close()
	var all []byte
	buf := make([]byte, step+1)
	for {
		n, err := unix.Pread(fd, buf[1:], int64(len(all)))
		switch {
		case err != nil:
			return all, err
		case n == 0:
			return all, nil
		case n < step && len(all)+n != size:
			return all, fmt.Errorf("%d of %d bytes at %d", n, step, len(all))
		}
		all = append(all, buf[1:1+n]...)
	}
}

// waysOriginal and waysView are for the process that reads. It is another one
// than the mount's: where a mapped page is fetched Go stands still, and a mount
// served by the same process with it.
const (
	waysOriginal = "KEEPSAKE_TEST_WAYS_ORIGINAL"
	waysView     = "KEEPSAKE_TEST_WAYS_VIEW"
)

// TestWaysToRead reads every kind of file in every way.
func TestWaysToRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "torture")
	view := tortured(t, dir, torture.Options{Files: 3, Depth: 1})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), self, "-test.run=^TestWaysHelper$", "-test.v")
	c.Env = append(os.Environ(), waysOriginal+"="+dir, waysView+"="+view)
	if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), fmt.Sprintf("files in %d ways", len(waysToRead))) {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestWaysHelper is that process. Elsewhere it does nothing.
func TestWaysHelper(t *testing.T) {
	dir, view := os.Getenv(waysOriginal), os.Getenv(waysView)
	if dir == "" {
		return
	}
	files := 0
	for _, below := range []string{"sizes", "sparse"} {
		entries, err := os.ReadDir(filepath.Join(dir, below))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			files++
			name := filepath.Join(below, e.Name())
			want, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			for way, read := range waysToRead {
				f, err := os.Open(filepath.Join(view, name))
				if err != nil {
					t.Fatal(err)
				}
				got, err := read(f, len(want))
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("%s of %s: %d bytes, equal: %v, want %d: %v", way, name, len(got), bytes.Equal(got, want), len(want), err)
				}
				noWriting(t, f, want)
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
		}
	}
	fmt.Printf("read %d files in %d ways\n", files, len(waysToRead))
}

// noWriting shows that nothing can be written through a mapping, and that a
// private one changes nobody's file.
func noWriting(t *testing.T, f *os.File, content []byte) {
	n := min(len(content), 4096)
	if n == 0 {
		return
	}
	if _, err := unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); !errors.Is(err, unix.EACCES) {
		t.Errorf("a shared mapping of %s for writing: %v", f.Name(), err)
	}
	own, err := unix.Mmap(int(f.Fd()), 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	for i := range own {
		own[i]++
	}
	got := make([]byte, n)
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, content[:n]) {
		t.Errorf("%s was changed by a private mapping: %v", f.Name(), err)
	}
	if err := unix.Munmap(own); err != nil {
		t.Error(err)
	}
}
