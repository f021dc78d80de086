package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"keepsake/daemon/config"
)

func TestResolve(t *testing.T) {
	base, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(base, name) }
	if err := os.Mkdir(at("there"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link": "there", "empty": at("not/yet"), "beside": "not", "twice": "beside/x", "loop": "loop", "there/up": "../not"} {
		if err := os.Symlink(target, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{
		"there/a": "there/a", "link/a/b": "there/a/b", "empty": "not/yet", "empty/a": "not/yet/a", "beside/a": "not/a",
		"twice/a": "not/x/a", "link/up/a": "not/a", "loop/a": "loop/a", "no/where": "no/where",
	} {
		if got := config.Resolve(at(path)); got != at(want) {
			t.Errorf("%s is %s, want %s", path, got, at(want))
		}
	}
}
