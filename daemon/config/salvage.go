package config

import (
	"bytes"
	"slices"
	"strings"
)

// salvaged are the keys that say where things are: what is needed to restore a
// file on the day on which nobody has time to mend a configuration.
func salvaged() map[string]func(*Config) *string {
	return map[string]func(*Config) *string{
		"repository": func(c *Config) *string { return &c.Repository },
		"mount":      func(c *Config) *string { return &c.Mount },
		"key-file":   func(c *Config) *string { return &c.KeyFile },
		"group":      func(c *Config) *string { return &c.Group },
		"metrics":    func(c *Config) *string { return &c.Metrics },
	}
}

// Salvage reads of a file with problems where the repository is and what opens
// it, as far as that is beyond doubt; all else is as if the file did not say.
// What it returns names no source and runs no command.
//
// Text that is not TOML counts up to the line with the mistake. What it says
// there it would say in any mended version, too, unless a key stands twice.
func Salvage(path string) Config {
	c := Default(Production)
	f, err := open(path)
	if err != nil {
		return c
	}
	r, after := read(f.text), []byte(nil)
	if len(r.lines) == 0 && len(r.problems) > 0 {
		before := firstLines(f.text, r.problems[0].Line-1)
		r, after = read(before), f.text[len(before):]
	}
	if r.full() {
		return c // not all problems are known
	}
	for name, at := range salvaged() {
		doubtful := begins(after, name) || slices.ContainsFunc(r.problems, func(p Problem) bool { return p.Key == name })
		if r.given("", name) && !doubtful {
			*at(&c) = *at(&r.config)
		}
	}
	return c
}

// firstLines returns the first n lines of a text.
func firstLines(text []byte, n int) []byte {
	end := 0
	for range n {
		i := bytes.IndexByte(text[end:], '\n')
		if i < 0 {
			return text
		}
		end += i + 1
	}
	return text[:end]
}

// begins reports whether a line of text begins with a key.
func begins(text []byte, key string) bool {
	for line := range bytes.Lines(text) {
		if strings.HasPrefix(strings.TrimLeft(string(line), " \t\"'"), key) {
			return true
		}
	}
	return false
}
