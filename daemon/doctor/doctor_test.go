package doctor_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"keepsake/daemon/doctor"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o600))
}

// find returns the findings of a name.
func find(t *testing.T, all []doctor.Finding, name string) []doctor.Finding {
	t.Helper()
	var found []doctor.Finding
	for _, f := range all {
		if f.Name == name {
			found = append(found, f)
		}
		if (f.Level == doctor.OK) != (f.Remedy == "") {
			t.Errorf("a finding that is not ok has a remedy, and no other: %+v", f)
		}
	}
	return found
}

// one demands a single finding of a name, at a level, with words in it.
func one(t *testing.T, all []doctor.Finding, name string, level doctor.Level, words ...string) {
	t.Helper()
	found := find(t, all, name)
	if len(found) != 1 || found[0].Level != level {
		t.Errorf("%s: %+v, want one at level %s", name, found, level)
		return
	}
	for _, w := range words {
		if !strings.Contains(found[0].Detail+"\n"+found[0].Remedy, w) {
			t.Errorf("%s: %+v does not say %q", name, found[0], w)
		}
	}
}

// machine is a root with the kernel's limits in it.
func machine(t *testing.T, watches, instances, queue int) string {
	t.Helper()
	root := t.TempDir()
	for name, n := range map[string]int{"watches": watches, "instances": instances} {
		put(t, fmt.Sprintf("%s/proc/sys/fs/inotify/max_user_%s", root, name), fmt.Sprintln(n))
	}
	put(t, root+"/proc/sys/fs/inotify/max_queued_events", fmt.Sprintln(queue))
	return root
}

// library has 101 directories, and a link to one of them.
func library(t *testing.T) string {
	t.Helper()
	lib := t.TempDir()
	for i := range 10 {
		for j := range 9 {
			must(t, os.MkdirAll(fmt.Sprintf("%s/%d/%d", lib, i, j), 0o755))
		}
		put(t, fmt.Sprintf("%s/%d/photo", lib, i), "x")
	}
	must(t, os.Symlink(lib+"/1", lib+"/link"))
	return lib
}

func TestInotify(t *testing.T) {
	lib := library(t)
	source := doctor.Source{Label: "lib", Path: lib}
	check := func(o doctor.Options) []doctor.Finding { return doctor.Check(t.Context(), o) }
	tests := []struct {
		name                      string
		watches, instances, queue int
		sources                   int
		want                      map[string]doctor.Level
		words                     string
	}{
		{"enough", 100_000, 128, 16384, 1, map[string]doctor.Level{
			"inotify watches": doctor.OK, "inotify instances": doctor.OK, "inotify queue": doctor.OK,
		}, "102 needed, 100,000 allowed"},
		{"just not enough", 101, 128, 16384, 1, map[string]doctor.Level{"inotify watches": doctor.Fail}, "echo fs.inotify.max_user_watches=524288 | sudo tee -a /etc/sysctl.d/60-keepsake.conf && sudo sysctl --system. It costs about 640 MiB"},
		{"little more than enough", 110, 128, 16384, 1, map[string]doctor.Level{"inotify watches": doctor.Warn}, "max_user_watches=524288"},
		{"several sources", 100_000, 2, 1024, 3, map[string]doctor.Level{
			"inotify watches": doctor.OK, "inotify instances": doctor.Fail, "inotify queue": doctor.Warn,
		}, "306 needed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := doctor.Options{Root: machine(t, test.watches, test.instances, test.queue)}
			for range test.sources {
				o.Sources = append(o.Sources, source)
			}
			all := check(o)
			for name, level := range test.want {
				one(t, all, name, level)
			}
			one(t, all, "inotify watches", test.want["inotify watches"], test.words)
		})
	}
	t.Run("of the user namespace", func(t *testing.T) {
		root := machine(t, 100_000, 128, 16384)
		put(t, root+"/proc/sys/user/max_inotify_watches", "10\n")
		one(t, check(doctor.Options{Root: root, Sources: []doctor.Source{source}}), "inotify watches", doctor.Fail, "10 allowed")
	})
	t.Run("excluded", func(t *testing.T) {
		s := source
		s.Exclude = func(rel string, isDir bool) bool { return rel == "1" || rel == "2/3" || !isDir }
		one(t, check(doctor.Options{Root: machine(t, 100_000, 128, 16384), Sources: []doctor.Source{s}}), "inotify watches", doctor.OK, "91 needed")
	})
	t.Run("named by a link", func(t *testing.T) {
		link := t.TempDir() + "/link"
		must(t, os.Symlink(lib, link))
		s := doctor.Source{Label: "lib", Path: link}
		one(t, check(doctor.Options{Root: machine(t, 100_000, 128, 16384), Sources: []doctor.Source{s}}), "inotify watches", doctor.OK, "102 needed")
	})
	t.Run("no time", func(t *testing.T) {
		o := doctor.Options{Root: machine(t, 100_000, 128, 16384), Sources: []doctor.Source{source}, CountFor: 1}
		one(t, check(o), "inotify watches", doctor.Warn, "at least")
	})
	t.Run("no proc", func(t *testing.T) {
		one(t, check(doctor.Options{Root: t.TempDir(), Sources: []doctor.Source{source}}), "inotify watches", doctor.Warn, "unknown")
	})
	t.Run("no sources", func(t *testing.T) {
		if found := find(t, check(doctor.Options{}), "inotify watches"); len(found) > 0 {
			t.Errorf("%+v", found)
		}
	})
}

