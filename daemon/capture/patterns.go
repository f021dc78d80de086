package capture

import (
	"fmt"
	"path"
	"strings"
)

// Patterns say which paths are left out. They are a subset of those of
// .gitignore (gitignore(5)): a pattern with a slash other than at its end is
// anchored at the root of the source, any other matches names at every depth;
// a slash at the end means directories only; * and ? do not match a slash, **
// between slashes matches any number of directories; ! in front takes back
// what earlier patterns left out; # begins a comment.
type Patterns struct{ rules []rule }

type rule struct {
	elements []string
	anchored bool
	dirOnly  bool
	negated  bool
}

// ParsePatterns parses lines of patterns. A malformed one is an error that
// names it.
func ParsePatterns(lines []string) (*Patterns, error) {
	p := &Patterns{}
	for _, line := range lines {
		text := strings.TrimRight(line, " \t\r")
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		var r rule
		if r.negated = strings.HasPrefix(text, "!"); r.negated {
			text = text[1:]
		}
		text = strings.TrimPrefix(text, `\`) // of \# and \!
		if r.dirOnly = strings.HasSuffix(text, "/"); r.dirOnly {
			text = strings.TrimSuffix(text, "/")
		}
		r.anchored = strings.Contains(text, "/")
		r.elements = strings.Split(strings.TrimPrefix(text, "/"), "/")
		for _, e := range r.elements {
			if _, err := path.Match(e, ""); err != nil || e == "" {
				return nil, fmt.Errorf("exclude pattern %q is malformed", line)
			}
		}
		p.rules = append(p.rules, r)
	}
	return p, nil
}

// Match reports whether a path relative to the source's root is left out. Paths
// below a directory that is left out are never asked about.
func (p *Patterns) Match(rel string, isDir bool) bool {
	if p == nil {
		return false
	}
	out := false
	elements := strings.Split(rel, "/")
	for _, r := range p.rules {
		if out != r.negated || r.dirOnly && !isDir {
			continue // would change nothing, or does not apply
		}
		name := elements
		if !r.anchored {
			name = elements[len(elements)-1:]
		}
		if matchElements(r.elements, name) {
			out = !r.negated
		}
	}
	return out
}

func matchElements(pattern, name []string) bool {
	for len(pattern) > 0 {
		if pattern[0] == "**" {
			for skip := range len(name) + 1 {
				if matchElements(pattern[1:], name[skip:]) {
					return true
				}
			}
			return false
		}
		if len(name) == 0 {
			return false
		}
		if ok, err := path.Match(pattern[0], name[0]); err != nil || !ok {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	return len(name) == 0
}
