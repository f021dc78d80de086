package restore

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"keepsake/store/tree"
)

// job is an entry other than a directory, to be restored by a worker.
type job struct {
	dir        *directory
	node       *tree.Node
	name, path string
	// copied is how much of the content the progress has seen.
	copied atomic.Int64
}

// outcome is what became of an entry that did not fail.
type outcome uint8

const (
	made   outcome = iota // written anew
	linked                // made as a hard link
	same                  // it was there, and its content is the snapshot's
	left                  // it was there, and the policy leaves it
)

// do restores the entry of a job.
func (r *run) do(ctx context.Context, j *job) {
	defer r.release(ctx, j.dir)
	if ctx.Err() != nil {
		return
	}
	restore := r.single
	if j.node.LinkGroup != 0 && j.node.Links > 1 {
		restore = r.grouped
	}
	what, err := restore(ctx, j)
	r.progress.Entries.Add(1)
	r.progress.Bytes.Add(int64(j.node.Size) - j.copied.Load())
	if gaps, ok := errors.AsType[*salvaged](err); ok {
		r.tally.lose(j.path, gaps, true)
		return
	}
	if err != nil {
		r.settle(ctx, j.path, err)
		return
	}
	switch what {
	case made:
		r.tally.bytes.Add(int64(j.node.Size))
		r.tally.restored(j.node)
	case linked:
		r.tally.links.Add(1)
		r.tally.restored(j.node)
	default:
		r.tally.skipped.Add(1)
	}
}

// single restores an entry without regard to hard links.
func (r *run) single(ctx context.Context, j *job) (outcome, error) {
	what, present, err := r.decide(ctx, j)
	if err != nil || what != made {
		return what, err
	}
	return made, r.make(ctx, j, !present)
}

// make writes an entry under a temporary name and gives it its own.
func (r *run) make(ctx context.Context, j *job, absent bool) error {
	if r.options.DryRun {
		return nil
	}
	attrs, damage := r.repository.Xattrs(ctx, j.node)
	if damage != nil {
		damage = fmt.Errorf("its extended attributes are lost: %w", damage)
		if ends(damage) || !r.options.Salvage {
			return damage
		}
		damage = &salvaged{damage.Error()}
	}
	temporary := r.temporary.next()
	place, err := r.stage(j, temporary)
	if err != nil {
		return err
	}
	defer place.close()
	if j.node.Type == tree.File {
		err = r.makeFile(ctx, j, temporary, attrs)
	} else {
		err = r.makeSpecial(j, place, temporary, attrs)
	}
	if gaps, ok := errors.AsType[*salvaged](err); ok {
		damage, err = gaps, nil
	}
	if err == nil {
		err = r.publish(j, place.fd, temporary, absent)
	}
	if err == nil {
		return damage
	}
	if !errors.Is(err, unix.EEXIST) {
		// Best effort: what stays is removed by the next restore.
		_ = removeAt(place.fd, temporary, 0)
	}
	return err
}

// publish renames a finished entry, from the directory in which it was made, to
// its name. absent says that nothing was there when the decision was made.
func (r *run) publish(j *job, from int, temporary string, absent bool) error {
	dir := j.dir.fd
	rename := func(flags uint) error {
		return again(func() error {
			if flags == 0 {
				return unix.Renameat(from, temporary, dir, j.name)
			}
			return unix.Renameat2(from, temporary, dir, j.name, flags)
		})
	}
	err := error(unix.EINVAL)
	if absent && r.noReplace.Load() {
		err = rename(unix.RENAME_NOREPLACE)
	}
	if absent && (err == unix.EINVAL || err == unix.ENOSYS || err == unix.ENOTSUP) {
		// A file system that cannot leave it to the kernel. What appears between
		// these two calls is lost; nothing better exists there.
		r.noReplace.Store(false)
		st, looked := lookAt(dir, j.name)
		if err = looked; st != nil {
			err = unix.EEXIST
		} else if err == nil {
			err = rename(0)
		}
	}
	switch {
	case absent && err == unix.EEXIST && j.dir.created:
		return errFolded
	case absent && err == unix.EEXIST && r.options.Overwrite != Always:
		return errOccupied
	case absent && err != unix.EEXIST:
		return target("renaming", err)
	}
	err = rename(0)
	if err == unix.EISDIR || err == unix.ENOTEMPTY || err == unix.EEXIST {
		if err := r.clearDirectory(j); err != nil {
			return err
		}
		err = rename(0)
	}
	return target("renaming", err)
}

// clearDirectory removes a directory that stands in the place of another kind
// of entry: an empty one, or with Delete any.
func (r *run) clearDirectory(j *job) error {
	err := removeAt(j.dir.fd, j.name, unix.AT_REMOVEDIR)
	switch {
	case err == nil, err == unix.ENOENT:
		return nil
	case err != unix.ENOTEMPTY && err != unix.EEXIST:
		return target("replacing a directory", err)
	case !r.options.Delete:
		return errFull
	}
	return target("replacing a directory", removeTree(j.dir.fd, j.name, j.dir.device))
}
