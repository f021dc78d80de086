package main

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keepsake/store"
	"keepsake/store/tree"
)

type lsArgs struct {
	Snapshot  []byte // SNAP or SNAP:PATH
	Long      bool
	Recursive bool
}

func (a *app) lsCommand() *cobra.Command {
	var args lsArgs
	c := &cobra.Command{
		Use:     "ls SNAP[:PATH]",
		Short:   "List what a snapshot holds",
		Long:    "Lists a directory of a snapshot, or one entry. With --json the first line is the\nsnapshot's, with all paths that it misses.\n\n" + aboutSnapshots,
		Example: "  keepsake ls latest\n  keepsake ls -l latest@weddings:2026/Weber",
		Args:    exactly(1, "one snapshot, SNAP or SNAP:PATH"),
		RunE: func(c *cobra.Command, what []string) error {
			args.Snapshot = []byte(what[0])
			return a.act(c.Context(), "ls", args)
		},
	}
	c.Flags().BoolVarP(&args.Long, "long", "l", false, "modes, owners, sizes and times")
	c.Flags().BoolVarP(&args.Recursive, "recursive", "R", false, "subdirectories, too")
	return c
}

// find resolves SNAP or SNAP:PATH. Times hold colons themselves, so the longest
// part before a colon that names a snapshot counts.
func (s *session) find(ctx context.Context, spec string) (snap store.Snapshot, n *tree.Node, rel string, err error) {
	for at := len(spec); at >= 0; at = strings.LastIndexByte(spec[:at], ':') {
		if snap, err = s.repo.Find(ctx, spec[:at]); err != nil {
			continue
		}
		rel = spec[min(at+1, len(spec)):]
		n, err = s.repo.Resolve(ctx, &snap.Root, rel)
		return snap, n, strings.Trim(path.Clean("/"+rel), "/"), err
	}
	return snap, nil, "", err
}

func lsHandler(ctx context.Context, s *session, args lsArgs, out *output) error {
	snap, n, rel, err := s.find(ctx, string(args.Snapshot))
	if err != nil {
		return err
	}
	l := &lister{s: s, out: out, args: args}
	if out.options.JSON {
		if snap.Missed, err = s.repo.Missed(ctx, &snap.Snapshot); err != nil {
			return err
		}
		out.emit("snapshot", snapshotFields(snap))
	}
	if n.Type != tree.Dir {
		l.entry(rel, n)
		return nil
	}
	return l.directory(ctx, "", n)
}

type lister struct {
	s    *session
	out  *output
	args lsArgs
}

func (l *lister) directory(ctx context.Context, rel string, dir *tree.Node) error {
	for n, err := range l.s.repo.Entries(ctx, dir) {
		if err != nil {
			return err
		}
		name := path.Join(rel, string(n.Name))
		l.entry(name, n)
		if l.args.Recursive && n.Type == tree.Dir {
			if err := l.directory(ctx, name, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lister) entry(name string, n *tree.Node) {
	if l.out.options.JSON {
		fields := map[string]any{
			"path": name, "type": n.Type.String(), "mode": n.Mode, "uid": n.UID, "gid": n.GID, "user": n.User, "group": n.Group,
			"size": n.Size, "mtime": n.MTime.Time().Format(time.RFC3339Nano),
		}
		if n.Type == tree.Symlink {
			fields["target"] = string(n.Target)
		}
		if n.SHA256 != nil {
			fields["sha256"] = fmt.Sprintf("%x", *n.SHA256)
		}
		l.out.emit("node", fields)
		return
	}
	shown := quote(name)
	if n.Type == tree.Dir {
		shown += "/"
	}
	if !l.args.Long {
		l.out.printf("%s", shown)
		return
	}
	if n.Type == tree.Symlink {
		shown += " -> " + quote(string(n.Target))
	}
	l.out.printf("%s %8s %8s %12d %s %s", n.FileMode(), owner(n.User, n.UID), owner(n.Group, n.GID), n.Size,
		n.MTime.Time().Local().Format("2006-01-02 15:04"), shown)
}

func owner(name string, id uint32) string {
	if name != "" {
		return name
	}
	return fmt.Sprint(id)
}
