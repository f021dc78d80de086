package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"keepsake/daemon"
)

// errNobodyWatches says that a verb needs a process that keeps sources.
var errNobodyWatches = errors.New("nobody is watching: start keepsake up or the service; keepsake backup DIR takes a snapshot without them")

type backupNowArgs struct{ Sources []string }

func (a *app) backupNowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "backup-now [SOURCE…]",
		Short: "Have the running keepsake take a snapshot of its sources now",
		Long: `Asks the running keepsake (up, or the service) to look at sources now instead of
when they are next due, and waits for it. A pause does not count. Files still
being written keep their previous version, as always.`,
		Example: "  keepsake backup-now\n  keepsake backup-now weddings",
		RunE: func(c *cobra.Command, sources []string) error {
			return a.act(c.Context(), "backup-now", backupNowArgs{sources})
		},
	}
}

func backupNowHandler(ctx context.Context, s *session, args backupNowArgs, out *output) error {
	k := s.keeper.Load()
	if k == nil {
		return errNobodyWatches
	}
	s.asked(out, "a snapshot is asked for", "sources", allOr(args.Sources))
	var failed error
	incomplete := false
	err := k.BackupNow(ctx, args.Sources, func(l daemon.Looked) {
		if l.Err != nil {
			failed = errors.Join(failed, fmt.Errorf("%s: %w", l.Label, l.Err))
			return
		}
		incomplete = incomplete || l.Missing > 0 || l.Alarms > 0 || l.After != ""
		tellLooked(out, l)
	})
	switch {
	case err != nil || failed != nil:
		return errors.Join(err, failed)
	case incomplete:
		return errIncomplete
	}
	return nil
}

func tellLooked(out *output, l daemon.Looked) {
	if out.options.JSON {
		fields := map[string]any{
			"source": l.Label, "changed": l.Snapshot.Number > 0, "missed": l.Missing, "writing": l.Writing, "alarms": l.Alarms, "after_error": l.After,
		}
		if l.Newest.Number > 0 {
			fields["snapshot"] = snapshotFields(l.Newest)
		}
		out.emit("looked", fields)
		return
	}
	text := fmt.Sprintf("nothing has changed since snapshot %s", l.Newest.ID.Short())
	switch {
	case l.Snapshot.Number > 0:
		text = fmt.Sprintf("snapshot %s, %s", l.Snapshot.ID.Short(), changes(l.Snapshot.Stats))
	case l.Missing > 0 && l.Newest.Number > 0:
		text = fmt.Sprintf("nothing new could be stored since snapshot %s", l.Newest.ID.Short())
	case l.Newest.Number == 0:
		text = "nothing could be stored yet"
	}
	if l.Writing > 0 {
		text += fmt.Sprintf("; %s still being written", count(l.Writing, "file"))
	}
	if missed := l.Missing - min(l.Missing, l.Writing); missed > 0 {
		text += fmt.Sprintf("; %s missed: keepsake status %s", count(missed, "path"), quote(l.Label))
	}
	if l.Alarms > 0 {
		text += fmt.Sprintf("; an alarm stands: keepsake status %s", quote(l.Label))
	}
	out.say("%s: %s", quote(l.Label), text)
	if l.After != "" {
		out.note("%s: a command after the snapshot failed: %s", l.Label, oneLine(l.After))
	}
}

type pauseArgs struct {
	For     time.Duration
	Sources []string
}

func (a *app) pauseCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "pause DURATION [SOURCE…]",
		Short: "Take no snapshots for a while",
		Long: `Holds back the snapshots of some sources, or of all, for a time such as 2h or 3d.
They are still watched, and what changes is captured afterwards. The pause
survives a restart. keepsake pause 0 ends it.`,
		Example: "  keepsake pause 2h\n  keepsake pause 3d archive\n  keepsake pause 0",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &usageError{errors.New("keepsake pause needs a duration, such as 2h; see keepsake pause --help")}
			}
			d, err := model.ParseDuration(args[0])
			if err != nil {
				return &usageError{fmt.Errorf("%q is no duration; write 30m, 2h or 3d, or 0 to go on", args[0])}
			}
			return a.act(c.Context(), "pause", pauseArgs{time.Duration(d), args[1:]})
		},
	}
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		// -1h is taken for flags.
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok && strings.ContainsAny(unknown.GetSpecifiedShortnames(), "0123456789") {
			err = fmt.Errorf("-%s is no duration: a pause lasts from now on; write 30m, 2h or 3d, or 0 to go on", unknown.GetSpecifiedShortnames())
		}
		return flagError(c, err)
	})
	return c
}

func pauseHandler(_ context.Context, s *session, args pauseArgs, out *output) error {
	k := s.keeper.Load()
	if k == nil {
		return errNobodyWatches
	}
	until := s.repo.Now().Add(args.For)
	if err := k.Pause(args.Sources, until); err != nil {
		return &usageError{err}
	}
	which := allOr(args.Sources)
	s.asked(out, "paused", "sources", which, "until", until.Format(time.RFC3339))
	switch {
	case out.options.JSON:
		out.emit("paused", map[string]any{"sources": append([]string{}, args.Sources...), "until": until.Format(time.RFC3339)})
	case args.For == 0:
		out.say("Going on: %s", which)
	default:
		out.say("Paused until %s: %s. keepsake pause 0 goes on before that.", until.Format("2006-01-02 15:04"), which)
	}
	return nil
}

