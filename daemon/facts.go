package daemon

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"keepsake/daemon/guard"
	"keepsake/daemon/health"
	"keepsake/daemon/watch"
	"keepsake/store"
	"keepsake/store/tree"
)

// maxTold bounds the paths that the facts about a source name.
const maxTold = 64

// facts are what a source's keeper knows of the present, for those who ask.
type facts struct {
	newest  store.Snapshot // zero before the first
	about   *health.Snapshot
	whole   time.Time     // begin of the newest that missed nothing
	missed  []tree.Missed // by the last task
	missing uint64
	found   []guard.Finding // by the last task
	began   time.Time       // of the task under way, or the last one
	running bool
	next    time.Time // when the next task is due at the latest
	first   bool      // no task of this run has ended well yet
	unclean bool      // the last keeper was killed
	totals  health.Totals
	unseen  uint64 // changes that a scan found and no event had named
	reread  health.Reread
}

// Facts returns what is known of all sources.
func (k *Keeper) Facts() []health.Facts {
	var all []health.Facts
	for _, s := range k.all() {
		all = append(all, s.known(k.now()))
	}
	return all
}

// Pending tells what no snapshot holds: files that had not come to rest, and
// whether there may be more. Asked after Run it is about what the stop left.
func (k *Keeper) Pending() (files uint64, more bool) {
	for _, s := range k.all() {
		n, m := s.pending()
		files, more = files+n, more || m
	}
	return files, more
}

func (s *sourceKeeper) pending() (files uint64, more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	more = s.facts.first || s.facts.running
	if n := s.facts.about; n != nil {
		files = n.Writing
	}
	if s.watcher == nil {
		return files, more
	}
	st := s.watcher.Stats()
	files = max(files, uint64(st.InFlux))
	// What is in flux keeps its directory dirty.
	return files, more || st.All || st.Lost || !st.Ready || st.Dirty > 0 && files == 0
}

// known is what is known of the source now.
func (s *sourceKeeper) known(now time.Time) health.Facts {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, m, p := s.conf, &s.memory, &s.facts
	f := health.Facts{
		Label: c.Label, Kind: health.Path, Path: c.Path,
		Gap: (&agenda{conf: c}).gap(now), OnChange: !c.IsCommand() && (c.Schedule.Every > 0 || len(c.Schedule.At) == 0),
		NextRun: p.next, PausedUntil: m.pause.Until,
		Newest: p.about, NewestComplete: p.whole,
		First: p.first, Running: p.running, LastBegan: p.began, LastEnded: m.job.Ended, LastError: m.job.Error, AfterError: m.job.After, Looked: m.job.Looked,
		Totals: p.totals, Alarms: aboutAlarms(s.k.o.Repository, m.alarms), Suspects: suspects(m.rot), Reread: p.reread,
	}
	if f.PausedUntil.After(now) && f.NextRun.Before(f.PausedUntil) {
		f.NextRun = f.PausedUntil // the schedule's own time may be long over by then
	}
	if c.IsCommand() {
		f.Kind = health.Command
		return f
	}
	st := s.watcher.Stats()
	f.Waiting = st.InFlux
	f.Polled = s.polledReason(st)
	f.Watch = &health.Watch{
		Directories: uint64(st.Directories), Watches: uint64(st.Watches), Unwatched: uint64(st.AtLimit + st.NotWatchable),
		AtLimit: st.AtLimit > 0, Dirty: uint64(st.Dirty), Events: st.Events, Overflows: st.Overflows,
		LimitReached: st.LimitReached, Remounts: st.Remounts, ClockJumps: st.ClockJumps, Differences: p.unseen,
	}
	return f
}

// aboutAlarms translates alarms for status.
func aboutAlarms(r *store.Repository, alarms []Alarm) []health.Alarm {
	var all []health.Alarm
	for _, a := range alarms {
		h := health.Alarm{Guard: a.Guard, Detail: a.Detail, Since: a.Since}
		if pinned := (store.SnapshotID(a.Pinned)); pinned != (store.SnapshotID{}) {
			h.PinnedID = pinned.Short()
			if s, err := r.Find(context.Background(), pinned.String()); err == nil {
				h.Pinned = s.Started.Time()
			}
		}
		all = append(all, h)
	}
	return all
}

// RememberedFacts are what the state and the repository tell of a source that
// nobody keeps at this moment.
func RememberedFacts(r *store.Repository, label string) (health.Facts, error) {
	f := health.Facts{Label: label, Kind: health.Path}
	source, ok, err := r.State().Source(label)
	if err != nil || !ok {
		return f, err
	}
	m := memory{state: r.State(), source: source.ID}
	if err := m.load(); err != nil {
		return f, err
	}
	if f.Path = string(source.Path); f.Path == "" {
		f.Kind = health.Command
	}
	f.PausedUntil, f.LastEnded, f.LastError, f.Looked = m.pause.Until, m.job.Ended, m.job.Error, m.job.Looked
	f.AfterError = m.job.After
	f.Alarms, f.Suspects = aboutAlarms(r, m.alarms), suspects(m.rot)
	return f, nil
}

