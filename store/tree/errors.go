package tree

import (
	"errors"
	"fmt"
	"io/fs"
)

// What parsers and builders refuse. Every error of this package wraps exactly one of these, or comes unchanged from a
// caller's fetch or put function.
var (
	// ErrEncoding: the bytes are not the one canonical encoding of what they claim to be.
	ErrEncoding = errors.New("tree: not a canonical encoding")
	// ErrUnknownKey: a field that must be understood is not. A newer keepsake wrote it.
	ErrUnknownKey = errors.New("tree: written by a newer keepsake; update this one")
	// ErrLimit: a length, count or depth beyond what the format allows.
	ErrLimit = errors.New("tree: limit exceeded")
	// ErrInvalid: fields that are well encoded but contradict each other or lie outside their range.
	ErrInvalid = errors.New("tree: invalid")
	// ErrName: a name that no directory entry may have.
	ErrName = errors.New("tree: invalid name")
	// ErrOrder: entries that are not in strictly ascending order.
	ErrOrder = errors.New("tree: entries out of order")
	// ErrStructure: pages or list chunks, each good in itself, that do not fit together.
	ErrStructure = errors.New("tree: pages do not fit together")
	// ErrNotFound: the directory has no entry of that name. It matches fs.ErrNotExist.
	ErrNotFound = fmt.Errorf("tree: no such entry: %w", fs.ErrNotExist)
)

func invalidf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrInvalid}, args...)...)
}

func limitf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrLimit}, args...)...)
}

func structuref(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrStructure}, args...)...)
}
