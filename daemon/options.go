package daemon

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"keepsake/daemon/capture"
	"keepsake/daemon/config"
	"keepsake/daemon/guard"
	"keepsake/daemon/supervise"
	"keepsake/daemon/watch"
	"keepsake/store"
	"keepsake/store/tree"
)

// Options says what a Keeper does. Repository and Config are required.
type Options struct {
	Repository *store.Repository
	// Config names the sources, with all defaults filled in.
	Config     config.Config
	Host, User string
	// Own are keepsake's own directories: they are left out of sources.
	Own []string
	// Report is told what happens, one event at a time.
	Report func(Event)
	// Pulse is told of progress; nil if nobody supervises.
	Pulse *supervise.Pulse
	// Progress is counted by the capture under way, whichever source's.
	Progress *capture.Progress
	// Free asks for the free and the total bytes of the repository's disk.
	Free func(ctx context.Context) (free, total uint64, err error)
	// Clock is replaced in tests. Default: the system's.
	Clock Clock
	// WallOffset says by how much the wall clock is ahead of the time since the
	// boot. Replaced with Clock. Default: the system's.
	WallOffset func() time.Duration
	Log        *slog.Logger
}

// Clock is the time as the keeper and its watchers see it.
type Clock interface {
	Now() time.Time
	After(d time.Duration) <-chan time.Time
}

type systemClock struct{}

func (systemClock) Now() time.Time                         { return time.Now() }
func (systemClock) After(d time.Duration) <-chan time.Time { return time.After(d) }

func (o Options) withDefaults() (Options, error) {
	if o.Repository == nil {
		return o, errors.New("a keeper needs a repository")
	}
	if o.Report == nil {
		o.Report = func(Event) {}
	}
	if o.Pulse == nil {
		o.Pulse = supervise.NewPulse()
	}
	if o.Progress == nil {
		o.Progress = &capture.Progress{}
	}
	if o.Free == nil {
		o.Free = func(context.Context) (uint64, uint64, error) { return 0, 0, nil }
	}
	if o.Clock == nil {
		o.Clock = systemClock{}
	}
	if o.WallOffset == nil {
		o.WallOffset = watch.WallOffset
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Event is something that a person who looks on wants to know.
type Event struct {
	Label    string
	Note     string         // said beside everything else, if set
	Snapshot store.Snapshot // published; zero if nothing was
	First    bool           // the first look of this run that ended well
	Missed   []tree.Missed
	Missing  uint64
	Findings []guard.Finding // of guards, about this snapshot
	Err      error           // the task failed, and is tried again
}
