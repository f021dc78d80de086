package command

import (
	"context"
	"errors"
	"io"
	"time"
)

// Into returns a function that runs a program and writes what it prints: how a command becomes a file of a snapshot.
func Into(o Options) func(ctx context.Context, w io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		o := o
		o.Stdout = w
		_, err := Run(ctx, o)
		return err
	}
}

// Around is what runs beside a run of a source: a database is told to rest, a volume is frozen, a dump is written to a
// file of the source, and afterwards all of it is undone.
type Around struct{ Before, After []Options }

// afterStop is how long each command after a run may take while the daemon is stopping: it must happen, since a
// volume that stays frozen is worse than a stop that takes a little longer, and must not hold up the stop for ever.
const afterStop = 5 * time.Second

// Do runs the commands before, the run, and the commands after.
//
// The commands before run in order up to the first that fails. The run is made even so, and told: its files may be
// inconsistent, which it must say, but a snapshot that says so is worth more than none for as long as a command is
// broken, and what earlier snapshots hold stays as it is. The commands after run always, each of them, whatever failed
// before them, and although ctx may have ended; broken is what they failed with, which says nothing about the run.
func (a Around) Do(ctx context.Context, run func(ctx context.Context, unprepared error) error) (broken, err error) {
	var unprepared error
	for _, o := range a.Before {
		if _, unprepared = Run(ctx, o); unprepared != nil {
			break
		}
	}
	err = run(ctx, unprepared)
	var all []error
	for _, o := range a.After {
		if ctx.Err() != nil {
			o.Timeout = afterStop
		}
		if _, err := Run(context.WithoutCancel(ctx), o); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...), err
}
