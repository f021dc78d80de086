package capture

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"sync"
	"time"
)

// mapped knows which files programs have mapped for writing. Stores through a
// map leave no other trace than a file's times, and those only where nothing of
// the same folio (up to 2 MiB since Linux 6.16) is dirty already.
//
// What is mapped after a look leaves that trace with its first store, so a look
// that is no older than the settle time is new enough. Processes of other people
// show theirs to root alone, and those outside a container to nobody in it.
type mapped struct {
	mu     sync.Mutex
	looked time.Time
	inodes map[uint64]bool
}

// has reports whether a file is mapped for writing. Inode numbers alone count:
// the device that the kernel shows is not always the one that stat does, and a
// file that is taken for another waits for nothing and no more.
func (m *mapped) has(inode uint64, fresh time.Duration) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.inodes == nil || time.Since(m.looked) >= fresh {
		m.looked, m.inodes = time.Now(), map[uint64]bool{}
		// Without /proc nothing counts as mapped.
		processes, _ := os.ReadDir("/proc")
		for _, p := range processes {
			if name := p.Name(); name[0] >= '1' && name[0] <= '9' {
				m.see("/proc/" + name + "/maps")
			}
		}
	}
	return m.inodes[inode]
}

// see notes what one process has mapped, writable and shared (proc_pid_maps(5)).
func (m *mapped) see(path string) {
	f, err := os.Open(path)
	if err != nil {
		return // it has ended, or is somebody else's
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := bytes.Fields(lines.Bytes())
		if len(fields) < 5 || len(fields[1]) < 4 || fields[1][1] != 'w' || fields[1][3] != 's' {
			continue
		}
		if inode, err := strconv.ParseUint(string(fields[4]), 10, 64); err == nil && inode != 0 {
			m.inodes[inode] = true
		}
	}
	// A line too long, or a process that ended: the rest of it is not known.
}
