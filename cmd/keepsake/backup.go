package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"keepsake/daemon"
	"keepsake/daemon/capture"
	"keepsake/daemon/config"
	"keepsake/daemon/rules"
	"keepsake/store"
	"keepsake/store/tree"
)

type backupArgs struct {
	Dirs    [][]byte
	Source  string
	Tags    []string
	Exclude []string
	Presets []string
	Caches  bool
	DryRun  bool
	Host    string
	User    string
}

func (a *app) backupCommand() *cobra.Command {
	var args backupArgs
	var excludeFiles []string
	c := &cobra.Command{
		Use:   "backup DIR…",
		Short: "Take a snapshot of each directory now",
		Long: `Takes one snapshot of each directory. Each directory is a source of its own,
labelled with its base name unless --source says otherwise, and keeps its label
for ever.

Files that have not changed since the last snapshot are not read. Paths that
cannot be read are listed, stored with the snapshot, and end the run with exit
code 3; everything else is safe.

A directory that the configuration names keeps the label it has there, and what
is said there of it (exclude, presets, require, guards) counts; flags add to that.`,
		Example: "  keepsake backup /volume1/weddings\n  keepsake backup --source clients /volume1/projects --tag before-upgrade",
		RunE: func(c *cobra.Command, dirs []string) error {
			if len(dirs) == 0 {
				return &usageError{errors.New("keepsake backup needs a directory; see keepsake backup --help")}
			}
			if args.Source != "" && len(dirs) > 1 {
				return &usageError{errors.New("--source names one source; give one directory with it")}
			}
			for _, d := range dirs {
				args.Dirs = append(args.Dirs, []byte(d))
			}
			for _, f := range excludeFiles {
				b, err := os.ReadFile(a.env.abs(f))
				if err != nil {
					return err
				}
				args.Exclude = append(args.Exclude, strings.Split(string(b), "\n")...)
			}
			args.Host, args.User = a.env.host, a.env.user
			return a.act(c.Context(), "backup", args)
		},
	}
	f := c.Flags()
	f.StringVar(&args.Source, "source", "", "label of the source instead of the directory's base name")
	f.StringArrayVar(&args.Tags, "tag", nil, "tag of the snapshot; may be repeated")
	f.StringArrayVar(&args.Exclude, "exclude", nil, "pattern of paths to leave out, as in .gitignore; may be repeated")
	f.StringArrayVar(&excludeFiles, "exclude-file", nil, "file with one pattern a line; may be repeated")
	f.StringSliceVar(&args.Presets, "exclude-preset", nil, "named set of patterns to leave out: nle-caches, nas-droppings; may be repeated")
	f.BoolVar(&args.Caches, "exclude-caches", false, "leave out what lies in directories with a CACHEDIR.TAG")
	f.BoolVar(&args.DryRun, "dry-run", false, "read and store nothing, only say what would be")
	return c
}

func backupHandler(ctx context.Context, s *session, args backupArgs, out *output) error {
	if _, err := rules.New(args.Exclude, args.Presets, args.Caches); err != nil {
		return &usageError{err}
	}
	incomplete := false
	for _, d := range args.Dirs {
		dir, err := sourceDir(out.path(d))
		if err != nil {
			return err
		}
		if err := s.outside(dir); err != nil {
			return err
		}
		missing, err := s.backup(ctx, args, s.sourceAt(dir, args.Source), out)
		if err != nil {
			return err
		}
		incomplete = incomplete || missing
	}
	if incomplete {
		return errIncomplete
	}
	return nil
}

// sourceDir checks that a path is a directory, and resolves what it is called.
func sourceDir(path string) (string, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		if inner, ok := errors.AsType[*fs.PathError](err); ok {
			err = inner.Err // path says where, as it was given
		}
		return "", fmt.Errorf("%s: %w", path, err)
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return "", fmt.Errorf("%s is not a directory; keepsake backs up directories. Give the directory that holds it", path)
	}
	return resolved, nil
}

// outside refuses a source inside keepsake's own directories: its snapshots
// would hold snapshots.
func (s *session) outside(dir string) error {
	for _, own := range s.own {
		if rel, err := filepath.Rel(own, dir); err == nil && filepath.IsLocal(rel) {
			return fmt.Errorf("%s lies inside %s, which is keepsake's own; choose another directory", dir, own)
		}
	}
	return nil
}

// sourceAt is the source that the configuration in force makes of a directory,
// or one with usual settings that no configuration names.
func (s *session) sourceAt(dir, label string) config.Source {
	for _, c := range s.inForce() {
		if !c.IsCommand() && config.Resolve(c.Path) == dir && (label == "" || c.Label == label) {
			c.Path = dir
			return c
		}
	}
	if label == "" {
		label = labelOf(dir)
	}
	return config.Source{Label: label, Path: dir}
}

// labelOf makes a label of a directory's base name.
func labelOf(dir string) string {
	label := strings.Map(func(r rune) rune {
		if strings.ContainsRune("/@:\x00", r) {
			return '-'
		}
		return r
	}, strings.ToValidUTF8(filepath.Base(dir), "-"))
	if label == "-" || label == "" {
		return "root"
	}
	return label
}

