package capture

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"

	"keepsake/store/tree"
)

// errVanished is about a name that its directory lists and yet denies: a
// network file system whose server lost it, an entry of a broken directory.
var errVanished = errors.New("the directory lists it, but it cannot be found")

// awaited is a name whose capture has begun.
type awaited struct {
	*pending
	name     string
	previous *tree.Node
}

// relisting tells the names that were deleted since a directory was listed from
// those that only seem to be, by listing it once more.
type relisting struct {
	p     *pass
	dir   *os.File
	rel   string
	names []string
	err   error             // of the listing
	valid map[*pending]bool // entries that had been looked for when it was made
}

// settle decides about an entry that is gone: one that is still listed is
// missed and keeps its previous version. Those that follow it are waited for,
// so that one listing serves for all of them. It returns what to add.
func (r *relisting) settle(e awaited, following []awaited) *pending {
	if !r.valid[e.pending] {
		r.valid = map[*pending]bool{}
		for _, f := range following {
			f.wait()
			r.valid[f.pending] = true
		}
		if _, r.err = r.dir.Seek(0, io.SeekStart); r.err == nil {
			r.names, r.err = list(r.dir)
		}
	}
	_, listed := slices.BinarySearch(r.names, e.name)
	// A directory that cannot be listed proves nothing, unless it was deleted.
	if !listed && (r.err == nil || errors.Is(r.err, fs.ErrNotExist)) {
		return e.pending
	}
	r.p.miss(join(r.rel, e.name), tree.ReasonVanished, errVanished)
	return ready(kept(e.previous)) // the entry itself may have twins that look at it
}
