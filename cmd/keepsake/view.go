//go:build !arm

package main

import (
	"context"
	"errors"
	"log/slog"

	"keepsake/fusefs"
	"keepsake/fusefs/mountpoint"
	"keepsake/store"
)

// view is the mounted view.
type view = fusefs.Mounted

func mountView(ctx context.Context, r *store.Repository, place viewPlace, log *slog.Logger) (*view, error) {
	return fusefs.Mount(ctx, fusefs.Options{
		Repository: r, Dir: place.dir, AllowOther: place.AllowOther, NoExec: place.NoExec,
		// What is read ahead lies in the cache, beside what is being read and was.
		Prefetch: place.Cache / 4, ReadAhead: int(place.ReadAhead), Log: log,
	})
}

// healView removes a mount that a killed run left.
func healView(dir string) (healed bool, err error) { return mountpoint.Heal(dir) }

// occupied reports whether a mount failed for what lies at its place, which is
// somebody's mistake.
func occupied(err error) bool {
	return errors.Is(err, mountpoint.ErrNotEmpty) || errors.Is(err, mountpoint.ErrMounted) || errors.Is(err, mountpoint.ErrNoDirectory)
}
