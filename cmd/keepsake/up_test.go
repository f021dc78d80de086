package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// visibleWithin is what the design promises from the last write of a photo to
// its being visible in the mount.
const visibleWithin = 20 * time.Second

// library makes a small real library, or one that looks like it.
func (m *machine) library() string {
	m.t.Helper()
	dir := m.path("Pictures")
	for i, name := range []string{"2026/Weber/IMG_0001.jpg", "2026/Weber/IMG_0002.jpg", "2026/Meier/IMG_0003.jpg"} {
		photo(m.t, filepath.Join(dir, name), byte(i))
	}
	writeFile(m.t, filepath.Join(dir, "2026/Weber/contract.txt"), []byte("two parties\n"))
	writeFile(m.t, filepath.Join(dir, "2026/Weber/Ümläut und Leerzeichen.xmp"), []byte("<x:xmpmeta/>"))
	writeFile(m.t, filepath.Join(dir, "clip.mov"), noise(1<<20, 9))
	writeFile(m.t, filepath.Join(dir, "empty"), nil)
	check(m.t, os.Mkdir(filepath.Join(dir, "nothing yet"), 0o755))
	check(m.t, os.Symlink("2026/Weber/IMG_0001.jpg", filepath.Join(dir, "best.jpg")))
	return dir
}

// photo makes a JPEG if ffmpeg can, else bytes that no program reads.
func photo(t *testing.T, path string, seed byte) {
	t.Helper()
	check(t, os.MkdirAll(filepath.Dir(path), 0o755))
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		writeFile(t, path, noise(200_000, seed))
		return
	}
	picture := fmt.Sprintf("testsrc2=size=640x480:rate=%d,noise=alls=40:all_seed=%d", seed+1, seed)
	out, err := exec.Command("ffmpeg", "-v", "error", "-f", "lavfi", "-i", picture, "-frames:v", "1", "-q:v", "2", path).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
}

// edit writes metadata into a photo as a photographer's tools do.
func edit(t *testing.T, path string) {
	t.Helper()
	if _, err := exec.LookPath("exiftool"); err != nil || !readable(path) {
		b, err := os.ReadFile(path)
		check(t, err)
		copy(b[100:], "edited")
		check(t, os.WriteFile(path, b, 0o644))
		return
	}
	if out, err := exec.Command("exiftool", "-q", "-overwrite_original", "-Artist=Weber", "-Rating=5", path).CombinedOutput(); err != nil {
		t.Fatalf("exiftool: %v\n%s", err, out)
	}
}

func readable(path string) bool { return exec.Command("exiftool", "-q", path).Run() == nil }

// up starts keepsake up and waits until it watches.
func (m *machine) up(args ...string) *running {
	m.t.Helper()
	r := m.start(append([]string{"up"}, args...)...)
	r.says("Watching.", time.Minute)
	return r
}

// gone demands that nothing of keepsake is left but files; own are mounts of the
// test itself.
func (m *machine) gone(own ...string) {
	m.t.Helper()
	left := slices.DeleteFunc(mountsBelow(m.t, m.dir), func(point string) bool { return slices.Contains(own, point) })
	if len(left) > 0 {
		m.t.Errorf("mounts are left: %q", left)
	}
	if left := processesOf(m.t, m.home); len(left) > 0 {
		m.t.Errorf("processes are left: %v", left)
	}
}

// appears waits until a path shows the bytes of a file.
func (m *machine) appears(path, want string) time.Duration {
	m.t.Helper()
	bytesWanted, err := os.ReadFile(want)
	check(m.t, err)
	return until(m.t, visibleWithin, path+" in the mount", func() bool {
		b, err := os.ReadFile(path)
		return err == nil && bytes.Equal(b, bytesWanted)
	})
}

