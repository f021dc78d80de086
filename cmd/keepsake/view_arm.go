package main

import (
	"context"
	"errors"
	"log/slog"

	"keepsake/store"
)

// The FUSE library does not compile for 32-bit ARM: it takes the result of
// syscall.Splice for an int64, which there is an int. Everything but the
// mounted view works in that build.
var errNoView = errors.New("this 32-bit build has no mounted view; keepsake restore, dump and ls work")

type view struct{}

func (*view) Refresh()       {}
func (*view) Wait()          {}
func (*view) Abandon()       {}
func (*view) Unmount() error { return nil }

func mountView(context.Context, *store.Repository, viewPlace, *slog.Logger) (*view, error) {
	return nil, errNoView
}
func healView(string) (bool, error) { return false, nil }
func occupied(error) bool           { return false }
