package fusefs

import (
	"context"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"keepsake/fusefs/catalogue"
	"keepsake/store/history"
)

// mergedHandle is an open merged directory. It shows what was known when it was
// first read, names before versions, and is read anew after rewinddir. Where
// damage may hide something the listing ends with an error and not as if it
// were whole; what can be read comes before that.
type mergedHandle struct {
	m           *merged
	k           *known // nil: not read yet
	src         *catalogue.Source
	off         int            // entries before the next one
	dirs, files []history.Name // of k, from the next on
	versions    []history.Version
	last        entryOfMerged
}

// entryOfMerged is an entry that was produced: a name or a version.
type entryOfMerged struct {
	name     string
	snapshot *catalogue.Snapshot // of a version
	state    history.State
}

var (
	_ fs.FileReaddirenter = (*mergedHandle)(nil)
	_ fs.FileLookuper     = (*mergedHandle)(nil)
	_ fs.FileSeekdirer    = (*mergedHandle)(nil)
	_ fs.FileReleasedirer = (*mergedHandle)(nil)
	_ fs.FileFsyncdirer   = (*mergedHandle)(nil)
)

func (h *mergedHandle) rewind(k *known) {
	h.k, h.off, h.dirs, h.files, h.versions = k, 0, k.names.Dirs, k.names.Files, k.versions
}

func (h *mergedHandle) Readdirent(ctx context.Context) (*fuse.DirEntry, syscall.Errno) {
	if h.k == nil {
		k, src, err := h.m.v.known(ctx, h.m.place, true)
		if err != nil {
			return nil, h.m.fail(err)
		}
		h.src = src
		h.rewind(k)
	}
	e := h.next()
	if e == nil && h.k.damage != nil {
		return nil, h.m.fail(h.k.damage)
	}
	return e, 0
}

// next returns the next entry, or nil at the end.
func (h *mergedHandle) next() *fuse.DirEntry {
	e := &fuse.DirEntry{}
	h.last = entryOfMerged{}
	if h.off < dotCount {
		*e = dots(&h.m.Inode)[h.off]
	} else if name, ok := h.nextName(); ok {
		h.last.name = name
		*e = fuse.DirEntry{Name: name, Mode: unix.S_IFDIR, Ino: h.m.v.hash.path(h.m.no, name).ino}
	} else {
		if len(h.versions) == 0 {
			return nil
		}
		ver := h.versions[0]
		s := snapshotOf(h.src, ver)
		if s == nil {
			return nil
		}
		h.versions = h.versions[1:]
		h.last = entryOfMerged{h.k.versionName(s, h.m.extension()), s, ver.State}
		*e = fuse.DirEntry{Name: h.last.name, Mode: typeBits(ver.Type), Ino: h.m.v.hash.version(s.ID, h.m.no).ino}
	}
	h.off++
	e.Off = uint64(h.off)
	return e
}

// nextName takes the next name off the two lists, once if it is in both.
func (h *mergedHandle) nextName() (string, bool) {
	d, f := len(h.dirs) > 0, len(h.files) > 0
	switch {
	case !d && !f:
		return "", false
	case !f || d && h.dirs[0].Name < h.files[0].Name:
		f = false
	case !d || h.files[0].Name < h.dirs[0].Name:
		d = false
	}
	var name string
	if d {
		name, h.dirs = h.dirs[0].Name, h.dirs[1:]
	}
	if f {
		name, h.files = h.files[0].Name, h.files[1:]
	}
	return name, true
}

// Lookup answers for the entry that was produced last. Very many versions are
// listed without attributes, since each takes reading a page.
func (h *mergedHandle) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	switch {
	case h.last.snapshot != nil && len(h.k.versions) > listedWithAttributes:
		return nil, syscall.EAGAIN
	case h.last.name != name:
		return h.m.Lookup(ctx, name, out)
	case h.last.snapshot != nil:
		return h.m.version(ctx, &h.last.state, h.last.snapshot, out)
	}
	w, _ := h.k.child(h.src, name)
	return h.m.child(ctx, name, w, out)
}

// Seekdir goes to an offset that Readdirent gave out.
func (h *mergedHandle) Seekdir(_ context.Context, off uint64) syscall.Errno {
	switch {
	case off == 0:
		h.k = nil
		return 0
	case h.k == nil:
		return syscall.EINVAL
	case off < uint64(h.off):
		h.rewind(h.k)
	}
	for uint64(h.off) < off {
		if h.next() == nil {
			return syscall.EINVAL
		}
	}
	return 0
}

func (h *mergedHandle) Releasedir(context.Context, uint32) { h.m.open.Add(-1) }

func (h *mergedHandle) Fsyncdir(context.Context, uint32) syscall.Errno { return 0 }
