package fusefs

import (
	"github.com/hanwen/go-fuse/v2/fuse"
)

// missing lets the kernel remember that a name is not in a list for as long as
// the list said: programs ask for desktop.ini and ._x in every folder, over and
// over. go-fuse answers so for the time-out that is set for all directories
// alone, which is right inside snapshots.
type missing struct{ fuse.RawFileSystem }

func (m missing) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	status := m.RawFileSystem.Lookup(cancel, header, name, out)
	if status == fuse.ENOENT && out.EntryTimeout() > 0 {
		out.NodeId = 0 // no such name, for the time that is in out
		return fuse.OK
	}
	return status
}