func TestPermissions(t *testing.T) {
	type place struct{ config, repository, state, key string }
	tests := []struct {
		name  string
		spoil func(t *testing.T, p place)
		what  string
		want  doctor.Level
	}{
		{"as made", func(*testing.T, place) {}, "key file", doctor.OK},
		{"as made", func(*testing.T, place) {}, "configuration", doctor.OK},
		{"as made", func(*testing.T, place) {}, "repository", doctor.OK},
		{"as made", func(*testing.T, place) {}, "state directory", doctor.OK},
		{"key to the group", func(t *testing.T, p place) { must(t, os.Chmod(p.key, 0o640)) }, "key file", doctor.Fail},
		{"key to all", func(t *testing.T, p place) { must(t, os.Chmod(p.key, 0o604)) }, "key file", doctor.Fail},
		{"key replaceable", func(t *testing.T, p place) { must(t, os.Chmod(filepath.Dir(p.key), 0o777)) }, "key file", doctor.Fail},
		{"key in a sticky directory", func(t *testing.T, p place) { must(t, os.Chmod(filepath.Dir(p.key), 0o777|os.ModeSticky)) }, "key file", doctor.OK},
		{"key gone", func(t *testing.T, p place) { must(t, os.Remove(p.key)) }, "key file", doctor.Fail},
		{"configuration read by all", func(t *testing.T, p place) { must(t, os.Chmod(p.config, 0o644)) }, "configuration", doctor.OK},
		{"configuration written by the group", func(t *testing.T, p place) { must(t, os.Chmod(p.config, 0o664)) }, "configuration", doctor.Fail},
		{"repository written by all", func(t *testing.T, p place) { must(t, os.Chmod(p.repository, 0o777)) }, "repository", doctor.Fail},
		{"repository read by all", func(t *testing.T, p place) { must(t, os.Chmod(p.repository, 0o755)) }, "repository", doctor.Warn},
		{"a state written by the group", func(t *testing.T, p place) { must(t, os.Chmod(p.state+"/1234", 0o770)) }, "state directory", doctor.Fail},
		{"somebody else's key", func(t *testing.T, p place) { chown(t, p.key) }, "key file", doctor.Fail},
		{"somebody else's configuration", func(t *testing.T, p place) { chown(t, p.config) }, "configuration", doctor.Fail},
	}
	for _, test := range tests {
		t.Run(test.name+": "+test.what, func(t *testing.T) {
			base := t.TempDir()
			p := place{base + "/conf/keepsake.toml", base + "/repo", base + "/state", base + "/keys/key"}
			put(t, p.config, "")
			put(t, p.key, "secret")
			must(t, os.Mkdir(p.repository, 0o700))
			must(t, os.MkdirAll(p.state+"/1234", 0o700))
			must(t, os.Chmod(p.state, 0o700))
			test.spoil(t, p)
			all := doctor.Check(t.Context(), doctor.Options{Config: p.config, Repository: p.repository, State: p.state, Key: p.key})
			worst := doctor.Worst(find(t, all, test.what+" permissions"))
			if worst != test.want {
				t.Errorf("%s, want %s: %+v", worst, test.want, all)
			}
			for _, f := range all {
				if strings.Contains(f.Detail+f.Remedy, "secret") {
					t.Errorf("shows the key: %+v", f)
				}
			}
		})
	}
}

