package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"keepsake/crypto"
	"keepsake/store/backend"
)

var (
	// ErrNoRepository says that there is no repository at the place.
	ErrNoRepository = errors.New("no keepsake repository here")
	// ErrConfigMissing says that there is a repository whose configuration is
	// gone in both copies. It comes as a DamageError.
	ErrConfigMissing = errors.New("both copies are missing and the repository holds objects: put config or config.copy back from a copy of the repository; nothing was changed")
	// ErrExists says that a repository is there already.
	ErrExists = errors.New("a keepsake repository is here already")
	// ErrAway says that the disk of an open repository is not there at the moment.
	ErrAway = backend.ErrNoRepository
	// ErrDamaged is what every DamageError is.
	ErrDamaged = errors.New("repository is damaged")
	// ErrNoSnapshot says that no snapshot matches.
	ErrNoSnapshot = errors.New("no such snapshot")
	// ErrAmbiguous says that more than one snapshot or source matches.
	ErrAmbiguous = errors.New("ambiguous")
	// ErrKept says that a snapshot must not be forgotten.
	ErrKept = errors.New("snapshot is kept")
	// ErrLedger says that entries of the ledger cannot be read, so that nobody
	// knows which snapshots are still wanted.
	ErrLedger = errors.New("the ledger cannot be read in full")
	// ErrUnconfirmed says that a snapshot was published while a prune
	// condemned packs that it may rely on; the backup must run again before
	// the snapshot counts.
	ErrUnconfirmed = errors.New("snapshot is not confirmed: packs were condemned while it was written")
	errName        = errors.New("its content does not match its name")

	// ErrClosed says that a Writer is closed or has failed.
	ErrClosed = errors.New("writer is closed")
)

// DamageError says which object of the repository cannot be read, and why. It
// matches ErrDamaged.
type DamageError struct {
	Object string         // name in the repository, empty if a chunk is in no pack
	Chunk  crypto.ChunkID // zero if the whole object is meant
	Err    error          // all there is to say if there is neither
}

func (e *DamageError) Error() string {
	switch {
	case e.Object == "" && e.Chunk == crypto.ChunkID{}:
		return e.Err.Error()
	case e.Object == "":
		return fmt.Sprintf("chunk %v is in no pack: %v", e.Chunk, e.Err)
	case e.Chunk == crypto.ChunkID{}:
		return fmt.Sprintf("%s: %v", e.Object, e.Err)
	default:
		return fmt.Sprintf("%s, chunk %.16v: %v", filepath.ToSlash(e.Object), e.Chunk, e.Err)
	}
}

// Unwrap returns the cause.
func (e *DamageError) Unwrap() []error { return []error{ErrDamaged, e.Err} }
