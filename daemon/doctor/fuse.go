package doctor

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"

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
		if e.o.AllowOther && !e.userAllowOther() {
			e.add(name, Fail, "other users are to see the snapshots, and "+e.system("/etc/fuse.conf")+" does not allow that",
				"echo user_allow_other | sudo tee -a /etc/fuse.conf")
			return
		}
	}
	if fstype, _ := watch.Remote(e.o.Mount); fstype == viewType {
		e.add(name, OK, "is shown at "+e.o.Mount, "")
		return
	}
	if first := firstName(e.o.Mount); first != "" {
		e.add(name, Fail, fmt.Sprintf("%s holds files, %q among them, and a mount would hide them: snapshots are not shown", e.o.Mount, first),
			"Move them elsewhere, or choose another directory for mount in keepsake.toml.")
		return
	}
	e.add(name, OK, "can be shown at "+e.o.Mount, "")
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