func chown(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("not run: only root can give files away")
	}
	must(t, os.Chown(path, 12345, 12345))
}

// TestRemediesWork carries a remedy out.
func TestRemediesWork(t *testing.T) {
	key := t.TempDir() + "/it's a key"
	put(t, key, "")
	must(t, os.Chmod(key, 0o644))
	o := doctor.Options{Key: key}
	all := find(t, doctor.Check(t.Context(), o), "key file permissions")
	if len(all) != 1 || all[0].Level != doctor.Fail {
		t.Fatalf("%+v", all)
	}
	if out, err := exec.Command("sh", "-c", all[0].Remedy).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v %s", all[0].Remedy, err, out)
	}
	one(t, doctor.Check(t.Context(), o), "key file permissions", doctor.OK)
}

func TestSources(t *testing.T) {
	base := t.TempDir()
	put(t, base+"/file", "")
	must(t, os.Mkdir(base+"/lib", 0o755))
	all := doctor.Check(t.Context(), doctor.Options{Root: machine(t, 1000, 128, 16384), Sources: []doctor.Source{
		{Label: "here", Path: base + "/lib"}, {Label: "gone", Path: base + "/none"}, {Label: "file", Path: base + "/file"},
	}})
	one(t, all, "source here", doctor.OK, "is watched")
	one(t, all, "source gone", doctor.Fail, "no such file")
	one(t, all, "source file", doctor.Fail, "not a directory")
	one(t, all, "inotify instances", doctor.OK, "1 needed")
}

// TestFUSE looks at a state directory, a repository and sources that lie on a
// file system whose changes this kernel does not hear of.
func TestFUSE(t *testing.T) {
	base, behind := t.TempDir(), t.TempDir()
	remote := base + "/lib/inner/remote"
	must(t, os.MkdirAll(remote, 0o755))
	must(t, os.MkdirAll(behind+"/state", 0o700))
	root, err := fs.NewLoopbackRoot(behind)
	must(t, err)
	server, err := fs.Mount(remote, root, &fs.Options{MountOptions: fuse.MountOptions{Name: "passthrough"}})
	if err != nil {
		t.Skipf("not run: no FUSE mounts here: %v", err)
	}
	t.Cleanup(func() { must(t, server.Unmount()) })
	all := doctor.Check(t.Context(), doctor.Options{
		State: remote + "/state", Repository: remote + "/not/made/yet",
		Sources: []doctor.Source{
			{Label: "all", Path: base + "/lib"}, {Label: "remote", Path: remote},
			{Label: "without", Path: base + "/lib", Exclude: func(rel string, _ bool) bool { return rel == "inner" }},
		},
	})
	one(t, all, "state file system", doctor.Fail, "fuse.passthrough")
	one(t, all, "repository file system", doctor.Warn, "fuse.passthrough")
	one(t, all, "source all", doctor.Warn, "inner/remote (fuse.passthrough)")
	one(t, all, "source remote", doctor.Warn, "fuse.passthrough sends no events")
	one(t, all, "source without", doctor.OK)
}

