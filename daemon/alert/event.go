package alert

import (
	"fmt"
	"strings"
	"time"

	"keepsake/daemon/command"
)

// Kinds of events besides those that are states.
const (
	KindRecovered = "recovered"
	KindTest      = "test"
)

// Event is what the command reads from its standard input, as one line of JSON. Fields may be added.
type Event struct {
	Kind       string    `json:"kind"`                 // failed, degraded, guard, stale, recovered, test
	Source     string    `json:"source"`               // label; empty for what concerns all of them
	Host       string    `json:"host"`                 // the machine
	Repository string    `json:"repository,omitempty"` // short id
	Time       time.Time `json:"time"`                 // when the change was noticed, with the zone
	Summary    string    `json:"summary"`              // one sentence for people
	Detail     []string  `json:"detail,omitempty"`     // at most 20 lines, and how many there are beyond
	Snapshot   string    `json:"snapshot,omitempty"`   // id of the newest snapshot
	Standing   []State   `json:"standing"`             // all that stands now, the worst first; empty after a recovery
}

const (
	maxSummary = 500
	maxLines   = 20
	maxLine    = 300
)

// bounded cuts a text that is too long and makes it printable, on one line.
func bounded(text string, most int) string {
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.ReplaceAll(command.Printable(text), "\n", " ")
}

func boundedLines(lines []string) []string {
	var out []string
	for i, l := range lines {
		if i == maxLines {
			return append(out, fmt.Sprintf("and %d more", len(lines)-i))
		}
		out = append(out, bounded(l, maxLine))
	}
	return out
}

// generalSummary is what is said if the keeper said nothing.
func generalSummary(kind, source string) string {
	switch State(kind) {
	case Failed:
		return source + " is not being backed up"
	case Guard:
		return source + " has changed suspiciously; its last good snapshot is kept until somebody acknowledges"
	case Stale:
		return "the newest snapshot of " + source + " is older than it should be"
	case Degraded:
		return "the newest snapshot of " + source + " is not complete"
	}
	return source + " is complete and fresh again"
}
