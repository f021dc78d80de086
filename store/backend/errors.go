package backend

import "errors"

var (
	// ErrExists is returned when an object's name is taken. The object that
	// has it is untouched.
	ErrExists = errors.New("object exists")

	// ErrName is returned for names that CheckName refuses.
	ErrName = errors.New("invalid object name")

	// ErrNoRepository is returned when the directory holds no repository, or
	// no longer: its disk may have been unmounted.
	ErrNoRepository = errors.New("no repository here")

	// ErrNotEmpty is returned by CreateLocal for a directory with files that
	// are not a repository's.
	ErrNotEmpty = errors.New("directory is not empty and not a repository")

	// ErrNotObject is returned for names under which lies something that is not
	// an object: a directory, a symbolic link, a device.
	ErrNotObject = errors.New("not an object")

	// ErrConsumed is returned for a staged object that was published or
	// discarded before.
	ErrConsumed = errors.New("staged object was published or discarded")
)
