package config

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"keepsake/daemon/rules"
)

// judge looks for what each key may say and both together may not.
func (r *reading) judge() {
	r.judgeShared("defaults", &r.config.Defaults)
	for i := range r.config.Sources {
		at := fmt.Sprintf("source[%d]", i)
		r.judgeSource(at, &r.config.Sources[i])
		r.judgeShared(at, &r.config.Sources[i])
	}
	r.judgeLabels()
	r.judgeMemory()
}

// judgeMemory says what the cache is cut down to.
func (r *reading) judgeMemory() {
	if c := r.config; r.given("", "cache") && c.ServiceCache() < c.Cache {
		r.note(r.line("", "cache"), "the service uses %s of the cache's %s, half of memory; make memory at least %s to have all of it", size(c.ServiceCache()), size(c.Cache), size(2*c.Cache))
	}
}

// judgeSource looks at what makes a source one.
func (r *reading) judgeSource(at string, s *Source) {
	head := r.lines[at]
	hasPath, hasCommand, hasFile := r.given(at, "path"), r.given(at, "command"), r.given(at, "file")
	if !r.given(at, "label") {
		r.problem(head, "source", "has no label", `write label = "NAME": it is the folder in which the snapshots are shown`)
	}
	switch {
	case hasPath && hasCommand:
		r.problem(r.line(at, "command"), "source.command", "stands beside a path, and a source is one or the other", "make two of it")
		return
	case !hasPath && !hasCommand:
		r.problem(head, "source", "has neither a path nor a command", "say what is to be kept")
		return
	case hasPath && s.Path == "":
		r.problem(r.line(at, "path"), "source.path", "is empty", "write the directory that is to be kept")
	case hasCommand && !hasFile:
		r.problem(r.line(at, "command"), "source.command", "has no file", `write file = "NAME": the output needs a name in the snapshot`)
	}
	r.judgeKind(at, map[bool]string{true: "path", false: "command"}[hasPath])
	r.judgeOutputs(at, s)
	if hasCommand && s.Schedule.Every == 0 && len(s.Schedule.At) == 0 {
		r.problem(head, "source", "never runs: nothing tells that the output of a command has changed", `write at = ["02:30"] or every = "1h"`)
	}
}

// judgeKind refuses keys that a source of this kind would not heed.
func (r *reading) judgeKind(at, kind string) {
	for _, f := range sourceKeys() {
		k := f.key()
		if k.Only == "" || k.Only == kind || !r.given(at, k.Name) {
			continue
		}
		r.problem(r.line(at, k.Name), "source."+k.Name, fmt.Sprintf("has no meaning for a source with a %s", kind), "remove it")
	}
}

func (r *reading) judgeOutputs(at string, s *Source) {
	names := map[string]bool{}
	for i, o := range s.Outputs {
		in := at
		if i > 0 {
			in = fmt.Sprintf("%s.output[%d]", at, i-1)
			if !r.given(in, "command") || !r.given(in, "file") {
				r.problem(r.lines[in], "source.output", "needs both a command and a file", "write both")
			}
		}
		// Names that differ only in case would be one file on Windows.
		name := strings.ToLower(o.File)
		if name != "" && names[name] {
			r.problem(r.line(in, "file"), "source.file", fmt.Sprintf("= %s is the file of another output, too", quoteTOML(o.File)), "choose another name")
		}
		names[name] = true
		for other := range names {
			if name != "" && other != "" && other != name && (inside(name, other) || inside(other, name)) {
				r.problem(r.line(in, "file"), "source.file", fmt.Sprintf("= %s and another output would be file and directory of one name", quoteTOML(o.File)), "choose another name")
			}
		}
	}
}

// judgeShared looks at what stands below [defaults] or a source. What a source
// has from the defaults alone was looked at there.
func (r *reading) judgeShared(at string, s *Source) {
	section, _, _ := strings.Cut(at, "[")
	r.judgeSchedule(at, section, s)
	r.judgeKeep(at, section, s)
	r.judgeGuards(at, section, s)
	r.judgeExclude(at, section, s.Exclude)
}

