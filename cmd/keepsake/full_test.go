package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// unit is the size of the files here; the disks are multiples of it.
var unit = map[bool]int{false: 4 << 20, true: 1 << 20}[raceDetector]

// smallDisk is a file system that is soon full.
type smallDisk struct {
	name string
	// mount mounts it at dir, with size megabytes.
	mount func(t *testing.T, dir string, size int)
	// room makes room on it.
	room func(t *testing.T, dir string)
}

var smallDisks = []smallDisk{
	{
		name: "tmpfs",
		mount: func(t *testing.T, dir string, size int) {
			check(t, unix.Mount("keepsake-test", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", size)))
		},
		room: func(t *testing.T, dir string) {
			check(t, unix.Mount("keepsake-test", dir, "tmpfs", unix.MS_REMOUNT, "size=300m"))
		},
	},
	{
		name: "ext4",
		mount: func(t *testing.T, dir string, size int) {
			image := dir + ".img"
			f, err := os.Create(image)
			check(t, err)
			check(t, f.Truncate(int64(size+100)<<20))
			check(t, f.Close())
			for _, args := range [][]string{{"mkfs.ext4", "-q", "-F", "-m", "0", image}, {"mount", "-o", "loop", image, dir}} {
				if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
					t.Skipf("not run: %s: %v %s", args[0], err, out)
				}
			}
			// What somebody else keeps there, and can do without.
			check(t, os.WriteFile(filepath.Join(dir, "film.mov"), nil, 0o600))
			check(t, exec.Command("fallocate", "-l", fmt.Sprintf("%dM", free(t, dir)>>20-uint64(size)), filepath.Join(dir, "film.mov")).Run())
		},
		room: func(t *testing.T, dir string) { check(t, os.Remove(filepath.Join(dir, "film.mov"))) },
	},
}

func free(t *testing.T, dir string) uint64 {
	t.Helper()
	var s unix.Statfs_t
	check(t, unix.Statfs(dir, &s))
	return s.Bavail * uint64(s.Bsize)
}

// disk mounts a small disk that is gone when the test ends.
func (m *machine) disk(d smallDisk, name string, size int) string {
	m.t.Helper()
	dir := m.path(name)
	check(m.t, os.Mkdir(dir, 0o755))
	m.t.Cleanup(func() {
		if len(mountsBelow(m.t, dir)) > 0 {
			check(m.t, unix.Unmount(dir, unix.MNT_DETACH))
		}
	})
	d.mount(m.t, dir, size)
	return dir
}

// TestFull fills the repository's disk in the middle of a backup.
func TestFull(t *testing.T) {
	needsRoot(t, "make a small disk")
	for _, d := range smallDisks {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t)
			repository := filepath.Join(m.disk(d, "disk", 16*unit>>20), "keepsake")
			m = m.with("KEEPSAKE_REPOSITORY=" + repository)
			m.ok("init")
			for i := range 4 {
				writeFile(t, m.path("lib", fmt.Sprint(i, ".jpg")), noise(unit, byte(i)))
			}
			m.ok("backup", "lib")
			for i := 4; i < 32; i++ {
				writeFile(t, m.path("lib", fmt.Sprint(i, ".jpg")), noise(unit, byte(i)))
			}

			s := m.exits(exitFailed, "backup", "lib")
			for _, want := range []string{"no space left on device", "The disk is full. Earlier snapshots are intact; free some space and run this again."} {
				if !strings.Contains(s.stderr, want) {
					t.Errorf("the message does not say %q:\n%s", want, s.stderr)
				}
			}
			if strings.Contains(s.stdout, "snapshot") {
				t.Errorf("a snapshot was announced:\n%s", s.stdout)
			}
			m.exits(exitFailed, "backup", "lib", "--json") // still full, and lines of JSON all the same
			m.intact()

			d.room(t, filepath.Dir(repository))
			m.ok("backup", "lib")
			m.ok("restore", "latest", "--target", "restored")
			sameTree(t, m.path("lib"), m.path("restored"))
			m.ok("check", "--read-data")
			m.ok("scrub")
			if _, stored := treeSize(t, filepath.Join(repository, "data")); stored > int64(35*unit) {
				t.Errorf("%d MB of data are stored for a library of %d", stored>>20, 32*unit>>20)
			}
		})
	}
}

