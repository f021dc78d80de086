package config_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"keepsake/daemon/config"
	"keepsake/daemon/guard"
	"keepsake/daemon/schedule"
	"keepsake/store/retention"
)

// studio is the configuration of a studio with two sources.
const studio = `repository = "/volume2/keepsake"
mount = "/volume1/keepsake-view"
key-file = "/etc/keepsake/key"
[defaults]
every = "15m"
keep = { within = "48h", daily = 7, weekly = 4, monthly = 12 }
[notify]
command = ["/usr/local/bin/tell-me"]
[[source]]
label = "weddings"
path = "/volume1/weddings"
require = ["CONTRACTS"]
[[source]]
label = "crm"
command = ["pg_dump", "-Fc", "crm"]
file = "crm.dump"
at = ["02:30"]
`

func parse(t *testing.T, text string) config.Config {
	t.Helper()
	c, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return c
}

func TestStudio(t *testing.T) {
	c := parse(t, studio)
	want := config.Default(config.Production)
	want.Repository, want.Mount, want.KeyFile = "/volume2/keepsake", "/volume1/keepsake-view", "/etc/keepsake/key"
	want.Defaults.Schedule.Every = 15 * time.Minute
	want.Notify.Command = []string{"/usr/local/bin/tell-me"}
	weddings := want.NewSource("weddings", "/volume1/weddings")
	weddings.Require = []string{"CONTRACTS"}
	crm := want.NewSource("crm", "")
	crm.Outputs = []config.Output{{Command: []string{"pg_dump", "-Fc", "crm"}, File: "crm.dump"}}
	// A dump at 02:30 is one a day, and not one every quarter of an hour.
	crm.Schedule = schedule.Schedule{At: []schedule.Time{{Hour: 2, Minute: 30}}}
	want.Sources = []config.Source{weddings, crm}
	if !c.Equal(want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if !c.RunsCommands() || config.Default(config.Production).RunsCommands() {
		t.Error("whether a configuration runs commands is told wrong")
	}
}

// TestDefaults holds the table of keys to the rooms whose defaults it repeats,
// and to what a daemon needs.
func TestDefaults(t *testing.T) {
	c := config.Default(config.Production)
	if c.Defaults.Keep.Within != 48*time.Hour || !reflect.DeepEqual(c.Defaults.Keep, retention.Default()) {
		t.Errorf("keep %+v, want %+v", c.Defaults.Keep, retention.Default())
	}
	if !reflect.DeepEqual(c.Defaults.Guard, guard.Default()) {
		t.Errorf("guards %+v, want %+v", c.Defaults.Guard, guard.Default())
	}
	for _, profile := range []string{config.Production, config.Development} {
		s := config.Default(profile).Defaults
		if err := errors.Join(s.Keep.Validate(), s.Schedule.Validate(), s.Guard.Validate()); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
		if s.Settle <= 0 || s.Scan <= 0 || s.Poll <= 0 || s.Timeout <= 0 {
			t.Errorf("%s: a time is zero in %+v", profile, s)
		}
		if got := parse(t, "profile = \""+profile+"\"\n"); !got.Equal(config.Default(profile)) {
			t.Errorf("a file that names a profile says %+v", got)
		}
	}
	if a, b := config.Default(config.Production), config.Default(config.Development); !a.Gentle || b.Gentle || b.Defaults.Settle >= a.Defaults.Settle {
		t.Error("development is no quicker than production")
	}
}

// TestValues reads each type of value in the ways in which people write it.
func TestValues(t *testing.T) {
	for _, tt := range []struct {
		text string
		got  func(config.Config) any
		want any
	}{
		{`max-read = "20MiB/s"`, func(c config.Config) any { return c.MaxRead }, int64(20 << 20)},
		{`max-read = "20MiB"`, func(c config.Config) any { return c.MaxRead }, int64(20 << 20)},
		{`max-read = "1.5 GiB"`, func(c config.Config) any { return c.MaxRead }, int64(3 << 29)},
		{`max-read = "0"`, func(c config.Config) any { return c.MaxRead }, int64(0)},
		{`cache = "96MiB"`, func(c config.Config) any { return c.Cache }, int64(96 << 20)},
		{`cache = "96MiB"`, func(c config.Config) any { return c.ServiceCache() }, int64(96 << 20)},
		{"cache = \"1GiB\"\nmemory = \"100MiB\"", func(c config.Config) any { return c.ServiceCache() }, int64(50 << 20)},
		{`read-ahead = "1MiB"`, func(c config.Config) any { return c.ReadAhead }, int64(1 << 20)},
		{`no-exec = true`, func(c config.Config) any { return c.NoExec }, true},
		{`metrics = "[::1]:9273"`, func(c config.Config) any { return c.Metrics }, "[::1]:9273"},
		{`repository = "/a//b/../c/"`, func(c config.Config) any { return c.Repository }, "/a/c"},
		{`defaults.every = "1h30m"`, func(c config.Config) any { return c.Defaults.Schedule.Every }, 90 * time.Minute},
		{`defaults.keep.within = "2w3d"`, func(c config.Config) any { return c.Defaults.Keep.Within }, 17 * 24 * time.Hour},
		{`defaults.keep = "everything"`, func(c config.Config) any { return c.Defaults.Keep.Zero() }, true},
		{`defaults.keep = { daily = 30 }`, func(c config.Config) any { return c.Defaults.Keep }, retention.Policy{Within: 48 * time.Hour, Daily: 30, Weekly: 4, Monthly: 12}},
		{"[defaults.keep]\nyearly = 1_0", func(c config.Config) any { return c.Defaults.Keep.Yearly }, 10},
		{`defaults.at = ["Mon..Sun 12:00"]`, func(c config.Config) any { return c.Defaults.Schedule.At }, []schedule.Time{{Hour: 12}}},
		{`defaults.min-share = 1`, func(c config.Config) any { return c.Defaults.MinShare }, 1.0},
		{`defaults.before = ["stop", "it"]`, func(c config.Config) any { return c.Defaults.Before }, [][]string{{"stop", "it"}}},
		{`defaults.before = [["stop"], ["wait"]]`, func(c config.Config) any { return c.Defaults.Before }, [][]string{{"stop"}, {"wait"}}},
		{`defaults.presets = ["nas-droppings"]`, func(c config.Config) any { return c.Defaults.Presets }, []string{"nas-droppings"}},
		{`defaults.exclude = ["*", "!keep"]`, func(c config.Config) any { return len(c.Defaults.Exclude) }, 2},
		{`defaults.guards.shrunk.on = false`, func(c config.Config) any { return c.Defaults.Guard.Shrunk.Off }, true},
		{`defaults.guards = { emptied = false, renamed = { share = 0.1 } }`, func(c config.Config) any {
			return c.Defaults.Guard.Emptied.Off && c.Defaults.Guard.Renamed.Share == 0.1
		}, true},
		{"\ufeffgroup = \"users\"\r\n", func(c config.Config) any { return c.Group }, "users"},
		{`source = [{ label = "a", path = "/a" }]`, func(c config.Config) any { return c.Sources[0].Path }, "/a"},
	} {
		if got := tt.got(parse(t, tt.text)); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.text, got, tt.want)
		}
	}
}

