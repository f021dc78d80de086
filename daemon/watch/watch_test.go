package watch_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"keepsake/daemon/watch"
)

// TestChanges makes one change each and expects the directories it concerns.
func TestChanges(t *testing.T) {
	tests := []struct {
		name   string
		before func(t *testing.T, root string)
		change func(t *testing.T, root string)
		dirs   []string
	}{
		{"create", nil, func(t *testing.T, root string) {
			write(t, root+"/d/new", "x")
		}, []string{"d"}},
		{"create in the root", nil, func(t *testing.T, root string) {
			write(t, root+"/new", "x")
		}, []string{"."}},
		{"edit in place", nil, func(t *testing.T, root string) {
			f, err := os.OpenFile(root+"/d/e/file", os.O_WRONLY, 0)
			must(t, err)
			_, err = f.WriteAt([]byte("X"), 0)
			must(t, errors.Join(err, f.Close()))
		}, []string{"d/e"}},
		{"truncate", nil, func(t *testing.T, root string) {
			must(t, os.Truncate(root+"/d/e/file", 1))
		}, []string{"d/e"}},
		{"rename a file within", nil, func(t *testing.T, root string) {
			must(t, os.Rename(root+"/d/e/file", root+"/d/e/other"))
		}, []string{"d/e"}},
		{"move a file", nil, func(t *testing.T, root string) {
			must(t, os.Rename(root+"/d/e/file", root+"/f/file"))
		}, []string{"d/e", "f"}},
		{"replace by rename", nil, func(t *testing.T, root string) {
			write(t, root+"/d/e/.tmp", "new")
			must(t, os.Rename(root+"/d/e/.tmp", root+"/d/e/file"))
		}, []string{"d/e"}},
		{"delete", nil, func(t *testing.T, root string) {
			must(t, os.Remove(root+"/d/e/file"))
		}, []string{"d/e"}},
		{"delete a tree", nil, func(t *testing.T, root string) {
			must(t, os.RemoveAll(root+"/d"))
		}, []string{"."}},
		{"chmod a file", nil, func(t *testing.T, root string) {
			must(t, os.Chmod(root+"/d/e/file", 0o600))
		}, []string{"d/e"}},
		{"chmod a directory", nil, func(t *testing.T, root string) {
			must(t, os.Chmod(root+"/d/e", 0o700))
		}, []string{"d", "d/e"}},
		{"chmod the root", nil, func(t *testing.T, root string) {
			must(t, os.Chmod(root, 0o711))
		}, []string{"."}},
		{"set times", nil, func(t *testing.T, root string) {
			must(t, os.Chtimes(root+"/d/e/file", time.Unix(1, 0), time.Unix(1, 0)))
		}, []string{"d/e"}},
		{"xattr of a file", xattrs, func(t *testing.T, root string) {
			must(t, syscall.Setxattr(root+"/d/e/file", "user.rating", []byte("5"), 0))
		}, []string{"d/e"}},
		{"xattr of a directory", xattrs, func(t *testing.T, root string) {
			must(t, syscall.Setxattr(root+"/d/e", "user.label", []byte("red"), 0))
		}, []string{"d"}},
		{"rename a directory with content", nil, func(t *testing.T, root string) {
			must(t, os.Rename(root+"/d", root+"/moved"))
		}, []string{".", "moved", "moved/e"}},
		{"rename a directory and write into it", nil, func(t *testing.T, root string) {
			must(t, os.Rename(root+"/d", root+"/moved"))
			write(t, root+"/moved/e/file", "edited")
			must(t, os.Rename(root+"/moved", root+"/f/again"))
			write(t, root+"/f/again/e/file", "edited again")
		}, []string{".", "f", "f/again", "f/again/e"}},
		{"swap two directories", nil, func(t *testing.T, root string) {
			must(t, os.Rename(root+"/d", root+"/x"))
			must(t, os.Rename(root+"/f", root+"/d"))
			must(t, os.Rename(root+"/x", root+"/f"))
		}, []string{".", "d", "f", "f/e"}},
		{"a directory over an empty one", func(t *testing.T, root string) {
			must(t, os.Mkdir(root+"/empty", 0o755))
		}, func(t *testing.T, root string) {
			// os.Rename refuses this; mv -T and rename(2) do it.
			must(t, syscall.Rename(root+"/d", root+"/empty"))
		}, []string{".", "empty", "empty/e"}},
		{"a file where a directory was", nil, func(t *testing.T, root string) {
			must(t, os.RemoveAll(root+"/d"))
			write(t, root+"/d", "file")
		}, []string{"."}},
		{"nested directories at once", nil, func(t *testing.T, root string) {
			must(t, os.MkdirAll(root+"/a/b/c", 0o755))
			write(t, root+"/a/b/c/file", "x")
		}, []string{".", "a", "a/b", "a/b/c"}},
		{"names that are not UTF-8", nil, func(t *testing.T, root string) {
			must(t, os.MkdirAll(root+"/caf\xe9/\n \xff", 0o755))
			write(t, root+"/caf\xe9/\n \xff/\x80", "x")
		}, []string{".", "caf\xe9", "caf\xe9/\n \xff"}},
		{"symlink", nil, func(t *testing.T, root string) {
			must(t, os.Symlink("/nowhere", root+"/d/link"))
		}, []string{"d"}},
		{"fifo", nil, func(t *testing.T, root string) {
			must(t, syscall.Mkfifo(root+"/d/pipe", 0o600))
		}, []string{"d"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := t.TempDir()
			must(t, os.MkdirAll(root+"/d/e", 0o755))
			must(t, os.Mkdir(root+"/f", 0o755))
			write(t, root+"/d/e/file", "content")
			if test.before != nil {
				test.before(t, root)
			}
			h := start(t, watch.Options{Root: root})
			h.first()
			m := make(mirror)
			m.tree(root, ".")
			test.change(t, root)

			missing := slices.Clone(test.dirs)
			for len(missing) > 0 {
				b := h.next(time.Hour)
				if b.All {
					t.Fatal("a single change led to All")
				}
				m.apply(root, b)
				missing = slices.DeleteFunc(missing, func(d string) bool { return slices.Contains(b.Dirs, d) })
			}
			if wrong := m.diff(root); len(wrong) > 0 {
				t.Errorf("not covered: %q", wrong)
			}
			// Watches still work wherever things went.
			_ = filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					write(t, path+"/after", "x")
				}
				return err
			})
			done := make(chan struct{})
			close(done)
			if wrong := h.follow(m, done); len(wrong) > 0 {
				t.Errorf("not covered afterwards: %q", wrong)
			}
		})
	}
}

