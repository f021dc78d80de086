package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// reading is a file being read: what it says, where it says it, and what is
// wrong with it. Reading goes on after a problem, so that all are reported.
type reading struct {
	config   Config
	problems Problems
	notes    []Note
	// lines are where settings stand, by the path of their key: "defaults.every",
	// "source[1].path", "source[1].output[0].file". "source[1]" is the heading.
	lines map[string]int
	// because are reasons for settings that are neither said nor inherited.
	because map[string]string
}

// maxSaid bounds problems and notes: nobody reads more, and what has more is not
// a configuration with mistakes but another file.
const maxSaid = 100

func (r *reading) problem(line int, key, text, remedy string) {
	if !r.full() {
		r.problems = append(r.problems, Problem{Line: line, Key: key, Text: text, Remedy: remedy})
	}
}

// full reports whether there are so many problems that looking for more is
// vain.
func (r *reading) full() bool { return len(r.problems) >= maxSaid }

func (r *reading) note(line int, format string, args ...any) {
	if len(r.notes) < maxSaid {
		r.notes = append(r.notes, Note{line, fmt.Sprintf(format, args...)})
	}
}

// line is where a key stands, else where its section begins; 0 for one of the
// top, whose first line says nothing about it.
func (r *reading) line(section, key string) int {
	if at, ok := r.lines[join(section, key)]; ok || section == "" {
		return at
	}
	return r.lines[section]
}

// given reports whether the file itself sets a key in a section.
func (r *reading) given(section, key string) bool {
	_, ok := r.lines[join(section, key)]
	return ok
}

// read reads the text of a configuration. It looks at no file but remembers
// what a look could find out.
func read(b []byte) *reading {
	r := &reading{lines: map[string]int{}, because: map[string]string{}}
	root, syntax := document(b)
	if syntax != nil {
		r.problems = syntax
		return r
	}
	r.config = Default(r.profile(root))
	sections := []string{"defaults", "notify", "source"}
	readTable(r, place{}, root, globalKeys(), &r.config, sections)
	if t := r.table(root, "defaults"); t != nil {
		readTable(r, place{"defaults", "defaults"}, t, defaultKeys(), &r.config.Defaults, nil)
	}
	if t := r.table(root, "notify"); t != nil {
		readTable(r, place{"notify", "notify"}, t, notifyKeys(), &r.config.Notify, nil)
	}
	sources := r.tables(root, "source", "source")
	for i, t := range r.few(sources, maxSources, "source", "name directories further up") {
		r.readSource(fmt.Sprintf("source[%d]", i), t)
	}
	return r
}

// profile is read before all others: it decides what the rest begins with.
func (r *reading) profile(root *table) string {
	if v := root.get("profile"); v != nil && v.kind == unstable.String && v.text == Development {
		return Development
	}
	return Production
}

func (r *reading) readSource(path string, t *table) {
	s := r.config.Defaults
	if t.get("command") != nil || t.get("file") != nil {
		s.Outputs = make([]Output, 1)
	}
	readTable(r, place{path, "source"}, t, sourceKeys(), &s, []string{"output"})
	r.settleSchedule(path, &s)
	outputs := r.few(r.tables(t, "output", "source.output"), maxOutputs, "source.output", "make several sources of it")
	for i, beside := range outputs {
		at := fmt.Sprintf("%s.output[%d]", path, i)
		if s.Outputs == nil {
			r.problem(beside.line, "source.output", "is kept beside a command, and this source has none", "give it a [[source]] of its own, with command and file")
		}
		var o Output
		readTable(r, place{at, "source.output"}, beside, outputKeys(), &o, nil)
		s.Outputs = append(s.Outputs, o)
	}
	r.config.Sources = append(r.config.Sources, s)
}