// TestSourcesInherit: a source replaces what it names, and of keep and guards
// what it names in them.
func TestSourcesInherit(t *testing.T) {
	c := parse(t, `
[defaults]
settle = "10s"
exclude = ["*.tmp"]
keep.daily = 30
guards.shrunk.share = 0.9
[[source]]
label = "a"
path = "/a"
[[source]]
label = "b"
path = "/b"
exclude = []
keep.weekly = 9
guards.shrunk.on = false
`)
	a, b := c.Sources[0], c.Sources[1]
	if !reflect.DeepEqual(a, c.NewSource("a", "/a")) {
		t.Errorf("a source that says nothing is %+v", a)
	}
	if b.Settle != 10*time.Second || b.Exclude != nil || b.Keep.Daily != 30 || b.Keep.Weekly != 9 || !b.Guard.Shrunk.Off || b.Guard.Shrunk.Share != 0.9 {
		t.Errorf("b is %+v", b)
	}
	if a.Guard.Shrunk.Off || len(a.Exclude) != 1 || a.Keep.Weekly != 4 {
		t.Errorf("b has changed a: %+v", a)
	}
}

// TestKeys: every key says what it is, and has a reason for its default; the
// default is written as it is read.
func TestKeys(t *testing.T) {
	names := map[string]bool{}
	for _, k := range config.Keys() {
		name := k.Section + "." + k.Name
		if names[name] {
			t.Errorf("%s is there twice", name)
		}
		names[name] = true
		if k.Meaning == "" || k.Type == "" || (k.Default == "") != (k.Reason == "") || (k.Development == "") != (k.DevelopmentReason == "") {
			t.Errorf("%s lacks a meaning, a type or a reason: %+v", name, k)
		}
		if k.Default == "" {
			continue
		}
		for profile, value := range map[string]string{config.Production: k.Default, config.Development: k.Development} {
			if value == "" || k.Section == "source" || k.Name == "profile" {
				continue
			}
			text := "profile = \"" + profile + "\"\n" + strings.TrimPrefix(name, ".") + " = " + value + "\n"
			if c := parse(t, text); !c.Equal(config.Default(profile)) {
				t.Errorf("%q does not mean the default", text)
			}
		}
	}
}

