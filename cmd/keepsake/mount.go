package main

import (
	"context"

	"github.com/spf13/cobra"
)

type mountArgs struct {
	Dir        []byte
	AllowOther bool
}

func (a *app) mountCommand() *cobra.Command {
	var args mountArgs
	c := &cobra.Command{
		Use:   "mount DIR",
		Short: "Show all snapshots as folders until interrupted",
		Long: `Mounts the repository read-only:

  DIR/latest/SOURCE              the newest snapshot
  DIR/snapshots/SOURCE/TIME/…    all of them

New snapshots appear by themselves. Ctrl-C unmounts.`,
		Args: exactly(1, "the directory to mount at"),
		RunE: func(c *cobra.Command, dir []string) error {
			args.Dir = []byte(dir[0])
			return a.act(c.Context(), "mount", args)
		},
	}
	c.Flags().BoolVar(&args.AllowOther, "allow-other", false, "let other users in, with the permissions that files had")
	return c
}

func mountHandler(ctx context.Context, s *session, args mountArgs, out *output) error {
	dir := out.path(args.Dir)
	m, err := s.mountAt(ctx, dir, args.AllowOther, out)
	if err != nil {
		return err
	}
	out.say("Snapshots are at %s. Ctrl-C unmounts.", dir)
	ended := make(chan struct{})
	go func() {
		m.Wait()
		close(ended)
	}()
	select {
	case <-ctx.Done():
		err = m.Unmount()
		<-ended
	case <-ended: // somebody else unmounted it
	}
	return err
}

// mountAt mounts the repository, healing what a killed run left there.
func (s *session) mountAt(ctx context.Context, dir string, allowOther bool, out *output) (*view, error) {
	healed, err := healView(dir)
	if err != nil {
		return nil, err
	}
	if healed {
		out.note("%s was still mounted from a run that was killed; it was unmounted", dir)
	}
	m, err := mountView(ctx, s.repo, dir, allowOther)
	if err == nil && out.options.JSON {
		out.emit("mounted", map[string]any{"path": dir})
	}
	return m, err
}
