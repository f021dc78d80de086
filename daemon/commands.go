package daemon

import (
	"context"
	"fmt"
	"time"

	"keepsake/daemon/capture"
	"keepsake/daemon/command"
	"keepsake/daemon/config"
)

// around runs a task between the source's commands before and after it. What
// the commands before it could not prepare the snapshot says: its files may
// contradict each other. What the commands after it could not undo stands until
// a later run succeeds in it: a volume may be frozen, a database in backup mode.
func (s *sourceKeeper) around(ctx context.Context, c config.Source, run func(ctx context.Context, unprepared error) error) error {
	beside := command.Around{Before: commandsOf(c, c.Before), After: commandsOf(c, c.After)}
	s.part.Wait(time.Duration(len(c.Before)+1) * c.Timeout)
	broken, err := beside.Do(ctx, func(ctx context.Context, unprepared error) error {
		s.part.Touch()
		if unprepared != nil {
			unprepared = fmt.Errorf("before the snapshot: %w", unprepared)
		}
		err := run(ctx, unprepared)
		s.part.Wait(time.Duration(len(c.After)+1) * c.Timeout)
		return err
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.memory.job.After = ""
	if broken != nil {
		s.memory.job.After = command.Printable(broken.Error())
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
	s.mu.Lock()
	accepted := s.memory.accept.Sizes
	s.mu.Unlock()
	var outputs []capture.Output
	for _, out := range c.Outputs {
		outputs = append(outputs, capture.Output{
			Name: out.File, MinShare: c.MinShare, Accepted: accepted[out.File],
			Write: command.Into(command.Options{Args: out.Command, Timeout: c.Timeout}),
		})
	}
	return s.write(ctx, o, func(ctx context.Context, o capture.Options) (*capture.Result, error) {
		// Only now: write has said that there is progress, and a dump may not
		// print a byte for all of its time.
		s.part.Wait(time.Duration(len(outputs))*c.Timeout + time.Minute)
		return capture.Outputs(ctx, o, outputs)
	})
}