// TestDisks keeps everything on one disk, then the key and the source on another.
func TestDisks(t *testing.T) {
	base := t.TempDir()
	must(t, os.MkdirAll(base+"/lib", 0o755))
	put(t, base+"/key", "")
	o := doctor.Options{Repository: base + "/repo", State: base + "/state", Key: base + "/key", Sources: []doctor.Source{{Label: "lib", Path: base + "/lib"}}}
	all := doctor.Check(t.Context(), o)
	for _, name := range []string{"key and repository", "state and repository", "source and repository"} {
		one(t, all, name, doctor.Warn)
	}
	other := t.TempDir()
	if err := syscall.Mount("keepsake-test", other, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("not run: nothing can be mounted here: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(other, 0)) })
	o.Repository = other + "/repo"
	all = doctor.Check(t.Context(), o)
	one(t, all, "same disk", doctor.OK)
	one(t, all, "repository space", doctor.Fail, "64 KiB")
}

func TestFastCommit(t *testing.T) {
	image := t.TempDir() + "/image"
	for _, on := range []bool{true, false} {
		put(t, image, "")
		must(t, os.Truncate(image, 16<<20))
		feature := "^fast_commit"
		if on {
			feature = "fast_commit"
		}
		if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-O", feature, image).CombinedOutput(); err != nil {
			t.Skipf("not run: mkfs.ext4 -O %s: %v %s", feature, err, out)
		}
		if got, err := doctor.ExtFastCommit(image); err != nil || got != on {
			t.Errorf("-O %s: %v, %v", feature, got, err)
		}
		must(t, os.Remove(image))
	}
	if _, err := doctor.ExtFastCommit(os.DevNull); err == nil {
		t.Error("a superblock was read from nothing")
	}
}

func TestMountedView(t *testing.T) {
	root := t.TempDir()
	one(t, doctor.Check(t.Context(), doctor.Options{Root: root, Mount: "/m"}), "mounted view", doctor.Fail, "dev/fuse")
	put(t, root+"/dev/fuse", "")
	put(t, root+"/etc/fuse.conf", "# user_allow_other\nmount_max = 10\n")
	if doctor.UserAllowOther(root) {
		t.Error("a comment allows it")
	}
	put(t, root+"/etc/fuse.conf", "user_allow_other\n")
	if !doctor.UserAllowOther(root) || doctor.UserAllowOther(t.TempDir()) {
		t.Error("user_allow_other is not what decides")
	}
	if os.Geteuid() == 0 {
		one(t, doctor.Check(t.Context(), doctor.Options{Root: root, Mount: "/m"}), "mounted view", doctor.OK)
		put(t, root+"/file", "")
		one(t, doctor.Check(t.Context(), doctor.Options{Root: root, Mount: root + "/file"}), "mounted view", doctor.Fail, "is a file", "Move it")
		closed := t.TempDir()
		must(t, syscall.Mount("keepsake-test", closed, "tmpfs", syscall.MS_RDONLY, "size=64k"))
		t.Cleanup(func() { must(t, syscall.Unmount(closed, 0)) })
		one(t, doctor.Check(t.Context(), doctor.Options{Root: root, Mount: closed + "/no/m"}), "mounted view", doctor.Fail, "may not write to "+closed)
		put(t, root+"/m/photo", "")
		one(t, doctor.Check(t.Context(), doctor.Options{Root: root, Mount: root + "/m"}), "mounted view", doctor.Fail, "photo")
	}
}

// TestViewSettings: what the view is to take is compared with what there is.
func TestViewSettings(t *testing.T) {
	root := t.TempDir()
	put(t, root+"/dev/fuse", "")
	put(t, root+"/proc/meminfo", "MemTotal:        1048576 kB\nMemFree: 1 kB\n")
	look := func(o doctor.Options) []doctor.Finding {
		o.Root, o.Mount = root, "/m"
		return doctor.Check(t.Context(), o)
	}
	one(t, look(doctor.Options{Cache: 300 << 20}), "cache", doctor.Warn, "300 MiB", "1.0 GiB", `cache = "256MiB"`)
	one(t, look(doctor.Options{ReadAhead: 1 << 20}), "read-ahead", doctor.Warn, "stays at 128 KiB")
	if os.Geteuid() == 0 {
		must(t, os.MkdirAll(root+"/sys/class/bdi", 0o755))
	}
	for _, name := range []string{"cache", "read-ahead"} {
		if all := find(t, look(doctor.Options{Cache: 200 << 20}), name); len(all) > 0 {
			t.Errorf("what fits is a finding: %+v", all)
		}
	}
}

// TestDeadView: a view whose server is gone, and one whose server is stuck.
func TestDeadView(t *testing.T) {
	dir := t.TempDir()
	device, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		t.Skip("not run: FUSE is missing here:", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", device.Fd())
	if err := syscall.Mount("keepsake", dir, "fuse.keepsake", 0, options); err != nil {
		t.Skip("not run: nothing can be mounted by FUSE here:", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, syscall.MNT_DETACH|2)) })
	one(t, doctor.Check(t.Context(), doctor.Options{Mount: dir}), "mounted view", doctor.Fail, "does not answer", "umount -l")
	must(t, device.Close())
	one(t, doctor.Check(t.Context(), doctor.Options{Mount: dir}), "mounted view", doctor.Warn, "was killed", "umount -l")
}

// TestEnds cancels, and looks at nothing.
func TestEnds(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	cancel()
	if all := doctor.Check(ctx, doctor.Options{Mount: "/m"}); len(all) > 0 {
		t.Errorf("%+v", all)
	}
	all := doctor.Check(t.Context(), doctor.Options{})
	if len(all) != 1 || all[0].Name != "clock" {
		t.Errorf("of nothing: %+v", all)
	}
}
