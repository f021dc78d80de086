package index

import "errors"

var (
	// ErrDamaged says that the file cannot be trusted; rebuild it.
	ErrDamaged = errors.New("index is damaged")
	// ErrForeign says that the file is intact but of another repository or
	// of another layout version; rebuild it.
	ErrForeign = errors.New("index belongs to another repository or version")
)
