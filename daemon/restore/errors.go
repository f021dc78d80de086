package restore

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"keepsake/store"
	"keepsake/store/tree"
)

var (
	// ErrTarget says that the target is something other than a directory.
	ErrTarget = errors.New("the target is not a directory")
	// ErrBusy says that another restore is writing to the target.
	ErrBusy = errors.New("another restore is writing to this target")
	// ErrPattern says that an include pattern cannot be parsed.
	ErrPattern = errors.New("invalid pattern")
	// ErrPolicy says that a word names no overwrite policy.
	ErrPolicy = errors.New("unknown overwrite policy")
)

// refusal is a reason for which an entry is lost though nothing failed.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	errFolded   refusal = "the file system takes its name for that of another entry"
	errOccupied refusal = "something appeared in its place meanwhile"
	errSwapped  refusal = "somebody keeps replacing it while it is restored"
	errFull     refusal = "a directory that is not empty is in its place"
	errDeep     refusal = "it lies too deep"
	errDevice   refusal = "this system has no such device number"
	errDigest   refusal = "its content does not match its SHA-256"
	errSwitched refusal = "it was replaced while its metadata was set"
)

// inPlace is the refusal to replace what is not a directory by one.
func inPlace(what string) refusal {
	return refusal(what + " is in its place; --overwrite always would replace it")
}

// targetError is a failure of the target, not of the repository.
type targetError struct {
	op  string
	err error
}

func (e *targetError) Error() string { return e.op + ": " + e.err.Error() }
func (e *targetError) Unwrap() error { return e.err }

func target(op string, err error) error {
	if err == nil {
		return nil
	}
	return &targetError{op, err}
}

// ends reports whether an error that befell one entry ends the run, because
// the next entry would fare no better.
func ends(err error) bool {
	if _, ok := errors.AsType[refusal](err); ok {
		return false
	}
	if _, ok := errors.AsType[*targetError](err); ok {
		return failing(err)
	}
	return !damaged(err)
}

// failing reports whether an error means the file system or the process rather
// than one entry.
func failing(err error) bool {
	for _, errno := range [...]unix.Errno{
		unix.ENOSPC, unix.EDQUOT, unix.EROFS, unix.EIO,
		unix.ENODEV, unix.ENXIO, unix.ESTALE, unix.ENOTCONN,
		unix.ENOMEM, unix.EMFILE, unix.ENFILE,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// damaged reports whether an error from the repository says that an object is
// bad. A repository that cannot be reached is another matter: everything would
// seem lost.
func damaged(err error) bool {
	for _, errno := range [...]unix.Errno{unix.ENODEV, unix.ENXIO, unix.ESTALE, unix.ENOTCONN, unix.ENOMEM, unix.EMFILE, unix.ENFILE} {
		if errors.Is(err, errno) {
			return false
		}
	}
	for _, bad := range [...]error{
		store.ErrDamaged, tree.ErrEncoding, tree.ErrUnknownKey, tree.ErrLimit,
		tree.ErrInvalid, tree.ErrName, tree.ErrOrder, tree.ErrStructure,
	} {
		if errors.Is(err, bad) {
			return true
		}
	}
	return false
}

func interrupted(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func wrongLength(e store.Extent, got int) error {
	return &store.DamageError{Chunk: e.Chunk, Err: fmt.Errorf("chunk has %d bytes, the file's list says %d", got, e.Length)}
}