// xattrs skips where the file system has no user attributes.
func xattrs(t *testing.T, root string) {
	if err := syscall.Setxattr(root, "user.probe", []byte("1"), 0); errors.Is(err, syscall.ENOTSUP) {
		t.Skip("no user extended attributes here")
	}
}

func TestMovedOutAndIn(t *testing.T) {
	outside := t.TempDir()
	h := start(t, watch.Options{})
	must(t, os.MkdirAll(h.path("d/e"), 0o755))
	h.first()
	h.w.Requeue(watch.Batch{Dirs: []string{"."}})
	h.expect(".")

	must(t, os.Rename(h.path("d"), outside+"/d"))
	h.expect(".")
	h.eventually("only the root watched", func(s watch.Stats) bool { return s.Watches == 1 })
	// What happens outside concerns nobody.
	write(t, outside+"/d/e/stranger", "x")

	must(t, os.Rename(outside+"/d", h.path("back")))
	h.expect(".", "back", "back/e")
	write(t, h.path("back/e/file"), "x")
	h.expect("back/e")
}

func TestSymlinksAreNotFollowed(t *testing.T) {
	outside := t.TempDir()
	must(t, os.MkdirAll(outside+"/target/sub", 0o755))
	h := start(t, watch.Options{})
	must(t, os.Symlink(outside+"/target", h.path("early")))
	h.first()
	must(t, os.Symlink(outside+"/target", h.path("late")))
	h.expect(".")
	if s := h.w.Stats(); s.Watches != 1 || s.Directories != 1 {
		t.Errorf("%d watches, %d directories; want the root alone", s.Watches, s.Directories)
	}
	// The root itself may be reached through one.
	link := filepath.Join(outside, "root")
	must(t, os.Symlink(h.root, link))
	h2 := start(t, watch.Options{Root: link})
	h2.first()
	write(t, h2.path("file"), "x")
	h2.expect(".")
}