// TestEachKeyAlone: a key that is set is the one that counts, and no other. A
// line of the table that is a copy of its neighbour shows here.
func TestEachKeyAlone(t *testing.T) {
	values := map[string]string{
		"text": `"x"`, "path": `"/x"`, "duration": `"1h7m"`, "size": `"99MiB"`, "size per second": `"98MiB/s"`, "share": "0.33", "number": "777",
		"list of patterns": `["*.x"]`, "list of presets": `["nle-caches"]`, "list of times": `["Sun 03:03"]`,
		"list of commands": `[["x", "y"]]`, "list of texts": `["/x"]`, "list of relative paths": `["x"]`,
		"one of production, development": `"development"`, `table, or "everything"`: `"everything"`,
	}
	const source = "[[source]]\nlabel = \"a\"\npath = \"/a\"\n"
	for _, k := range config.Keys() {
		value := values[k.Type]
		switch {
		case k.Type == "true or false":
			value = map[string]string{"true": "false", "false": "true"}[k.Default]
		case k.Name == "metrics":
			value = `"127.0.0.1:9273"`
		case k.Name == "read-ahead":
			value = `"9MiB"`
		case strings.HasSuffix(k.Name, ".least"):
			value = "33" // of 100 at most
		case k.Section == "source.output" || k.Section == "source" && k.Name != "require":
			continue // the other tests cannot do without them
		}
		if value == "" {
			t.Errorf("no value for %s of the type %s", k.Name, k.Type)
			continue
		}
		line := k.Name + " = " + value
		text := source + line + "\n"
		if k.Section != "source" {
			text = strings.TrimPrefix(k.Section+".", ".") + line + "\n" + source
		}
		b, err := parse(t, text).Marshal()
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		var said []string
		for l := range strings.Lines(string(b)) {
			if l = strings.TrimSpace(l); l != "" && !strings.HasPrefix(l, "#") && !strings.HasPrefix(l, "[") && l != `label = "a"` && l != `path = "/a"` {
				said = append(said, l)
			}
		}
		if len(said) != 1 || said[0] != line {
			t.Errorf("%q is held as %q", text, said)
		}
	}
}

// TestSet: a flag is read as its key is, and a wrong one changes nothing.
func TestSet(t *testing.T) {
	c := config.Default(config.Production)
	if err := c.Set("cache", "96MiB"); err != nil || c.Cache != 96<<20 {
		t.Errorf("cache is %d: %v", c.Cache, err)
	}
	for text, want := range map[string]string{
		"7MiB": `= "7MiB" is too small; with less`, "lots": `= "lots" is not a size; write a number`, "": `= "" is not a size`,
		"96": `= "96" has no unit; write KiB`, "96M": `= "96M" is ambiguous`, "-1MiB": "is not a size", "0": "too small",
	} {
		if err := c.Set("cache", text); err == nil || !strings.Contains(err.Error(), want) || c.Cache != 96<<20 {
			t.Errorf("%q: cache is %d: %v", text, c.Cache, err)
		}
	}
}