// judgeSchedule refuses schedules that never run or run into themselves.
func (r *reading) judgeSchedule(at, section string, source *Source) {
	s := source.Schedule
	if at == "defaults" && s.Every == 0 && len(s.At) == 0 {
		s.Delay = 0 // for sources that have a time of their own
	}
	keys := []string{"at", "every", "random-delay"}
	i := slices.IndexFunc(keys, func(key string) bool { return r.given(at, key) })
	err := s.Validate()
	switch {
	case err != nil && i >= 0:
		for _, one := range split(err) {
			r.problem(r.line(at, keys[i]), section+"."+keys[i], "makes a schedule that cannot be kept: "+one.Error(), "")
		}
	case err == nil && !source.IsCommand() && s.Every > 0 && source.Settle > s.Every && r.any(at, "settle", "every"):
		key := "settle"
		if !r.given(at, key) {
			key = "every"
		}
		r.problem(r.line(at, key), section+"."+key, fmt.Sprintf("makes files rest for %s before they are read, and every is %s", duration(source.Settle), duration(s.Every)), "make settle the shorter one")
	}
}

// split takes joined errors apart.
func split(err error) []error {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		return several.Unwrap()
	}
	return []error{err}
}

// any reports whether the file sets one of the keys in a section.
func (r *reading) any(section string, keys ...string) bool {
	return slices.ContainsFunc(keys, func(key string) bool { return r.given(section, key) })
}

// judgeKeep refuses rules that keep nothing. A policy without rules keeps
// everything, which is not what someone means who writes seven zeros.
func (r *reading) judgeKeep(at, section string, s *Source) {
	var rules []string
	for _, f := range keepKeys() {
		if name := "keep." + f.key().Name; r.given(at, name) {
			rules = append(rules, name)
		}
	}
	if len(rules) == 0 {
		return
	}
	p := s.Keep
	p.Tags = nil
	switch {
	case s.Keep.Zero():
		r.problem(r.line(at, rules[0]), section+".keep", "keeps nothing", `make one rule more than 0, or write keep = "everything"`)
	case p.Zero():
		r.problem(r.line(at, rules[0]), section+".keep", "keeps nothing but what has a tag, and snapshots have none of themselves", "make one of the other rules more than 0")
	}
}

func (r *reading) judgeGuards(at, section string, s *Source) {
	for _, l := range guardLimits() {
		limit := l.at(&s.Guard)
		for _, key := range []string{"least", "most"} {
			name := "guards." + l.name + "." + key
			if limit.Least > limit.Most && r.given(at, name) {
				r.problem(r.line(at, name), section+"."+name, fmt.Sprintf("makes least %d and most %d", limit.Least, limit.Most), "least is the smaller one; write both")
				break
			}
		}
	}
}

// probes are names that no pattern has in common but one that matches all.
var probes = []string{"a", "Q9", "x.y", ".z", "ä ö"}

// judgeExclude refuses patterns that leave out everything, unless later ones
// take something back: "/*" and "!/keep" is how gitignore names the few.
func (r *reading) judgeExclude(at, section string, patterns []string) {
	if !r.given(at, "exclude") {
		return
	}
	last := -1
	for i, p := range patterns {
		if strings.HasPrefix(p, "!") {
			last = i
		}
	}
	for _, p := range patterns[last+1:] {
		rules, err := rules.New([]string{p}, nil, false)
		if err != nil {
			return // said by its kind
		}
		if !slices.ContainsFunc(probes, func(name string) bool { _, out := rules.Match(name, false); return !out }) {
			r.problem(r.line(at, "exclude"), section+".exclude", fmt.Sprintf("has %s, which leaves out everything", quoteTOML(p)), "name what is to be left out, or remove the source")
		}
	}
}

// judgeLabels refuses labels that are one. Those that differ only in case are:
// the view is looked at from Windows and Macs, whose file systems show one
// folder of the two and nothing of the other.
func (r *reading) judgeLabels() {
	first := map[string]int{}
	for i, s := range r.config.Sources {
		at := fmt.Sprintf("source[%d]", i)
		folded := strings.ToLower(s.Label)
		before, twice := first[folded]
		if s.Label == "" || !twice {
			first[folded] = i
			continue
		}
		line := r.line(fmt.Sprintf("source[%d]", before), "label")
		if other := r.config.Sources[before].Label; other != s.Label {
			r.problem(r.line(at, "label"), "source.label", fmt.Sprintf("= %s differs from %s of line %d only in case; Windows and Macs would show one folder for both", quoteTOML(s.Label), quoteTOML(other), line), "choose another label")
			continue
		}
		r.problem(r.line(at, "label"), "source.label", fmt.Sprintf("= %s is the label of line %d, too", quoteTOML(s.Label), line), "choose another label")
	}
}

// inside reports whether path is dir or lies below it; both are absolute, or
// both relative to one directory.
func inside(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}
