package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Size returns an object's length in bytes; an absent object is
// fs.ErrNotExist.
func (l *Local) Size(ctx context.Context, name string) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := CheckName(name); err != nil {
		return 0, err
	}
	info, err := l.disk.Lstat(l.path(name))
	if err != nil {
		return 0, l.absent(err)
	}
	if !info.Mode().IsRegular() {
		return 0, fmt.Errorf("%s: %w", name, ErrNotObject)
	}
	return info.Size(), nil
}

// List calls fn for each object whose name begins with prefix ("", "data/",
// "data/a"), in no order, until fn fails; fn's error is returned as it is. It
// skips staged objects and whatever has no valid object name; a symbolic link or
// device under a valid one is ErrNotObject, since a directory of objects might
// hide behind it. Objects that are
// published or removed meanwhile may or may not be listed. fn may call the
// other methods. Only a nil error means that the list was complete.
func (l *Local) List(ctx context.Context, prefix string, fn func(name string, size int64) error) error {
	return l.walk(ctx, prefix, func(name string, e fs.DirEntry) (disk, callback error) {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil // removed since
		}
		if err != nil {
			return err, nil
		}
		return nil, fn(name, info.Size())
	})
}

// Names is List without sizes, for which every file would have to be looked
// at: of 100,000 it takes a third of the time, and a cold disk reads their
// directory alone.
func (l *Local) Names(ctx context.Context, prefix string, fn func(name string) error) error {
	return l.walk(ctx, prefix, func(name string, _ fs.DirEntry) (disk, callback error) { return nil, fn(name) })
}

// visit is told of one object; errors of the disk are told apart from those of
// the caller's function.
type visit func(name string, e fs.DirEntry) (disk, callback error)

func (l *Local) walk(ctx context.Context, prefix string, visit visit) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkPrefix(prefix); err != nil {
		return err
	}
	start := ""
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		start = prefix[:i]
	}
	if err := l.list(ctx, start, prefix, visit); err != nil {
		return err
	}
	// A disk that went away during the walk looks like missing directories.
	return l.present()
}

func (l *Local) list(ctx context.Context, dir, prefix string, visit visit) error {
	var callback error // told apart from the disk's errors
	err := l.disk.ReadDir(l.path(dir), func(e fs.DirEntry) (disk error) {
		if callback = ctx.Err(); callback != nil {
			return callback
		}
		name := path.Join(dir, e.Name())
		if badName(name) != "" {
			return nil
		}
		if e.IsDir() {
			if strings.HasPrefix(name, prefix) || strings.HasPrefix(prefix, name+"/") {
				callback = l.list(ctx, name, prefix, visit)
			}
			return callback
		}
		if !strings.HasPrefix(name, prefix) && !strings.HasPrefix(prefix, name+"/") {
			return nil
		}
		if !e.Type().IsRegular() {
			return fmt.Errorf("%s: %w", l.path(name), ErrNotObject)
		}
		if !strings.HasPrefix(name, prefix) {
			return nil
		}
		if disk, callback = visit(name, e); callback != nil {
			return callback
		}
		return disk
	})
	if callback != nil {
		return callback
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // List looks whether the repository is there
	}
	return err
}

// Remove removes objects and makes that durable, with one fsync per directory.
// Objects that are not there count as removed. After an error some of them are
// removed and some may come back after a power cut, those included that a
// repeated call no longer finds.
func (l *Local) Remove(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := CheckName(name); err != nil {
			return err
		}
	}
	var failed error
	touched := map[string]bool{}
	for _, name := range names {
		if failed = ctx.Err(); failed != nil {
			break
		}
		l.pool.drop(name)
		err := l.disk.Remove(l.path(name))
		if errors.Is(err, fs.ErrNotExist) {
			// Removed by a call that was killed before its fsync, perhaps: so
			// the directory is synced as well, if it exists.
			if err = l.present(); err == nil {
				_, err = l.disk.Lstat(l.path(path.Dir(name)))
			}
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
		}
		if err != nil {
			failed = err
			break
		}
		touched[path.Dir(name)] = true
	}
	for dir := range touched {
		if err := l.dirs.sync(l, dir); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}
