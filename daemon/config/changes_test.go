package config_test

import (
	"strings"
	"testing"

	"keepsake/daemon/config"
)

func TestChanged(t *testing.T) {
	const (
		a = "[[source]]\nlabel = \"a\"\npath = \"/a\"\n"
		b = "[[source]]\nlabel = \"b\"\npath = \"/b\"\n"
		d = "[[source]]\nlabel = \"d\"\ncommand = [\"dump\"]\nfile = \"d\"\nat = [\"02:30\"]\n"
	)
	for _, tt := range []struct{ name, old, new, want string }{
		{"nothing", a + b + d, a + b + d, ""},
		{"order and spelling", a + b, "profile = \"production\"\n" + b + a, ""},
		{"added", a, a + b, "+b"},
		{"removed", a + b, b, "-a"},
		{"renamed", a, strings.Replace(a, "\"a\"", "\"c\"", 1), "+c -a"},
		{"changed", a + b, a + "settle = \"9s\"\n" + b, "~a"},
		{"changed by its defaults", a + b, "defaults.settle = \"9s\"\n" + a + b, "~a ~b"},
		{"changed by its profile", a, "profile = \"development\"\n" + a, "~a gentle! notify.timeout"},
		{"another command", d, strings.Replace(d, "dump", "pg_dump", 1), "~d"},
		{"one more output", d, d + "[[source.output]]\ncommand = [\"x\"]\nfile = \"x\"\n", "~d"},
		{"global", a, "max-read = \"9MiB\"\nnotify.command = [\"/bin/true\"]\n" + a, "max-read notify.command"},
		{"at the next start", a, "repository = \"/r\"\nmount = \"/m\"\nno-exec = true\ncache = \"9MiB\"\nread-ahead = \"1MiB\"\nkey-file = \"/k\"\ngroup = \"g\"\nmetrics = \"127.0.0.1:1\"\n" + a, "repository! mount! no-exec! cache! read-ahead! key-file! group! metrics!"},
	} {
		old, next := parse(t, tt.old), parse(t, tt.new)
		c, err := config.Changed(old, next)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if got := summary(c); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
		if c.None() != (tt.want == "") {
			t.Errorf("%s: None is %v", tt.name, c.None())
		}
	}
	for name, text := range map[string]string{"another directory": strings.Replace(a, "/a", "/c", 1), "a command": strings.ReplaceAll(d, "\"d\"", "\"a\"")} {
		_, err := config.Changed(parse(t, a), parse(t, text))
		if err == nil || !strings.Contains(err.Error(), `of "a" was /a and is`) {
			t.Errorf("a label that stands for %s now: %v", name, err)
		}
	}
}

func summary(c config.Changes) string {
	var words []string
	for _, s := range c.Added {
		words = append(words, "+"+s.Label)
	}
	for _, s := range c.Removed {
		words = append(words, "-"+s.Label)
	}
	for _, s := range c.Changed {
		words = append(words, "~"+s.Label)
	}
	for _, k := range c.Restart {
		words = append(words, k+"!")
	}
	return strings.Join(append(words, c.Global...), " ")
}
