package durable_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"keepsake/store/durable"
)

var errInjected = errors.New("injected")

// faults fails operation number at, and all later ones if lasting, which is
// what a kill looks like from the disk.
type faults struct {
	at      int // 0 never
	lasting bool
	count   int
	fired   bool
	log     []string
}

func (f *faults) hook(op durable.Op, path string) error {
	f.count++
	f.log = append(f.log, op.String()+" "+filepath.Base(path))
	if f.at > 0 && (f.count == f.at || f.lasting && f.count > f.at) {
		f.fired = true
		return errInjected
	}
	return nil
}

// sweep runs do once for each operation it performs, failing that one, and
// calls look afterwards.
func sweep(t *testing.T, setup func(t *testing.T, dir string), do func(d *durable.Disk, dir string) error, look func(t *testing.T, dir string, f *faults, err error)) {
	t.Helper()
	for _, lasting := range []bool{false, true} {
		for at := 1; ; at++ {
			dir := t.TempDir()
			setup(t, dir)
			f := &faults{at: at, lasting: lasting}
			err := do(&durable.Disk{Hook: f.hook}, dir)
			if !f.fired {
				if at < 6 {
					t.Fatalf("only %d operations: %v", at-1, f.log)
				}
				if err != nil {
					t.Fatalf("without a fault: %v", err)
				}
				break
			}
			if !errors.Is(err, errInjected) {
				t.Errorf("operation %d (%s) failed, but the error is %v", at, f.log[at-1], err)
			}
			look(t, dir, f, err)
		}
	}
}

var (
	oldBytes = []byte("old")
	newBytes = bytes.Repeat([]byte("new bytes "), 5000)
)

func TestWriteFileShowsAllOrNothing(t *testing.T) {
	sweep(t, func(*testing.T, string) {},
		func(d *durable.Disk, dir string) error {
			return d.WriteFile(filepath.Join(dir, "target"), newBytes, 0o600)
		},
		func(t *testing.T, dir string, f *faults, err error) {
			got, rerr := os.ReadFile(filepath.Join(dir, "target"))
			if rerr == nil && !bytes.Equal(got, newBytes) {
				t.Errorf("after %v a part is visible: %d bytes", f.log, len(got))
			}
			if !f.lasting {
				mustBeClean(t, dir)
			}
		})
}

func TestReplaceFileShowsOldOrNew(t *testing.T) {
	sweep(t, func(t *testing.T, dir string) {
		if err := os.WriteFile(filepath.Join(dir, "target"), oldBytes, 0o600); err != nil {
			t.Fatal(err)
		}
	}, func(d *durable.Disk, dir string) error {
		return d.ReplaceFile(filepath.Join(dir, "target"), newBytes, 0o600)
	}, func(t *testing.T, dir string, f *faults, err error) {
		got, rerr := os.ReadFile(filepath.Join(dir, "target"))
		if rerr != nil || !bytes.Equal(got, newBytes) && !bytes.Equal(got, oldBytes) {
			t.Errorf("after %v: %d bytes, %v", f.log, len(got), rerr)
		}
		if !f.lasting {
			mustBeClean(t, dir)
		}
	})
}

