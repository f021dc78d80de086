package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"keepsake/daemon/health"
)

type statusArgs struct {
	Sources []string // none: all
}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status [SOURCE…]",
		Short: "Say how fresh and how complete each source is",
		Long: `Says for each source when its newest snapshot was begun, when the next one is due,
how many files still wait, and what a person should do. With SOURCE it tells all
that is known of it: paths that are missed, alarms, figures of the watcher.

The word in the second column is the first of these that holds:

  guarded      an alarm stands: look, then keepsake ack SOURCE
  retired      the configuration does not name it; its snapshots stay
  failing      the last run failed; it is tried again
  paused       keepsake pause was used
  in progress  the first backup is under way
  waiting      the first backup has not begun, or files are still being written
  stale        no look has succeeded within one and a half times the schedule
  degraded     the newest snapshot misses something, or a command after it failed
  polled       complete, but no events announce changes
  complete     all is well

The exit code is 3 unless every source is fresh, complete and unguarded, and the
clock is trusted: while it is in doubt nothing expires. Of a retired source only
alarms count.`,
		Example: "  keepsake status\n  keepsake status weddings",
		RunE: func(c *cobra.Command, sources []string) error {
			return a.act(c.Context(), "status", statusArgs{sources})
		},
	}
}

func statusHandler(ctx context.Context, s *session, args statusArgs, out *output) error {
	o, err := s.look(ctx)
	if err != nil {
		return err
	}
	now := s.repo.Now()
	rows := health.JudgeAll(o.sources, now)
	if rows, err = chosen(rows, args.Sources); err != nil {
		return err
	}
	switch {
	case out.options.JSON:
		for _, r := range rows {
			out.emitSource(r)
		}
	case len(args.Sources) > 0:
		for i, r := range rows {
			if i > 0 {
				out.printf("")
			}
			out.tellSource(r, now)
		}
	default:
		out.tellSources(rows, now)
	}
	if err := s.tellRepository(ctx, out, o, len(args.Sources) > 0); err != nil {
		return err
	}
	if o.damaged > 0 || o.doubt != "" || slices.ContainsFunc(rows, func(r health.Source) bool { return !r.Well() }) {
		return errIncomplete
	}
	return nil
}

// chosen are the rows of these labels, in the order in which they were asked
// for; all if none was.
func chosen(rows []health.Source, labels []string) ([]health.Source, error) {
	if len(labels) == 0 {
		return rows, nil
	}
	var some []health.Source
	for _, label := range labels {
		i := slices.IndexFunc(rows, func(r health.Source) bool { return r.Label == label })
		if i < 0 {
			return nil, &usageError{fmt.Errorf("there is no source %s; keepsake status lists them", quote(label))}
		}
		some = append(some, rows[i])
	}
	return some, nil
}

// emitSource writes a source as a line of JSON.
func (o *output) emitSource(r health.Source) {
	fields := map[string]json.RawMessage{}
	b, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(b, &fields)
	}
	if err != nil {
		panic("cmd: " + err.Error()) // only our own types are in it
	}
	all := make(map[string]any, len(fields)+1)
	for name, value := range fields {
		all[name] = value
	}
	o.emit("source", all)
}

// tellSources prints the table, and a line for each alarm below it.
func (o *output) tellSources(rows []health.Source, now time.Time) {
	if len(rows) == 0 {
		o.printf("There are no snapshots yet. keepsake backup DIR takes one.")
		return
	}
	var lines []table.Row
	for _, r := range rows {
		about := hint(oneLine(r.Reason), r.Next)
		if r.State == health.Guarded {
			about = "" // told below, in full
		}
		lines = append(lines, table.Row{quote(r.Label), o.state(r), newest(r, now), next(r, now), waiting(r), about})
	}
	o.table(table.Row{"source", "state", "newest", "next", "waiting", ""}, lines)
	for _, r := range rows {
		o.tellAlarms(r, now)
	}
}

func (o *output) tellAlarms(r health.Source, now time.Time) {
	mark := o.color(text.FgRed, "!") + " " + quote(r.Label) + ": "
	for _, line := range r.AlarmLines(now) {
		o.printf("%s%s", mark, hint(oneLine(line), r.Acknowledge()))
	}
}

func hint(reason, next string) string {
	if next == "" {
		return reason
	}
	return strings.TrimSpace(reason + " → " + next)
}

func (o *output) state(r health.Source) string {
	word := string(r.State)
	switch r.State {
	case health.Complete, health.Polled:
		return o.color(text.FgGreen, word)
	case health.Guarded, health.Failing, health.Stale:
		return o.color(text.FgRed, word)
	}
	if r.State == health.Retired {
		return word
	}
	return o.color(text.FgYellow, word)
}

func newest(r health.Source, now time.Time) string {
	if r.Newest == nil {
		return "never"
	}
	return health.Ago(r.Newest.Time, now)
}

// next is when the next run begins.
func next(r health.Source, now time.Time) string {
	switch {
	case r.Running:
		return "now"
	case !r.NextRun.IsZero():
		return health.Clock(r.NextRun, now)
	case r.OnChange:
		return "on change"
	}
	return "-"
}

func waiting(r health.Source) string {
	if r.Waiting == 0 {
		return "0"
	}
	return count(r.Waiting, "file")
}

// keeping is what makes snapshots come by themselves: the service, if there is a
// configuration for it.
func (e *environment) keeping() string {
	if e.system {
		return "sudo systemctl start keepsake keeps snapshots coming"
	}
	return "keepsake up keeps snapshots coming"
}

// tellRepository says how the repository stands; short leaves out what is the
// same for all sources.
func (s *session) tellRepository(ctx context.Context, out *output, o overview, short bool) error {
	free, _, err := s.backend.Free(ctx)
	if err != nil {
		return err
	}
	confirmed, err := s.repo.State().Confirmed()
	if err != nil {
		return err
	}
	watched := s.keeper.Load() != nil
	shown := s.views.states()
	switch {
	case out.options.JSON:
		out.emit("status", map[string]any{
			"repository": s.backend.Dir(), "free_bytes": free, "snapshots": o.snapshots, "damaged_snapshots": o.damaged,
			"watching": watched, "recovery_confirmed": confirmed, "clock_doubt": o.doubt,
			"troubles": s.troubles.list(), "views": shown,
		})
		return nil
	case !short:
		watching := "watching"
		if !watched {
			watching = "nobody is watching: " + s.env.keeping()
		}
		out.printf("Repository %s, %s, %s free · %s", s.backend.Dir(), count(o.snapshots, "snapshot"), size(free), watching)
		for _, v := range shown {
			out.printf("View       %s%s", quote(v.Path), map[bool]string{true: ", for all users"}[v.AllowOther])
		}
	}
	for _, v := range shown {
		if !v.Answers {
			out.note("the view at %s does not answer", quote(v.Path))
		}
	}
	if o.doubt != "" {
		out.printf("%s %s", out.color(text.FgRed, "!"), hint(oneLine(o.doubt)+". Expiry paused", "keepsake ack --all"))
	}
	for _, text := range s.troubles.list() {
		out.note("%s", text)
	}
	if o.damaged > 0 {
		out.note("%s cannot be read; run keepsake check", count(o.damaged, "object"))
	}
	if !confirmed && !short {
		out.note("nobody has confirmed the recovery code yet: keepsake key confirm")
	}
	return nil
}
