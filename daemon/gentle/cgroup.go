package gentle

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// groupMemory is the least memory limit of this process's control group and
// those above it; 0 means none. Both hierarchies are read, since NAS kernels
// have the old one, or both.
func groupMemory(root string) (int64, error) {
	b, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil // a kernel without control groups
	}
	if err != nil {
		return 0, err
	}
	least := int64(math.MaxInt64)
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		// hierarchy:controllers:path (cgroups(7)); the new one is 0::path.
		f := strings.SplitN(lines.Text(), ":", 3)
		if len(f) != 3 {
			return 0, fmt.Errorf("/proc/self/cgroup: unexpected line %q", lines.Text())
		}
		var tops, files []string
		switch {
		case f[0] == "0" && f[1] == "":
			tops = []string{"sys/fs/cgroup", "sys/fs/cgroup/unified"}
			files = []string{"memory.max", "memory.high"}
		case slices.Contains(strings.Split(f[1], ","), "memory"):
			tops = []string{"sys/fs/cgroup/memory"}
			files = []string{"memory.limit_in_bytes"}
		}
		for _, top := range tops {
			n, err := leastOf(filepath.Join(root, top), f[2], files)
			if err != nil {
				return 0, err
			}
			least = min(least, n)
		}
	}
	// The old hierarchy says "none" with the largest multiple of a page.
	if least >= math.MaxInt64>>1 {
		return 0, nil
	}
	return least, nil
}

// leastOf reads the files of a group and of all groups above it. In a container
// the group's path may not exist below what is mounted there; then the top is
// the container's own.
func leastOf(top, group string, files []string) (int64, error) {
	least := int64(math.MaxInt64)
	for dir := filepath.Join(top, filepath.Clean("/"+group)); ; dir = filepath.Dir(dir) {
		for _, name := range files {
			b, err := os.ReadFile(filepath.Join(dir, name))
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return 0, err
			}
			text := strings.TrimSpace(string(b))
			if text == "max" {
				continue
			}
			n, err := strconv.ParseUint(text, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("%s: %w", filepath.Join(dir, name), err)
			}
			least = min(least, int64(min(n, math.MaxInt64)))
		}
		if dir == top {
			return least, nil
		}
	}
}