func TestUpMountsAndWatches(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	lib := m.library()
	up := m.up(lib)
	latest := filepath.Join(m.mount(), "latest", "Pictures")
	sameTree(t, lib, latest+"/")

	// A photo arrives slowly, as from a card reader.
	incoming := filepath.Join(lib, "2026/Schmidt/IMG_0004.jpg")
	photo(t, m.path("card.jpg"), 7)
	b, err := os.ReadFile(m.path("card.jpg"))
	check(t, err)
	check(t, os.MkdirAll(filepath.Dir(incoming), 0o755))
	f, err := os.Create(incoming)
	check(t, err)
	for part := range 3 {
		_, err := f.Write(b[part*len(b)/3 : (part+1)*len(b)/3])
		check(t, err)
		time.Sleep(500 * time.Millisecond)
	}
	check(t, f.Close())
	took := m.appears(filepath.Join(latest, "2026/Schmidt/IMG_0004.jpg"), incoming)
	t.Logf("a new photo was visible %v after its last write", took.Round(10*time.Millisecond))

	// An edit: the new snapshot shows it, the old one does not.
	edited := filepath.Join(lib, "2026/Weber/IMG_0001.jpg")
	check(t, copyFile(edited, m.path("original.jpg"), 0o644))
	before, err := filepath.EvalSymlinks(latest)
	check(t, err)
	edit(t, edited)
	took = m.appears(filepath.Join(latest, "2026/Weber/IMG_0001.jpg"), edited)
	t.Logf("an edit was visible after %v", took.Round(10*time.Millisecond))
	after, err := filepath.EvalSymlinks(latest)
	check(t, err)
	if after == before {
		t.Error("the edit is in the old snapshot")
	}
	m.appears(filepath.Join(before, "2026/Weber/IMG_0001.jpg"), m.path("original.jpg"))

	// Deleting and renaming show, too, and nothing can be changed in the mount.
	check(t, os.Remove(filepath.Join(lib, "clip.mov")))
	check(t, os.Rename(filepath.Join(lib, "2026/Meier"), filepath.Join(lib, "2026/Meyer")))
	until(t, visibleWithin, "the rename", func() bool {
		return exists(filepath.Join(latest, "2026/Meyer/IMG_0003.jpg")) && !exists(filepath.Join(latest, "clip.mov"))
	})
	sameTree(t, lib, latest+"/")
	if err := os.Remove(filepath.Join(latest, "empty")); err == nil {
		t.Error("a file of a snapshot could be removed")
	}
	sameTree(t, lib, latest+"/")

	if code := up.stop(syscall.SIGINT); code != 0 {
		t.Errorf("after SIGINT up ended with %d", code)
	}
	m.gone()
	m.ok("check", "--read-data")
}

// TestUpEndsAndHeals ends up in all the ways that it can end, and begins it
// again without arguments.
func TestUpEndsAndHealsMount(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	lib := m.library()
	up := m.up(lib)
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		if code := up.stop(s); code != 0 {
			t.Errorf("after %v up ended with %d", s, code)
		}
		m.gone()
		up = m.up()
	}

	// Killed, it leaves a mount that answers nobody. The next run heals it.
	if code := up.stop(syscall.SIGKILL); code != -1 {
		t.Fatalf("SIGKILL ended up with %d", code)
	}
	if _, err := os.ReadDir(m.mount()); err == nil {
		t.Fatal("the mount works without its process")
	}
	m.ok("snapshots") // a killed process blocks nobody
	up = m.up()
	if !strings.Contains(up.out.String(), "still mounted from a run that was killed") {
		t.Error("up does not say that it healed the mount")
	}
	sameTree(t, lib, filepath.Join(m.mount(), "latest/Pictures")+"/")
	writeFile(t, filepath.Join(lib, "later.txt"), []byte("later"))
	m.appears(filepath.Join(m.mount(), "latest/Pictures/later.txt"), filepath.Join(lib, "later.txt"))

	// mount alone heals as well.
	up.stop(syscall.SIGKILL)
	mount := m.start("mount", m.mount())
	mount.says("Snapshots are at", time.Minute)
	if !strings.Contains(mount.out.String(), "still mounted from a run that was killed") {
		t.Error("mount does not say that it healed the mount point")
	}
	sameTree(t, lib, filepath.Join(m.mount(), "latest/Pictures")+"/")
	if code := mount.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("after SIGTERM mount ended with %d", code)
	}
	m.gone()
	m.ok("check", "--read-data")
}

