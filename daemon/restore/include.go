package restore

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// filter decides what is included. It is used by the walker alone.
type filter struct {
	patterns []pattern
	matched  []bool // by pattern
}

// pattern is a sequence of names to match, one for each level.
type pattern struct {
	text     string
	segments []segment
	dirOnly  bool
}

type segment struct {
	text    string
	any     bool // "**": any number of levels
	literal bool
}

// position is a place within a pattern that the path so far may have reached.
type position struct{ pattern, segment int }

func newFilter(includes []string) (*filter, error) {
	if len(includes) == 0 {
		return nil, nil
	}
	f := &filter{matched: make([]bool, len(includes))}
	for _, text := range includes {
		p, err := parsePattern(text)
		if err != nil {
			return nil, fmt.Errorf("%w %q: %w", ErrPattern, text, err)
		}
		f.patterns = append(f.patterns, p)
	}
	return f, nil
}

func parsePattern(text string) (pattern, error) {
	p := pattern{text: text}
	if strings.HasPrefix(text, "!") {
		return p, fmt.Errorf("includes cannot be negated; for a name that begins with \"!\" write \"\\!\"")
	}
	rest, anchored := strings.CutPrefix(strings.TrimPrefix(text, "./"), "/")
	rest, p.dirOnly = strings.CutSuffix(rest, "/")
	names := strings.Split(rest, "/")
	if !anchored && len(names) == 1 && !strings.HasPrefix(text, "./") {
		p.segments = append(p.segments, segment{any: true})
	}
	for _, name := range names {
		switch name {
		case "", ".", "..":
			return p, fmt.Errorf("%q is not a name", name)
		case "**":
			p.segments = append(p.segments, segment{any: true})
			continue
		}
		if _, err := path.Match(name, ""); err != nil {
			return p, err
		}
		p.segments = append(p.segments, segment{text: name, literal: !strings.ContainsAny(name, `*?[\`)})
	}
	return p, nil
}

func (s *segment) match(name string) bool {
	if s.literal {
		return s.text == name
	}
	ok, err := path.Match(s.text, name)
	return ok && err == nil
}

// start is the state at the top.
func (f *filter) start() []position {
	var state []position
	for i := range f.patterns {
		state = f.reach(state, position{i, 0})
	}
	return state
}

// reach adds a position and those behind "**", which may stand for no level.
func (f *filter) reach(state []position, at position) []position {
	segments := f.patterns[at.pattern].segments
	for at.segment < len(segments) && !slices.Contains(state, at) {
		state = append(state, at)
		if !segments[at.segment].any {
			break
		}
		at.segment++
	}
	return state
}

// step goes down to a name. It returns the state for what is below the name,
// empty if nothing there can match, and whether the name itself is included.
func (f *filter) step(state []position, name string, isDir bool) (below []position, included bool) {
	for _, at := range state {
		p := &f.patterns[at.pattern]
		s := &p.segments[at.segment]
		last := at.segment == len(p.segments)-1
		switch {
		case s.any && last: // "a/**": all below a
			included = f.include(at.pattern, p, isDir) || included
			below = f.reach(below, at)
		case s.any:
			below = f.reach(below, at)
		case !s.match(name):
		case last:
			included = f.include(at.pattern, p, isDir) || included
		default:
			below = f.reach(below, position{at.pattern, at.segment + 1})
		}
	}
	return below, included
}

func (f *filter) include(i int, p *pattern, isDir bool) bool {
	if p.dirOnly && !isDir {
		return false
	}
	f.matched[i] = true
	return true
}

// names returns the only names that can match in this state, ascending, or
// false if a glob could match more: then the directory must be listed.
func (f *filter) names(state []position) ([]string, bool) {
	var names []string
	for _, at := range state {
		s := &f.patterns[at.pattern].segments[at.segment]
		if !s.literal {
			return nil, false
		}
		names = append(names, s.text)
	}
	slices.Sort(names)
	return slices.Compact(names), true
}

// unmatched returns the patterns that matched nothing.
func (f *filter) unmatched() []string {
	if f == nil {
		return nil
	}
	var all []string
	for i, ok := range f.matched {
		if !ok {
			all = append(all, f.patterns[i].text)
		}
	}
	return all
}
