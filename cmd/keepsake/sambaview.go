package main

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"keepsake/fusefs/mountpoint"
)

// viewForOthers is where the view is that Samba looks into: where somebody said,
// else the one of this process that lets others in, else any that it has.
func (s *session) viewForOthers(args sambaArgs, out *output) string {
	dir := out.path(args.View)
	if dir != "" {
		return dir
	}
	for _, v := range s.views.list() {
		if v.place.AllowOther {
			return v.place.dir
		}
		dir = cmp.Or(dir, v.place.dir)
	}
	return cmp.Or(dir, string(args.Usual))
}

// sambaWarnings are what keeps Samba from looking into the view at dir, which is
// resolved. smbd looks with the rights of the user who is connected.
func (s *session) sambaWarnings(dir string) (all []string) {
	at, ok, err := mountpoint.At(dir)
	switch {
	case err != nil:
		all = append(all, fmt.Sprintf("whether snapshots are shown at %s cannot be told: %v", dir, err))
	case !ok || at.Type != mountpoint.Type:
		text := fmt.Sprintf("no snapshots are shown at %s at this moment; %s, or --mount says where they are", dir, s.env.showing())
		all = append(all, text)
	case !at.AllowOther:
		all = append(all, fmt.Sprintf("%s lets in nobody but the user who mounted it, and Samba looks there as the user who is connected: %s", dir, s.env.lettingIn()))
	}
	if closed, mode := closedWay(dir); closed != "" {
		all = append(all, fmt.Sprintf("other users cannot pass through %s (mode %04o) on their way to %s: chmod o+x it, or have snapshots shown elsewhere (mount in the configuration)", closed, mode, dir))
	}
	return all
}

// showing is what shows snapshots to everybody.
func (e *environment) showing() string {
	if e.system {
		return "sudo systemctl start keepsake shows them"
	}
	return "the service shows them (keepsake service install)"
}

// lettingIn is what lets others look at them, too.
func (e *environment) lettingIn() string {
	if e.system {
		return "write allow-other = true into the configuration, which is the default, and restart the service"
	}
	return "start keepsake up or mount with --allow-other (unless root does, /etc/fuse.conf needs a line user_allow_other), or let the service show them (keepsake service install)"
}

// closedWay is the first directory above dir that others cannot pass through,
// empty if there is none.
func closedWay(dir string) (closed string, mode fs.FileMode) {
	for up := filepath.Dir(dir); ; up = filepath.Dir(up) {
		if info, err := os.Stat(up); err == nil && info.Mode()&0o001 == 0 {
			closed, mode = up, info.Mode().Perm()
		}
		if up == filepath.Dir(up) {
			return closed, mode
		}
	}
}
