package retention

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy says which snapshots of a chain are kept: those that any of its rules
// wants. The zero Policy keeps everything.
type Policy struct {
	Last    int           // so many of the newest finished ones
	Hourly  int           // one in each of so many hours: the newest that have one
	Daily   int           // the same of days
	Weekly  int           // of ISO weeks
	Monthly int           // of months
	Yearly  int           // of years
	Within  time.Duration // all that are at most so much older than the newest
	Tags    []string      // all that have one of these tags
}

// Default is the policy where nothing is said: every snapshot for two days,
// in which most mistakes are noticed; then one for each of 7 days, 4 weeks and
// 12 months that have one.
func Default() Policy {
	return Policy{Within: 48 * time.Hour, Daily: 7, Weekly: 4, Monthly: 12}
}

// Item is a snapshot as the policy sees it.
type Item struct {
	Time       time.Time // in the captured machine's zone
	Number     uint64    // in the chain; the truth of order
	Tags       []string
	Complete   bool // missed nothing; not in progress
	InProgress bool
	Pinned     bool
}

// Decision says whether an item is kept, and every reason for that.
type Decision struct {
	Keep    bool
	Reasons []string // "daily 2026-11-21", "within 48h", "newest complete", "pinned", "its time is in doubt"
}

// Reasons that are not a period's.
const (
	ReasonNoRule         = "no rule was given"
	ReasonPinned         = "pinned"
	ReasonNewest         = "newest"
	ReasonNewestComplete = "newest complete"
	ReasonInProgress     = "in progress"
	ReasonDoubt          = "its time is in doubt"
	ReasonLast           = "last"
)

// Zero reports whether p says nothing, and so keeps everything.
func (p Policy) Zero() bool {
	return p.Last|p.Hourly|p.Daily|p.Weekly|p.Monthly|p.Yearly == 0 && p.Within == 0 && len(p.Tags) == 0
}

// String says in a line what p keeps: "7 daily, 4 weekly, within 48h".
func (p Policy) String() string {
	if p.Zero() {
		return "everything"
	}
	var rules []string
	for _, r := range p.counts() {
		if r.count > 0 {
			rules = append(rules, fmt.Sprintf("%d %s", r.count, r.name))
		}
	}
	if p.Within > 0 {
		rules = append(rules, "within "+duration(p.Within))
	}
	for _, tag := range p.Tags {
		rules = append(rules, "tag "+tag)
	}
	return strings.Join(rules, ", ")
}

// Validate reports everything that is wrong with p.
func (p Policy) Validate() error {
	var all []error
	for _, r := range p.counts() {
		if r.count < 0 {
			all = append(all, fmt.Errorf("%s is %d: a number of snapshots to keep cannot be negative", r.name, r.count))
		}
	}
	if p.Within < 0 {
		all = append(all, fmt.Errorf("within is %v: a time to keep snapshots for cannot be negative", p.Within))
	}
	if slices.Contains(p.Tags, "") {
		all = append(all, errors.New("an empty tag: name the tag whose snapshots are kept"))
	}
	return errors.Join(all...)
}

type namedCount struct {
	name  string
	count int
}

func (p Policy) counts() []namedCount {
	return []namedCount{
		{"last", p.Last}, {"hourly", p.Hourly}, {"daily", p.Daily}, {"weekly", p.Weekly}, {"monthly", p.Monthly}, {"yearly", p.Yearly},
	}
}
