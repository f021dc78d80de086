package config_test

import (
	"path/filepath"
	"testing"

	"keepsake/daemon/config"
)

// shown is what Show says of one setting.
func shown(all []config.Setting, section, source, name string) config.Setting {
	for _, s := range all {
		if s.Section == section && s.Source == source && s.Name == name {
			return s
		}
	}
	return config.Setting{}
}

func TestShow(t *testing.T) {
	dir := mkdir(t, filepath.Join(t.TempDir(), "etc"), 0o700)
	path := write(t, filepath.Join(dir, "keepsake.toml"), `profile = "development"
[defaults]
every = "15m"
keep.daily = 9
[[source]]
label = "a"
path = "/a"
settle = "3s"
[[source]]
label = "b"
command = ["x"]
file = "x"
at = ["02:30"]
[[source.output]]
command = ["y"]
file = "y"
`, 0o600)
	c, all, err := config.Show(path, config.Places{Mount: "/home/x/Keepsake"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Mount != "" {
		t.Errorf("what is shown of the environment has become the configuration's: %q", c.Mount)
	}
	for _, tt := range []struct{ section, source, name, value, from, json string }{
		{"", "", "profile", `"development"`, "line 1", `"development"`},
		{"", "", "mount", `"/home/x/Keepsake"`, "default", `"/home/x/Keepsake"`},
		{"", "", "gentle", "false", "profile development", "false"},
		{"defaults", "", "every", `"15m"`, "line 3", `"15m"`},
		{"defaults", "", "keep.daily", "9", "line 4", "9"},
		{"defaults", "", "keep.weekly", "4", "default", "4"},
		{"source", "a", "settle", `"3s"`, "line 8", `"3s"`},
		{"source", "a", "every", `"15m"`, "[defaults], line 3", `"15m"`},
		{"source", "a", "keep.daily", "9", "[defaults], line 4", "9"},
		{"source", "a", "reread", `"64MiB"`, "profile development", `"64MiB"`},
		{"source", "a", "guards.shrunk.on", "true", "default", "true"},
		{"source", "b", "every", `"0s"`, "its kind", `"0s"`},
		{"source", "b", "at", `["02:30"]`, "line 13", `["02:30"]`},
		{"source", "b", "min-share", "0.5", "default", "0.5"},
		{"source.output", "b", "file", `"y"`, "line 16", `"y"`},
	} {
		s := shown(all, tt.section, tt.source, tt.name)
		if s.Value != tt.value || s.From != tt.from || string(s.JSON()) != tt.json {
			t.Errorf("%+v: got %s from %s, JSON %s", tt, s.Value, s.From, s.JSON())
		}
		if said := s.Line > 0; said != (s.Reason == "") || s.Meaning == "" {
			t.Errorf("%+v: line %d, reason %q, meaning %q", tt, s.Line, s.Reason, s.Meaning)
		}
	}
	// What does not count for a source's kind, or is said by another key, is not shown.
	for _, absent := range [][3]string{{"source", "b", "path"}, {"source", "b", "exclude"}, {"source", "a", "min-share"}, {"source", "a", "command"}, {"defaults", "", "keep"}} {
		if s := shown(all, absent[0], absent[1], absent[2]); s.Name != "" {
			t.Errorf("%v is shown: %+v", absent, s)
		}
	}
}

// TestShowEverything: with keep = "everything" no rule is shown, and a source
// that has rules again says where its zeros come from.
func TestShowEverything(t *testing.T) {
	dir := mkdir(t, filepath.Join(t.TempDir(), "etc"), 0o700)
	path := write(t, filepath.Join(dir, "keepsake.toml"), "defaults.keep = \"everything\"\n[[source]]\nlabel = \"a\"\npath = \"/a\"\nkeep.daily = 3\n", 0o600)
	_, all, err := config.Show(path, config.Places{})
	if err != nil {
		t.Fatal(err)
	}
	if s := shown(all, "defaults", "", "keep"); s.Value != `"everything"` || s.From != "line 1" {
		t.Errorf("keep is %+v", s)
	}
	if s := shown(all, "defaults", "", "keep.daily"); s.Name != "" {
		t.Errorf("keep.daily is %+v", s)
	}
	if s := shown(all, "source", "a", "keep.weekly"); s.Value != "0" || s.From != "[defaults], line 1" {
		t.Errorf("keep.weekly is %+v", s)
	}
}

// TestShowDefaults: without a file there is something to see as well.
func TestShowDefaults(t *testing.T) {
	c, all, err := config.Show("", config.Places{})
	if err != nil || !c.Equal(config.Default(config.Production)) {
		t.Fatalf("%v: %+v", err, c)
	}
	for _, s := range all {
		if s.Line != 0 || s.Reason == "" {
			t.Errorf("%+v is no default with a reason", s)
		}
	}
}