// backup takes one snapshot and reports whether something is missing in it.
func (s *session) backup(ctx context.Context, args backupArgs, of config.Source, out *output) (missing bool, err error) {
	dir, label := of.Path, of.Label
	leave, err := rules.New(slices.Concat(of.Exclude, args.Exclude), slices.Concat(of.Presets, args.Presets), of.CacheDirTag || args.Caches)
	if err != nil {
		return false, err
	}
	source, continued, err := capture.Bind(ctx, s.repo, label, dir, args.Host)
	if err != nil {
		return false, err
	}
	if continued {
		out.note("%s is continued from the snapshots in the repository; all metadata is read once", label)
	}
	window, err := daemon.Observed(s.repo, source.ID)
	if err != nil {
		return false, err
	}
	w, err := s.repo.NewWriter(ctx)
	if err != nil {
		return false, err
	}
	began := time.Now()
	defer s.runs.begin(label, began)()
	p := &capture.Progress{}
	p.OnProblem(func(path string, reason tree.Reason, err error) {
		out.problem(filepath.Join(dir, path), reason.String())
	})
	stop := out.watchProgress(ctx, func() progress { return captureProgress("Backing up "+label, p.Counts()) })
	r, err := capture.Run(ctx, capture.Options{
		Repository: s.repo, Writer: w, Source: source, Path: []byte(dir), Tags: args.Tags, Host: args.Host, User: args.User,
		Rules: leave, Own: s.own, DryRun: args.DryRun, Progress: p, Window: window, Guard: of.Guard, Require: of.Require,
	})
	err = errors.Join(err, w.Close(context.WithoutCancel(ctx)))
	stop()
	if err != nil {
		return false, fmt.Errorf("backing up %s: %w", dir, err)
	}
	if !args.DryRun {
		if err := daemon.Judged(ctx, s.keeper.Load(), s.repo, source.ID, args.User+"@"+args.Host, r); err != nil {
			return false, err
		}
	}
	s.published()
	told(out, label, r, p.Counts(), w.Written(), args.DryRun, time.Since(began))
	for _, f := range r.Findings {
		out.note("%s: %s. %s. Nothing expires until keepsake ack %s", label, f.Detail, aboutMark(f.Guard), label)
	}
	return r.Missing > 0 || len(r.Snapshot.Marks) > 0, nil
}

// aboutMark says what a guard found, and what to look at.
func aboutMark(mark string) string {
	switch mark {
	case capture.MarkEmptied:
		return "no file is left of what the last snapshot held. Is its disk mounted? The earlier snapshots are intact"
	case capture.MarkElsewhere:
		return "it lies on another file system than before. Is the right disk mounted? The earlier snapshots are intact"
	case capture.MarkShrunk:
		return "most of its files, or of its bytes, are gone since yesterday. Was that meant? The earlier snapshots are intact"
	case capture.MarkMassChange:
		return "many files were overwritten, renamed or deleted as no work does it. Look at them, and at the machines that write here; the earlier snapshots are intact"
	}
	return "marked " + mark
}

func captureProgress(action string, c capture.Counts) progress {
	return progress{Action: action, Files: c.Files, Bytes: c.ReadBytes + c.UnreadBytes, TotalBytes: c.Expected}
}

// told says what a backup did.
func told(out *output, label string, r *capture.Result, c capture.Counts, w store.Written, dry bool, took time.Duration) {
	if out.options.JSON {
		fields := map[string]any{
			"source": label, "dry_run": dry, "files_new": c.NewFiles, "files_changed": c.ChangedFiles, "files_unmodified": c.Unread,
			"data_read": c.ReadBytes, "data_added": w.StoredBytes, "missed": r.Missing, "dropped": droppedFields(r.Dropped), "seconds": took.Seconds(),
		}
		if !dry {
			fields["snapshot_id"] = r.Snapshot.ID.String()
			fields["total_files"], fields["total_bytes"] = r.Snapshot.Stats.Files, r.Snapshot.Stats.Bytes
		}
		out.emit("summary", fields)
		return
	}
	for _, d := range r.Dropped {
		out.say("%s: left out %s by %s", label, count(d.Paths, "path"), d.Rule)
	}
	if dry {
		out.printf("%s: would read %s (%d new, %d changed), %s; %s are unchanged", label,
			count(c.NewFiles+c.ChangedFiles, "file"), c.NewFiles, c.ChangedFiles, size(c.ReadBytes), count(c.Unread, "file"))
		return
	}
	s := r.Snapshot
	gone := ""
	if s.Stats.DeletedFiles > 0 {
		gone = fmt.Sprintf(", %d deleted", s.Stats.DeletedFiles)
	}
	out.say("%s: %d new, %d changed, %d unchanged files%s; %s read, %s added in %s", label,
		c.NewFiles, c.ChangedFiles, s.Stats.UnchangedFiles, gone, size(c.ReadBytes), size(w.StoredBytes), took.Round(10*time.Millisecond))
	mark := "complete"
	if r.Missing > 0 {
		mark = count(r.Missing, "path") + " missing, listed above and in the snapshot"
	}
	out.say("snapshot %s %s: %s, %s, %s", s.ID.Short(), s.Started.Time().In(s.Zone()).Format("2006-01-02 15:04:05"),
		count(s.Stats.Files, "file"), size(s.Stats.Bytes), mark)
}
