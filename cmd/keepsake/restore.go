package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"keepsake/daemon/config"
	"keepsake/daemon/restore"
)

type restoreArgs struct {
	Snapshot  []byte
	Target    []byte
	Include   []string
	Overwrite string
	Delete    bool
	Verify    bool
	Salvage   bool
	DryRun    bool
}

func (a *app) restoreCommand() *cobra.Command {
	var args restoreArgs
	var target string
	c := &cobra.Command{
		Use:   "restore SNAP[:PATH] --target DIR",
		Short: "Bring back a snapshot, or a part of it, into a directory",
		Long: `Restores into a new or existing directory. SNAP:DIR puts what the directory holds
into the target, SNAP:FILE the file; without a path the whole source goes
directly into the target.

A file that cannot be restored whole is left out and listed, and the exit code
is 3. It is 3 as well if the snapshot is not what one would hope for: if it misses
something of what was asked for, or was taken under an alarm. The newest one that
is better is named then. Nothing is ever written outside the target. A restore that was interrupted
goes on with --overwrite if-changed.

--include takes names and patterns as in .gitignore: '*.CR3', 2026/Weber.

` + aboutSnapshots,
		Example: "  keepsake restore latest --target ~/restored\n  keepsake restore latest@weddings:2026/Weber --target /tmp/weber --overwrite if-changed",
		Args:    exactly(1, "one snapshot, SNAP or SNAP:PATH"),
		RunE: func(c *cobra.Command, what []string) error {
			if target == "" {
				return &usageError{errors.New("restore needs --target DIR: it never guesses where to write")}
			}
			if _, err := restore.ParsePolicy(args.Overwrite); err != nil {
				return &usageError{err}
			}
			args.Snapshot, args.Target = []byte(what[0]), []byte(target)
			return a.act(c.Context(), "restore", args)
		},
	}
	f := c.Flags()
	f.StringVarP(&target, "target", "t", "", "directory to restore into; made if missing")
	f.StringArrayVarP(&args.Include, "include", "i", nil, "restore only what this pattern names; may be repeated")
	f.StringVar(&args.Overwrite, "overwrite", "always", "what happens to files that are there: always, if-changed, if-newer, never")
	f.BoolVar(&args.Delete, "delete", false, "remove from the target what the snapshot does not have")
	f.BoolVar(&args.Verify, "verify", false, "read every file back and compare its SHA-256")
	f.BoolVar(&args.Salvage, "salvage", false, "keep the readable ranges of damaged files")
	f.BoolVar(&args.DryRun, "dry-run", false, "change nothing, only say what would be done")
	return c
}

func restoreHandler(ctx context.Context, s *session, args restoreArgs, out *output) error {
	policy, err := restore.ParsePolicy(args.Overwrite)
	if err != nil {
		return &usageError{err}
	}
	snap, _, rel, err := s.find(ctx, string(args.Snapshot))
	if err != nil {
		return err
	}
	defects, err := s.defectsOf(ctx, snap, rel)
	if err != nil {
		return err
	}
	target := out.path(args.Target)
	if err := s.outside(config.Resolve(target)); err != nil {
		return err
	}
	if args.Delete {
		if err := s.sparing(target, string(snap.RootPath)); err != nil {
			return err
		}
	}
	p := &restore.Progress{}
	stop := out.watchProgress(ctx, func() progress {
		return progress{
			Action: "Restoring", Files: p.Entries.Load(), TotalFiles: p.EntriesTotal.Load(),
			Bytes: p.Bytes.Load(), TotalBytes: p.BytesTotal.Load(),
		}
	})
	r, err := restore.Run(ctx, restore.Options{
		Repository: s.repo, Snapshot: snap, Path: rel, Target: target, Include: args.Include, Overwrite: policy,
		Delete: args.Delete, Verify: args.Verify, Salvage: args.Salvage, DryRun: args.DryRun, Progress: p,
	})
	stop()
	if err != nil {
		if ctx.Err() != nil {
			out.note("what was restored is whole; go on with the same command and --overwrite if-changed")
		}
		return fmt.Errorf("restoring into %s: %w", target, err)
	}
	restored(out, target, args.DryRun, r, defects)
	defects.tell(out, target)
	if r.LostCount > 0 || len(r.Unmatched) > 0 || defects.any() {
		return errIncomplete
	}
	return nil
}

// sparing refuses a target whose cleaning would delete what keepsake needs, or
// the library that the snapshot was taken of, unless that is the target itself.
func (s *session) sparing(target, source string) error {
	target = config.Resolve(target)
	for _, needed := range append([]string{source, config.Resolve(s.env.configDir())}, s.own...) {
		rel, err := filepath.Rel(target, needed)
		if err != nil || !filepath.IsLocal(rel) || needed == source && rel == "." {
			continue
		}
		if exists(needed) {
			return fmt.Errorf("--delete would remove %s, which lies inside the target %s; restore without --delete, or into another directory. Nothing was changed", needed, target)
		}
	}
	return nil
}

// restored says what a restore did and what it could not keep.
func restored(out *output, target string, dry bool, r restore.Result, defects defects) {
	for _, l := range r.Lost {
		reason := l.Reason
		if l.Salvaged {
			reason += " (readable ranges were kept)"
		}
		out.problem(l.Path, reason)
	}
	for _, pattern := range r.Unmatched {
		out.problem(pattern, "nothing in the snapshot matches")
	}
	if out.options.JSON {
		notKept := []map[string]any{}
		for _, k := range r.NotKept {
			notKept = append(notKept, map[string]any{"what": k.What, "why": k.Why, "count": k.Count, "example": k.Example})
		}
		out.emit("summary", map[string]any{
			"target": target, "dry_run": dry, "files_restored": r.Files, "dirs_restored": r.Dirs, "others_restored": r.Others,
			"bytes_restored": r.Bytes, "files_skipped": r.Skipped, "files_deleted": r.Deleted, "files_verified": r.Verified,
			"lost": r.LostCount, "not_kept": notKept, "seconds": r.Elapsed.Seconds(),
			"snapshot_missed": defects.missed, "snapshot_marks": append([]string{}, defects.marks...),
		})
		return
	}
	verb := "Restored"
	if dry {
		verb = "Would restore"
	}
	out.say("%s %s, %s and %s into %s: %s in %s", verb, count(r.Files, "file"), count(r.Dirs, "directory"), count(r.Others, "other"), target,
		size(r.Bytes), r.Elapsed.Round(10*time.Millisecond))
	for _, line := range []struct {
		n    int64
		what string
	}{
		{r.Skipped, "Left alone, because they were there already"},
		{r.Deleted, "Removed, because the snapshot does not have them"},
		{r.Verified, "Read back and compared"},
		{r.Torn, "Torn: being written when the snapshot was taken"},
		{r.KeptPrevious, "An earlier version: the newest was being written or could not be read"},
	} {
		if line.n > 0 {
			out.say("%s: %s", line.what, humanize.Comma(line.n))
		}
	}
	for _, k := range r.NotKept {
		out.note("%s not kept for %s (%s), %s for one", k.What, count(k.Count, "entry"), k.Why, quote(k.Example))
	}
	if r.LostCount > 0 {
		out.note("not restored whole: %s, named above; run keepsake check --read-data", count(r.LostCount, "path"))
	}
}
