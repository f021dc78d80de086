//go:build !linux

package durable

import (
	"os"
	"syscall"
)

// renameNoReplace sends Rename to link and remove.
func renameNoReplace(oldpath, newpath string) error {
	return &os.LinkError{Op: "rename", Old: oldpath, New: newpath, Err: syscall.ENOSYS}
}

func startWriteback(fd uintptr, off, n int64) {}

func freeSpace(path string) (free, total uint64, err error) {
	return 0, 0, syscall.ENOSYS
}
