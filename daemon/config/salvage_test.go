package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"keepsake/daemon/config"
)

// TestSalvage: of a file with problems the places count that are beyond doubt,
// and nothing else.
func TestSalvage(t *testing.T) {
	for name, test := range map[string]struct{ text, repository, key string }{
		"mistakes elsewhere":        {"repository = \"/r\"\nkey-file = \"/k\"\ncolour = 1\n[[source]]\npath = \"x\"\n", "/r", "/k"},
		"a mistake in it":           {"repository = 7\nkey-file = \"/k\"\n", "", "/k"},
		"a relative path":           {"repository = \"r\"\nkey-file = \"/k\"\n", "", "/k"},
		"no TOML further down":      {"repository = \"/r\"\nkey-file = \"/k\"\n[[source]\n", "/r", "/k"},
		"no TOML further up":        {"= 1\nrepository = \"/r\"\n", "", ""},
		"it stands twice":           {"key-file = \"/k\"\nrepository = \"/r\"\nrepository = \"/s\"\n", "", "/k"},
		"in another section":        {"[defaults]\nrepository = \"/r\"\n", "", ""},
		"more problems than listed": {"repository = \"/r\"\n" + manyUnknown(200), "", ""},
		"empty":                     {"", "", ""},
	} {
		path := filepath.Join(t.TempDir(), config.Name)
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Read(path); err == nil {
			t.Errorf("%s: there is nothing wrong", name)
		}
		want := config.Default(config.Production)
		want.Repository, want.KeyFile = test.repository, test.key
		if got := config.Salvage(path); !got.Equal(want) {
			t.Errorf("%s: repository %q, key file %q, %d sources", name, got.Repository, got.KeyFile, len(got.Sources))
		}
	}
	if got := config.Salvage(filepath.Join(t.TempDir(), "none")); !got.Equal(config.Default(config.Production)) {
		t.Errorf("no file: %+v", got)
	}
}

func manyUnknown(n int) (text string) {
	for i := range n {
		text += "colour" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + " = 1\n"
	}
	return text
}
