package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/prometheus/common/model"
	"github.com/spf13/cobra"

	"keepsake/daemon"
	"keepsake/store"
	"keepsake/store/retention"
	"keepsake/store/state"
)

type forgetArgs struct {
	Snapshots []string
	Policy    retention.Policy
	Source    string
	DryRun    bool
	Who       string
}

func (a *app) forgetCommand() *cobra.Command {
	var args forgetArgs
	var within string
	c := &cobra.Command{
		Use:   "forget {SNAP… | --keep-… N}",
		Short: "Forget snapshots, by name or by what is to be kept",
		Long: `Forgets the snapshots that are named, or, with --keep flags, all that none of the
flags keeps. Try flags with --dry-run first: it lists what would go, what would
stay, and why.

  --keep-daily 7     the newest snapshot of each of the 7 newest days that have
                     one; days without a snapshot do not count. Hours, ISO weeks,
                     months and years likewise, in the time zone of the machine
                     that took the snapshot
  --keep-last 5      the 5 newest
  --keep-within 48h  all that are at most 48 hours older than the newest; also 7d,
                     2w, 1y
  --keep-tag T       all with this tag

Each source is judged by itself, and so is each machine's chain of snapshots.
Whatever the flags say, the newest complete snapshot stays, so do pinned ones, and
those whose time is in doubt because a clock was wrong. While an alarm of a source
stands, or this machine's clock is in doubt, the flags forget nothing of it: see
keepsake status.

Space is not freed yet: a forgotten snapshot is hidden, and what only it holds
stays until a prune, which is to come. Until then keepsake snapshots --forgotten
lists it and keepsake undelete brings it back.`,
		Example: "  keepsake forget --keep-within 48h --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --dry-run\n" +
			"  keepsake forget --source weddings --keep-last 20\n  keepsake forget 1a2b3c4d",
		RunE: func(c *cobra.Command, snapshots []string) error {
			args.Snapshots, args.Who = snapshots, a.who()
			if err := args.finish(within, ruled(c)); err != nil {
				return &usageError{fmt.Errorf("%w; see keepsake forget --help", err)}
			}
			return a.act(c.Context(), "forget", args)
		},
	}
	f := c.Flags()
	f.IntVar(&args.Policy.Last, "keep-last", 0, "keep the `N` newest")
	f.IntVar(&args.Policy.Hourly, "keep-hourly", 0, "keep one in each of the `N` newest hours that have one")
	f.IntVar(&args.Policy.Daily, "keep-daily", 0, "keep one in each of the `N` newest days that have one")
	f.IntVar(&args.Policy.Weekly, "keep-weekly", 0, "keep one in each of the `N` newest weeks that have one")
	f.IntVar(&args.Policy.Monthly, "keep-monthly", 0, "keep one in each of the `N` newest months that have one")
	f.IntVar(&args.Policy.Yearly, "keep-yearly", 0, "keep one in each of the `N` newest years that have one")
	f.StringVar(&within, "keep-within", "", "keep all that are at most this `AGE` older than the newest")
	f.StringArrayVar(&args.Policy.Tags, "keep-tag", nil, "keep all with this `TAG`; may be repeated")
	f.StringVar(&args.Source, "source", "", "only snapshots of the source with this `LABEL`")
	f.BoolVar(&args.DryRun, "dry-run", false, "forget nothing, only say what would go and why the rest stays")
	return c
}

// who asks, as the ledger keeps it.
func (a *app) who() string { return a.env.user + "@" + a.env.host }

// ruled reports whether a --keep flag was given, whatever its value.
func ruled(c *cobra.Command) bool {
	given := false
	for _, name := range []string{"last", "hourly", "daily", "weekly", "monthly", "yearly", "within", "tag"} {
		given = given || c.Flags().Changed("keep-"+name)
	}
	return given
}

// finish checks that the flags fit together.
func (args *forgetArgs) finish(within string, keeps bool) error {
	named := len(args.Snapshots) > 0
	switch {
	case named && keeps:
		return errors.New("name snapshots or say with --keep flags what stays, not both")
	case named && args.Source != "":
		return errors.New("--source goes with --keep flags; name a snapshot as latest@LABEL or by its id")
	case !named && !keeps:
		return errors.New("keepsake forget needs the snapshots to forget, or --keep flags that say what stays")
	}
	if within != "" {
		d, err := model.ParseDuration(within)
		if err != nil {
			return fmt.Errorf("--keep-within %q is no length of time; write 48h, 7d, 2w or 1y", within)
		}
		args.Policy.Within = time.Duration(d)
	}
	if err := args.Policy.Validate(); err != nil {
		return err
	}
	if keeps && args.Policy.Zero() {
		return errors.New("the --keep flags keep nothing; to forget everything but the newest use --keep-last 1")
	}
	return nil
}

