package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is something that a configuration may not say.
type Problem struct {
	Line   int    // in the file, from 1; 0 if it concerns the file as a whole
	Key    string // such as "defaults.every" or "source.path"; may be empty
	Text   string // what is wrong
	Remedy string // what to write or do instead
}

func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Key != "" {
		b.WriteString(p.Key + " ")
	}
	b.WriteString(p.Text)
	if p.Remedy != "" {
		b.WriteString("; " + p.Remedy)
	}
	return b.String()
}

// Problems are all that is wrong with a configuration, in the order of its
// lines. It is never an empty error.
type Problems []Problem

func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, one := range p {
		lines[i] = one.String()
	}
	return strings.Join(lines, "\n")
}

// FileError is a configuration file with problems.
type FileError struct {
	Path     string
	Problems Problems
}

func (e *FileError) Error() string {
	if len(e.Problems) == 1 {
		return e.Path + ": " + e.Problems.Error()
	}
	return fmt.Sprintf("%s has %d problems:\n%v", e.Path, len(e.Problems), e.Problems)
}

func (e *FileError) Unwrap() error { return e.Problems }

// Note is something that a configuration may say and that its author should
// know about.
type Note struct {
	Line int // 0 if no single line is the cause
	Text string
}

func (n Note) String() string {
	if n.Line == 0 {
		return n.Text
	}
	return fmt.Sprintf("line %d: %s", n.Line, n.Text)
}

// inOrder sorts problems by their lines.
func (p Problems) inOrder() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return p
}
