package samba_test

import (
	"errors"
	"strings"
	"testing"

	"keepsake/packaging/samba"
)

func TestNames(t *testing.T) {
	for label, want := range map[string]string{
		"weddings": "weddings", "Müller & Söhne": "Müller & Söhne", "a/b:c": "a_b_c", " two  blanks ": "two blanks", "100%": "100_", "[global]": "_global_", "a\nb": "a_b",
	} {
		if got := samba.NameFor(label); got != want || samba.Name(got) != nil {
			t.Errorf("the share of %q is called %q, want %q (%v)", label, got, want, samba.Name(got))
		}
	}
	for _, name := range []string{"", "Global", "homes", "IPC$", "a/b", "a]", "a\n", " a", "a  b", "a\xff", strings.Repeat("ü", 81)} {
		if samba.Name(name) == nil {
			t.Errorf("a share may be called %q", name)
		}
	}
	if err := samba.Name(strings.Repeat("ü", 80)); err != nil {
		t.Error(err)
	}
}

func TestShare(t *testing.T) {
	s := samba.Share{Name: "lib", Path: "/volume1/lib", Source: "/volume1/lib", Folders: "/run/keepsake/view/previous/lib"}
	has := func(line string, want bool) {
		t.Helper()
		text, err := s.Stanza()
		if err != nil || strings.Contains(text, "\t"+line+"\n") != want {
			t.Errorf("%q is a line: not %v (%v):\n%s", line, want, err, text)
		}
	}
	has("shadow:basedir = /volume1/lib", true)
	s.Path = "/volume1/lib/2026/x"
	has("shadow:snapsharepath = 2026/x", true)
	has("shadow:basedir = /volume1/lib", false)
	for path, want := range map[string]error{
		"/volume1": samba.ErrAbove, "/": samba.ErrAbove, "/volume1/library": samba.ErrAbove, "/volume1/lib/%U": samba.ErrValue,
		"/volume1/lib/ a": samba.ErrValue, // which would stand behind "=" with its blank
	} {
		s.Path = path
		if text, err := s.Stanza(); !errors.Is(err, want) || text != "" {
			t.Errorf("a share of %s: %v, want %v", path, err, want)
		}
	}
}
