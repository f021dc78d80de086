package backend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"keepsake/store/durable"
)

// Put stages, writes and publishes one small object.
func (l *Local) Put(ctx context.Context, name string, data []byte) error {
	s, err := l.Stage(ctx, name)
	if err != nil {
		return err
	}
	if _, err := s.Write(data); err != nil {
		return errors.Join(err, s.Discard())
	}
	return l.Publish(ctx, s)
}

// Publish makes staged objects visible and durable, in this order: every file
// is synced, missing directories are made and synced into their parents, every
// file is renamed, each directory is synced once. When it returns nil all of it
// survives a power cut.
//
// Publish consumes all objects given, also when it fails. After an error some
// of them may be visible, in the order given and each whole, but the caller
// must treat none as stored and write the data again under new names. A taken
// name is ErrExists. A cancelled context counts until the first rename.
func (l *Local) Publish(ctx context.Context, staged ...*Staged) error {
	err := l.publishable(staged)
	if err == nil {
		err = l.publish(ctx, staged)
	}
	// What was renamed is consumed by now; this drops the rest.
	return errors.Join(err, discard(staged))
}

// publishable finds the caller's mistakes before anything becomes visible.
func (l *Local) publishable(staged []*Staged) error {
	names := map[string]bool{}
	for _, s := range staged {
		switch {
		case s.owner != l:
			return fmt.Errorf("%s: staged in another repository: %w", s.name, ErrConsumed)
		case s.consumed:
			return fmt.Errorf("%s: %w", s.name, ErrConsumed)
		case s.err != nil:
			return fmt.Errorf("%s: %w", s.name, s.err)
		case names[s.name]:
			return fmt.Errorf("%w: %s is given twice", ErrExists, s.name)
		}
		names[s.name] = true
	}
	return nil
}

func (l *Local) publish(ctx context.Context, staged []*Staged) error {
	for _, s := range staged {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.file.Sync(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	if err := ctx.Err(); err != nil || len(staged) == 0 {
		return err
	}
	if err := l.present(); err != nil {
		return err
	}
	names := make([]string, len(staged))
	for i, s := range staged {
		names[i] = s.name
	}
	folders := foldersOf(names)
	if err := l.dirs.settle(l, folders); err != nil {
		return err
	}
	for _, s := range staged {
		if err := s.show(); err != nil {
			return err
		}
	}
	for _, dir := range folders {
		if err := l.dirs.sync(l, dir); err != nil {
			return err
		}
	}
	return nil
}

// foldersOf returns the directories of some objects, each once.
func foldersOf(names []string) (folders []string) {
	seen := map[string]bool{}
	for _, name := range names {
		if dir := path.Dir(name); !seen[dir] {
			seen[dir] = true
			folders = append(folders, dir)
		}
	}
	return folders
}

// SyncNames makes sure that objects which were seen survive a power cut: whoever
// published them may have been killed between rename and fsync. Each directory
// is synced once. One whose fsync failed before in this process is
// durable.ErrSealed, for objects in it may have been lost without a further
// error; only a new process can tell.
func (l *Local) SyncNames(ctx context.Context, names ...string) error {
	if err := ctx.Err(); err != nil || len(names) == 0 {
		return err
	}
	for _, name := range names {
		if err := CheckName(name); err != nil {
			return err
		}
	}
	if err := l.present(); err != nil {
		return err
	}
	folders := foldersOf(names)
	for _, dir := range folders {
		if err, ok := l.dirs.failed.Load(dir); ok {
			return fmt.Errorf("directory %s was not synced, run keepsake anew: %w: %w", dir, durable.ErrSealed, err.(error))
		}
	}
	if err := l.dirs.settle(l, folders); err != nil {
		return err
	}
	for _, dir := range folders {
		if err := l.dirs.sync(l, dir); err != nil {
			return err
		}
	}
	return nil
}

// show closes a synced file and gives it its name.
func (s *Staged) show() error {
	// Network file systems report a late write error here.
	err := s.file.Close()
	s.consumed = true
	defer s.owner.forget(s.temp)
	if err == nil {
		err = s.owner.disk.Rename(s.path(), s.owner.path(s.name))
	}
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrExist) {
		err = fmt.Errorf("%w: %s", ErrExists, s.name)
	} else {
		err = fmt.Errorf("%s: %w", s.name, s.owner.absent(err))
	}
	if rerr := s.owner.disk.Remove(s.path()); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	return err
}

func discard(staged []*Staged) error {
	var failed error
	for _, s := range staged {
		failed = errors.Join(failed, s.Discard())
	}
	return failed
}