// intact demands that the snapshot from before the disk was full restores, and
// that nothing keeps space that nobody can use.
func (m *machine) intact() {
	m.t.Helper()
	all := m.snapshots()
	if len(all) != 1 {
		m.t.Fatalf("there are %d snapshots, want 1", len(all))
	}
	m.ok("restore", all[0].ID, "--target", "earlier")
	for i := range 4 {
		name := fmt.Sprint(i, ".jpg")
		got, err := os.ReadFile(m.path("earlier", name))
		check(m.t, err)
		if string(got) != string(noise(unit, byte(i))) {
			m.t.Errorf("%s is not what was stored", name)
		}
	}
	if files, _ := treeSize(m.t, m.path("earlier")); files != 4 {
		m.t.Errorf("%d files were restored, want 4", files)
	}
	m.ok("check", "--read-data")
}

// TestUpRefusesWhatCannotFit: what cannot fit is refused before anything is read
// or made.
func TestUpRefusesWhatCannotFit(t *testing.T) {
	needsRoot(t, "make a small disk")
	t.Parallel()
	m := newMachine(t)
	disk := m.disk(smallDisks[0], "disk", 8)
	writeFile(t, m.path("lib/large.mov"), noise(9<<20, 1))
	s := m.exits(exitFailed, "up", "lib", "--repository", filepath.Join(disk, "keepsake"))
	for _, want := range []string{"9.0 MiB", "8.0 MiB free", "--repository", "Nothing was read or written"} {
		if !strings.Contains(s.stdout+s.stderr, want) {
			t.Errorf("the message does not say %q:\n%s%s", want, s.stdout, s.stderr)
		}
	}
	for _, dir := range []string{disk, m.home} {
		if files, _ := treeSize(t, dir); files > 0 {
			t.Errorf("%d files were made in %s", files, dir)
		}
	}

	// A sparse file of any length fits: its holes take no room.
	check(t, os.Remove(m.path("lib/large.mov")))
	check(t, os.WriteFile(m.path("lib/sparse.img"), nil, 0o644))
	check(t, os.Truncate(m.path("lib/sparse.img"), 1<<30))
	m.ok("init", "--repository", filepath.Join(disk, "keepsake"))
	m.ok("backup", "lib", "--repository", filepath.Join(disk, "keepsake"))
}

// TestStateDiskFull: the state directory's disk is full, the repository's not.
func TestStateDiskFull(t *testing.T) {
	needsRoot(t, "make a small disk")
	t.Parallel()
	m := newMachine(t)
	state := m.disk(smallDisks[0], "state", 1)
	m = m.with("KEEPSAKE_STATE_DIR=" + filepath.Join(state, "keepsake"))
	m.ok("init")
	writeFile(t, m.path("lib/a"), []byte("a"))
	m.ok("backup", "lib")
	filler := filepath.Join(state, "filler")
	check(t, exec.Command("fallocate", "-l", fmt.Sprint(free(t, state)), filler).Run())
	for i := range 3000 {
		writeFile(t, m.path("lib/many", fmt.Sprint(i)), noise(2000, byte(i)))
	}
	if s := m.run("backup", "lib"); s.code != 0 && !strings.Contains(s.stderr, "no space left on device") {
		t.Errorf("exit code %d:\n%s", s.code, s.stderr)
	}
	check(t, os.Remove(filler))
	smallDisks[0].room(t, state)
	m.ok("backup", "lib")
	m.ok("restore", "latest", "--target", "restored")
	sameTree(t, m.path("lib"), m.path("restored"))
	m.ok("check", "--read-data")
}
