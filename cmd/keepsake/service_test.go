package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestServicePlaces: with the machine's configuration every verb looks where
// the service is, and what was said for this run still comes first.
func TestServicePlaces(t *testing.T) {
	said := map[string]string{}
	e := &environment{get: func(name string) string { return said[name] }, home: "/home/alice", dir: "/"}
	places := func() string { return strings.Join([]string{e.stateBase(), e.defaultKeyFile(), e.defaultMount()}, " ") }
	if got, want := places(), "/home/alice/.local/state/keepsake /home/alice/.config/keepsake/key /home/alice/Keepsake"; got != want {
		t.Errorf("a person's places: %s, want %s", got, want)
	}
	if text := e.keeping(); !strings.Contains(text, "keepsake up") {
		t.Errorf("without a configuration of the service: %s", text)
	}
	e.system = true
	if text := e.keeping(); !strings.Contains(text, "systemctl start keepsake") {
		t.Errorf("with one: %s", text)
	}
	if got, want := places(), "/var/lib/keepsake /etc/keepsake/key /run/keepsake/view"; got != want {
		t.Errorf("the service's places: %s, want %s", got, want)
	}
	said["KEEPSAKE_STATE_DIR"] = "/volume1/state"
	if got := e.stateBase(); got != "/volume1/state" {
		t.Errorf("what was said: %s", got)
	}
}

// TestPlacesOfTheUnit: the unit and the command line mean the same places.
func TestPlacesOfTheUnit(t *testing.T) {
	b, err := os.ReadFile("../../packaging/systemd/keepsake.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"\nEnvironment=KEEPSAKE_STATE_DIR=" + systemStateDir + " ", "\nStateDirectory=" + filepath.Base(systemStateDir) + "\n",
		"\nRuntimeDirectory=" + filepath.Base(filepath.Dir(systemView)) + "\n", "\nConfigurationDirectory=" + filepath.Base(systemConfigDir) + "\n",
		" --config " + systemConfig + "\n",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the unit lacks %q", want)
		}
	}
}

// TestChangeablePrograms: a program that others can change must not become a
// service of root's.
func TestChangeablePrograms(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("not run: needs root to make files that are root's")
	}
	dir := t.TempDir()
	file := func(name string, perm os.FileMode, uid int) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, perm); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(path, uid, 0); err != nil {
			t.Fatal(err)
		}
		return path
	}
	open := file("open/keepsake", 0o755, 0)
	if err := os.Chmod(filepath.Dir(open), 0o777); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		path, want string
	}{
		{file("good/keepsake", 0o755, 0), ""},
		{file("group/keepsake", 0o775, 0), "can be written by others"},
		{file("alice/keepsake", 0o755, nobody), "belongs to user"},
		{open, "can be written by others"},
		{filepath.Join(dir, "gone"), "cannot be looked at"},
	}
	for _, tt := range tests {
		got := changeable(tt.path)
		if tt.want == "" && got != "" || tt.want != "" && !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.path, got, tt.want)
		}
	}
}