func TestExclude(t *testing.T) {
	h := start(t, watch.Options{CookieDir: t.TempDir(), Exclude: func(rel string, isDir bool) bool {
		base := filepath.Base(rel)
		return isDir && base == "cache" || !isDir && base == "folder" || filepath.Ext(base) == ".lock"
	}})
	h.first()
	must(t, os.MkdirAll(h.path("cache/deep"), 0o755))
	write(t, h.path("cache/deep/file"), "x")
	write(t, h.path("x.lock"), "x")
	must(t, os.Remove(h.path("x.lock")))
	// A pattern for files does not hide a directory of that name.
	must(t, os.Mkdir(h.path("folder"), 0o755))
	write(t, h.path("folder/seen"), "x")
	for seen := false; !seen; {
		b := h.next(time.Hour)
		for _, d := range b.Dirs {
			switch d {
			case ".":
			case "folder":
				seen = true
			default:
				t.Fatalf("%q was reported", d)
			}
		}
	}
	write(t, h.path("x.lock"), "x")
	b, err := h.w.Take(t.Context())
	must(t, err)
	if len(b.Unsettled) > 0 {
		t.Errorf("an excluded file is in flux: %q", b.Unsettled)
	}
}

func TestRequeue(t *testing.T) {
	h := start(t, watch.Options{})
	must(t, os.MkdirAll(h.path("a/b"), 0o755))
	h.first()
	h.w.Requeue(watch.Batch{Dirs: []string{"a/b", "a/gone/deep"}, Rescan: []string{"a"}})
	b := h.next(time.Hour)
	if !slices.Equal(b.Dirs, []string{"a", "a/b"}) || !slices.Equal(b.Rescan, []string{"a"}) {
		t.Errorf("came back as %+v", b)
	}
	h.w.Requeue(watch.Batch{All: true})
	if b := h.next(time.Hour); !b.All {
		t.Errorf("came back as %+v, want All", b)
	}
}

// TestCancelledNextLosesNothing lets calls end at all moments, also just when
// a batch is ready.
func TestCancelledNextLosesNothing(t *testing.T) {
	h := start(t, watch.Options{Settle: 10 * time.Millisecond})
	h.first()
	m := make(mirror)
	m.tree(h.root, ".")
	for i := range 200 {
		write(t, h.path("file"), string(rune('a'+i%26)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%40)*time.Millisecond)
		if b, err := h.w.Next(ctx, time.Hour); err == nil {
			m.apply(h.root, b)
		}
		cancel()
	}
	done := make(chan struct{})
	close(done)
	if wrong := h.follow(m, done); len(wrong) > 0 {
		t.Errorf("lost: %q", wrong)
	}
}

func TestLifecycle(t *testing.T) {
	h := start(t, watch.Options{})
	h.first()
	if err := h.w.Run(t.Context()); !errors.Is(err, watch.ErrRunning) {
		t.Errorf("second Run: %v", err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := h.w.Next(context.Background(), time.Hour)
		ended <- err
	}()
	h.stop()
	if err := <-ended; !errors.Is(err, watch.ErrStopped) {
		t.Errorf("Next when Run ends: %v", err)
	}
	if _, err := h.w.Take(t.Context()); !errors.Is(err, watch.ErrStopped) {
		t.Errorf("Take after Run: %v", err)
	}
	h.w.Requeue(watch.Batch{All: true}) // must not hang
}

func TestNewRefuses(t *testing.T) {
	tests := []struct {
		name string
		opts watch.Options
		want error
	}{
		{"no root", watch.Options{}, watch.ErrOptions},
		{"negative settle", watch.Options{Root: "/", Settle: -1}, watch.ErrOptions},
		{"negative poll", watch.Options{Root: "/", PollEvery: -1}, watch.ErrOptions},
		{"negative bound", watch.Options{Root: "/", MaxFlux: -1}, watch.ErrOptions},
	}
	for _, test := range tests {
		if _, err := watch.New(test.opts); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func TestPaths(t *testing.T) {
	for _, test := range []struct {
		root, name, rel string
		ok              bool
	}{
		{"/data", "/data", ".", true},
		{"/data", "/data/a/b", "a/b", true},
		{"/data", "/database/a", "", false},
		{"/data", "/other", "", false},
		{"/", "//a", "a", true},
		{"/", "/a/b", "a/b", true},
		{"/", "/", ".", true},
	} {
		if rel, ok := watch.Relative(test.root, test.name); rel != test.rel || ok != test.ok {
			t.Errorf("Relative(%q, %q) = %q, %v", test.root, test.name, rel, ok)
		}
	}
	for _, rel := range []string{"a", "a/b", "a/b/c"} {
		if parent, name := watch.Split(rel); watch.Join(parent, name) != rel {
			t.Errorf("Split(%q) = %q, %q", rel, parent, name)
		}
	}
	if got := watch.Absolute("/", "a") + watch.Absolute("/r", ".") + watch.Absolute("/r", "a"); got != "/a/r/r/a" {
		t.Errorf("Absolute: %s", got)
	}
}
