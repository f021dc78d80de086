package config

import (
	"bytes"
	"fmt"
	"unicode/utf8"
)

// preamble is what a written file begins with.
const preamble = "# Written by keepsake up. Edit it as you like; flags and KEEPSAKE_* come first.\n# keepsake config show says what else there is to set, and why it is as it is.\n"

// Marshal writes the configuration as people read it: what it says, without
// what it would say anyway. Parse reads an equal one from it.
func (c Config) Marshal() ([]byte, error) {
	usual := Default(c.Profile)
	w := &writer{}
	w.WriteString(preamble)
	// Against its own profile's defaults, a profile is the one thing that never
	// differs.
	if c.Profile == Development {
		fmt.Fprintf(w, "\nprofile = %s\n", quoteTOML(Development))
	}
	w.WriteString("\n")
	writeFields(w, "", globalKeys(), &c, &usual)
	writeFields(w, "[notify]", notifyKeys(), &c.Notify, &usual.Notify)
	writeFields(w, "[defaults]", defaultKeys(), &c.Defaults, &usual.Defaults)
	for _, s := range c.Sources {
		w.source(s, c.Defaults)
	}
	if !utf8.Valid(w.Bytes()) {
		return nil, fmt.Errorf("a path in the configuration is not UTF-8, and TOML cannot hold it; reach the directory through a link with a plain name")
	}
	return w.Bytes(), nil
}

type writer struct{ bytes.Buffer }

func (w *writer) source(s, usual Source) {
	usual.Schedule = inherited(usual.Schedule, s)
	w.WriteString("\n[[source]]\n")
	writeFields(w, "", sourceKeys(), &s, &usual)
	for i := 1; i < len(s.Outputs); i++ {
		w.WriteString("\n[[source.output]]\n")
		writeFields(w, "", outputKeys(), &s.Outputs[i], &Output{})
	}
}

// writeFields writes what differs from the usual, below a heading if there is
// anything.
func writeFields[S any](w *writer, heading string, fields []field[S], from, usual *S) {
	begun := heading == ""
	for _, f := range fields {
		text := f.write(from)
		if f.equal(from, usual) || text == "" {
			continue
		}
		if !begun {
			fmt.Fprintf(w, "\n%s\n", heading)
			begun = true
		}
		fmt.Fprintf(w, "%s = %s\n", f.key().Name, text)
	}
}
