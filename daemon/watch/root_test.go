package watch_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keepsake/daemon/watch"
)

func TestRootGoneAndBack(t *testing.T) {
	tests := []struct {
		name string
		lose func(t *testing.T, root string)
		back func(t *testing.T, root string)
	}{
		{"deleted and made again", func(t *testing.T, root string) {
			must(t, os.RemoveAll(root))
		}, func(t *testing.T, root string) {
			must(t, os.MkdirAll(root+"/again", 0o755))
		}},
		{"moved and moved back", func(t *testing.T, root string) {
			must(t, os.Rename(root, root+"-away"))
		}, func(t *testing.T, root string) {
			write(t, root+"-away/sub/changed", "x")
			must(t, os.Rename(root+"-away", root))
		}},
		{"its parent moved", func(t *testing.T, root string) {
			must(t, os.Rename(filepath.Dir(root), filepath.Dir(root)+"-away"))
		}, func(t *testing.T, root string) {
			must(t, os.Rename(filepath.Dir(root)+"-away", filepath.Dir(root)))
		}},
		{"replaced by a file", func(t *testing.T, root string) {
			must(t, os.Rename(root, root+"-away"))
			write(t, root, "a file")
		}, func(t *testing.T, root string) {
			must(t, os.Remove(root))
			must(t, os.Rename(root+"-away", root))
		}},
		{"replaced by a link", func(t *testing.T, root string) {
			must(t, os.Rename(root, root+"-away"))
			must(t, os.Symlink(root+"-away", root))
		}, func(t *testing.T, root string) {
			must(t, os.Remove(root))
			must(t, os.Rename(root+"-away", root))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := filepath.Join(t.TempDir(), "parent", "root")
			must(t, os.MkdirAll(root+"/sub", 0o755))
			h := start(t, watch.Options{Root: root})
			h.first()
			test.lose(t, root)
			b := h.next(time.Hour)
			for !b.RootMissing {
				if b.All {
					t.Fatalf("a missing root looks like a tree: %+v", b)
				}
				b = h.next(time.Hour) // of its last moments
			}
			if s := h.w.Stats(); !s.RootMissing || s.Watches != 0 {
				t.Errorf("%+v", s)
			}
			if b := h.take(); !b.RootMissing {
				t.Errorf("Take without a root: %+v", b)
			}
			test.back(t, root)
			// Who asks at once need not wait for the next look at the root.
			if b := h.take(); !b.All {
				t.Fatalf("when it is back: %+v", b)
			}
			m := make(mirror)
			m.tree(root, ".")
			write(t, root+"/file", "x")
			done := make(chan struct{})
			close(done)
			if wrong := h.follow(m, done); len(wrong) > 0 {
				t.Errorf("not watched again: %q", wrong)
			}
		})
	}
}

// TestRootThatIsNotThereYet begins without a root, which is no reason not to
// begin, and then has one.
func TestRootThatIsNotThereYet(t *testing.T) {
	tests := []struct {
		name            string
		before, appears func(t *testing.T, root string)
	}{
		{"missing", func(*testing.T, string) {}, func(t *testing.T, root string) {
			must(t, os.Mkdir(root, 0o755))
		}},
		{"a file", func(t *testing.T, root string) { write(t, root, "x") }, func(t *testing.T, root string) {
			must(t, os.Remove(root))
			must(t, os.Mkdir(root, 0o755))
		}},
		{"a link to nothing", func(t *testing.T, root string) {
			must(t, os.Symlink("disk/photos", root))
		}, func(t *testing.T, root string) {
			must(t, os.MkdirAll(filepath.Dir(root)+"/disk/photos", 0o755))
		}},
		{"its parent is missing", func(t *testing.T, root string) {
			must(t, os.Remove(filepath.Dir(root)))
		}, func(t *testing.T, root string) {
			must(t, os.MkdirAll(root, 0o755))
		}},
		{"below a link to nothing", func(t *testing.T, root string) {
			must(t, os.Remove(filepath.Dir(root)))
			must(t, os.Symlink("disk", filepath.Dir(root)))
		}, func(t *testing.T, root string) {
			must(t, os.MkdirAll(filepath.Dir(filepath.Dir(root))+"/disk/root", 0o755))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			root := filepath.Join(t.TempDir(), "parent", "root")
			must(t, os.Mkdir(filepath.Dir(root), 0o755))
			test.before(t, root)
			h := start(t, watch.Options{Root: root})
			if b := h.next(time.Hour); !b.RootMissing {
				t.Fatalf("without a root: %+v", b)
			}
			if b := h.take(); !b.RootMissing {
				t.Errorf("Take without a root: %+v", b)
			}
			if s := h.w.Stats(); !s.RootMissing || s.Watches != 0 {
				t.Errorf("%+v", s)
			}
			test.appears(t, root)
			if b := h.next(time.Hour); !b.All {
				t.Fatalf("when it is there: %+v", b)
			}
			must(t, os.Mkdir(root+"/sub", 0o755))
			h.expect("sub")
			write(t, root+"/sub/file", "x")
			h.expect("sub")
		})
	}
}

