package backend_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keepsake/store/backend"
	"keepsake/store/backend/backendtest"
	"keepsake/store/durable"
)

func TestLocalConforms(t *testing.T) {
	backendtest.Run(t, func(t *testing.T) backendtest.Opener[*backend.Staged, *backend.Local] {
		dir := t.TempDir() + "/repository"
		if _, err := backend.CreateLocal(dir, nil); err != nil {
			t.Fatal(err)
		}
		return func(t *testing.T, owner [16]byte) *backend.Local { return openAs(t, dir, nil, owner) }
	})
}

func openAs(t *testing.T, dir string, disk *durable.Disk, owner [16]byte) *backend.Local {
	t.Helper()
	l, err := backend.OpenLocal(dir, disk)
	if err != nil {
		t.Fatal(err)
	}
	l.SetOwner(owner)
	t.Cleanup(func() { l.Close() })
	return l
}

func write(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestCreateLocal(t *testing.T) {
	tests := []struct {
		name  string
		files []string
		want  error
	}{
		{"empty", nil, nil},
		{"root of a disk", []string{"lost+found/1"}, nil},
		{"photos", []string{"img.jpg"}, backend.ErrNotEmpty},
		{"folder", []string{"holiday/img.jpg"}, backend.ErrNotEmpty},
		{"folder called tmp", []string{"tmp/img.jpg"}, backend.ErrNotEmpty},
		{"ours", []string{"tmp/README.txt", "config", "data/ab/1"}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, f := range test.files {
				write(t, filepath.Join(dir, f))
			}
			for range 2 {
				l, err := backend.CreateLocal(dir, nil)
				if !errors.Is(err, test.want) || (l == nil) != (err != nil) {
					t.Fatalf("got %v, want %v", err, test.want)
				}
			}
			if test.want != nil {
				if _, err := os.Lstat(filepath.Join(dir, "tmp", "README.txt")); err == nil {
					t.Error("refused, but written to")
				}
			}
		})
	}
}

func TestOpenLocal(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "none")} {
		if l, err := backend.OpenLocal(path, nil); !errors.Is(err, backend.ErrNoRepository) || l != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	write(t, filepath.Join(dir, "file"))
	if _, err := backend.OpenLocal(filepath.Join(dir, "file"), nil); err == nil {
		t.Error("opened a file")
	}
	// A copy without the staging directory, reached through a symbolic link.
	write(t, filepath.Join(dir, "copy", "config"))
	if err := os.Symlink("copy", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	l := openAs(t, filepath.Join(dir, "link"), nil, owner)
	if entries, err := os.ReadDir(filepath.Join(dir, "copy")); err != nil || len(entries) != 1 {
		t.Errorf("opening wrote: %v %v", entries, err)
	}
	if err := l.Put(t.Context(), "data/a", nil); err != nil {
		t.Error(err)
	}
	n := 0
	if err := l.List(t.Context(), "", func(string, int64) error { n++; return nil }); err != nil || n != 2 {
		t.Errorf("listed %d, %v", n, err)
	}
}

func TestModes(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	dir := newRepository(t)
	if err := runWorkload(t.Context(), openAs(t, dir, nil, owner)); err != nil {
		t.Fatal(err)
	}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		if want := map[bool]fs.FileMode{true: 0o700, false: 0o600}[e.IsDir()]; info.Mode().Perm() != want {
			t.Errorf("%s is %v, want %v", path, info.Mode().Perm(), want)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What other programs leave in a directory is no object; what could hide
// objects is an error and not a shorter list.
func TestForeignFiles(t *testing.T) {
	dir := newRepository(t)
	l := openAs(t, dir, nil, owner)
	for _, name := range []string{".DS_Store", "Thumbs.db", "@eaDir/x", "snapshots/0.tmp", "snapshots/.nfs0001", "lost+found/1"} {
		write(t, filepath.Join(dir, name))
	}
	var got []string
	collect := func(name string, _ int64) error { got = append(got, name); return nil }
	if err := l.List(t.Context(), "", collect); err != nil || len(got) != 1 || got[0] != "snapshots/0" {
		t.Errorf("listed %v, %v", got, err)
	}
	outside := t.TempDir()
	write(t, filepath.Join(outside, "1"))
	if err := os.Symlink(outside, filepath.Join(dir, "data")); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "d"} {
		if err := l.List(t.Context(), prefix, collect); !errors.Is(err, backend.ErrNotObject) {
			t.Errorf("symbolic link to a directory, prefix %q: %v", prefix, err)
		}
	}
	if err := l.List(t.Context(), "snapshots/", collect); err != nil {
		t.Error(err)
	}
	if err := l.Put(t.Context(), "data/2", nil); !errors.Is(err, backend.ErrNotObject) {
		t.Errorf("publish through a symbolic link: %v", err)
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 1 {
		t.Errorf("written outside the repository: %v", entries)
	}
	if err := os.Symlink(filepath.Join(outside, "1"), filepath.Join(dir, "snapshots", "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"snapshots", "snapshots/link"} {
		if _, err := l.ReadAt(t.Context(), name, make([]byte, 1), 0); !errors.Is(err, backend.ErrNotObject) {
			t.Errorf("read %s: %v", name, err)
		}
		if _, err := l.Size(t.Context(), name); !errors.Is(err, backend.ErrNotObject) {
			t.Errorf("size of %s: %v", name, err)
		}
	}
}

// A failure in the middle of a walk must not pass for the end of the list.
func TestListIsCompleteOrAnError(t *testing.T) {
	dir := newRepository(t)
	if err := runWorkload(t.Context(), openAs(t, dir, nil, owner)); err != nil {
		t.Fatal(err)
	}
	for at := 1; ; at++ {
		f := &faults{}
		l := openAs(t, dir, &durable.Disk{Hook: f.hook}, owner)
		*f = faults{at: at}
		err := l.List(t.Context(), "", func(string, int64) error { return nil })
		if !f.fired() {
			if err != nil || at < 5 {
				t.Fatalf("%d operations: %v", at-1, err)
			}
			return
		}
		if !errors.Is(err, errInjected) {
			t.Errorf("failed %q: %v", f.log[at-1], err)
		}
	}
}

func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	if _, err := backend.CreateLocal(dir, nil); err != nil {
		t.Fatal(err)
	}
	l := openAs(t, dir, nil, owner)
	s, err := l.Stage(t.Context(), "data/ab/1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(make([]byte, 1<<20)); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("1 MiB on 512 KiB: %v", err)
	}
	if _, err := s.Write([]byte("x")); err == nil {
		t.Error("writing goes on after a failed write")
	}
	if err := l.Publish(t.Context(), s); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("half an object published: %v", err)
	}
	if left := stagedFiles(t, dir); len(left) > 0 {
		t.Errorf("left behind %v", left)
	}
	if err := l.Put(t.Context(), "data/ab/2", make([]byte, 300<<10)); err != nil {
		t.Errorf("space was not given back: %v", err)
	}
}

func FuzzCheckName(f *testing.F) {
	for _, s := range []string{"config", "data/ab/abcd", "../x", "a//b", "tmp/x", "a.tmp", "a/..", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if backend.CheckName(name) != nil {
			return
		}
		clean := filepath.Clean(filepath.FromSlash(name))
		if clean != name || !filepath.IsLocal(name) || len(name) > 255 || strings.ToLower(name) != name ||
			strings.HasPrefix(name+"/", "tmp/") || strings.HasSuffix(name, ".tmp") || strings.ContainsAny(name, "\\\x00 ") {
			t.Errorf("accepted %q", name)
		}
	})
}
