package health

import (
	"fmt"
	"strings"
	"time"
)

// State is the word for how a source stands. The package's documentation has the table.
type State string

// The states.
const (
	Guarded    State = "guarded"
	Retired    State = "retired"
	Failing    State = "failing"
	Paused     State = "paused"
	InProgress State = "in progress"
	Stale      State = "stale"
	Degraded   State = "degraded"
	Waiting    State = "waiting"
	Polled     State = "polled"
	Complete   State = "complete"
)

// states are all of them, in the order in which they take precedence; waiting stands at its first place.
var states = []State{Guarded, Retired, Failing, Paused, InProgress, Waiting, Stale, Degraded, Polled, Complete}

// inProgress is the basis of a snapshot that was published before its scan was through.
const inProgress = "in-progress"

// clockSlack is how far in the future a last look may lie. Clocks that are steered step by less.
const clockSlack = time.Minute

// Source is the verdict about one source, with the facts that it rests on: one row of status.
type Source struct {
	Facts
	State      State   `json:"state"`
	Fresh      bool    `json:"fresh"`
	Complete   bool    `json:"complete"`
	Guarded    bool    `json:"guarded"`
	GapSeconds float64 `json:"gap_seconds,omitempty"`
	// Reason is one line for people; empty if there is nothing to say. It may hold names of the source's files.
	Reason string `json:"reason,omitempty"`
	// Next is the command that a person should run next; empty if none is needed.
	Next string `json:"next_step,omitempty"`
}

// Well reports whether nothing needs a person's attention.
func (s Source) Well() bool {
	return !s.Guarded && (s.Facts.Retired || s.Fresh && s.Complete && s.AfterError == "")
}

// Judge says how a source stands at the time now, whose zone times are told in.
func Judge(f Facts, now time.Time) Source {
	s := Source{
		Facts:      f,
		Fresh:      fresh(f, now),
		Complete:   f.Newest != nil && f.Newest.Complete,
		Guarded:    len(f.Alarms) > 0 || f.Suspects.Count > 0,
		GapSeconds: f.Gap.Seconds(),
	}
	s.State = s.word(now)
	s.Reason, s.Next = s.explain(now)
	return s
}

// JudgeAll judges several sources at one time.
func JudgeAll(all []Facts, now time.Time) []Source {
	rows := make([]Source, len(all))
	for i, f := range all {
		rows[i] = Judge(f, now)
	}
	return rows
}

// fresh compares wall-clock times: what matters is the age as people count it, a night of sleep included.
func fresh(f Facts, now time.Time) bool {
	switch {
	case f.Looked.IsZero(), f.Looked.After(now.Add(clockSlack)):
		return false
	case f.Gap <= 0:
		return true
	}
	return now.Round(0).Sub(f.Looked.Round(0)) <= f.Gap+f.Gap/2
}

// word picks the first state of the package's table that holds.
func (s Source) word(now time.Time) State {
	switch {
	case s.Guarded:
		return Guarded
	case s.Facts.Retired:
		return Retired
	case s.LastError != "":
		return Failing
	case s.PausedUntil.After(now):
		return Paused
	case s.Running && s.NewestComplete.IsZero() && !s.Complete && (s.Newest == nil || s.Newest.Basis == inProgress):
		return InProgress
	case s.Newest == nil:
		return Waiting
	case !s.Fresh:
		return Stale
	case s.AfterError != "":
		return Degraded
	case s.Complete && s.Polled != "":
		return Polled
	case s.Complete:
		return Complete
	case s.Newest.Basis != inProgress && s.Newest.Missed > 0 && s.Newest.Missed == s.Newest.Writing:
		return Waiting
	}
	return Degraded
}

// explain gives the reason for the word, and the next step.
func (s Source) explain(now time.Time) (reason, next string) {
	switch s.State {
	case Guarded:
		return s.alarmed(now)
	case Retired:
		return "not in the configuration; its snapshots stay", ""
	case Failing:
		return s.LastError, s.details()
	case Paused:
		return "until " + Clock(s.PausedUntil, now), ""
	case InProgress:
		return s.begun(now), ""
	case Stale:
		return s.outdated(now), s.details()
	case Degraded:
		return s.missing(), s.details()
	case Waiting:
		return s.awaited(), ""
	case Polled:
		if s.Watch != nil && s.Watch.AtLimit {
			return s.Facts.Polled, "keepsake doctor"
		}
		return s.Facts.Polled, ""
	}
	return s.idle(now), ""
}