func TestRootReplaced(t *testing.T) {
	parent := t.TempDir()
	root, other := parent+"/root", parent+"/other"
	must(t, os.Mkdir(root, 0o755))
	must(t, os.MkdirAll(other+"/sub", 0o755))
	h := start(t, watch.Options{Root: root})
	h.first()
	must(t, os.Rename(root, parent+"/old"))
	must(t, os.Rename(other, root))
	for b := h.next(time.Hour); !b.All; b = h.next(time.Hour) {
	}
	write(t, root+"/sub/file", "x")
	h.expect("sub")
}

func TestWatchLimit(t *testing.T) {
	root := t.TempDir()
	must(t, os.MkdirAll(root+"/a/b/c", 0o755))
	must(t, os.MkdirAll(root+"/d", 0o755))
	var log strings.Builder
	h := start(t, watch.Options{
		Root: root, MaxWatches: 3, PollEvery: time.Hour,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	h.first()
	if s := h.w.Stats(); s.Watches != 3 || s.AtLimit != 1 || s.LimitReached != 1 {
		t.Fatalf("%+v", s)
	}
	// A batch for another reason names what was not watched.
	write(t, root+"/d/file", "x")
	b := h.next(time.Hour)
	if !slices.Contains(b.Dirs, "d") || !slices.Equal(b.Rescan, []string{"a/b"}) {
		t.Errorf("%+v", b)
	}
	h.stop()
	if n := strings.Count(log.String(), "max_user_watches"); n != 1 {
		t.Errorf("the remedy was logged %d times:\n%s", n, log.String())
	}
}

// TestWatchLimitPolls expects unwatched subtrees by the clock alone, and watches
// once there are some to be had.
func TestWatchLimitPolls(t *testing.T) {
	root := t.TempDir()
	must(t, os.MkdirAll(root+"/a/b/c", 0o755))
	must(t, os.Mkdir(root+"/d", 0o755))
	h, clock := startFake(t, watch.Options{Root: root, MaxWatches: 3, PollEvery: time.Minute})
	h.take()
	clock.advance(h, 70*time.Second)
	if b := h.next(time.Hour); !slices.Equal(b.Rescan, []string{"a/b"}) {
		t.Errorf("after the interval: %+v", b)
	}
	h.event(func() { must(t, os.Remove(root+"/d")) })
	clock.advance(h, 70*time.Second)
	if b := h.next(time.Hour); !slices.Equal(b.Rescan, []string{"a/b", "a/b/c"}) {
		t.Errorf("after the second: %+v", b)
	}
	if s := h.w.Stats(); s.Watches != 3 || s.AtLimit != 1 {
		t.Errorf("the watch of the deleted directory was not used: %+v", s)
	}
}

func TestUnreadableDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	root := t.TempDir()
	must(t, os.MkdirAll(root+"/closed/sub", 0o755))
	must(t, os.Chmod(root+"/closed", 0))
	t.Cleanup(func() { _ = os.Chmod(root+"/closed", 0o755) })
	h := start(t, watch.Options{Root: root})
	h.first()
	if s := h.w.Stats(); s.NotWatchable != 1 {
		t.Errorf("%+v", s)
	}
	must(t, os.Chmod(root+"/closed", 0o755))
	h.expect(".", "closed", "closed/sub")
	write(t, root+"/closed/sub/file", "x")
	h.expect("closed/sub")
}

func TestCookies(t *testing.T) {
	state := t.TempDir() + "/[cookies]"
	must(t, os.Mkdir(state, 0o700))
	write(t, state+"/cookie-left", "")
	h, _ := startFake(t, watch.Options{CookieDir: state})
	for i := range 50 {
		write(t, h.path("file"), string(rune('a'+i)))
		if b := h.take(); !slices.Contains(b.Dirs, ".") {
			t.Fatalf("round %d: Take misses what happened before it: %+v", i, b)
		}
	}
	left, err := os.ReadDir(state)
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	// Without the directory there is no proof, but there are batches.
	must(t, os.Remove(state))
	h.event(func() { write(t, h.path("file"), "again") })
	if b := h.take(); !slices.Contains(b.Dirs, ".") {
		t.Errorf("%+v", b)
	}
	if s := h.w.Stats(); s.CookiesSeen < 50 || s.CookiesFailed != 1 {
		t.Errorf("%+v", s)
	}
}

// TestCookiesInsideTheRoot keeps the cookies out of the batches.
func TestCookiesInsideTheRoot(t *testing.T) {
	root := t.TempDir()
	h, _ := startFake(t, watch.Options{Root: root, CookieDir: root + "/state/cookies"})
	for range 5 {
		for _, d := range h.take().Dirs {
			if strings.HasPrefix(d, "state/") {
				t.Errorf("%q was reported", d)
			}
		}
	}
	if b := h.take(); !b.Empty() {
		t.Errorf("%+v", b)
	}
}
