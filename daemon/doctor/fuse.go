package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"keepsake/daemon/watch"
)

// fuse says whether the mounted view can be shown.
func (e *examination) fuse(context.Context) {
	const name = "mounted view"
	if e.o.Mount == "" {
		return
	}
	device := e.system("/dev/fuse")
	if err := unix.Access(device, unix.R_OK|unix.W_OK); err != nil {
		e.add(name, Fail, fmt.Sprintf("%s: %v", device, err), "sudo modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN.")
		return
	}
	if os.Geteuid() != 0 {
		_, three := exec.LookPath("fusermount3")
		_, two := exec.LookPath("fusermount")
		if three != nil && two != nil {
			e.add(name, Fail, "fusermount3 is not installed, and only root can mount without it", "sudo apt install fuse3")
			return
		}
		if helper := powerless("fusermount3", "fusermount"); helper != "" {
			e.add(name, Fail, helper+" has not the rights by which it mounts for users", "sudo chmod u+s "+helper)
			return
		}
		if e.o.AllowOther && !e.userAllowOther() {
			e.add(name, Fail, "other users are to see the snapshots, and "+e.system("/etc/fuse.conf")+" does not allow that",
				"echo user_allow_other | sudo tee -a /etc/fuse.conf")
			return
		}
	}
	e.memory()
	e.readAhead()
	if found, ok := e.shown(); ok {
		e.findings = append(e.findings, found)
		return
	}
	if dir := e.closedParent(); dir != "" {
		e.add(name, Fail, fmt.Sprintf("%s cannot be made: this user may not write to %s", e.o.Mount, dir),
			"Choose another directory for mount in keepsake.toml, or have an administrator make that one and give it to you.")
		return
	}
	if first := firstName(e.o.Mount); first != "" {
		e.add(name, Fail, fmt.Sprintf("%s holds files, %q among them, and a mount would hide them: snapshots are not shown", e.o.Mount, first),
			"Move them elsewhere, or choose another directory for mount in keepsake.toml.")
		return
	}
	e.add(name, OK, "can be shown at "+e.o.Mount, "")
}

// answerTime is how long a view may take to say that it is there.
const answerTime = 5 * time.Second

// shown looks whether something is at the place of the view already.
func (e *examination) shown() (Finding, bool) {
	const name = "mounted view"
	type answer struct {
		fstype string
		err    error
	}
	answers := make(chan answer, 1)
	go func() {
		err := unix.Statfs(e.o.Mount, new(unix.Statfs_t))
		fstype, _ := watch.Remote(e.o.Mount)
		answers <- answer{fstype, err}
	}()
	var a answer
	select {
	case a = <-answers:
	case <-time.After(answerTime):
		return Finding{name, Fail, fmt.Sprintf("what is mounted at %s does not answer", e.o.Mount), "Stop what serves it, or take it away: umount -l " + e.o.Mount}, true
	}
	info, err := os.Stat(e.o.Mount)
	switch {
	case errors.Is(a.err, unix.ENOTCONN):
		return Finding{name, Warn, fmt.Sprintf("the view at %s was left by a keepsake that was killed", e.o.Mount), "The next keepsake that shows snapshots there takes it away; or now: umount -l " + e.o.Mount}, true
	case a.fstype == viewType:
		return Finding{name, OK, "is shown at " + e.o.Mount, ""}, true
	case err == nil && !info.IsDir():
		return Finding{name, Fail, e.o.Mount + " is a file: snapshots are not shown", "Move it elsewhere, or choose another directory for mount in keepsake.toml."}, true
	}
	return Finding{}, false
}

// closedParent is the directory that the mount point would be made in, if this
// user may not write to it.
func (e *examination) closedParent() string {
	dir := e.o.Mount
	for {
		_, err := os.Lstat(dir)
		if err == nil && dir == e.o.Mount {
			return "" // it is there
		}
		if !errors.Is(err, fs.ErrNotExist) || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	if unix.Access(dir, unix.W_OK|unix.X_OK) == nil {
		return ""
	}
	return dir
}

// memory says if the cache is too large for the machine: what is evicted to make
// room for it is what file servers live on.
func (e *examination) memory() {
	const share = 4
	total := e.memoryTotal()
	if e.o.Cache*share <= total || total == 0 {
		return
	}
	e.add("cache", Warn, fmt.Sprintf("%s for decrypted files are more than a quarter of this machine's memory, %s", size(uint64(e.o.Cache)), size(uint64(total))),
		fmt.Sprintf("Write cache = \"%dMiB\", or less, into keepsake.toml.", max(total/share>>20, 8)))
}

// memoryTotal is the memory of the machine, 0 if the kernel does not say.
func (e *examination) memoryTotal() int64 {
	b, err := os.ReadFile(e.system("/proc/meminfo"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "MemTotal:" {
			if kib, err := strconv.ParseInt(f[1], 10, 64); err == nil {
				return kib << 10
			}
		}
	}
	return 0
}

// readAhead says if the kernel's read-ahead cannot be what it should.
func (e *examination) readAhead() {
	const name = "read-ahead"
	dir := e.system("/sys/class/bdi")
	switch {
	case e.o.ReadAhead == 0:
	case os.Geteuid() != 0:
		e.add(name, Warn, "only root can have the kernel read further ahead in the view: it stays at 128 KiB", "Let the service show the snapshots (keepsake service install), or set read-ahead = \"0\".")
	case unix.Access(dir, unix.R_OK) != nil:
		e.add(name, Warn, dir+" is not there: the kernel's read-ahead stays at 128 KiB", "In a container, have /sys mounted for writing; or set read-ahead = \"0\".")
	}
}

// powerless is the first of the programs that is there, if it lacks the setuid
// bit; empty if it has it.
func powerless(programs ...string) string {
	for _, p := range programs {
		path, err := exec.LookPath(p)
		if err != nil {
			continue
		}
		if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeSetuid == 0 {
			return path
		}
		return ""
	}
	return ""
}

// viewType is how our mounts show in the table of mounts.
const viewType = "fuse.keepsake"

// firstName is a name in a directory; empty if there is none, or none can be
// read.
func firstName(dir string) string {
	f, err := os.Open(dir)
	if err != nil {
		return ""
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	if err != nil {
		return ""
	}
	return names[0]
}

func (e *examination) userAllowOther() bool {
	f, err := os.Open(e.system("/etc/fuse.conf"))
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.TrimSpace(lines.Text()) == "user_allow_other" {
			return true
		}
	}
	return false
}
