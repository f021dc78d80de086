package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"keepsake/daemon/config"
)

func TestMarshal(t *testing.T) {
	for name, c := range map[string]config.Config{
		"defaults":    config.Default(config.Production),
		"development": config.Default(config.Development),
		"studio":      parse(t, studio),
		"changed": parse(t, `profile = "development"
memory = "1000000000B"
[defaults]
keep = "everything"
at = ["02:30"]
guards.shrunk.most = 99
[[source]]
label = "a \"b\" \\ ä"
path = "/a b\t\u0001"
keep.daily = 3
at = []
[[source]]
label = "c"
command = ["x", ""]
file = "x"
every = "1h"
before = ["stop"]
[[source.output]]
command = ["docker", "image", "ls"]
file = "images.txt"
`),
	} {
		b, err := c.Marshal()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := config.Parse(b)
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s: %v\n got  %+v\n want %+v\nfrom\n%s", name, err, got, c, b)
		}
	}
	b, err := config.Default(config.Production).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if line != "\n" && !strings.HasPrefix(line, "#") {
			t.Errorf("a configuration that says nothing writes %q", line)
		}
	}
	c := config.Default(config.Production)
	c.Sources = append(c.Sources, c.NewSource("a", "/a\xff"))
	if b, err := c.Marshal(); err == nil || !strings.Contains(err.Error(), "not UTF-8") {
		t.Errorf("a path that is not UTF-8: %v, %q", err, b)
	}
}

// TestAmend: adding a source leaves the rest as people wrote it.
func TestAmend(t *testing.T) {
	const text = "# Ours.\nmount = \"/v\" # not /m\n\n[defaults]\nsettle = \"9s\"\n\n[[source]]\nlabel = \"a\"\npath = \"/a\""
	c := parse(t, text)
	c.Repository = "/r"
	c.Sources = append(c.Sources, c.NewSource("b", "/b"))
	b, err := c.Amend([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := "repository = \"/r\"\n\n" + text + "\n\n[[source]]\nlabel = \"b\"\npath = \"/b\"\n"; string(b) != want {
		t.Errorf("got\n%s\nwant\n%s", b, want)
	}
	// What cannot be added to is written anew.
	for name, change := range map[string]func(*config.Config){
		"a key that is there": func(c *config.Config) { c.Mount = "/m" },
		"a source that moved": func(c *config.Config) { c.Sources[0].Path = "/c" },
		"a source that went":  func(c *config.Config) { c.Sources = c.Sources[1:] },
	} {
		other := c
		other.Sources = append([]config.Source{}, c.Sources...)
		change(&other)
		b, err := other.Amend([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := parse(t, string(b)); !got.Equal(other) {
			t.Errorf("%s: got\n%s", name, b)
		}
	}
	if b, err := c.Amend([]byte("not TOML")); err != nil || !parse(t, string(b)).Equal(c) {
		t.Errorf("over a text that is not TOML: %v\n%s", err, b)
	}
}

// TestExamples: what people copy is read.
func TestExamples(t *testing.T) {
	all, err := filepath.Glob("../../packaging/examples/*.toml")
	if err != nil || len(all) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, path := range all {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := config.Parse(b); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestExample holds the example to the table of keys: it teaches all of them,
// with what they are. KEEPSAKE_UPDATE=1 writes its reference anew.
func TestExample(t *testing.T) {
	const path, mark = "../../packaging/examples/keepsake.toml", "# Reference: "
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := parse(t, string(b))
	if len(c.Sources) == 0 || !c.RunsCommands() {
		t.Errorf("the example shows too little: %+v", c)
	}
	taught, reference, ok := strings.Cut(string(b), mark)
	if !ok {
		t.Fatalf("%s has no line that begins with %q", path, mark)
	}
	title, reference, _ := strings.Cut(reference, "\n\n")
	if want := config.Reference(); reference != want {
		if os.Getenv("KEEPSAKE_UPDATE") != "1" {
			t.Fatalf("the reference in %s is not that of the keys; KEEPSAKE_UPDATE=1 go test -run Example ./daemon/config writes it", path)
		}
		if err := os.WriteFile(filepath.FromSlash(path), []byte(taught+mark+title+"\n\n"+want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, k := range config.Keys() {
		if !strings.Contains(config.Reference(), "\n# "+k.Name+" = ") {
			t.Errorf("the example does not name %s of [%s]", k.Name, k.Section)
		}
	}
}
