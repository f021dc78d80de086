package watch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mountinfo lists the mounts that this process sees (proc_pid_mountinfo(5)).
const mountinfo = "/proc/self/mountinfo"

// mount is a line of it.
type mount struct {
	id      uint64
	unique  uint64 // never used twice; 0 if the kernel has none
	point   string // where it is mounted
	fs      string // device, and which part of it
	fstype  string
	options string
}

// parseMounts takes the lines it understands.
func parseMounts(text []byte) []mount {
	var all []mount
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		mine, super := strings.Split(before, " "), strings.Split(after, " ")
		if !ok || len(mine) < 6 || len(super) < 2 {
			continue
		}
		id, err := strconv.ParseUint(mine[0], 10, 64)
		if err != nil {
			continue
		}
		all = append(all, mount{
			id: id, point: unescape(mine[4]), fstype: super[0],
			fs:      mine[2] + " " + mine[3] + " " + super[1],
			options: mine[5] + " " + strings.Join(super[2:], " "),
		})
	}
	return all
}

// unescape undoes the octal escapes of white space and backslash.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
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

// mounts follows what is mounted above, at and below the root. Its methods
// belong to the owner of the loop; a goroutine of its own does nothing but wait
// for the kernel to say that something changed.
type mounts struct {
	root  string
	fd    int // the owner's; the kernel remembers for each what was told
	known map[string][]mount

	wake    chan struct{} // something changed
	waits   int           // descriptor that the goroutine waits on
	stop    int           // descriptor that ends it
	stopped chan struct{}
}

func openMounts(root string) (*mounts, error) {
	m := &mounts{root: root, fd: -1, waits: -1, stop: -1, wake: make(chan struct{}, 1), stopped: make(chan struct{})}
	err := m.open()
	if err != nil {
		m.closeFiles()
		return nil, fmt.Errorf("watching what is mounted: %w", err)
	}
	go m.wait()
	return m, nil
}

func (m *mounts) open() (err error) {
	// Not as os.File: the runtime would ask for readiness on its own account,
	// and the kernel tells of each change once.
	if m.fd, err = openMountinfo(); err != nil {
		return err
	}
	if m.waits, err = openMountinfo(); err != nil {
		return err
	}
	if m.stop, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	m.known, err = m.read()
	return err
}

func openMountinfo() (fd int, err error) {
	err = ignoringEINTR(func() error {
		fd, err = unix.Open(mountinfo, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: mountinfo, Err: err}
	}
	return fd, nil
}

// wait passes on that something changed. Changes that the owner has not looked
// at yet are one.
func (m *mounts) wait() {
	defer close(m.stopped)
	for {
		fds := []unix.PollFd{{Fd: int32(m.waits), Events: unix.POLLPRI}, {Fd: int32(m.stop), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return // without memory; what is mounted is looked at before each batch anyway
		}
		if fds[1].Revents != 0 {
			return
		}
		if fds[0].Revents != 0 {
			select {
			case m.wake <- struct{}{}:
			default:
			}
		}
	}
}

func (m *mounts) close() {
	one := binary.NativeEndian.AppendUint64(nil, 1)
	if _, err := unix.Write(m.stop, one); err != nil {
		panic("watch: an eventfd refuses a one: " + err.Error())
	}
	<-m.stopped
	m.closeFiles()
}

func (m *mounts) closeFiles() {
	for _, fd := range []int{m.fd, m.waits, m.stop} {
		if fd >= 0 {
			_ = unix.Close(fd) // nothing was written
		}
	}
}

// remounted is a mount point at which something changed.
type remounted struct {
	point string
	// optionsOnly says that the same file system is there, with other options.
	optionsOnly bool
}

// changes returns what changed since it was last called. It costs one system
// call if nothing did.
func (m *mounts) changes() ([]remounted, error) {
	fds := []unix.PollFd{{Fd: int32(m.fd), Events: unix.POLLPRI}}
	err := ignoringEINTR(func() error {
		_, err := unix.Poll(fds, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("poll %s: %w", mountinfo, err)
	}
	if fds[0].Revents&(unix.POLLPRI|unix.POLLERR) == 0 {
		return nil, nil
	}
	now, err := m.read()
	if err != nil {
		return nil, err
	}
	before := m.known
	m.known = now
	return compare(before, now), nil
}

// compare names the points that differ, sorted, so that those above come before
// those below.
func compare(before, now map[string][]mount) []remounted {
	var changed []remounted
	for point, there := range now {
		was := before[point]
		switch {
		case slices.Equal(was, there):
		case slices.EqualFunc(was, there, mount.same):
			changed = append(changed, remounted{point, true})
		default:
			changed = append(changed, remounted{point, false})
		}
	}
	for point := range before {
		if len(now[point]) == 0 {
			changed = append(changed, remounted{point, false})
		}
	}
	slices.SortFunc(changed, func(a, b remounted) int { return strings.Compare(a.point, b.point) })
	return changed
}

// same reports whether two lines are of one mount.
func (m mount) same(other mount) bool {
	m.options, other.options = "", ""
	return m == other
}

// read lists the mounts that concern the root, by mount point.
func (m *mounts) read() (map[string][]mount, error) {
	var text bytes.Buffer
	buf := make([]byte, 64<<10)
	for {
		var n int
		err := ignoringEINTR(func() (err error) {
			n, err = unix.Pread(m.fd, buf, int64(text.Len()))
			return err
		})
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: mountinfo, Err: err}
		}
		if n == 0 {
			break
		}
		text.Write(buf[:n])
	}
	found := make(map[string][]mount)
	for _, mnt := range parseMounts(text.Bytes()) {
		if within(m.root, mnt.point) || within(mnt.point, m.root) {
			found[mnt.point] = append(found[mnt.point], mnt)
		}
	}
	for _, stack := range found {
		stack[len(stack)-1].identify()
	}
	return found, nil
}

// identify asks for the number that tells a mount from a later one of the same
// file system in the same place. A network file system is not asked: it may
// not answer, and is polled in any case.
func (m *mount) identify() {
	if m.fstype == "autofs" || remoteType(m.fstype) {
		return
	}
	var st unix.Statx_t
	err := ignoringEINTR(func() error {
		return unix.Statx(unix.AT_FDCWD, m.point, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID_UNIQUE, &st)
	})
	if err == nil && st.Mask&unix.STATX_MNT_ID_UNIQUE != 0 {
		m.unique = st.Mnt_id
	}
}

// containing is the mount point that the root itself is on.
func containing(all map[string][]mount, root string) string {
	best := ""
	for point := range all {
		if within(point, root) && len(point) > len(best) {
			best = point
		}
	}
	return best
}

func ignoringEINTR(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
