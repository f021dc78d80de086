package restore

import (
	"context"
	"crypto/sha256"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// decide compares what stands in an entry's place with the entry, as the
// policy wants it. made means that the entry is to be written; present, that
// something will be replaced.
func (r *run) decide(ctx context.Context, j *job) (what outcome, present bool, err error) {
	d := j.dir
	if d.created || d.absent {
		return made, false, nil
	}
	st, err := lookAt(d.fd, j.name)
	if err != nil {
		return made, false, target("looking at what is in its place", err)
	}
	if st == nil {
		return made, false, nil
	}
	switch r.options.Overwrite {
	case Never:
		return left, true, nil
	case IfNewer:
		if j.node.MTime.Compare(mtimeOf(st)) <= 0 {
			return left, true, nil
		}
	case IfChanged:
		if typeOf(st) != j.node.Type {
			break
		}
		unchanged, err := r.unchanged(ctx, j, st)
		if unchanged || err != nil {
			return same, true, err
		}
	}
	return made, true, nil
}

// unchanged reports whether what is there has the content of the snapshot's
// entry, and if so sets its metadata.
func (r *run) unchanged(ctx context.Context, j *job, st *unix.Stat_t) (bool, error) {
	if j.node.Type == tree.File {
		return r.unchangedFile(ctx, j, st)
	}
	return r.unchangedSpecial(j, st), nil
}

func (r *run) unchangedFile(ctx context.Context, j *job, st *unix.Stat_t) (bool, error) {
	n := j.node
	if uint64(st.Size) != n.Size || n.SHA256 == nil && mtimeOf(st) != n.MTime {
		return false, nil
	}
	fd, err := openAt(j.dir.fd, j.name, unix.O_RDONLY, 0)
	if err != nil {
		return false, nil // what cannot be read is written anew
	}
	defer unix.Close(fd)
	opened, err := look(fd)
	if err != nil || typeOf(opened) != tree.File || uint64(opened.Size) != n.Size {
		return false, nil
	}
	if n.SHA256 != nil {
		sum, err := r.digest(ctx, fd)
		if interrupted(err) {
			return false, err
		}
		if err != nil || sum != *n.SHA256 {
			return false, nil
		}
	}
	if r.options.DryRun {
		return true, nil
	}
	if opened.Nlink > 1 {
		// Its other names may lie anywhere: it is taken as it is or not at all.
		return sameMetadata(opened, n), nil
	}
	attrs, err := r.repository.Xattrs(ctx, n)
	if err != nil {
		return false, err
	}
	h := handle{fd: fd}
	if !j.dir.guarded {
		// It may have been a link to a file outside when it was opened, and
		// taken away before the look: one name then, and none of ours.
		return sameMetadata(opened, n) && h.sameAttrs(attrs), nil
	}
	return true, r.describe(h, n, attrs, j.path)
}

// unchangedSpecial asks for equality in all that can be seen cheaply; making
// such an entry again costs little.
func (r *run) unchangedSpecial(j *job, st *unix.Stat_t) bool {
	n := j.node
	if !sameMetadata(st, n) || len(n.Xattrs) > 0 {
		return false
	}
	switch n.Type {
	case tree.Symlink:
		buf := make([]byte, len(n.Target)+1)
		k, err := unix.Readlinkat(j.dir.fd, j.name, buf)
		return err == nil && string(buf[:k]) == string(n.Target)
	case tree.CharDevice, tree.BlockDevice:
		return rdevOf(st) == n.Rdev
	}
	return true
}

func sameMetadata(st *unix.Stat_t, n *tree.Node) bool {
	return st.Uid == n.UID && st.Gid == n.GID && mtimeOf(st) == n.MTime &&
		(n.Type == tree.Symlink || uint32(st.Mode)&0o7777 == n.Mode)
}

func rdevOf(st *unix.Stat_t) tree.Rdev {
	return tree.Rdev{Major: unix.Major(uint64(st.Rdev)), Minor: unix.Minor(uint64(st.Rdev))}
}

// digest reads an open file from its beginning to its end.
func (r *run) digest(ctx context.Context, fd int) (sum [32]byte, err error) {
	const size = 512 << 10
	buf, err := r.buffers.take(ctx, size)
	if err != nil {
		return sum, err
	}
	defer r.buffers.give(buf, size)
	h := sha256.New()
	for off := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		var n int
		err := again(func() (err error) {
			n, err = unix.Pread(fd, buf[:size], off)
			return err
		})
		if err != nil {
			return sum, target("reading back", err)
		}
		if n == 0 {
			return [32]byte(h.Sum(nil)), nil
		}
		h.Write(buf[:n])
		off += int64(n)
	}
}
