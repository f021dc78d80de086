package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"keepsake/store"
	"keepsake/store/tree"
)

// aboutSnapshots explains SNAP wherever one is asked for.
const aboutSnapshots = `SNAP is the beginning of an id, "latest", or a time such as 2026-11-21,
"2026-11-21 15:04" or the name of a folder in the mount: the newest snapshot not
after it. Where there are several sources, one is named after an @:
latest@weddings, 2026-11-21@weddings, "2026-11-21 15:04@weddings". A path inside
the snapshot follows after a colon: latest@weddings:2026/Weber.`

type snapshotsArgs struct {
	Source    string
	Tags      []string
	Forgotten bool
}

func (a *app) snapshotsCommand() *cobra.Command {
	var args snapshotsArgs
	c := &cobra.Command{
		Use:   "snapshots",
		Short: "List the snapshots",
		Long: `Lists all snapshots, oldest first, with what each of them holds and how complete
it is: what it misses, what a guard found when it was taken (emptied, mass-change
and others), and whether it is pinned, which keeps it from expiring while an alarm
stands. An id's first digits, "latest", a time such as 2026-11-21, or either of
the last two with @SOURCE behind it name a snapshot wherever one is asked for. With --forgotten: those that
keepsake forget or a retention policy has hidden and keepsake undelete can bring
back.`,
		Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return a.act(c.Context(), "snapshots", args) },
	}
	c.Flags().StringVar(&args.Source, "source", "", "only those of this source")
	c.Flags().StringArrayVar(&args.Tags, "tag", nil, "only those with this tag; may be repeated")
	c.Flags().BoolVar(&args.Forgotten, "forgotten", false, "those that were forgotten and can be brought back")
	return c
}

func snapshotsHandler(ctx context.Context, s *session, args snapshotsArgs, out *output) error {
	list, none := s.repo.Briefs, "There are no snapshots yet. keepsake backup DIR takes one."
	if args.Forgotten {
		list, none = s.repo.Forgotten, "There are no forgotten snapshots."
	}
	all, damaged, err := list(ctx)
	if err != nil {
		return err
	}
	ledger, err := s.repo.Ledger(ctx)
	if err != nil {
		return err
	}
	rows := longTable{heading: []string{"id", "time", "source", "tags", "files", "size", "added", "state"}}
	for _, b := range all {
		if args.Source != "" && b.Origin().Label != args.Source {
			continue
		}
		snap, err := s.repo.Manifest(ctx, b.ID)
		if err != nil && !errors.Is(err, store.ErrDamaged) {
			return err
		}
		if err != nil {
			damaged = append(damaged, err)
			continue
		}
		if !hasAll(snap.Tags, args.Tags) {
			continue
		}
		why, pinned := ledger.Pinned(snap.ID, s.repo.Now())
		if out.options.JSON {
			fields := snapshotFields(snap)
			if pinned {
				fields["pinned"] = why
			}
			out.emit("snapshot", fields)
			continue
		}
		state := out.completeness(snap)
		if pinned {
			state += ", pinned"
		}
		rows.add(snap.ID.Short(), localTime(snap.Started, snap.Zone()), b.Origin().Label, strings.Join(snap.Tags, ","), fmt.Sprint(snap.Stats.Files),
			size(snap.Stats.Bytes), size(snap.Stats.AddedBytes), state)
	}
	if len(rows.rows) > 0 {
		out.longTable(&rows)
	} else if len(all) > 0 && !out.options.JSON {
		out.say("None of the %s matches.", count(len(all), "snapshot"))
	} else if len(damaged) == 0 {
		out.say("%s", none)
	}
	for _, err := range damaged {
		out.problem("repository", err.Error())
	}
	if len(damaged) > 0 {
		return fmt.Errorf("%s cannot be read: %w; run keepsake check", count(len(damaged), "object"), errIncomplete)
	}
	return nil
}

func hasAll(have, want []string) bool {
	for _, w := range want {
		if !slices.Contains(have, w) {
			return false
		}
	}
	return true
}

func localTime(t tree.Time, zone *time.Location) string {
	return t.Time().In(zone).Format("2006-01-02 15:04:05")
}

func (o *output) completeness(s store.Snapshot) string {
	var doubts []string
	switch {
	case s.Basis == tree.InProgress:
		doubts = append(doubts, "in progress")
	case s.MissedCount > 0:
		doubts = append(doubts, count(s.MissedCount, "path")+" missed")
	}
	doubts = append(doubts, s.Marks...)
	switch {
	case len(doubts) > 0:
		return o.color(text.FgYellow, strings.Join(doubts, ", "))
	case len(s.Dropped) > 0:
		return o.color(text.FgGreen, "complete but for "+count(droppedPaths(s.Dropped), "path")+" excluded")
	}
	return o.color(text.FgGreen, "complete")
}

func droppedPaths(all []tree.Dropped) (paths uint64) {
	for _, d := range all {
		paths += d.Paths
	}
	return paths
}

func droppedFields(all []tree.Dropped) []map[string]any {
	fields := []map[string]any{}
	for _, d := range all {
		fields = append(fields, map[string]any{"rule": d.Rule, "paths": d.Paths})
	}
	return fields
}

func snapshotFields(s store.Snapshot) map[string]any {
	missed := []map[string]any{}
	for _, m := range s.Missed {
		missed = append(missed, map[string]any{"path": string(m.Path), "reason": m.Reason.String()})
	}
	return map[string]any{
		"id": s.ID.String(), "short_id": s.ID.Short(), "number": s.Number,
		"source": s.Label, "source_id": fmt.Sprintf("%x", s.Source), "writer_id": fmt.Sprintf("%x", s.Writer),
		"host": s.Host, "user": s.User, "path": string(s.RootPath), "tags": append([]string{}, s.Tags...),
		"time":  s.Started.Time().In(s.Zone()).Format(time.RFC3339Nano),
		"files": s.Stats.Files, "bytes": s.Stats.Bytes, "bytes_added": s.Stats.AddedBytes, "bytes_read": s.Stats.ReadBytes,
		"basis": s.Basis.String(), "marks": append([]string{}, s.Marks...), "missed": s.MissedCount, "missed_paths": missed, "complete": s.Complete(),
		"dropped": droppedFields(s.Dropped), "why": append([]string{}, s.Why...),
	}
}
