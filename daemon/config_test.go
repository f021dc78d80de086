package daemon_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"keepsake/daemon"
)

func TestConfigRoundTrip(t *testing.T) {
	want := daemon.Config{
		Repository: "/volume2/keepsake", Mount: "/volume1/view", KeyFile: "/etc/keepsake/key",
		Sources: []daemon.Source{{Label: "weddings", Path: "/volume1/weddings"}, {Label: "clients", Path: "/volume1/c d"}},
	}
	b, err := want.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := daemon.ParseConfig(b)
	if err != nil {
		t.Fatalf("%v in\n%s", err, b)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestConfigMistakes says each mistake together with where it is and what is known.
func TestConfigMistakes(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", "repository = \"/r\"\nrepositry = \"/r\"\n", `line 2: unknown key "repositry"`},
		{"two unknown keys", "a = 1\nb = 2\n", `line 2: unknown key "b"`},
		{"wrong type", "repository = 7\n", "line 1"},
		{"relative path", "repository = \"backups\"\n", "not an absolute path"},
		{"relative source", "[[source]]\nlabel = \"x\"\npath = \"y\"\n", `source "x"`},
		{"no label", "[[source]]\npath = \"/y\"\n", "label"},
		{"label with slash", "[[source]]\nlabel = \"a/b\"\npath = \"/y\"\n", "label"},
		{"label twice", "[[source]]\nlabel = \"a\"\npath = \"/x\"\n[[source]]\nlabel = \"a\"\npath = \"/y\"\n", "two sources"},
		{"not TOML", "{\"repository\": 1}", "line 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := daemon.ParseConfig([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v does not say %q", err, c.want)
			}
		})
	}
}

func TestConfigFileMistakes(t *testing.T) {
	dir := t.TempDir()
	if _, err := daemon.ReadConfig(dir); err == nil || !strings.Contains(err.Error(), "not a file") {
		t.Errorf("a directory as configuration: %v", err)
	}
	large := filepath.Join(dir, "large.toml")
	if err := os.WriteFile(large, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.ReadConfig(large); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("a configuration of 2 MiB: %v", err)
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte("repository = \"/r\"\n[[source]]\nlabel = \"a\"\npath = \"/x\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := daemon.ParseConfig(b)
		if err != nil {
			return
		}
		text, err := c.Marshal()
		if err != nil {
			return // TOML cannot hold every string
		}
		again, err := daemon.ParseConfig(text)
		if err != nil {
			t.Fatalf("%v in what was written:\n%s", err, text)
		}
		if len(again.Sources) != len(c.Sources) || again.Repository != c.Repository {
			t.Errorf("%+v became %+v", c, again)
		}
	})
}
