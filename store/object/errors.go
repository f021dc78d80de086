package object

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt says that bytes are not what was written: rot, truncation, or tampering.
	ErrCorrupt = errors.New("corrupt object")
	// ErrVersion says that an intact object follows a format that this program does not know.
	ErrVersion = errors.New("written by a newer keepsake; update this one")
	// ErrTooLarge says that a plaintext exceeds MaxPlain.
	ErrTooLarge = errors.New("object too large")
)

// CorruptError says where an object is damaged. It wraps ErrCorrupt and Err.
type CorruptError struct {
	// Kind is the kind of object that was expected, or 0 if it was not even recognisable.
	Kind Kind
	// Name is the object's name in the repository; empty where the decoder was given bytes only.
	Name string
	// Offset is the byte, from the object's beginning, at which the damaged part starts.
	Offset int64
	// Err is the reason.
	Err error
}

// Error implements error.
func (e *CorruptError) Error() string {
	name := e.Name
	if name != "" {
		name = " " + name
	}
	return fmt.Sprintf("corrupt %s%s at byte %d: %v", e.Kind, name, e.Offset, e.Err)
}

// Unwrap makes both ErrCorrupt and the reason visible to errors.Is and errors.As.
func (e *CorruptError) Unwrap() []error { return []error{ErrCorrupt, e.Err} }

// Corrupt returns a CorruptError without a name, its reason formatted like fmt.Errorf.
func Corrupt(kind Kind, offset int64, format string, args ...any) error {
	return &CorruptError{Kind: kind, Offset: offset, Err: fmt.Errorf(format, args...)}
}
