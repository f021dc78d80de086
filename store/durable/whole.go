package durable

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// TempSuffix ends the name of every temporary file of WriteFile and
// ReplaceFile. A kill leaves such a file beside the target; it never matters
// and may be deleted when no process is writing there.
const TempSuffix = ".tmp"

// WriteFile creates path with data, durably: when it returns nil, name and
// bytes survive a power cut. An existing path is fs.ErrExist and stays as it
// is. After an error path is absent or whole, never a part; only when the
// directory's fsync failed is it there and not known to be durable.
func (d *Disk) WriteFile(path string, data []byte, perm fs.FileMode) error {
	return d.whole(path, data, perm, d.Rename)
}

// ReplaceFile is WriteFile that may replace an existing file: afterwards path
// holds the old bytes or the new ones, whatever happened. A symbolic link at
// path is itself replaced. It is meant for configuration and state of our own,
// never for objects, which are immutable.
func (d *Disk) ReplaceFile(path string, data []byte, perm fs.FileMode) error {
	return d.whole(path, data, perm, func(oldpath, newpath string) error {
		if err := d.before(OpRename, oldpath); err != nil {
			return err
		}
		return os.Rename(oldpath, newpath)
	})
}

func (d *Disk) whole(path string, data []byte, perm fs.FileMode, rename func(oldpath, newpath string) error) error {
	var random [8]byte
	rand.Read(random[:]) // never fails, by crypto/rand's contract
	temp := path + "." + hex.EncodeToString(random[:]) + TempSuffix
	f, err := d.Create(temp, perm)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = rename(temp, path)
	}
	if err != nil {
		if rerr := d.Remove(temp); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
		return err
	}
	return d.SyncDir(filepath.Dir(path))
}