// allOr names sources as people asked for them.
func allOr(labels []string) string {
	if len(labels) == 0 {
		return "all sources"
	}
	return strings.Join(labels, ", ")
}

type ackArgs struct {
	Sources []string
	Why     string
}

func (a *app) ackCommand() *cobra.Command {
	var all bool
	var args ackArgs
	c := &cobra.Command{
		Use:   "ack SOURCE…",
		Short: "Say that you have seen the alarms of a source",
		Long: `An alarm (most of a source is gone, masses of files changed, a file rots) pins the
last good snapshot and stops all expiry of its source until a person has looked.
ack says that you have: the alarms end, the pin goes, expiry goes on. Who did it
and why is kept in the repository.

The output of a command that was too short is accepted by it: what it printed
counts as its normal size from the next run on.

Look first: keepsake status SOURCE. If files were lost, restore them before you
acknowledge. The pinned snapshot is the one to restore:

  keepsake snapshots --source SOURCE      shows its id, and "pinned"
  keepsake restore ID --target DIR`,
		Example: "  keepsake ack weddings --why 'moved 2024 to the archive'\n  keepsake ack --all",
		RunE: func(c *cobra.Command, sources []string) error {
			if all == (len(sources) > 0) {
				return &usageError{errors.New("say which source's alarms you have seen, or --all; keepsake status lists them")}
			}
			args.Sources = sources
			return a.act(c.Context(), "ack", args)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "the alarms of all sources, and doubts about the clock")
	c.Flags().StringVar(&args.Why, "why", "", "what the reason was; kept in the repository")
	return c
}

func ackHandler(ctx context.Context, s *session, args ackArgs, out *output) error {
	// Who asks is what the kernel says, whatever the request does.
	ended, err := s.acknowledge(ctx, args, out.peer.User()+"@"+s.env.host)
	if err != nil {
		return err
	}
	var labels []string
	for label := range ended {
		labels = append(labels, label)
	}
	slices.Sort(labels)
	for _, label := range labels {
		for _, alarm := range ended[label] {
			s.asked(out, "an alarm is acknowledged", "source", label, "guard", alarm.Guard, "why", args.Why)
			if out.options.JSON {
				out.emit("acknowledged", map[string]any{"source": label, "guard": alarm.Guard, "detail": alarm.Detail, "since": alarm.Since.Format(time.RFC3339)})
				continue
			}
			out.say("%s", acknowledged(label, alarm))
		}
	}
	if len(labels) == 0 && !out.options.JSON {
		out.say("No alarm stood.")
	}
	return nil
}

// acknowledged says what follows for one thing that somebody has seen.
func acknowledged(label string, alarm daemon.Alarm) string {
	switch {
	case label == "":
		return "the clock is trusted again; expiry goes on"
	case alarm.Guard == daemon.GuardShort:
		return fmt.Sprintf("%s: %s is accepted, and counts as normal from the next run on: keepsake backup-now %s", label, alarm.Detail, label)
	}
	return fmt.Sprintf("%s: %s acknowledged; expiry goes on", label, alarm.Guard)
}

// acknowledge has the keeper end the alarms, or does so in the state if nobody
// keeps the sources.
func (s *session) acknowledge(ctx context.Context, args ackArgs, who string) (map[string][]daemon.Alarm, error) {
	if k := s.keeper.Load(); k != nil {
		return k.Acknowledge(ctx, args.Sources, who, args.Why)
	}
	sources, err := s.repo.State().Sources()
	if err != nil {
		return nil, err
	}
	ended := map[string][]daemon.Alarm{}
	for _, label := range args.Sources {
		if _, ok, err := s.repo.State().Source(label); err != nil || !ok {
			return nil, errors.Join(err, fmt.Errorf("%w: %q; keepsake status lists the sources", daemon.ErrNoSource, label))
		}
	}
	for _, source := range sources {
		if len(args.Sources) > 0 && !slices.Contains(args.Sources, source.Label) {
			continue
		}
		alarms, err := daemon.Acknowledge(ctx, s.repo, source.ID, who, args.Why)
		if err != nil {
			return ended, err
		}
		if len(alarms) > 0 {
			ended[source.Label] = alarms
		}
	}
	if len(args.Sources) > 0 {
		return ended, nil
	}
	doubt, err := daemon.TrustClock(ctx, s.repo, who, args.Why)
	if len(doubt) > 0 {
		ended[""] = doubt
	}
	return ended, err
}

func (a *app) notifyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "notify",
		Short: "Try out how you are told of failures",
		RunE: func(*cobra.Command, []string) error {
			return &usageError{errors.New("keepsake notify needs the word test")}
		},
	}
	c.AddCommand(&cobra.Command{
		Use:   "test",
		Short: "Have the configured command told something now",
		Long: `Runs the command of [notify] with an event of kind "test", the way it is run when
a source fails, and shows what it says if it fails itself.`,
		Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return a.act(c.Context(), "notify test", struct{}{}) },
	})
	return c
}

func notifyTestHandler(ctx context.Context, s *session, _ struct{}, out *output) error {
	k := s.keeper.Load()
	if k == nil {
		return errNobodyWatches
	}
	if err := k.TestNotify(ctx); err != nil {
		return fmt.Errorf("nobody was told: %w", err)
	}
	if out.options.JSON {
		out.emit("notified", map[string]any{})
		return nil
	}
	out.say("The command took the event. Whoever it tells should have heard by now.")
	return nil
}
