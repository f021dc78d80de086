package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"keepsake/store"
)

type undeleteArgs struct {
	Snapshots []string
	Who       string
}

func (a *app) undeleteCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "undelete SNAP…",
		Short: "Bring forgotten snapshots back",
		Long: `Brings back snapshots that keepsake forget or a retention policy has hidden.
keepsake snapshots --forgotten lists those that are still there; after a prune
they are gone for good. A retention policy that does not keep them forgets them
again at its next turn.`,
		Example: "  keepsake undelete 1a2b3c4d",
		RunE: func(c *cobra.Command, snapshots []string) error {
			if len(snapshots) == 0 {
				return &usageError{errors.New("keepsake undelete needs a snapshot; keepsake snapshots --forgotten lists them")}
			}
			return a.act(c.Context(), "undelete", undeleteArgs{snapshots, a.who()})
		},
	}
}

func undeleteHandler(ctx context.Context, s *session, args undeleteArgs, out *output) error {
	var some []store.Snapshot
	for _, spec := range args.Snapshots {
		snap, err := s.repo.FindForgotten(ctx, spec)
		if err != nil {
			return err
		}
		some = append(some, snap)
	}
	if err := s.repo.Undelete(ctx, some, args.Who, ""); err != nil {
		return err
	}
	s.published()
	for _, snap := range some {
		if out.options.JSON {
			out.emit("undeleted", snapshotFields(snap))
		} else {
			out.printf("Brought back %s", about(snap))
		}
	}
	return nil
}
