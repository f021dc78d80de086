package capture_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/time/rate"

	"keepsake/daemon/capture"
	"keepsake/store/storetest"
)

// inCache returns how many bytes of a file are in the page cache.
func inCache(t *testing.T, path string) int64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var found unix.Cachestat_t
	if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{Len: 1 << 40}, &found, 0); err != nil {
		t.Skipf("not run: cachestat: %v", err)
	}
	return int64(found.Cache) * int64(os.Getpagesize())
}

// cold writes a file back and drops it from the cache.
func cold(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		if inCache(t, path) == 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Skip("not run: this file system's pages stay in the cache")
}

// TestPageCacheIsLeftAsItWas reads files that were in the cache and files that
// were not.
func TestPageCacheIsLeftAsItWas(t *testing.T) {
	for _, gentle := range []bool{true, false} {
		r := storetest.New(t).Open(t)
		dir := filepath.Join(t.TempDir(), "lib")
		sizes := map[string]int64{"small": 10_000, "photo": 6 << 20, "film": 40 << 20}
		for name, size := range sizes {
			for _, kind := range []string{"hot ", "cold "} {
				write(t, filepath.Join(dir, kind+name), random(uint64(size+int64(len(kind))), int(size)))
				cold(t, filepath.Join(dir, kind+name))
			}
			if _, err := os.ReadFile(filepath.Join(dir, "hot "+name)); err != nil {
				t.Fatal(err)
			}
		}
		res, _ := back(t, r, dir, func(o *capture.Options) { o.Now, o.Read = later, capture.ReadOptions{Gentle: gentle} })
		if res.Missing != 0 {
			t.Fatalf("missed %v", res.Missed)
		}
		for name, size := range sizes {
			hot, left := inCache(t, filepath.Join(dir, "hot "+name)), inCache(t, filepath.Join(dir, "cold "+name))
			t.Logf("gentle %v, %s of %d bytes: in the cache %d if it was before, %d if not", gentle, name, size, hot, left)
			// A machine short of memory may take a page or two itself.
			if hot < size*9/10 {
				t.Errorf("gentle %v, %s: of %d bytes that were in the cache %d are", gentle, name, size, hot)
			}
			if gentle && left > size/10 {
				t.Errorf("%s: %d bytes are in the cache that were not", name, left)
			}
			if !gentle && left == 0 {
				t.Error("nothing is in the cache after a read that is not gentle: this test shows nothing")
			}
		}
	}
}

// TestReadingIsLimited reads 2 MB at 4 MB/s with a burst of 64 KiB: a limiter
// takes at least as long as it says, on any machine.
func TestReadingIsLimited(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	for _, name := range []string{"a", "b"} {
		write(t, filepath.Join(dir, name), random(uint64(name[0]), 1<<20))
	}
	began := time.Now()
	_, counts := back(t, r, dir, func(o *capture.Options) {
		o.Now, o.Read = later, capture.ReadOptions{Limit: rate.NewLimiter(4<<20, 64<<10)}
	})
	if took := time.Since(began); took < 400*time.Millisecond || counts.ReadBytes != 2<<20 {
		t.Errorf("%d bytes in %v", counts.ReadBytes, took)
	}
	// A run whose time is up while it waits is stopped, and no file is blamed.
	w, err := r.NewWriter(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(t.Context())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	write(t, filepath.Join(dir, "c"), random(9, 1<<20))
	source, _, err := capture.Bind(ctx, r, "lib", dir, "host")
	if err != nil {
		t.Fatal(err)
	}
	o := capture.Options{Repository: r, Writer: w, Source: source, Path: []byte(dir), Read: capture.ReadOptions{Limit: rate.NewLimiter(1000, 1000)}}
	if res, err := capture.Run(ctx, o); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%+v, %v", res, err)
	}
	o.Read.Limit = rate.NewLimiter(1000, 0)
	if _, err := capture.Run(t.Context(), o); err == nil {
		t.Error("a limiter that lets nothing through was taken")
	}
}
