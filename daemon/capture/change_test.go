package capture_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/capture"
	"keepsake/store"
	"keepsake/store/storetest"
	"keepsake/store/tree"
)

func node(t *testing.T, r *store.Repository, s store.Snapshot, path string) *tree.Node {
	t.Helper()
	n, err := r.Resolve(t.Context(), &s.Root, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOnlyWhatIsInDoubtIsLookedAt changes something in two directories, names
// one of them, and finds only that one's change in the snapshot.
func TestOnlyWhatIsInDoubtIsLookedAt(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	for _, name := range []string{"a/x/one", "a/y/two", "b/three", "top"} {
		write(t, filepath.Join(dir, name), []byte(name))
	}
	first, _ := back(t, r, dir, func(o *capture.Options) { o.Now = later })
	write(t, filepath.Join(dir, "a/x/new"), []byte("new"))
	write(t, filepath.Join(dir, "b/three"), []byte("unseen"))
	res, counts := back(t, r, dir, func(o *capture.Options) {
		o.Now = later
		o.Since = first.Base
		o.Dirty = capture.NewDirty([]string{"a/x"}, nil)
	})
	if res.Snapshot.Basis != tree.Events {
		t.Errorf("basis %v", res.Snapshot.Basis)
	}
	if node(t, r, res.Snapshot, "a/x/new") == nil || string(content(t, r, res.Snapshot, "b/three")) != "b/three" {
		t.Error("the snapshot does not hold exactly what was named")
	}
	if counts.NewFiles != 1 || counts.ReadBytes != 3 {
		t.Errorf("read %d new files, %d bytes", counts.NewFiles, counts.ReadBytes)
	}
	if got := res.Snapshot.Root.Below.Files; got != 5 {
		t.Errorf("%d files in all, want 5", got)
	}
	// A subtree in doubt is walked in full, and so is everything without events.
	res, _ = back(t, r, dir, func(o *capture.Options) {
		o.Now, o.Since, o.Dirty = later, res.Base, capture.NewDirty(nil, []string{"b"})
	})
	if res.Snapshot.Basis != tree.Events || string(content(t, r, res.Snapshot, "b/three")) != "unseen" {
		t.Error("the subtree in doubt was not walked")
	}
}

func TestDeletedDirectoryGoesWithItsEvent(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	write(t, filepath.Join(dir, "a/b/c/file"), []byte("x"))
	write(t, filepath.Join(dir, "stays"), []byte("y"))
	first, _ := back(t, r, dir, func(o *capture.Options) { o.Now = later })
	if err := os.RemoveAll(filepath.Join(dir, "a/b")); err != nil {
		t.Fatal(err)
	}
	res, _ := back(t, r, dir, func(o *capture.Options) {
		o.Now = later
		o.Since = first.Base
		o.Dirty = capture.NewDirty([]string{"a", "a/b", "a/b/c"}, nil)
	})
	if res.Missing != 0 {
		t.Errorf("missed %v", res.Missed)
	}
	if node(t, r, res.Snapshot, "a/b") != nil || node(t, r, res.Snapshot, "stays") == nil {
		t.Error("the deletion is not in the snapshot, or more than that is gone")
	}
}

// TestInProgress gives each pass no time: every one stores some files,
// publishes what it has, and the last one is complete.
func TestInProgress(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	for i := range 20 {
		write(t, filepath.Join(dir, string(rune('a'+i)), "file"), random(uint64(i), 1000))
	}
	var clock atomic.Int64
	var partial []store.Snapshot
	res, counts := back(t, r, dir, func(o *capture.Options) {
		// Time passes with each look at the clock: some files fit in a pass.
		o.Now = func() time.Time { return later().Add(time.Duration(clock.Add(1)) * time.Second) }
		o.PassTime = 10 * time.Second
		o.Published = func(s store.Snapshot) { partial = append(partial, s) }
	})
	if len(partial) == 0 {
		t.Fatal("nothing was published in between")
	}
	for _, s := range partial {
		if s.Basis != tree.InProgress || s.MissedCount == 0 || s.Complete() {
			t.Errorf("snapshot %d: basis %v, %d missed", s.Number, s.Basis, s.MissedCount)
		}
	}
	if partial[0].Root.Below.Files == 0 || partial[0].Root.Below.Files == 20 {
		t.Errorf("the first partial snapshot has %d files", partial[0].Root.Below.Files)
	}
	if !res.Snapshot.Complete() || res.Snapshot.Root.Below.Files != 20 || res.Snapshot.Number != uint64(len(partial)+1) {
		t.Errorf("the last snapshot is number %d with %d files, complete %v", res.Snapshot.Number, res.Snapshot.Root.Below.Files, res.Snapshot.Complete())
	}
	if counts.NewFiles != 20 || counts.ReadBytes != 20*1000 {
		t.Errorf("read %d files, %d bytes: something was read twice or not at all", counts.NewFiles, counts.ReadBytes)
	}
}

// TestFileThatChangesWhileRead keeps the previous version, or flags what it got.
func TestFileThatChangesWhileRead(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	old := random(1, 2<<20)
	path := filepath.Join(dir, "render.mov")
	write(t, path, old)
	back(t, r, dir, func(o *capture.Options) { o.Now = later })

	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// Each look at the clock changes the file, and there is one between the
	// first look at it and its first byte.
	writing := func() time.Time {
		if _, err := f.Write([]byte("more")); err != nil {
			t.Error(err)
		}
		return later()
	}
	writing()
	res, _ := back(t, r, dir, func(o *capture.Options) { o.Now = writing })
	fresh := filepath.Join(dir, "sub")
	if err := os.Mkdir(fresh, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(path, filepath.Join(fresh, "new name")); err != nil {
		t.Fatal(err)
	}
	second, _ := back(t, r, dir, func(o *capture.Options) { o.Now = writing })

	if res.Missing != 1 || res.Missed[0].Reason != tree.ReasonKept {
		t.Fatalf("missed %v", res.Missed)
	}
	n := node(t, r, res.Snapshot, "render.mov")
	if n.Flags&tree.KeptPrevious == 0 || !bytes.Equal(content(t, r, res.Snapshot, "render.mov"), old) {
		t.Error("the previous version was not kept")
	}
	if n := node(t, r, second.Snapshot, "sub/new name"); n == nil || n.Flags&tree.Torn == 0 {
		t.Errorf("a file in flux without a previous version is %+v", n)
	}
	if second.Missing != 2 {
		t.Errorf("%d missed, want both names", second.Missing)
	}
	// At rest again it is whole again.
	last, _ := back(t, r, dir, func(o *capture.Options) { o.Now = later })
	now, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if last.Missing != 0 || !bytes.Equal(content(t, r, last.Snapshot, "render.mov"), now) {
		t.Error("the file at rest was not captured")
	}
}

// TestSwappedForSymlink replaces a directory by a symlink to a place outside
// again and again while it is walked: nothing from there is ever stored.
func TestSwappedForSymlink(t *testing.T) {
	r := storetest.New(t).Open(t)
	base := t.TempDir()
	dir := filepath.Join(base, "lib")
	secret := filepath.Join(base, "outside")
	write(t, filepath.Join(secret, "shadow"), []byte("the secret"))
	write(t, filepath.Join(dir, "sub", "shadow"), []byte("harmless"))
	write(t, filepath.Join(dir, "plain"), []byte("harmless"))
	spare := filepath.Join(dir, "spare")
	if err := os.Symlink(secret, spare); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "plain2")
	if err := os.Symlink(filepath.Join(secret, "shadow"), other); err != nil {
		t.Fatal(err)
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "sub"), unix.AT_FDCWD, spare, unix.RENAME_EXCHANGE)
				_ = unix.Renameat2(unix.AT_FDCWD, filepath.Join(dir, "plain"), unix.AT_FDCWD, other, unix.RENAME_EXCHANGE)
			}
		}
	}()
	defer func() { close(stop); <-done }()
	fooled := 0
	for range 60 {
		res, _ := back(t, r, dir, nil)
		for _, path := range []string{"sub/shadow", "spare/shadow", "plain", "plain2"} {
			// Whoever opens by path, as the negative control does, is fooled.
			if b, err := os.ReadFile(filepath.Join(dir, path)); err == nil && string(b) == "the secret" {
				fooled++
			}
			n, err := r.Resolve(t.Context(), &res.Snapshot.Root, path)
			if err == nil && n.Type == tree.File && string(content(t, r, res.Snapshot, path)) != "harmless" {
				t.Fatalf("%s was read through a symlink", path)
			}
		}
	}
	if fooled == 0 {
		t.Error("the attack never had a chance: this test would pass whatever capture does")
	}
}

