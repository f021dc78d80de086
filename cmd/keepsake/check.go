package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"keepsake/store"
	"keepsake/store/backend"
)

type checkArgs struct {
	Snapshot string
	ReadData bool
	Subset   store.Subset
}

func (a *app) checkCommand() *cobra.Command {
	var args checkArgs
	var subset string
	c := &cobra.Command{
		Use:   "check [SNAP]",
		Short: "Look for everything that could keep a snapshot from being restored",
		Long: `Checks the structure of the repository: every snapshot, directory, list and
reference, and the index against the packs. With --read-data every byte is read
and decrypted, too. What is damaged is named, with every file that it affects
and what to do; the exit code is then 3.`,
		Example: "  keepsake check\n  keepsake check --read-data\n  keepsake check --read-data-subset 1/7    a seventh of the data, another one each day",
		RunE: func(c *cobra.Command, snaps []string) error {
			if len(snaps) > 1 {
				return &usageError{fmt.Errorf("keepsake check takes one snapshot or none")}
			}
			if len(snaps) == 1 {
				args.Snapshot = snaps[0]
			}
			if subset != "" {
				var err error
				if args.Subset, err = parseSubset(subset); err != nil {
					return &usageError{err}
				}
				args.ReadData = true
			}
			return a.act(c.Context(), "check", args)
		},
	}
	c.Flags().BoolVar(&args.ReadData, "read-data", false, "read and decrypt every byte")
	c.Flags().StringVar(&subset, "read-data-subset", "", "read the n-th of t parts of the data: n/t")
	return c
}

func parseSubset(s string) (store.Subset, error) {
	part, of, ok := strings.Cut(s, "/")
	n, errN := strconv.ParseUint(part, 10, 32)
	t, errT := strconv.ParseUint(of, 10, 32)
	if !ok || errN != nil || errT != nil || n == 0 || n > t {
		return store.Subset{}, fmt.Errorf("--read-data-subset %q is not of the form n/t, such as 1/7", s)
	}
	return store.Subset{N: n, Of: t}, nil
}

func checkHandler(ctx context.Context, s *session, args checkArgs, out *output) error {
	o := store.CheckOptions{ReadData: args.ReadData, Subset: args.Subset, Progress: &store.CheckProgress{}}
	if args.Snapshot != "" {
		snap, err := s.repo.Find(ctx, args.Snapshot)
		if err != nil {
			return err
		}
		o.Snapshot = &snap.ID
	}
	o.Report = func(p store.Problem) { out.tellProblem(p) }
	stop := out.watchProgress(ctx, func() progress { return checkProgress("Checking", o.Progress) })
	r, err := s.repo.Check(ctx, o)
	stop()
	if err != nil {
		return err
	}
	if out.options.JSON {
		out.emit("summary", map[string]any{
			"snapshots": r.Snapshots, "packs": r.Packs, "packs_read": r.PacksRead, "bytes_read": r.BytesRead, "problems": r.Problems,
			"mended": r.Mended, "healed": r.Healed, "unreferenced_packs": r.Unreferenced, "foreign_files": r.ForeignCount,
		})
	} else {
		out.tellCheck(r, args.ReadData)
	}
	if !r.Sound() {
		return errIncomplete
	}
	return nil
}

func checkProgress(action string, p *store.CheckProgress) progress {
	return progress{Action: action, Files: p.Packs.Load(), TotalFiles: p.PacksTotal.Load(), Bytes: p.Bytes.Load(), TotalBytes: p.BytesTotal.Load(), Noun: "packs"}
}

func (o *output) tellCheck(r store.CheckResult, read bool) {
	what := fmt.Sprintf("%s and the tables of %s", count(r.Snapshots, "snapshot"), count(r.Packs, "pack"))
	if read {
		what += ", and read " + size(r.BytesRead)
	}
	if r.Sound() {
		o.say("%s Checked %s: everything is sound.", o.color(text.FgGreen, "✓"), what)
		if !read {
			o.say("The data itself was not read; --read-data does that.")
		}
	} else {
		o.printf("Checked %s: %s found, named above.", what, count(r.Problems-r.Mended, "problem"))
	}
	if r.Unreferenced > 0 {
		o.say("Packs that no snapshot needs: %d.", r.Unreferenced)
	}
	if r.Healed > 0 {
		o.say("Packs that were damaged and are whole again: %d.", r.Healed)
	}
	for _, name := range r.Foreign {
		o.note("%s is not keepsake's", quote(name))
	}
}

// tellProblem tells one problem with the files it affects and what to do.
func (o *output) tellProblem(p store.Problem) {
	if o.options.JSON {
		paths := []map[string]any{}
		for _, a := range p.Paths {
			paths = append(paths, map[string]any{"snapshot_id": a.Snapshot.String(), "path": a.Path, "below": a.Below})
		}
		o.emit("problem", map[string]any{
			"object": p.Object, "kind": string(p.Kind), "error": fmt.Sprint(p.Err), "chunks": p.Chunks, "paths": paths, "path_count": p.PathCount,
			"mended": p.Mended, "remedy": p.Remedy,
		})
		return
	}
	o.printf("%s %v", o.color(text.FgRed, "✗"), p)
	for _, a := range p.Paths {
		path := quote(a.Path)
		if a.Below {
			path += "/… (what lies there cannot be listed)"
		}
		o.printf("    %s:%s", a.Snapshot.Short(), path)
	}
	if more := p.PathCount - len(p.Paths); more > 0 {
		o.printf("    and %d more", more)
	}
	o.printf("  %s", p.Remedy)
}

func (a *app) scrubCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "scrub",
		Short: "Check every object's checksum, without a key",
		Long: `Reads every byte of the repository and compares checksums. It needs no key, so
that any machine which holds a copy can do it, and names damaged objects, but not
files. A deliberate forgery is found by check --read-data only.`,
		Args: exactly(0, "no arguments"),
		RunE: func(c *cobra.Command, _ []string) error { return a.scrub(c.Context()) },
	}
}

// scrub needs neither key nor state, so it runs right here.
func (a *app) scrub(ctx context.Context) error {
	local, err := backend.OpenLocal(a.repositoryDir(), nil)
	if err != nil {
		return err
	}
	defer local.Close()
	out := a.output()
	p := &store.CheckProgress{}
	stop := out.watchProgress(ctx, func() progress { return checkProgress("Scrubbing", p) })
	r, err := store.Scrub(ctx, local, p, out.tellProblem)
	stop()
	if err != nil {
		return err
	}
	if a.flags.json {
		out.emit("summary", map[string]any{"objects": r.Objects, "bytes_read": r.Bytes, "problems": r.Problems, "foreign_files": r.ForeignCount})
	} else if r.Problems == 0 {
		out.say("%s Read %s, %s: every checksum is right.", out.color(text.FgGreen, "✓"), count(r.Objects, "object"), size(r.Bytes))
	} else {
		out.printf("Read %s, %s: %s found, named above.", count(r.Objects, "object"), size(r.Bytes), count(r.Problems, "problem"))
	}
	for _, name := range r.Foreign {
		out.note("%s is not keepsake's", quote(name))
	}
	if r.Problems > 0 {
		return errIncomplete
	}
	return nil
}
