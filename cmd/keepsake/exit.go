package main

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"keepsake/crypto"
	"keepsake/daemon/control"
	"keepsake/store"
	"keepsake/store/backend"
	"keepsake/store/state"
)

// Exit codes, after restic's. Scripts may rely on them; an unknown one means
// failure.
const (
	exitOK           = 0
	exitFailed       = 1
	exitUsage        = 2 // wrong usage, or an internal error
	exitIncomplete   = 3 // done, but something could not be read, restored or is not sound
	exitNoRepository = 10
	exitSecondOwner  = 11
	exitPassword     = 12
	exitInterrupted  = 130
)

// errIncomplete ends a verb that has already said what is missing.
var errIncomplete = errors.New("incomplete")

// exitCode is what an error means to the shell.
func exitCode(ctx context.Context, err error) int {
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, new(*usageError)):
		return exitUsage
	case errors.Is(err, errIncomplete):
		return exitIncomplete
	case errors.Is(err, store.ErrNoRepository), errors.Is(err, backend.ErrNoRepository):
		return exitNoRepository
	case errors.As(err, new(*state.OwnedError)), errors.Is(err, control.ErrOwned):
		return exitSecondOwner
	case errors.Is(err, crypto.ErrWrongSecret), errors.Is(err, crypto.ErrNoSlots), errors.Is(err, errNoSecret):
		return exitPassword
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		return exitInterrupted
	}
	return exitFailed
}

// remedy is the next step for errors whose own text cannot know it.
func remedy(err error) string {
	if refused, ok := errors.AsType[*refusedError](err); ok {
		return refused.next
	}
	if misplaced, ok := errors.AsType[*misplacedError](err); ok {
		return misplaced.next
	}
	switch {
	case errors.As(err, new(*runningError)):
		return "One keeps all sources; all other verbs work beside it. Stop it first, if another is to take its place."
	case errors.Is(err, store.ErrNoRepository), errors.Is(err, backend.ErrNoRepository):
		return "Create one with keepsake up DIR or keepsake init, or say where it is with --repository."
	case errors.Is(err, crypto.ErrWrongSecret), errors.Is(err, crypto.ErrNoSlots):
		return "Check the password or key file; the recovery code works as a password, too."
	case errors.Is(err, syscall.ENOSPC):
		return "The disk is full. Earlier snapshots are intact; free some space and run this again."
	case errors.Is(err, syscall.EROFS):
		return "The disk is mounted read-only."
	case errors.Is(err, fs.ErrPermission):
		return "Run this as the user who owns the files, or as root."
	case errors.As(err, new(*state.OwnedError)):
		return "Wait until it is done, or stop it."
	}
	return ""
}
