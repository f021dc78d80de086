package config

import (
	"fmt"
	"slices"
)

// Changes are what a new configuration says differently, as a daemon that runs
// with the old one needs to know it.
type Changes struct {
	Added   []Source
	Removed []Source // as the old configuration has them
	Changed []Source // as the new one has them; label and path are the same
	// Global are the keys outside sources that count from now on, Restart those
	// that count when the daemon starts again.
	Global, Restart []string
}

// None reports whether nothing has changed.
func (c Changes) None() bool {
	return len(c.Added)+len(c.Removed)+len(c.Changed)+len(c.Global)+len(c.Restart) == 0
}

// Changed compares two configurations. A label that stands for another directory
// than before is refused with Problems: the snapshots below a label are one
// chain, and the next one would look like the loss of every file.
func Changed(old, new Config) (Changes, error) {
	var c Changes
	var moved Problems
	for _, s := range new.Sources {
		before, ok := find(old.Sources, s.Label)
		switch {
		case !ok:
			c.Added = append(c.Added, s)
		case before.Path != s.Path || before.IsCommand() != s.IsCommand():
			moved = append(moved, Problem{
				Key: "source.path", Text: fmt.Sprintf("of %s was %s and is %s now, and a label is bound to what it was given to", quoteTOML(s.Label), what(before), what(s)),
				Remedy: "give the new one a label of its own",
			})
		case !equalFields(sourceKeys(), &before, &s) || !slices.EqualFunc(before.Outputs, s.Outputs, sameOutput):
			c.Changed = append(c.Changed, s)
		}
	}
	for _, s := range old.Sources {
		if _, ok := find(new.Sources, s.Label); !ok {
			c.Removed = append(c.Removed, s)
		}
	}
	c.compare("", appendChanged(nil, globalKeys(), &old, &new))
	c.compare("notify.", appendChanged(nil, notifyKeys(), &old.Notify, &new.Notify))
	if len(moved) > 0 {
		return c, moved
	}
	return c, nil
}

// compare sorts keys by when their change counts. The profile is none of them:
// it shows in what it is the default of.
func (c *Changes) compare(section string, keys []Key) {
	for _, k := range keys {
		switch {
		case k.Name == "profile":
		case k.Restart:
			c.Restart = append(c.Restart, section+k.Name)
		default:
			c.Global = append(c.Global, section+k.Name)
		}
	}
}

func appendChanged[S any](all []Key, fields []field[S], old, new *S) []Key {
	for _, f := range fields {
		if !f.equal(old, new) {
			all = append(all, f.key())
		}
	}
	return all
}

func equalFields[S any](fields []field[S], a, b *S) bool {
	return len(appendChanged(nil, fields, a, b)) == 0
}

func sameOutput(a, b Output) bool { return equalFields(outputKeys(), &a, &b) }

func find(all []Source, label string) (Source, bool) {
	i := slices.IndexFunc(all, func(s Source) bool { return s.Label == label })
	if i < 0 {
		return Source{}, false
	}
	return all[i], true
}

func what(s Source) string {
	if s.IsCommand() {
		return "the output of a command"
	}
	return s.Path
}
