package rules

import (
	"fmt"
	"strings"
)

// Rules say what a snapshot leaves out on purpose, and by which rule. They are
// immutable; a nil *Rules leaves out nothing.
//
// Whoever changes the rules of a source captures it without Dirty the next
// time: what is taken over by reference was captured by the old ones.
type Rules struct {
	patterns []pattern // the last one that matches decides
	names    []string  // of the patterns' rules
	presets  []Preset
	parsed   [][]pattern // of the presets
	tags     bool
}

// CacheDirTag is the rule that directories with a CACHEDIR.TAG fall under.
const CacheDirTag = "CACHEDIR.TAG"

// New makes rules of lines as in .gitignore, names of presets, and whether
// directories that call themselves caches by a CACHEDIR.TAG are kept empty but for
// that file. A pattern that begins with ! also takes back what a preset
// leaves out. Errors name what is wrong.
func New(patterns, presets []string, cacheDirTag bool) (*Rules, error) {
	r := &Rules{tags: cacheDirTag}
	for _, line := range patterns {
		p, ok, err := parsePattern(line)
		if err != nil {
			return nil, err
		}
		if ok {
			r.patterns = append(r.patterns, p)
			r.names = append(r.names, "pattern "+strings.ToValidUTF8(p.text, "�"))
		}
	}
	for _, name := range presets {
		preset, ok := presetNamed(name)
		if !ok {
			return nil, fmt.Errorf("there is no preset %q; there are %s", name, presetNames())
		}
		r.presets = append(r.presets, preset)
		r.parsed = append(r.parsed, preset.parse())
	}
	return r, nil
}

// Match reports whether a path relative to the source's root is left out, and by
// which rule, be it that a directory above it is. That a CACHEDIR.TAG lies
// in one of them shows only in a run.
func (r *Rules) Match(rel string, isDir bool) (rule string, out bool) {
	for i := range len(rel) {
		if rel[i] == '/' {
			if rule, out = r.MatchName(rel[:i], true); out {
				return rule, true
			}
		}
	}
	return r.MatchName(rel, isDir)
}

// MatchName is Match for a path whose directories are known not to be left out.
func (r *Rules) MatchName(rel string, isDir bool) (rule string, out bool) {
	if r == nil || len(r.patterns)+len(r.parsed) == 0 {
		return "", false
	}
	path := strings.Split(rel, "/")
	for i := len(r.patterns) - 1; i >= 0; i-- {
		if p := &r.patterns[i]; p.match(path, isDir) {
			return r.names[i], !p.negated
		}
	}
	for i, patterns := range r.parsed {
		for k := range patterns {
			if patterns[k].match(path, isDir) {
				return r.presets[i].rule(), true
			}
		}
	}
	return "", false
}

// CacheDirTags reports whether directories that call themselves caches are kept
// empty.
func (r *Rules) CacheDirTags() bool { return r != nil && r.tags }
