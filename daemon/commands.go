package daemon

import (
	"context"
	"fmt"
	"time"

	"keepsake/daemon/capture"
	"keepsake/daemon/command"
	"keepsake/daemon/config"
	"keepsake/store/tree"
)

// around runs a task between the source's commands before and after it. What
// the commands before it could not prepare is missed in the snapshot: its
// files may contradict each other.
func (s *sourceKeeper) around(ctx context.Context, c config.Source, run func(ctx context.Context, missed []tree.Missed) error) error {
	beside := command.Around{Before: commandsOf(c, c.Before), After: commandsOf(c, c.After)}
	s.part.Wait(time.Duration(len(c.Before)+1) * c.Timeout)
	broken, err := beside.Do(ctx, func(ctx context.Context, unprepared error) error {
		s.part.Touch()
		var missed []tree.Missed
		if unprepared != nil {
			missed = []tree.Missed{{Reason: tree.ReasonCommand, Detail: command.Printable(fmt.Sprintf("before the snapshot: %v", unprepared))}}
		}
		err := run(ctx, missed)
		s.part.Wait(time.Duration(len(c.After)+1) * c.Timeout)
		return err
	})
	if broken != nil {
		s.k.o.Log.Warn("a command after a snapshot failed", "source", c.Label, "error", broken)
	}
	return err
}

func commandsOf(c config.Source, all [][]string) []command.Options {
	var options []command.Options
	for _, args := range all {
		options = append(options, command.Options{Args: args, Timeout: c.Timeout})
	}
	return options
}

// commands takes a snapshot of what the source's commands print.
func (s *sourceKeeper) commands(ctx context.Context, c config.Source, o capture.Options) (*capture.Result, error) {
	var outputs []capture.Output
	for _, out := range c.Outputs {
		outputs = append(outputs, capture.Output{
			Name: out.File, MinShare: c.MinShare,
			Write: command.Into(command.Options{Args: out.Command, Timeout: c.Timeout}),
		})
	}
	s.part.Wait(time.Duration(len(outputs))*c.Timeout + time.Minute)
	return s.write(ctx, o, func(ctx context.Context, o capture.Options) (*capture.Result, error) {
		return capture.Outputs(ctx, o, outputs)
	})
}
