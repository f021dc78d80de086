package alert

import "slices"

// State is how a source stands, or one of the conditions that make it stand so.
type State string

// The states, from good to bad.
const (
	OK       State = "ok"       // fresh, complete, unguarded
	Degraded State = "degraded" // the newest snapshot misses something
	Stale    State = "stale"    // the newest snapshot is older than it should be
	Guard    State = "guard"    // a guard found something that a person has to look at
	Failed   State = "failed"   // no snapshot can be made
)

var byRank = [...]State{OK, Degraded, Stale, Guard, Failed}

func (s State) rank() int { return slices.Index(byRank[:], s) }

// Worst returns the worst of some states, OK if there are none.
func Worst(states ...State) State {
	worst := OK
	for _, s := range states {
		if s.rank() > worst.rank() {
			worst = s
		}
	}
	return worst
}

// Condition is one thing that stands for a source.
type Condition struct {
	State   State    `cbor:"1,keyasint"`
	Summary string   `cbor:"3,keyasint,omitempty"` // a sentence for people; empty for a general one
	Detail  []string `cbor:"5,keyasint,omitempty"` // what exactly: paths, findings, the words of a program
}

// Report is how a source stands.
type Report struct {
	// Standing are all conditions; none means that the source is ok. Of two with the same state the first counts.
	Standing []Condition
	// Snapshot is the newest snapshot that this is about, by its id; empty if there is none.
	Snapshot string
	// Recovered is the sentence that is told if this report ends all conditions; empty for a general one.
	Recovered string
}

// standing returns the conditions of a report as they are kept: known, once each, the worst first, bounded.
func (r Report) standing() []Condition {
	var all []Condition
	for _, c := range r.Standing {
		if c.State == OK {
			continue
		}
		if c.State.rank() < 0 {
			c.State = Degraded // of a newer keeper, perhaps; something is not well
		}
		if !slices.ContainsFunc(all, func(o Condition) bool { return o.State == c.State }) {
			all = append(all, Condition{c.State, bounded(c.Summary, maxSummary), boundedLines(c.Detail)})
		}
	}
	slices.SortFunc(all, func(a, b Condition) int { return b.State.rank() - a.State.rank() })
	return all
}

// statesOf returns the states of conditions, in the same order.
func statesOf(all []Condition) []State {
	states := make([]State, len(all))
	for i, c := range all {
		states[i] = c.State
	}
	return states
}
