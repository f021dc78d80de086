package state

import (
	"errors"
	"fmt"
)

var (
	// ErrPinned says that the repository is not the one this state belongs to.
	ErrPinned = errors.New("repository is not the one that this state directory belongs to")
	// ErrRolledBack says that a chain ends earlier than this state remembers.
	ErrRolledBack = errors.New("repository has lost snapshots that this machine remembers")

	// errDamaged says that state.db cannot be read; Open sets it aside.
	errDamaged = errors.New("state.db is damaged")
)

// OwnedError says that another process owns the state directory.
type OwnedError struct {
	Dir string
	PID int // 0 if the owner left no trace of its number yet
}

func (e *OwnedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("state directory %s is in use by another process", e.Dir)
	}
	return fmt.Sprintf("state directory %s is in use by process %d", e.Dir, e.PID)
}