// details is the command that tells all about the source.
func (s Source) details() string { return "keepsake status " + shellWord(s.Label) }

// GuardRot is the alarm about files that are suspected to have rotted.
const GuardRot = "rot"

// AlarmLines tells what a person has to acknowledge, an alarm on a line. Suspects have one of their own only if no
// alarm speaks of them.
func (s Source) AlarmLines(now time.Time) (lines []string) {
	rot := false
	for _, a := range s.Alarms {
		lines = append(lines, a.Line(now))
		rot = rot || a.Guard == GuardRot
	}
	if s.Suspects.Count > 0 && !rot {
		lines = append(lines, s.Suspects.Line())
	}
	return lines
}

// alarmed tells the first alarm, and how many more stand.
func (s Source) alarmed(now time.Time) (reason, next string) {
	lines := s.AlarmLines(now)
	reason = lines[0]
	if more := len(lines) - 1; more > 0 {
		reason += fmt.Sprintf(" (and %d more)", more)
	}
	return reason, s.Acknowledge()
}

// Acknowledge is the command that ends the source's alarms.
func (s Source) Acknowledge() string { return "keepsake ack " + shellWord(s.Label) }

// Line tells an alarm on one line, with what has been done about it.
func (a Alarm) Line(now time.Time) string {
	text := a.Detail
	if text == "" {
		text = a.Guard
	}
	if !a.Pinned.IsZero() {
		return fmt.Sprintf("%s. %s pinned, expiry paused", strings.TrimSuffix(text, "."), Clock(a.Pinned, now))
	}
	return strings.TrimSuffix(text, ".") + ". Expiry paused"
}

// Line tells of suspected rot on one line.
func (s Suspects) Line() string {
	return countOf(s.Count, "file") + " changed though size and times did not: bit rot? The earlier versions are kept, expiry paused"
}

func (s Source) begun(now time.Time) string {
	text := "the first backup is under way"
	if !s.LastBegan.IsZero() {
		text += " since " + Clock(s.LastBegan, now)
	}
	if s.Newest != nil {
		text += fmt.Sprintf("; %s are safe", countOf(s.Newest.Files, "file"))
	}
	return text
}

func (s Source) outdated(now time.Time) string {
	switch {
	case s.Looked.IsZero():
		return "no look has succeeded yet"
	case s.Looked.After(now):
		return "the last look is dated " + Clock(s.Looked, now) + ", in the future: the clock was set back"
	}
	return fmt.Sprintf("last looked %s, %s apart is the plan", Ago(s.Looked, now), Span(s.Gap))
}

// missing sums up what the newest snapshot lacks.
func (s Source) missing() string {
	n := s.Newest
	if s.AfterError != "" && s.Complete {
		return "after the snapshot: " + s.AfterError
	}
	if n.Basis == inProgress {
		return "the first backup was interrupted; what it had stored is safe, the rest is not"
	}
	if n.Missed == 1 && len(n.MissedPaths) > 0 {
		return n.MissedPaths[0].Line()
	}
	var parts []string
	others := "missed for other reasons"
	if n.Unreadable+n.Writing+n.Rotten == 0 {
		others = "missed"
	}
	for _, p := range []struct {
		n    uint64
		what string
	}{
		{n.Unreadable, "unreadable"},
		{n.Writing, "still being written"},
		{n.Rotten, "rotten"},
		{n.Missed - min(n.Missed, n.Unreadable+n.Writing+n.Rotten), others},
	} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	if len(parts) == 0 {
		return "marked " + strings.Join(n.Marks, ", ")
	}
	return strings.Join(parts, ", ")
}

// Line tells a missed path on one line, with the reason.
func (m Missed) Line() string {
	path := m.Path
	if path == "" {
		path = "the source itself"
	}
	if m.Detail == "" || m.Detail == m.Reason { // the system often says the same
		return path + ": " + m.Reason
	}
	return path + ": " + m.Reason + ": " + strings.ReplaceAll(m.Detail, "\n", " ")
}

func (s Source) awaited() string {
	switch {
	case s.Newest != nil:
		return countOf(s.Newest.Writing, "file") + " still being written when it was made"
	case s.Running:
		return "the first backup has begun"
	}
	return "no snapshot yet"
}

// idle says why a newest snapshot of a source that is well may be old.
func (s Source) idle(now time.Time) string {
	if now.Sub(s.Newest.Time) > time.Hour && s.Looked.Sub(s.Newest.Time) > time.Hour {
		return "nothing has changed since; last looked " + Ago(s.Looked, now)
	}
	return ""
}
