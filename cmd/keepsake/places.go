package main

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"keepsake/store/durable"
)

// chooseRepository decides where backups go: what was said, what exists, a disk
// that a person picks, or the usual place.
func (u *up) chooseRepository() error {
	u.repo = u.a.repositoryDir()
	said := u.a.flags.repository != "" || u.a.env.get("KEEPSAKE_REPOSITORY") != "" || u.a.config.Repository != ""
	if said || exists(u.repo) || !u.a.env.asks || u.a.flags.json {
		return nil
	}
	places := u.places()
	if len(places) == 0 {
		return nil
	}
	return u.pick(append(places, place{u.repo, freeAt(u.repo)}))
}

// place is a directory that a repository could go to.
type place struct {
	dir  string
	free uint64
}

// pick asks which place to use; Enter takes the first.
func (u *up) pick(places []place) error {
	write(u.a.env.stderr, "Where should the backups be kept?\n")
	for i, p := range places {
		write(u.a.env.stderr, fmt.Sprintf("  %d  %s (%s free)\n", i+1, p.dir, size(p.free)))
	}
	in := bufio.NewReader(u.a.env.stdin)
	for {
		write(u.a.env.stderr, "Number [1]: ")
		line, err := in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("reading the answer: %w", err)
		}
		line = strings.TrimSpace(line)
		if line == "" {
			line = "1"
		}
		if n, err := strconv.Atoi(line); err == nil && n >= 1 && n <= len(places) {
			u.repo = places[n-1].dir
			return nil
		}
	}
}

// diskTypes are the file systems that disks have.
var diskTypes = []string{"ext4", "ext3", "xfs", "btrfs", "zfs", "f2fs", "ntfs3", "exfat"}

// places are directories on writable disks other than the sources', the
// emptiest disk first.
func (u *up) places() []place {
	b, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return nil // then there is nothing to offer
	}
	var found []place
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 3 || !slices.Contains(diskTypes, f[2]) {
			continue
		}
		dir := unescapeMount(f[1])
		if unix.Access(dir, unix.W_OK) != nil || u.holdsSource(dir) {
			continue
		}
		found = append(found, place{filepath.Join(dir, "keepsake"), freeAt(dir)})
	}
	slices.SortFunc(found, func(a, b place) int { return cmp.Compare(b.free, a.free) })
	return found
}

func (u *up) holdsSource(dir string) bool {
	for _, s := range u.sources {
		if sameFileSystem(dir, s.Path) {
			return true
		}
	}
	return false
}

func freeAt(dir string) uint64 {
	free, _, err := (&durable.Disk{}).Free(existing(dir))
	if err != nil {
		return 0 // shown as such
	}
	return free
}

// unescapeMount undoes the octal escapes of proc_pid_mounts(5).
func unescapeMount(s string) string {
	for _, e := range []struct{ from, to string }{{`\040`, " "}, {`\011`, "\t"}, {`\012`, "\n"}, {`\134`, `\`}} {
		s = strings.ReplaceAll(s, e.from, e.to)
	}
	return s
}
