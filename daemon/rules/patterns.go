package rules

import (
	"fmt"
	"strings"
)

// pattern is one line as in .gitignore (gitignore(5)): a pattern with a slash
// other than at its end is anchored at the root of the source, any other
// matches names at every depth; a slash at the end means directories only; **
// between slashes matches any number of directories, at the end all that is
// inside; ! in front takes back what earlier patterns left out; # begins a
// comment. What git would silently match with nothing is refused here.
type pattern struct {
	text     string // as it was given
	elements []string
	anchored bool
	dirOnly  bool
	negated  bool
	fold     bool // letters of both cases are alike
}

// maxPattern bounds a pattern, whose text becomes part of manifests.
const maxPattern = 2 << 10

// parsePattern parses a line; ok is false if nothing is meant by it.
func parsePattern(line string) (p pattern, ok bool, err error) {
	text := trimSpaces(strings.TrimSuffix(line, "\r"))
	if text == "" || text[0] == '#' {
		return p, false, nil
	}
	if len(text) > maxPattern {
		return p, false, fmt.Errorf("exclude pattern %q… is longer than %d bytes", text[:40], maxPattern)
	}
	p.text = text
	if p.negated = text[0] == '!'; p.negated {
		text = text[1:]
	}
	if p.dirOnly = strings.HasSuffix(text, "/"); p.dirOnly {
		text = text[:len(text)-1]
	}
	p.anchored = strings.Contains(text, "/")
	p.elements = strings.Split(strings.TrimPrefix(text, "/"), "/")
	for i, e := range p.elements {
		if len(e) > 2 && strings.Trim(e, "*") == "" {
			p.elements[i] = "**"
		}
		if e == "" {
			return p, false, fmt.Errorf("exclude pattern %q would match nothing: a name in it is empty", line)
		}
		if err := checkGlob(e); err != nil {
			return p, false, fmt.Errorf("exclude pattern %q would match nothing: %w", line, err)
		}
	}
	return p, true, nil
}

// trimSpaces removes trailing spaces but for one that a backslash precedes.
func trimSpaces(line string) string {
	end := 0
	for i := 0; i < len(line); i++ {
		switch line[i] {
		case ' ':
			continue
		case '\\':
			i++ // with what it escapes
		}
		end = min(i+1, len(line))
	}
	return line[:end]
}

// match reports whether the pattern is about a path, given as its elements.
func (p *pattern) match(path []string, isDir bool) bool {
	if p.dirOnly && !isDir {
		return false
	}
	if !p.anchored {
		return glob(p.elements[0], path[len(path)-1], p.fold)
	}
	return p.matchElements(path)
}

// matchElements takes time that grows with the product of both lengths: only
// the last ** is ever given more.
func (p *pattern) matchElements(path []string) bool {
	back, from := -1, 0
	e, n := 0, 0
	last := len(p.elements) - 1
	for n < len(path) || e <= last {
		switch {
		case e == last && p.elements[e] == "**":
			return n < len(path) // at the end: all that is inside
		case e < last && p.elements[e] == "**":
			e++
			back, from = e, n
			continue
		case e <= last && n < len(path) && glob(p.elements[e], path[n], p.fold):
			e, n = e+1, n+1
			continue
		}
		if back < 0 || from >= len(path) {
			return false
		}
		from++
		e, n = back, from
	}
	return true
}
