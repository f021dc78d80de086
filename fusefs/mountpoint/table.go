package mountpoint

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Place is one line of /proc/self/mountinfo.
type Place struct {
	Dir   string
	Type  string // of the file system: "fuse.keepsake", "ext4"
	Minor uint32 // of the device, by which FUSE names its connections
	// AllowOther says that users other than the one who mounted it may enter.
	AllowOther bool
}

// At returns what is mounted on top at dir, and whether anything is.
// dir is as Resolve returns it.
func At(dir string) (Place, bool, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return Place{}, false, err
	}
	defer f.Close()
	var top Place
	found := false
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if p, ok := parsePlace(lines.Text()); ok && p.Dir == dir {
			top, found = p, true // later lines lie on top of earlier ones
		}
	}
	return top, found, lines.Err()
}

// parsePlace reads one line, as proc_pid_mountinfo(5) describes it.
func parsePlace(line string) (Place, bool) {
	before, after, ok := strings.Cut(line, " - ")
	fields, types := strings.Fields(before), strings.Fields(after)
	if !ok || len(fields) < 6 || len(types) == 0 {
		return Place{}, false
	}
	_, minor, _ := strings.Cut(fields[2], ":")
	n, err := strconv.ParseUint(minor, 10, 32)
	if err != nil {
		return Place{}, false
	}
	p := Place{Dir: unescape(fields[4]), Type: types[0], Minor: uint32(n)}
	if len(types) > 2 {
		p.AllowOther = slices.Contains(strings.Split(types[2], ","), "allow_other")
	}
	return p, true
}

// unescape undoes the octal escapes of blanks and backslashes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// Resolve returns dir as the kernel names it: absolute and without symlinks.
// The last element need not exist, nor answer: it may be a dead mount.
func Resolve(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		return real, nil
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if errors.Is(err, fs.ErrNotExist) {
		return abs, nil
	}
	return filepath.Join(parent, filepath.Base(abs)), err
}
