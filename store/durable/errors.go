package durable

import "errors"

var (
	// ErrSealed is returned by every operation on a File after one of its
	// writes or its fsync has failed. The error also wraps that first failure.
	// The file's bytes must be written anew, to a new file with a new name.
	ErrSealed = errors.New("file is sealed after a failed write or sync")

	// ErrNotRegular is returned by Open for anything but a regular file.
	ErrNotRegular = errors.New("not a regular file")
)
