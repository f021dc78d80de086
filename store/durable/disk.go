package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Op names an operation for a Disk's hook.
type Op uint8

// The operations. Each is announced to the hook once, before it happens.
const (
	OpCreate  Op = iota + 1 // create a file that does not exist
	OpOpen                  // open a file for reading
	OpWrite                 // write to a file
	OpSync                  // fsync of a file
	OpClose                 // close a file
	OpRename                // rename a file; the path is the old name
	OpLink                  // give a file a second name; the path is the old name
	OpSyncDir               // fsync of a directory
	OpRemove                // remove a file or an empty directory
	OpMkdir                 // create one directory
	OpRead                  // read from a file
	OpList                  // read a directory
	OpStat                  // ask for metadata or free space
)

var opNames = [...]string{"", "create", "open", "write", "sync", "close", "rename", "link",
	"syncdir", "remove", "mkdir", "read", "list", "stat"}

// String returns the operation's lowercase name.
func (o Op) String() string {
	if o == 0 || int(o) >= len(opNames) {
		return fmt.Sprintf("op(%d)", uint8(o))
	}
	return opNames[o]
}

// Disk performs operations on the file system of the process. The zero value
// and a nil Disk are ready for use. A Disk is safe for concurrent use if its
// Hook is.
type Disk struct {
	// Hook, if set, is called before each operation. An error from it is the
	// operation's error, and the operation does not happen. Tests fail or kill
	// here; production leaves it nil.
	Hook func(op Op, path string) error
}

func (d *Disk) before(op Op, path string) error {
	if d == nil || d.Hook == nil {
		return nil
	}
	if err := d.Hook(op, path); err != nil {
		return &fs.PathError{Op: op.String(), Path: path, Err: err}
	}
	return nil
}

// Create makes a new file for reading and writing. It fails with fs.ErrExist
// if anything has that name, a dangling symbolic link included. perm is subject
// to the umask. The caller closes the File.
func (d *Disk) Create(path string, perm fs.FileMode) (*File, error) {
	if err := d.before(OpCreate, path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, perm)
	if err != nil {
		return nil, err
	}
	return &File{disk: d, f: f}, nil
}

// Open opens a regular file for reading. Anything else is ErrNotRegular. The
// caller closes the File.
func (d *Disk) Open(path string) (*File, error) {
	if err := d.before(OpOpen, path); err != nil {
		return nil, err
	}
	// O_NONBLOCK: opening a FIFO must not wait for a writer that never comes.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENXIO) { // a symbolic link, a socket
		return nil, fmt.Errorf("%w: %w", ErrNotRegular, err)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: path, Err: ErrNotRegular}
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return &File{disk: d, f: f}, nil
}

// Rename gives a file a new name in the same file system. It never replaces:
// an existing new name is fs.ErrExist, decided by the kernel and not by a look
// beforehand. Where the file system cannot do that in one step the file is
// linked and the old name removed; if only the removal fails, the file has both
// names and the error is returned. The new name is durable after SyncDir.
func (d *Disk) Rename(oldpath, newpath string) error {
	err := d.before(OpRename, oldpath)
	if err == nil {
		err = renameNoReplace(oldpath, newpath)
	}
	if !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOSYS) && !errors.Is(err, syscall.EOPNOTSUPP) {
		return err
	}
	// NFS and some FUSE file systems refuse the flag; kernels before 3.15 lack
	// the call. link(2) refuses an existing name everywhere.
	if err := d.before(OpLink, oldpath); err != nil {
		return err
	}
	if err := os.Link(oldpath, newpath); err != nil {
		return err
	}
	return d.Remove(oldpath)
}

// SyncDir makes the names in a directory durable. File systems that have no
// fsync for directories (some network and FUSE ones answer EINVAL or
// EOPNOTSUPP) promise nothing either way, and count as done.
func (d *Disk) SyncDir(path string) error {
	if err := d.before(OpSyncDir, path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EOPNOTSUPP) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// Remove removes a file or an empty directory. It is durable after SyncDir of
// the parent.
func (d *Disk) Remove(path string) error {
	if err := d.before(OpRemove, path); err != nil {
		return err
	}
	return os.Remove(path)
}

// Mkdir creates one directory. perm is subject to the umask. It is durable
// after SyncDir of the parent.
func (d *Disk) Mkdir(path string, perm fs.FileMode) error {
	if err := d.before(OpMkdir, path); err != nil {
		return err
	}
	return os.Mkdir(path, perm)
}

// MkdirAll creates a directory with all missing parents; each new directory is
// made durable in its parent before the next is created. A directory that
// exists already is taken to be durable.
func (d *Disk) MkdirAll(path string, perm fs.FileMode) error {
	info, err := d.Stat(path)
	if err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: path, Err: syscall.ENOTDIR}
		}
		return nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := d.MkdirAll(parent, perm); err != nil {
			return err
		}
	}
	if err := d.Mkdir(path, perm); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.SyncDir(parent)
}

// ReadDir calls fn for each entry of a directory, in no order, until fn
// fails; fn's error is returned as it is. Entries are read in batches, so that
// a huge directory costs no memory. fn may change the directory.
func (d *Disk) ReadDir(path string, fn func(fs.DirEntry) error) error {
	if err := d.before(OpList, path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(512)
		for _, e := range entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Stat describes what path leads to.
func (d *Disk) Stat(path string) (fs.FileInfo, error) {
	if err := d.before(OpStat, path); err != nil {
		return nil, err
	}
	return os.Stat(path)
}

// Lstat describes what lies at path; a symbolic link is not followed.
func (d *Disk) Lstat(path string) (fs.FileInfo, error) {
	if err := d.before(OpStat, path); err != nil {
		return nil, err
	}
	return os.Lstat(path)
}

// Free returns the bytes that this process may still write in path's file
// system, and the file system's size in bytes.
func (d *Disk) Free(path string) (free, total uint64, err error) {
	if err := d.before(OpStat, path); err != nil {
		return 0, 0, err
	}
	free, total, err = freeSpace(path)
	if err != nil {
		return 0, 0, &fs.PathError{Op: "statfs", Path: path, Err: err}
	}
	return free, total, nil
}