// settleSchedule takes from a source what the defaults say about times, where it
// has no meaning for this one.
func (r *reading) settleSchedule(at string, s *Source) {
	defaults := r.config.Defaults.Schedule
	if s.IsCommand() && !r.given(at, "every") && defaults.Every > 0 {
		s.Schedule.Every = inherited(defaults, *s).Every
		r.because[join(at, "every")] = "nothing tells that the output of a command has changed: the defaults' every is for directories"
	}
	if !r.given(at, "random-delay") {
		s.Schedule.Delay = inherited(defaults, *s).Delay
		if s.Schedule.Delay != defaults.Delay {
			r.because[join(at, "random-delay")] = "without every or at there is no time to be later than"
		}
	}
}

// table returns a section of the root, nil if there is none.
func (r *reading) table(root *table, name string) *table {
	v := root.get(name)
	switch {
	case v == nil:
		return nil
	case v.kind == unstable.Table:
		return v.table
	case v.kind == unstable.ArrayTable:
		r.problem(v.line, name, "stands more than once, or in double brackets", fmt.Sprintf("write one [%s]", name))
	default:
		r.problem(v.line, name, "is "+v.says()+" where a section is expected", fmt.Sprintf("write [%s] on a line of its own and its keys below", name))
	}
	return nil
}

// tables returns the elements of a section that may stand several times.
func (r *reading) tables(t *table, name, heading string) []*table {
	v := t.get(name)
	if v == nil {
		return nil
	}
	if v.kind == unstable.Table {
		r.problem(v.line, heading, "stands in single brackets", fmt.Sprintf("write [[%s]]: there may be several", heading))
		return []*table{v.table} // to report what is wrong in it as well
	}
	var all []*table
	for _, i := range v.items {
		if i.table == nil {
			r.problem(i.line, heading, "is "+i.says()+" where a section is expected", fmt.Sprintf("write [[%s]] on a line of its own and its keys below", heading))
			continue
		}
		all = append(all, i.table)
	}
	if v.items == nil && v.kind != unstable.Array {
		r.problem(v.line, heading, "is "+v.says()+" where a section is expected", fmt.Sprintf("write [[%s]] on a line of its own and its keys below", heading))
	}
	return all
}

const (
	// maxSources bounds the sources: each is compared with each, and has a
	// watcher of its own.
	maxSources = 1000
	// maxOutputs bounds those of one source, which run one after the other.
	maxOutputs = 100
)

// few returns tables if there are not too many to be meant.
func (r *reading) few(all []*table, most int, heading, remedy string) []*table {
	if len(all) <= most {
		return all
	}
	r.problem(all[most].line, heading, fmt.Sprintf("stands %d times, and at most %d are possible", len(all), most), remedy)
	return nil
}

// place is where a table stands: its path tells it from its like, its section
// is what people call it.
type place struct{ path, section string }

func join(a, b string) string { return strings.TrimPrefix(a+"."+b, ".") }

// readTable reads the keys of one section. Entries named in skip are sections
// of their own.
func readTable[S any](r *reading, p place, t *table, fields []field[S], into *S, skip []string) {
	r.lines[p.path] = t.line
	known := map[string]field[S]{}
	for _, f := range fields {
		known[f.key().Name] = f
	}
	readEntries(r, p, "", t, known, into, skip)
}

func readEntries[S any](r *reading, p place, prefix string, t *table, known map[string]field[S], into *S, skip []string) {
	for _, e := range t.entries {
		if r.full() {
			return
		}
		name := join(prefix, e.name)
		f, ok := known[name]
		switch {
		case slices.Contains(skip, name): // a section of its own
		case e.value.table != nil && isPrefix(known, name):
			readEntries(r, p, name, e.value.table, known, into, skip)
		case ok:
			r.lines[join(p.path, name)] = e.line
			f.read(e.value, func(v *value, text, remedy string) { r.problem(v.line, join(p.section, name), text, remedy) }, into)
		case isPrefix(known, name):
			r.problem(e.line, join(p.section, name), "is "+e.value.says()+" where a table is expected", fmt.Sprintf("write %s = { … } or %[1]s.KEY = …", name))
		default:
			r.problem(e.line, join(p.section, name), "is unknown", unknownRemedy(p.section, name))
		}
	}
}

func isPrefix[S any](known map[string]field[S], name string) bool {
	for k := range known {
		if strings.HasPrefix(k, name+".") {
			return true
		}
	}
	return false
}
