package pack

import "errors"

// Writing.
var (
	// ErrChunkSize says that a chunk is empty or larger than MaxChunk.
	ErrChunkSize = errors.New("chunk size out of bounds")
	// ErrFull says that a pack takes no further chunk. The pack itself is fine: close it.
	ErrFull = errors.New("pack is full")
	// ErrClosed says that the pack was closed before.
	ErrClosed = errors.New("pack is closed")
	// ErrVerify says that what was just sealed or compressed does not give back what went in:
	// memory or processor are at fault. Nothing of it may be published.
	ErrVerify = errors.New("verification of sealed data failed: faulty memory or processor")
)

// Reading.
var (
	// ErrEntry says that an entry contradicts itself. Whoever holds it, usually an index, is
	// damaged; the pack may be fine.
	ErrEntry = errors.New("impossible pack entry")
)
