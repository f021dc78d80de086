package main

import (
	"fmt"
	"strings"
	"time"

	"keepsake/daemon/health"
)

// detail prints the lines of one source: a word, and what is known under it.
type detail struct {
	out *output
	now time.Time
}

// line prints one fact, if there is one.
func (d detail) line(word, format string, args ...any) {
	d.out.printf("%-12s%s", word, oneLine(fmt.Sprintf(format, args...)))
}

// tellSource prints all that is known of a source.
func (o *output) tellSource(r health.Source, now time.Time) {
	d := detail{o, now}
	o.printf("%-12s%s", quote(r.Label), o.state(r))
	if r.Reason != "" && r.State != health.Guarded {
		d.line("", "%s", r.Reason)
	}
	o.tellAlarms(r, now)
	if r.Path != "" {
		d.line("Path", "%s", r.Path)
	}
	d.snapshots(r)
	d.runs(r)
	d.watch(r)
	d.paths(r)
}

// snapshots tells of the newest snapshot.
func (d detail) snapshots(r health.Source) {
	n := r.Newest
	if n == nil {
		d.line("Newest", "never")
		return
	}
	d.line("Newest", "%s (%s), number %d, %s", health.Ago(n.Time, d.now), health.Clock(n.Time, d.now), n.Number, n.Basis)
	d.line("Holds", "%s, %s", count(n.Files, "file"), size(n.Bytes))
	if len(n.Dropped) > 0 {
		var all []string
		for _, r := range n.Dropped {
			all = append(all, count(r.Paths, "path")+" by "+r.Rule)
		}
		d.line("Left out", "%s", strings.Join(all, ", "))
	}
	if len(n.Why) > 0 {
		d.line("Scanned for", "%s", strings.Join(n.Why, ", "))
	}
	switch {
	case r.Complete:
		d.line("Complete", "yes")
	case r.NewestComplete.IsZero():
		d.line("Complete", "no snapshot has missed nothing yet")
	default:
		d.line("Complete", "no; the newest that is was begun %s (%s)", health.Ago(r.NewestComplete, d.now), health.Clock(r.NewestComplete, d.now))
	}
}

// runs tells of the schedule and of what the last runs did.
func (d detail) runs(r health.Source) {
	fresh := "no"
	if r.Fresh {
		fresh = "yes"
	}
	if !r.Looked.IsZero() {
		fresh += ", last looked " + health.Ago(r.Looked, d.now)
	}
	if r.Gap > 0 {
		fresh += fmt.Sprintf("; at most %s apart is the plan", health.Span(r.Gap))
	}
	d.line("Fresh", "%s", fresh)
	switch {
	case r.Running && !r.LastBegan.IsZero():
		d.line("Running", "since %s", health.Clock(r.LastBegan, d.now))
	case r.PausedUntil.After(d.now):
		d.line("Paused", "until %s; keepsake pause 0 ends it", health.Clock(r.PausedUntil, d.now))
	case !r.NextRun.IsZero() && r.OnChange:
		d.line("Next", "%s, or when changes have come to rest", health.Clock(r.NextRun, d.now))
	default:
		d.line("Next", "%s", next(r, d.now))
	}
	d.line("Waiting", "%s", waiting(r))
	if r.LastError != "" {
		d.line("Last error", "%s", r.LastError)
	}
	if r.AfterError != "" {
		d.line("After it", "%s", r.AfterError)
	}
	if t := r.Totals; t.Runs() > 0 {
		d.line("Runs", "%d complete, %d degraded, %d without changes, %d failed; %s read, %s added since the start",
			t.Complete, t.Degraded, t.Unchanged, t.Failed, size(t.ReadBytes), size(t.AddedBytes))
	}
	if re := r.Reread; re.Files > 0 || !re.RoundEnded.IsZero() {
		text := fmt.Sprintf("%s, %s since the start", count(re.Files, "file"), size(re.Bytes))
		if !re.RoundEnded.IsZero() {
			text += "; read back in full " + health.Ago(re.RoundEnded, d.now)
		}
		d.line("Read again", "%s", text)
	}
}

// watch tells the figures of the watcher.
func (d detail) watch(r health.Source) {
	if r.Polled != "" {
		d.line("Polled", "%s", r.Polled)
	}
	w := r.Watch
	if w == nil {
		return
	}
	text := fmt.Sprintf("%d of %s", w.Watches, countOf(w.Directories, "directory", "directories"))
	if w.Limit > 0 {
		text += fmt.Sprintf("; the kernel allows %d", w.Limit)
	}
	if w.Dirty > 0 {
		text += fmt.Sprintf(", %d to be looked at", w.Dirty)
	}
	d.line("Watched", "%s", text)
	var rare []string
	for _, f := range []struct {
		n         uint64
		one, many string
	}{
		{w.Overflows, "loss of events", "losses of events"},
		{w.LimitReached, "lack of watches", "lacks of watches"},
		{w.Remounts, "remount", "remounts"},
		{w.ClockJumps, "clock jump", "clock jumps"},
		{w.Differences, "change found by a scan that no event had announced", "changes found by scans that no event had announced"},
	} {
		if f.n > 0 {
			rare = append(rare, countOf(f.n, f.one, f.many))
		}
	}
	if len(rare) > 0 {
		d.line("In doubt", "%s since the start", strings.Join(rare, ", "))
	}
}

func countOf(n uint64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// paths lists what is missed and what is suspected.
func (d detail) paths(r health.Source) {
	if n := r.Newest; n != nil && n.Missed > 0 {
		d.line("Missed", "%s", count(n.Missed, "path"))
		for _, m := range n.MissedPaths {
			d.line("", "%s", m.Line())
		}
		if more := n.Missed - min(n.Missed, uint64(len(n.MissedPaths))); more > 0 {
			d.line("", "and %d more: keepsake ls --json %.8s lists them", more, n.ID)
		}
	}
	if r.Suspects.Count > 0 {
		d.line("Suspected", "%s", count(r.Suspects.Count, "file"))
		for _, p := range r.Suspects.Paths {
			d.line("", "%s", p)
		}
	}
}
