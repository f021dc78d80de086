package restore_test

import (
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/restore"
	"keepsake/store/tree"
)

var policies = []restore.Policy{restore.Always, restore.IfChanged, restore.IfNewer, restore.Never}

func TestParsePolicy(t *testing.T) {
	for _, p := range policies {
		got, err := restore.ParsePolicy(p.String())
		if err != nil || got != p {
			t.Errorf("%v: got %v, %v", p, got, err)
		}
	}
	if _, err := restore.ParsePolicy("sometimes"); !errors.Is(err, restore.ErrPolicy) {
		t.Errorf("got %v", err)
	}
}

// What becomes of one entry that was there.
const (
	replaced = "replaced"
	kept     = "kept"
	lost     = "lost"
)

func TestOverwriteFile(t *testing.T) {
	f := newForge(t)
	summed, unsummed := f.file("f", "new!"), f.file("f", "new!")
	sum := sha256.Sum256([]byte("new!"))
	summed.SHA256 = &sum
	snapshots := map[bool]*tree.Node{true: f.dir("", summed), false: f.dir("", unsummed)}
	then := longAgo.Time()
	file := func(data string, mtime time.Time) func(string) {
		return func(p string) { write(t, p, data); touch(t, p, mtime) }
	}
	tests := []struct {
		name     string
		unsummed bool
		there    func(path string)
		want     [4]string // by policy
	}{
		{"nothing", false, func(string) {}, [4]string{replaced, replaced, replaced, replaced}},
		{"older, other size", false, file("older", then.Add(-1)), [4]string{replaced, replaced, replaced, kept}},
		{"newer, other size", false, file("newer", then.Add(1)), [4]string{replaced, replaced, kept, kept}},
		{"same size and time, other content", false, file("old!", then), [4]string{replaced, replaced, kept, kept}},
		{"same content, other time", false, file("new!", then.Add(time.Hour)), [4]string{replaced, kept, kept, kept}},
		{"same content and time", false, file("new!", then), [4]string{replaced, kept, kept, kept}},
		{"no digest, same size and time", true, file("old!", then), [4]string{replaced, kept, kept, kept}},
		{"no digest, same size, other time", true, file("old!", then.Add(time.Hour)), [4]string{replaced, replaced, kept, kept}},
		{"symlink", false, func(p string) { must(t, os.Symlink("elsewhere", p)) }, [4]string{replaced, replaced, kept, kept}},
		{"fifo", false, func(p string) { must(t, unix.Mkfifo(p, 0o600)) }, [4]string{replaced, replaced, kept, kept}},
		{"empty directory", false, func(p string) { must(t, os.Mkdir(p, 0o700)) }, [4]string{replaced, replaced, kept, kept}},
		{"full directory", false, func(p string) { write(t, p+"/x", "x") }, [4]string{lost, lost, kept, kept}},
	}
	for _, tt := range tests {
		for i, policy := range policies {
			t.Run(tt.name+"/"+policy.String(), func(t *testing.T) {
				target := t.TempDir()
				path := filepath.Join(target, "f")
				tt.there(path)
				before := image(t, target)
				was, _ := os.Lstat(path)
				s := f.snapshot(snapshots[!tt.unsummed])
				dry := restored(t, f.r, s, target, func(o *restore.Options) { o.Overwrite, o.DryRun = policy, true })
				sameImage(t, "dry run", image(t, target), before)
				res := restored(t, f.r, s, target, func(o *restore.Options) { o.Overwrite = policy })
				noTemporaries(t, target)
				if res.Files+res.Skipped+res.LostCount != 1 {
					t.Fatalf("result %+v", res)
				}
				is, _ := os.Lstat(path)
				got := kept
				switch {
				case res.LostCount > 0:
					got = lost
				case !os.SameFile(was, is):
					got = replaced
				}
				if got != tt.want[i] {
					t.Fatalf("%s, want %s (%+v)", got, tt.want[i], res)
				}
				if got != lost && (dry.Files != res.Files || dry.Skipped != res.Skipped) {
					t.Errorf("dry run %+v, run %+v", dry, res)
				}
				switch {
				case got == replaced:
					if content(t, path) != "new!" || !is.ModTime().Equal(then) {
						t.Error("not the snapshot's file")
					}
				case policy == restore.IfChanged && got == kept:
					if !is.ModTime().Equal(then) || is.Mode().Perm() != 0o644 {
						t.Errorf("metadata not brought up to date: %v %v", is.Mode(), is.ModTime())
					}
				default:
					sameImage(t, "left", image(t, target), before)
				}
			})
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOverwriteDirectory(t *testing.T) {
	f := newForge(t)
	d := f.dir("d", f.file("x", "new"))
	d.Mode = 0o750
	s := f.snapshot(f.dir("", d, f.file("other", "other")))
	outside := t.TempDir()
	write(t, outside+"/x", "outside")
	tests := []struct {
		name  string
		there func(path string)
		want  [4]string
	}{
		{"symlink to a directory", func(p string) { must(t, os.Symlink(outside, p)) }, [4]string{replaced, lost, lost, lost}},
		{"dangling symlink", func(p string) { must(t, os.Symlink("nowhere", p)) }, [4]string{replaced, lost, lost, lost}},
		{"file", func(p string) { write(t, p, "file") }, [4]string{replaced, lost, lost, lost}},
		{"directory", func(p string) { write(t, p+"/y", "mine"); write(t, p+"/x", "old") }, [4]string{kept, kept, kept, kept}},
	}
	for _, tt := range tests {
		for i, policy := range policies {
			t.Run(tt.name+"/"+policy.String(), func(t *testing.T) {
				target := t.TempDir()
				path := filepath.Join(target, "d")
				tt.there(path)
				res := restored(t, f.r, s, target, func(o *restore.Options) { o.Overwrite = policy })
				if content(t, filepath.Join(target, "other")) != "other" {
					t.Error("the entry beside it was not restored")
				}
				if content(t, outside+"/x") != "outside" || len(paths(t, outside)) != 1 {
					t.Fatal("written through a symlink")
				}
				switch tt.want[i] {
				case lost:
					if !slices.Equal(lostPaths(res), []string{"d"}) {
						t.Errorf("lost %v", res.Lost)
					}
				case kept:
					if content(t, path+"/y") != "mine" {
						t.Error("not merged")
					}
					wantX := map[bool]string{true: "old", false: "new"}[policy >= restore.IfNewer]
					if got := content(t, path+"/x"); got != wantX {
						t.Errorf("x is %q, want %q", got, wantX)
					}
				case replaced:
					if content(t, path+"/x") != "new" {
						t.Error("not replaced")
					}
				}
			})
		}
	}
}

// TestSharedInode: a file that has another name elsewhere is not changed in
// place, since that would change what lies outside the target.
func TestSharedInode(t *testing.T) {
	f := newForge(t)
	n := f.file("f", "same")
	sum := sha256.Sum256([]byte("same"))
	n.SHA256 = &sum
	s := f.snapshot(f.dir("", n))
	base := t.TempDir()
	target, outside := base+"/target", base+"/outside"
	write(t, outside, "same")
	must(t, os.Chmod(outside, 0o600))
	must(t, os.Mkdir(target, 0o755))
	must(t, os.Link(outside, target+"/f"))
	before, err := os.Stat(outside)
	must(t, err)
	whole(t, restored(t, f.r, s, target, func(o *restore.Options) { o.Overwrite = restore.IfChanged }))
	after, err := os.Stat(outside)
	must(t, err)
	if before.Mode() != after.Mode() || !before.ModTime().Equal(after.ModTime()) {
		t.Errorf("the name outside changed: %v %v", after.Mode(), after.ModTime())
	}
	info, err := os.Stat(target + "/f")
	must(t, err)
	if info.Mode().Perm() != 0o644 || !info.ModTime().Equal(longAgo.Time()) {
		t.Errorf("the restored file has %v %v", info.Mode(), info.ModTime())
	}
}

func TestDelete(t *testing.T) {
	f := newForge(t)
	s := f.snapshot(f.dir("", f.file("a", "a"), f.dir("d", f.file("b", "b")), f.dir("e", f.file("c", "c")), f.file("was a tree", "now a file")))
	fill := func(target string) {
		write(t, target+"/a", "old")
		write(t, target+"/surplus/deep/file", "x")
		write(t, target+"/d/surplus", "x")
		write(t, target+"/e/surplus", "x")
		write(t, target+"/lost+found/x", "x")
		write(t, target+"/was a tree/x/y", "x")
		must(t, os.Symlink("/etc", target+"/zz link"))
		must(t, os.Symlink("/etc", target+"/surplus/link"))
	}
	all := []string{"a", "d", "d/b", "e", "e/c", "lost+found", "lost+found/x", "was a tree"}
	tests := []struct {
		name    string
		include []string
		want    []string
		deleted int64
	}{
		{"all", nil, all, 4},
		{"d alone", []string{"d"}, []string{
			"a", "d", "d/b", "e", "e/surplus", "lost+found", "lost+found/x", "surplus", "surplus/deep", "surplus/deep/file", "surplus/link",
			"was a tree", "was a tree/x", "was a tree/x/y", "zz link",
		}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			target := t.TempDir()
			fill(target)
			before := image(t, target)
			dry := restored(t, f.r, s, target, func(o *restore.Options) { o.Include, o.Delete, o.DryRun = tt.include, true, true })
			sameImage(t, "dry run", image(t, target), before)
			res := restored(t, f.r, s, target, func(o *restore.Options) { o.Include, o.Delete = tt.include, true })
			whole(t, res)
			if got := paths(t, target); !slices.Equal(got, tt.want) {
				t.Errorf("left %q, want %q", got, tt.want)
			}
			if res.Deleted != tt.deleted || dry.Deleted != tt.deleted {
				t.Errorf("%d deleted, %d announced, want %d", res.Deleted, dry.Deleted, tt.deleted)
			}
		})
	}
}
