package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"keepsake/daemon/control"
)

type mountArgs struct {
	Dir []byte
	viewOptions
}

func (a *app) mountCommand() *cobra.Command {
	var view *viewFlags
	c := &cobra.Command{
		Use:   "mount DIR",
		Short: "Show all snapshots as folders until interrupted",
		Long: `Mounts the repository read-only:

` + foldersHelp() + `
New snapshots appear by themselves, and DIR/README.txt says more. DIR must be empty;
if it is missing it is made, and removed again. Ctrl-C unmounts, at once if it is
pressed twice, and files that are open then fail.

Other users see nothing without --allow-other, and with it what the permissions and
ACLs of the captured files let them. Ordinary users may say so only if
/etc/fuse.conf has a line user_allow_other.

--cache, --read-ahead and --no-exec count before what keepsake.toml says.`,
		Example: "  keepsake mount /mnt/snapshots\n  keepsake mount ~/then --cache 256MiB",
		Args:    exactly(1, "the directory to mount at"),
		RunE: func(c *cobra.Command, dir []string) error {
			if dir[0] == "" {
				return &usageError{errors.New("keepsake mount needs a directory to mount at; the one given is empty")}
			}
			config := a.config
			if err := view.into(&config); err != nil {
				return err
			}
			args := mountArgs{Dir: []byte(dir[0]), viewOptions: viewOptionsOf(config)}
			args.AllowOther = view.allowOther
			err := a.act(c.Context(), "mount", args)
			if c.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // interrupted is how it ends
			}
			return err
		},
	}
	view = newViewFlags(c)
	return c
}

// folders are what there is in a view, and what for.
var folders = []struct{ name, below, what string }{
	{"latest", "SOURCE", "the newest snapshot"},
	{"snapshots", "SOURCE/TIME/…", "all of them"},
	{"previous", "SOURCE/@GMT-…/…", "the same for Samba: Windows' \"Previous Versions\""},
	{"versions", "SOURCE/PATH/TIME.EXT", "the distinct versions of each file, deleted ones included"},
}

func foldersHelp() string {
	var b strings.Builder
	for _, f := range folders {
		fmt.Fprintf(&b, "  DIR/%-30s %s\n", f.name+"/"+f.below, f.what)
	}
	return b.String()
}

func mountHandler(ctx context.Context, s *session, args mountArgs, out *output) error {
	place := viewPlace{dir: out.path(args.Dir), viewOptions: args.viewOptions}
	if err := cmp.Or(s.mayShowAt(place.dir), mayMake(place.dir)); err != nil {
		return err
	}
	if place.fit() {
		out.note("the cache is %s, half of the memory that the keepsake that mounts may use (memory in its keepsake.toml)", size(place.Cache))
	}
	m, err := s.mountAt(ctx, place, out)
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // as when it is interrupted later
		}
		return err
	}
	s.asked(out, "a view is mounted", "dir", place.dir)
	out.say("Snapshots are at %s. Ctrl-C unmounts.", place.dir)
	tellFolders(place.dir, out)
	err = s.show(ctx, m, place, out)
	switch {
	case err != nil:
	case ctx.Err() == nil:
		out.say("%s was unmounted by somebody else.", place.dir)
	case errors.Is(context.Cause(ctx), control.ErrStopping):
		out.note("%s is unmounted: the keepsake that showed it stops", place.dir)
	}
	return err
}

// tellFolders says what is to be found in a view that was just mounted.
func tellFolders(dir string, out *output) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		out.note("%s: %v", dir, err)
	}
	for _, f := range folders {
		for _, e := range entries {
			if e.Name() == f.name {
				out.say("  %-10s %s", f.name, f.what)
			}
		}
	}
}

// mountAt mounts the repository, healing what a killed run left there.
func (s *session) mountAt(ctx context.Context, place viewPlace, out *output) (*view, error) {
	if err := s.mayShowAt(place.dir); err != nil {
		return nil, err
	}
	healed, err := healView(place.dir)
	if err != nil {
		return nil, err
	}
	if healed {
		out.note("%s was still mounted from a run that was killed; it was unmounted", place.dir)
	}
	m, err := mountView(ctx, s.repo, place, viewLog(out))
	if err == nil && out.options.JSON {
		out.emit("mounted", map[string]any{
			"path": place.dir, "allow_other": place.AllowOther, "no_exec": place.NoExec, "cache_bytes": place.Cache, "read_ahead_bytes": place.ReadAhead,
		})
	}
	return m, err
}
