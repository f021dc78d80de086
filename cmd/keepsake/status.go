package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"keepsake/store"
	"keepsake/store/tree"
)

type statusArgs struct{}

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Say how fresh and how complete each source is",
		Long: `Says for each source when its newest snapshot was taken, whether it is complete,
and what still waits. The exit code is 3 unless every source is complete.`,
		Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return a.act(c.Context(), "status", statusArgs{}) },
	}
}

// standing is one row of status.
type standing struct {
	label   string
	newest  store.Snapshot // zero if there is none
	state   string
	waiting int
	problem string
	polled  bool
}

func statusHandler(ctx context.Context, s *session, _ statusArgs, out *output) error {
	all, damaged, err := s.repo.Snapshots(ctx)
	if err != nil {
		return err
	}
	rows := s.standings(all)
	incomplete := len(damaged) > 0
	for _, r := range rows {
		incomplete = incomplete || r.state != "complete" && r.state != "polled"
	}
	free, _, err := s.backend.Free(ctx)
	if err != nil {
		return err
	}
	confirmed, err := s.repo.State().Confirmed()
	if err != nil {
		return err
	}
	s.tellStatus(out, rows, len(all), free, confirmed, len(damaged))
	if incomplete {
		return errIncomplete
	}
	return nil
}

func (s *session) tellStatus(out *output, rows []standing, snapshots int, free uint64, confirmed bool, damaged int) {
	now := s.repo.Now()
	var lines []table.Row
	for _, r := range rows {
		newest := "never"
		if r.newest.ID != (store.SnapshotID{}) {
			newest = ago(r.newest.Finished.Time(), now)
		}
		if out.options.JSON {
			fields := map[string]any{"source": r.label, "state": r.state, "waiting": r.waiting, "problem": r.problem}
			if r.newest.ID != (store.SnapshotID{}) {
				fields["newest"] = snapshotFields(r.newest)
			}
			out.emit("source", fields)
			continue
		}
		state := out.color(text.FgGreen, r.state)
		if r.state != "complete" {
			state = out.color(text.FgYellow, r.state)
		}
		lines = append(lines, table.Row{r.label, state, newest, fmt.Sprint(r.waiting), r.problem})
	}
	if out.options.JSON {
		out.emit("status", map[string]any{
			"repository": s.backend.Dir(), "free_bytes": free, "snapshots": snapshots, "damaged_snapshots": damaged,
			"watching": s.keeper.Load() != nil, "recovery_confirmed": confirmed,
		})
		return
	}
	if len(lines) > 0 {
		out.table(table.Row{"source", "state", "newest", "waiting", ""}, lines)
	} else {
		out.printf("There are no snapshots yet. keepsake backup DIR takes one.")
	}
	watching := "nobody is watching: keepsake up keeps snapshots coming"
	if s.keeper.Load() != nil {
		watching = "watching"
	}
	out.printf("Repository %s, %s, %s free · %s", s.backend.Dir(), count(snapshots, "snapshot"), size(free), watching)
	if damaged > 0 {
		out.note("%s cannot be read; run keepsake check", count(damaged, "snapshot"))
	}
	if !confirmed {
		out.note("nobody has confirmed the recovery code yet: keepsake key confirm")
	}
}

// standings joins what the repository holds with what the keeper knows.
func (s *session) standings(all []store.Snapshot) []standing {
	byLabel := map[string]*standing{}
	for _, snap := range all {
		r := byLabel[snap.Label]
		if r == nil {
			r = &standing{label: snap.Label}
			byLabel[snap.Label] = r
		}
		r.newest = snap
	}
	if keeper := s.keeper.Load(); keeper != nil {
		for _, k := range keeper.State() {
			if byLabel[k.Label] == nil {
				byLabel[k.Label] = &standing{label: k.Label}
			}
			byLabel[k.Label].waiting = k.Waiting
			byLabel[k.Label].polled = k.Polled
			if k.Err != nil {
				byLabel[k.Label].problem = k.Err.Error()
			}
		}
	}
	rows := make([]standing, 0, len(byLabel))
	for _, r := range byLabel {
		r.state = stateOf(r)
		if r.newest.MissedCount > 0 && r.problem == "" {
			r.problem = missedPhrase(r.newest)
		}
		if len(r.newest.Marks) > 0 && r.problem == "" {
			r.problem = aboutMark(r.newest.Marks[0])
		}
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b standing) int { return cmp.Compare(a.label, b.label) })
	return rows
}

func stateOf(r *standing) string {
	switch {
	case r.newest.ID == store.SnapshotID{}:
		return "waiting"
	case r.problem != "":
		return "failing"
	case r.newest.Basis == tree.InProgress:
		return "in progress"
	case r.newest.MissedCount > 0:
		return "degraded"
	case len(r.newest.Marks) > 0:
		return r.newest.Marks[0]
	case r.polled:
		return "polled" // complete as of the last look, which no event brings about
	}
	return "complete"
}

// missedPhrase sums up what a snapshot misses.
func missedPhrase(s store.Snapshot) string {
	m := s.Missed[0]
	phrase := fmt.Sprintf("%s: %s", quote(string(m.Path)), m.Reason)
	if s.MissedCount > 1 {
		phrase += fmt.Sprintf(" (and %d more)", s.MissedCount-1)
	}
	return phrase
}
