package backend

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sync"

	"keepsake/store/durable"
)

// dirs knows which directories of the repository are durable in their parents,
// so that each is synced there once per process and not once per object. A
// directory found existing is not trusted at first: another writer may have
// made it a moment ago, or a killed one before its fsync.
type dirs struct {
	mu      sync.Mutex // held while directories are made; readers never need it
	settled map[string]bool
	doubted map[string]error // in a parent whose fsync failed and not removable
	failed  sync.Map         // directories whose fsync failed → its error; no names in them can be confirmed
}

// sync makes the names in a directory durable, and remembers a failure: the
// next fsync would succeed and prove nothing about what this one lost.
func (d *dirs) sync(l *Local, dir string) error {
	err := l.disk.SyncDir(l.path(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.failed.LoadOrStore(dir, err)
	}
	return err
}

// settle creates the missing ones of the named directories and their parents
// below the root, and makes them durable with one fsync per parent. New
// directories whose parent could not be synced are removed again: syncing that
// parent a second time would prove nothing.
func (d *dirs) settle(l *Local, names []string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.settled == nil {
		d.settled, d.doubted = map[string]bool{}, map[string]error{}
	}
	var fresh, made, parents []string
	seen, synced := map[string]bool{".": true}, map[string]bool{}
	for _, name := range names {
		for _, dir := range chain(name) {
			if seen[dir] {
				continue
			}
			seen[dir] = true
			if err := d.doubted[dir]; err != nil {
				return fmt.Errorf("%s: %w: %w", dir, durable.ErrSealed, err)
			}
			created, err := l.ensureDir(dir)
			if err != nil {
				return err
			}
			if created {
				made = append(made, dir)
			} else if d.settled[dir] {
				continue
			}
			fresh = append(fresh, dir)
			if parent := path.Dir(dir); !synced[parent] {
				synced[parent] = true
				parents = append(parents, parent)
			}
		}
	}
	for _, parent := range parents {
		if err := d.sync(l, parent); err != nil {
			return errors.Join(err, d.retreat(l, parent, err, fresh, made))
		}
	}
	for _, dir := range fresh {
		d.settled[dir] = true
	}
	return nil
}

// retreat removes the directories just made, deepest first, and doubts the
// others of the parent whose fsync failed.
func (d *dirs) retreat(l *Local, parent string, cause error, fresh, made []string) error {
	var failed error
	removed := map[string]bool{}
	for i := len(made) - 1; i >= 0; i-- {
		delete(d.settled, made[i])
		if err := l.disk.Remove(l.path(made[i])); err == nil || errors.Is(err, fs.ErrNotExist) {
			removed[made[i]] = true
		} else {
			failed = errors.Join(failed, err)
		}
	}
	for _, dir := range fresh {
		if path.Dir(dir) == parent && !removed[dir] {
			d.doubted[dir] = cause
		}
	}
	return failed
}

// chain returns dir and its parents, outermost first: a/b → a, a/b.
func chain(dir string) []string {
	var out []string
	for i := range dir {
		if dir[i] == '/' {
			out = append(out, dir[:i])
		}
	}
	return append(out, dir)
}

// ensureDir creates one directory whose parent exists. It never creates the
// root, which may be a mount point without its disk.
func (l *Local) ensureDir(dir string) (created bool, err error) {
	info, err := l.disk.Lstat(l.path(dir))
	if errors.Is(err, fs.ErrNotExist) {
		err = l.disk.Mkdir(l.path(dir), durable.PrivateDir)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return false, err
		}
		info, err = l.disk.Lstat(l.path(dir)) // another writer was faster
	}
	if err != nil {
		return false, err
	}
	if !info.IsDir() {
		return false, fmt.Errorf("%s: %w: expected a directory, found %s", l.path(dir), ErrNotObject, info.Mode().Type())
	}
	return false, nil
}
