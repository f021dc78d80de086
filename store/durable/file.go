package durable

import (
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
)

// File is an open file. ReadAt and WriteAt may be called concurrently; Write
// by one goroutine at a time.
type File struct {
	disk  *Disk
	f     *os.File
	fault atomic.Pointer[error] // the first failed write or sync
}

// Name returns the path that the file was opened with.
func (f *File) Name() string { return f.f.Name() }

// usable is the error of a sealed file.
func (f *File) usable() error {
	if cause := f.fault.Load(); cause != nil {
		return fmt.Errorf("%w: %w", ErrSealed, *cause)
	}
	return nil
}

func (f *File) seal(err error) error {
	f.fault.CompareAndSwap(nil, &err)
	return err
}

// Write appends at the current position. A failure seals the file: how much of
// p arrived is unknown.
func (f *File) Write(p []byte) (int, error) {
	if err := f.usable(); err != nil {
		return 0, err
	}
	if err := f.disk.before(OpWrite, f.Name()); err != nil {
		return 0, f.seal(err)
	}
	n, err := f.f.Write(p)
	if err != nil {
		return n, f.seal(err)
	}
	return n, nil
}

// WriteAt writes p at off bytes from the start. A failure seals the file.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if err := f.usable(); err != nil {
		return 0, err
	}
	if err := f.disk.before(OpWrite, f.Name()); err != nil {
		return 0, f.seal(err)
	}
	n, err := f.f.WriteAt(p, off)
	if err != nil {
		return n, f.seal(err)
	}
	return n, nil
}

// ReadAt follows io.ReaderAt. It allocates nothing and takes no lock. A sealed
// file is not read either: the page cache may show bytes that the disk has not.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	if err := f.usable(); err != nil {
		return 0, err
	}
	if err := f.disk.before(OpRead, f.Name()); err != nil {
		return 0, err
	}
	return f.f.ReadAt(p, off)
}

// Size returns the file's length in bytes.
func (f *File) Size() (int64, error) {
	if err := f.disk.before(OpStat, f.Name()); err != nil {
		return 0, err
	}
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Sync makes the file's bytes durable; its name is durable only after SyncDir.
// A failure seals the file.
func (f *File) Sync() error {
	if err := f.usable(); err != nil {
		return err
	}
	if err := f.disk.before(OpSync, f.Name()); err != nil {
		return f.seal(err)
	}
	if err := f.f.Sync(); err != nil {
		return f.seal(err)
	}
	return nil
}

// Close releases the descriptor, also when it returns an error, and also of a
// sealed file. It makes nothing durable.
func (f *File) Close() error {
	hooked := f.disk.before(OpClose, f.Name())
	if err := f.f.Close(); err != nil {
		return err
	}
	return hooked
}

// StartWriteback asks the kernel to begin writing n bytes from off, so that the
// coming Sync finds little to do and memory does not fill with dirty pages. It
// does not wait, promises nothing, and has no error: a write that fails on the
// way is reported by Sync.
func (f *File) StartWriteback(off, n int64) {
	if off < 0 || n <= 0 || f.fault.Load() != nil {
		return
	}
	conn, err := f.f.SyscallConn()
	if err != nil {
		return
	}
	_ = conn.Control(func(fd uintptr) { startWriteback(fd, off, n) }) // a hint: the sync that counts comes later
}

// PrivateFile and PrivateDir are the modes for what only the owner may see.
const (
	PrivateFile fs.FileMode = 0o600
	PrivateDir  fs.FileMode = 0o700
)
