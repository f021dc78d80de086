package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"keepsake/store/tree"
)

type dumpArgs struct{ Snapshot []byte }

func (a *app) dumpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "dump SNAP:PATH",
		Short:   "Write one file of a snapshot to standard output",
		Long:    "Writes the content of one file to standard output: its bytes and nothing else, with\n--json and --verbose, too.\n\n" + aboutSnapshots,
		Example: "  keepsake dump latest:2026/Weber/contract.pdf > contract.pdf",
		Args:    exactly(1, "one file, SNAP:PATH"),
		RunE: func(c *cobra.Command, what []string) error {
			a.flags.quiet = true // standard output is the file's
			return a.act(c.Context(), "dump", dumpArgs{[]byte(what[0])})
		},
	}
}

// dumpBlock is how much is read and written at a time.
const dumpBlock = 1 << 20

func dumpHandler(ctx context.Context, s *session, args dumpArgs, out *output) error {
	_, n, rel, err := s.find(ctx, string(args.Snapshot))
	if err != nil {
		return err
	}
	if rel == "" && n.Type == tree.Dir {
		return &usageError{fmt.Errorf("dump writes one file; say which: keepsake dump %s:PATH (keepsake ls -R %[1]s lists them)", quote(strings.TrimRight(string(args.Snapshot), ":")))}
	}
	if n.Type != tree.File {
		return &usageError{fmt.Errorf("%q is a %v; dump writes one regular file, restore does the rest", rel, n.Type)}
	}
	f, err := s.repo.OpenFile(n)
	if err != nil {
		return err
	}
	buf := make([]byte, dumpBlock)
	for off := int64(0); off < f.Size(); {
		got, err := f.ReadAt(ctx, buf, off)
		if err != nil && err != io.EOF {
			return fmt.Errorf("%s, at byte %d: %w", rel, off, err)
		}
		if _, err := out.stream.Stdout.Write(buf[:got]); err != nil {
			return err
		}
		off += int64(got)
	}
	return nil
}
