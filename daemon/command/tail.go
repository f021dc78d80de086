package command

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxTail bounds what is remembered of a program's standard error: enough for what went wrong and where.
const maxTail = 4 << 10

// tail is a writer that remembers the end of what is written.
type tail struct {
	b   []byte
	cut bool // something before b was dropped
}

func (t *tail) Write(p []byte) (int, error) {
	n := len(p)
	if len(p) > maxTail {
		p, t.cut = p[len(p)-maxTail:], true
	}
	t.b = append(t.b, p...)
	if over := len(t.b) - maxTail; over > 0 {
		t.b, t.cut = append(t.b[:0], t.b[over:]...), true
	}
	return n, nil
}

// String returns the tail as text that is safe to show on a terminal and in a log. The line that was cut at its
// beginning is left out if others follow.
func (t *tail) String() string {
	text := string(t.b)
	if t.cut {
		if _, rest, ok := strings.Cut(text, "\n"); ok && strings.TrimSpace(rest) != "" {
			text = rest
		}
	}
	return Printable(strings.TrimSpace(text))
}

// FirstLine returns the first line of the tail, at most 200 bytes of it.
func (t *tail) FirstLine() string {
	line, _, _ := strings.Cut(t.String(), "\n")
	line = strings.TrimSpace(line)
	if len(line) > 200 {
		line = strings.ToValidUTF8(line[:200], "") + "…"
	}
	return line
}

// Printable replaces what is not text, and what would move a terminal's cursor or change its colours.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, s)
}