// TestHardLinksAreReadOnce reads an inode once, whatever its number of names.
func TestHardLinksAreReadOnce(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	write(t, filepath.Join(dir, "one"), random(1, 100_000))
	for _, name := range []string{"two", "three"} {
		if err := os.Link(filepath.Join(dir, "one"), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	res, counts := back(t, r, dir, func(o *capture.Options) { o.Now = later })
	if counts.ReadBytes != 100_000 {
		t.Errorf("read %d bytes", counts.ReadBytes)
	}
	one, three := node(t, r, res.Snapshot, "one"), node(t, r, res.Snapshot, "three")
	if one.LinkGroup == 0 || one.LinkGroup != three.LinkGroup || one.Links != 3 {
		t.Errorf("link groups %x and %x of %d links", one.LinkGroup, three.LinkGroup, one.Links)
	}
}

// TestMissingRootIsNoSnapshot refuses to publish what would look like deletion.
func TestMissingRootIsNoSnapshot(t *testing.T) {
	r := storetest.New(t).Open(t)
	dir := filepath.Join(t.TempDir(), "lib")
	write(t, filepath.Join(dir, "file"), []byte("x"))
	back(t, r, dir, nil)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	w, err := r.NewWriter(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(ctx)
	source, _, err := capture.Bind(ctx, r, "lib", dir, "host")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := capture.Run(ctx, capture.Options{Repository: r, Writer: w, Source: source, Path: []byte(dir)}); err == nil {
		t.Error("a source that is gone was captured")
	}
}