// TestUpAgain: one up a repository; the second one names the first.
func TestUpMountedTwice(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t).with("KEEPSAKE_PASSWORD=correct-horse-battery")
	lib := m.library()
	writeFile(t, m.path("other/a"), []byte("a"))
	up := m.up(lib)
	config := filepath.Join(m.home, ".config/keepsake/keepsake.toml")
	before, err := os.ReadFile(config)
	check(t, err)
	for _, args := range [][]string{{"up"}, {"up", lib}, {"up", "other"}} {
		s := m.exits(exitSecondOwner, args...)
		if want := fmt.Sprint(up.cmd.Process.Pid); !strings.Contains(s.stderr, want) {
			t.Errorf("%v does not name process %s: %s", args, want, s.stderr)
		}
	}
	after, err := os.ReadFile(config)
	check(t, err)
	if !bytes.Equal(before, after) {
		t.Errorf("an up that was refused changed the configuration to\n%s", after)
	}
	sameTree(t, lib, filepath.Join(m.mount(), "latest/Pictures")+"/")

	// Nobody who lists processes sees a secret.
	names, err := filepath.Glob("/proc/[0-9]*/cmdline")
	check(t, err)
	for _, name := range names {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte("correct-horse-battery")) {
			t.Errorf("%s shows the password: %q", name, b)
		}
	}
	if code := up.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("up ended with %d", code)
	}
	m.gone()
}

// TestUpMountJSON: a program that runs up learns what a person would see.
// TestUpKeepsWhatPeopleWrote: a further directory is added to a configuration,
// and comments and settings in it stay.
func TestUpKeepsWhatPeopleWrote(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	writeFile(t, m.path("first/a"), []byte("a"))
	writeFile(t, m.path("second/b"), []byte("b"))
	path := filepath.Join(m.home, ".config/keepsake/keepsake.toml")
	written := "# Ours.\n\n[defaults]\nsettle = \"1s\" # cards are fast\n\n[[source]]\nlabel = \"first\"\npath = \"" + m.path("first") + "\"\n"
	writeFile(t, path, []byte(written))
	up := m.up(m.path("second"))
	b, err := os.ReadFile(path)
	check(t, err)
	if !strings.Contains(string(b), written) || !strings.HasSuffix(string(b), "\n[[source]]\nlabel = \"second\"\npath = \""+m.path("second")+"\"\n") || !strings.HasPrefix(string(b), "repository = ") {
		t.Errorf("the configuration has become\n%s", b)
	}
	if code := up.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("up ended with %d", code)
	}
	if s := m.ok("config", "check"); !strings.Contains(s.stdout, "2 sources: first, second") {
		t.Errorf("config check says %s", s.stdout)
	}
	m.gone()
}

func TestUpMountJSON(t *testing.T) {
	needsFUSE(t)
	t.Parallel()
	m := newMachine(t)
	lib := m.library()
	up := m.start("up", lib, "--json")
	for _, want := range []string{`"message_type":"initialized"`, `"recovery_file":"` + m.home, `"message_type":"mounted"`, `"first":true`} {
		up.says(want, time.Minute)
	}
	mount := m.start("mount", "view", "--json")
	mount.says(`"message_type":"mounted"`, time.Minute)
	sameTree(t, lib, m.path("view/latest/Pictures")+"/")
	for _, r := range []*running{mount, up} {
		if code := r.stop(syscall.SIGTERM); code != 0 {
			t.Errorf("%q ended with %d", r.cmd.Args[1:], code)
		}
	}
	m.gone()
}