// noteNewest notes the newest snapshot, and what it tells.
func (s *sourceKeeper) noteNewest(ctx context.Context, snap store.Snapshot) {
	about := SnapshotFacts(ctx, s.k.o.Repository, snap)
	s.note(func(f *facts) { f.newest, f.about = snap, about })
}

// SnapshotFacts are what a manifest tells of how its source stands. Missed paths
// that cannot be read count as missed for no particular reason.
func SnapshotFacts(ctx context.Context, r *store.Repository, s store.Snapshot) *health.Snapshot {
	h := &health.Snapshot{
		ID: s.ID.String(), Number: s.Number, Time: s.Started.Time().In(s.Zone()), Finished: s.Finished.Time().In(s.Zone()),
		Basis: s.Basis.String(), Complete: s.Complete(), Files: s.Stats.Files, Bytes: s.Stats.Bytes,
		Missed: s.MissedCount, Marks: s.Marks, Why: s.Why,
	}
	for _, d := range s.Dropped {
		h.Dropped = append(h.Dropped, health.Dropped{Rule: printable(d.Rule), Paths: d.Paths})
	}
	all, err := r.Missed(ctx, &s.Snapshot)
	if err != nil {
		all = s.Missed
	}
	for _, m := range all {
		switch m.Reason {
		case tree.ReasonFlux, tree.ReasonKept, tree.ReasonBundle:
			h.Writing++
		case tree.ReasonPermission, tree.ReasonInput:
			h.Unreadable++
		case tree.ReasonRot:
			h.Rotten++
		}
		if len(h.MissedPaths) < maxTold {
			h.MissedPaths = append(h.MissedPaths, health.Missed{Path: printable(string(m.Path)), Reason: m.Reason.String(), Detail: m.Detail})
		}
	}
	return h
}

func suspects(r rotNote) health.Suspects {
	h := health.Suspects{Count: uint64(len(r.Paths))}
	for _, p := range r.Paths[:min(len(r.Paths), maxTold)] {
		h.Paths = append(h.Paths, printable(string(p)))
	}
	return h
}

// polledReason says why events do not tell all; empty if they do.
func (s *sourceKeeper) polledReason(st watch.Stats) string {
	switch {
	case st.RootPolled:
		return rootType(st) + " sends no events"
	case st.AtLimit > 0:
		return countOf(st.AtLimit, "directory") + " beyond the limit of watches"
	case st.Polled > 0:
		return countOf(st.Polled, "subtree") + " on file systems that send no events: " + st.PolledAt[0].Rel
	case st.NotWatchable > 0:
		return countOf(st.NotWatchable, "directory") + " that cannot be watched"
	}
	return ""
}

// rootType is the file system that the root is on, as the watcher found it: a
// file system that hangs must not be asked by who wants to tell that it does.
func rootType(st watch.Stats) string {
	for _, p := range st.PolledAt {
		if p.Rel == "." {
			return p.Type
		}
	}
	return "its file system"
}

// printable makes a name fit for JSON and a terminal.
func printable(name string) string {
	if utf8.ValidString(name) {
		return name
	}
	return strconv.QuoteToASCII(name)
}

// remember fills the facts from the repository when a keeper begins.
func (s *sourceKeeper) remember(ctx context.Context) error {
	all, _, err := s.k.o.Repository.Briefs(ctx)
	if err != nil {
		return err
	}
	var mine []*store.Brief
	for _, snap := range all {
		if snap.Origin().Source == s.source.ID {
			mine = append(mine, snap)
		}
	}
	newest, ok, err := s.k.o.Repository.NewestOf(ctx, mine)
	if err != nil || !ok {
		return err
	}
	var whole time.Time
	for _, snap := range mine {
		if snap.Complete() && snap.Started.Time().After(whole) {
			whole = snap.Started.Time()
		}
	}
	s.noteNewest(ctx, newest)
	s.note(func(f *facts) { f.whole = whole })
	return s.judgeMarks(ctx, mine)
}

// leastGap is the shortest distance between looks that freshness is measured
// by. A look takes its time, and a source is not stale for a late second.
const leastGap = time.Minute

// gap is the longest regular distance between looks around now.
func (a *agenda) gap(now time.Time) time.Duration {
	gap := a.every()
	if gap <= 0 || a.conf.IsCommand() {
		gap = a.conf.Schedule.Gap(now)
	}
	if gap > 0 {
		gap = max(gap, leastGap)
	}
	return gap
}

func countOf(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, ok := strings.CutSuffix(noun, "y"); ok {
		noun = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