func mustBeClean(t *testing.T, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"+durable.TempSuffix))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestWriteFileOrder(t *testing.T) {
	f := &faults{}
	dir := t.TempDir()
	if err := (&durable.Disk{Hook: f.hook}).WriteFile(filepath.Join(dir, "target"), newBytes, 0o600); err != nil {
		t.Fatal(err)
	}
	var ops []string
	for _, line := range f.log {
		op, _, _ := strings.Cut(line, " ")
		ops = append(ops, op)
	}
	if want := []string{"create", "write", "sync", "close", "rename", "syncdir"}; !slices.Equal(ops, want) {
		t.Errorf("got %v, want %v", ops, want)
	}
	info, err := os.Stat(filepath.Join(dir, "target"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestNeverReplaces(t *testing.T) {
	// EINVAL is how file systems without RENAME_NOREPLACE answer.
	fallback := func(op durable.Op, path string) error {
		if op == durable.OpRename {
			return syscall.EINVAL
		}
		return nil
	}
	for name, d := range map[string]*durable.Disk{"nil": nil, "zero": {}, "link": {Hook: fallback}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
			if err := d.WriteFile(a, oldBytes, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := d.WriteFile(b, newBytes, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := d.Rename(b, a); !errors.Is(err, fs.ErrExist) {
				t.Errorf("rename over a file: %v", err)
			}
			if err := d.WriteFile(a, newBytes, 0o600); !errors.Is(err, fs.ErrExist) {
				t.Errorf("write over a file: %v", err)
			}
			if _, err := d.Create(a, 0o600); !errors.Is(err, fs.ErrExist) {
				t.Errorf("create over a file: %v", err)
			}
			if got, _ := os.ReadFile(a); !bytes.Equal(got, oldBytes) {
				t.Error("the file was replaced")
			}
			if err := d.Rename(b, filepath.Join(dir, "c")); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(b); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("old name: %v", err)
			}
			mustBeClean(t, dir)
		})
	}
}

func TestSealed(t *testing.T) {
	for _, failing := range []durable.Op{durable.OpWrite, durable.OpSync} {
		t.Run(failing.String(), func(t *testing.T) {
			fail, reached := false, 0
			d := &durable.Disk{Hook: func(op durable.Op, _ string) error {
				if !fail || op == durable.OpClose {
					return nil
				}
				reached++
				if op == failing {
					return syscall.EIO
				}
				return nil
			}}
			f, err := d.Create(filepath.Join(t.TempDir(), "f"), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(oldBytes); err != nil {
				t.Fatal(err)
			}
			fail = true
			if failing == durable.OpSync {
				err = f.Sync()
			} else {
				_, err = f.WriteAt(oldBytes, 0)
			}
			if !errors.Is(err, syscall.EIO) || errors.Is(err, durable.ErrSealed) {
				t.Fatalf("first failure: %v", err)
			}
			_, werr := f.Write(oldBytes)
			_, waerr := f.WriteAt(oldBytes, 0)
			_, rerr := f.ReadAt(make([]byte, 1), 0)
			for _, err := range []error{f.Sync(), werr, waerr, rerr} {
				if !errors.Is(err, durable.ErrSealed) || !errors.Is(err, syscall.EIO) {
					t.Errorf("sealed file answered %v", err)
				}
			}
			f.StartWriteback(0, 1)
			if reached != 1 {
				t.Errorf("%d operations reached the disk after the failure", reached-1)
			}
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOpenOnlyRegularFiles(t *testing.T) {
	dir := t.TempDir()
	target, link, fifo := filepath.Join(dir, "f"), filepath.Join(dir, "link"), filepath.Join(dir, "fifo")
	if err := os.WriteFile(target, oldBytes, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	var d durable.Disk
	for _, path := range []string{dir, link, fifo} {
		if f, err := d.Open(path); !errors.Is(err, durable.ErrNotRegular) {
			t.Errorf("%s: %v %v", path, f, err)
		}
	}
	if _, err := d.Create(link, 0o600); !errors.Is(err, fs.ErrExist) {
		t.Errorf("create through a link: %v", err)
	}
	f, err := d.Open(target)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := f.Size(); n != 3 || err != nil || f.Name() != target {
		t.Errorf("%d %v %s", n, err, f.Name())
	}
}

func TestMkdirAllSyncsEachParent(t *testing.T) {
	f := &faults{}
	dir := t.TempDir()
	d := &durable.Disk{Hook: f.hook}
	if err := d.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	var log []string
	for _, line := range f.log {
		if !strings.HasPrefix(line, "stat ") {
			log = append(log, line)
		}
	}
	want := []string{"mkdir a", "syncdir " + filepath.Base(dir), "mkdir b", "syncdir a"}
	if !slices.Equal(log, want) {
		t.Errorf("got %v, want %v", log, want)
	}
	file := filepath.Join(dir, "file")
	if err := d.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, filepath.Join(file, "below")} {
		if err := d.MkdirAll(path, 0o700); !errors.Is(err, syscall.ENOTDIR) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestReadDir(t *testing.T) {
	dir := t.TempDir()
	const files = 1500 // several batches
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var d durable.Disk
	seen := map[string]bool{}
	err := d.ReadDir(dir, func(e fs.DirEntry) error { seen[e.Name()] = true; return nil })
	if err != nil || len(seen) != files {
		t.Errorf("%d entries, %v", len(seen), err)
	}
	if err := d.ReadDir(dir, func(fs.DirEntry) error { return errInjected }); err != errInjected {
		t.Errorf("callback's error came as %v", err)
	}
	if err := d.ReadDir(filepath.Join(dir, "none"), nil); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestFree(t *testing.T) {
	free, total, err := (&durable.Disk{}).Free(t.TempDir())
	if err != nil || total == 0 || free > total {
		t.Errorf("%d of %d, %v", free, total, err)
	}
	if _, _, err := (&durable.Disk{}).Free("/nonexistent"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A full disk is tried on a real one, because the hook fails before anything
// is written and a full disk fails in the middle.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("needs the right to mount: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	var d durable.Disk
	target := filepath.Join(dir, "target")
	if err := d.ReplaceFile(target, oldBytes, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.ReplaceFile(target, make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("1 MiB on 256 KiB: %v", err)
	}
	if got, err := os.ReadFile(target); !bytes.Equal(got, oldBytes) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	mustBeClean(t, dir)
	if err := d.ReplaceFile(target, newBytes, 0o600); err != nil {
		t.Errorf("space was not given back: %v", err)
	}
}