func forgetHandler(ctx context.Context, s *session, args forgetArgs, out *output) error {
	if len(args.Snapshots) > 0 {
		return s.forgetNamed(ctx, args, out)
	}
	if args.Policy.Zero() {
		return &usageError{errors.New("no rule says what stays")}
	}
	all, _, err := s.repo.Briefs(ctx)
	if err != nil {
		return err
	}
	sources, err := sourcesOf(all, args.Source)
	if err != nil {
		return err
	}
	var made []store.Expiry
	for _, source := range sources {
		o, err := daemon.Expiring(s.repo, source, s.repo.Now())
		if err != nil {
			return err
		}
		o.Policy, o.DryRun, o.Who = args.Policy, args.DryRun, args.Who
		some, err := s.repo.Expire(ctx, o)
		if err != nil {
			return err
		}
		if o.Paused != "" && len(some) > 0 {
			out.note("nothing of %s is forgotten: %s", some[len(some)-1].Origin().Label, o.Paused)
		}
		made = append(made, some...)
	}
	if !args.DryRun {
		s.published() // the mounted view shows fewer now
	}
	out.tellExpiry(made, args.DryRun)
	return nil
}

// sourcesOf returns the sources that have snapshots, oldest first: all, or those
// with a label.
func sourcesOf(all []*store.Brief, label string) (sources []state.SourceID, err error) {
	var labels []string
	for _, snap := range all {
		of := snap.Origin()
		if !slices.Contains(labels, of.Label) {
			labels = append(labels, of.Label)
		}
		if (label == "" || of.Label == label) && !slices.Contains(sources, state.SourceID(of.Source)) {
			sources = append(sources, of.Source)
		}
	}
	if label != "" && len(sources) == 0 {
		slices.Sort(labels)
		return nil, fmt.Errorf("%w: no source has the label %q; there are: %s", store.ErrNoSnapshot, label, strings.Join(labels, ", "))
	}
	return sources, nil
}

// forgetNamed forgets all of the named snapshots or, after an error, none.
func (s *session) forgetNamed(ctx context.Context, args forgetArgs, out *output) error {
	var some []store.Snapshot
	for _, spec := range args.Snapshots {
		snap, err := s.repo.Find(ctx, spec)
		if err != nil {
			return err
		}
		some = append(some, snap)
	}
	some, err := s.repo.Forgettable(ctx, some)
	if err != nil {
		return err
	}
	if !args.DryRun {
		if err := s.repo.Forget(ctx, some, args.Who, "named"); err != nil {
			return err
		}
		s.published()
	}
	for _, snap := range some {
		if out.options.JSON {
			fields := snapshotFields(snap)
			fields["dry_run"] = args.DryRun
			out.emit("forgotten", fields)
		} else if args.DryRun {
			out.printf("Would forget %s", about(snap))
		} else {
			out.printf("Forgot %s", about(snap))
		}
	}
	if !args.DryRun && len(some) > 0 && !out.options.JSON {
		out.tellSpace()
	}
	return nil
}

func about(s store.Snapshot) string {
	return fmt.Sprintf("%s  %s  %s", s.ID.Short(), localTime(s.Started, s.Zone()), s.Label)
}

// tellExpiry tells what goes and what stays, and why.
func (o *output) tellExpiry(made []store.Expiry, dry bool) {
	gone := 0
	rows := longTable{heading: []string{"", "id", "time", "source", "why"}}
	for _, x := range made {
		if !x.Keep {
			gone++
		}
		if o.options.JSON {
			o.emit("decision", map[string]any{
				"id": x.ID.String(), "short_id": x.ID.Short(), "number": x.Number, "source": x.Origin().Label, "source_id": fmt.Sprintf("%x", x.Origin().Source),
				"time": x.Started.Time().In(x.Zone()).Format(time.RFC3339Nano), "keep": x.Keep, "reasons": append([]string{}, x.Reasons...),
			})
			continue
		}
		if dry || o.options.Verbose > 0 {
			rows.add(o.expiryRow(x)...)
		}
	}
	if o.options.JSON {
		o.emit("summary", map[string]any{"kept": len(made) - gone, "forgotten": gone, "dry_run": dry})
		return
	}
	if len(rows.rows) > 0 {
		o.longTable(&rows)
	}
	switch {
	case len(made) == 0:
		o.say("There are no snapshots yet. keepsake backup DIR takes one.")
	case dry:
		o.say("Would forget %d of %s.", gone, count(len(made), "snapshot"))
	default:
		o.say("Forgot %d of %s.", gone, count(len(made), "snapshot"))
		if gone > 0 {
			o.tellSpace()
		}
	}
}

func (o *output) expiryRow(x store.Expiry) []string {
	what, why := o.color(text.FgGreen, "keep"), strings.Join(x.Reasons, ", ")
	if !x.Keep {
		what, why = o.color(text.FgRed, "forget"), "no rule keeps it"
	}
	return []string{what, x.ID.Short(), localTime(x.Started, x.Zone()), x.Origin().Label, why}
}

// tellSpace says what forgetting has not done.
func (o *output) tellSpace() {
	o.say("No space is freed yet; that takes a prune, which is to come. Until then keepsake undelete brings a snapshot back.")
}
