package capture_test

import (
	"strings"
	"testing"

	"keepsake/daemon/capture"
)

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		patterns string
		path     string
		dir      bool
		want     bool
	}{
		{"*.tmp", "a.tmp", false, true},
		{"*.tmp", "deep/down/a.tmp", false, true},
		{"*.tmp", "a.tmp.jpg", false, false},
		{"cache/", "x/cache", true, true},
		{"cache/", "x/cache", false, false},
		{"/cache", "cache", true, true},
		{"/cache", "x/cache", true, false},
		{"a/b", "a/b", false, true},
		{"a/b", "x/a/b", false, false},
		{"a/*/c", "a/b/c", false, true},
		{"a/*/c", "a/b/b/c", false, false},
		{"a/**/c", "a/b/b/c", false, true},
		{"a/**/c", "a/c", false, true},
		{"**/c", "a/b/c", false, true},
		{"*.jpg\n!keep.jpg", "keep.jpg", false, false},
		{"*.jpg\n!keep.jpg", "other.jpg", false, true},
		{"# comment\n\n", "# comment", false, false},
		{`\#name`, "#name", false, true},
		{"[ab].txt", "a.txt", false, true},
		{"[ab].txt", "c.txt", false, false},
	} {
		p, err := capture.ParsePatterns(strings.Split(c.patterns, "\n"))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Match(c.path, c.dir); got != c.want {
			t.Errorf("%q against %q: %v", c.patterns, c.path, got)
		}
	}
	if _, err := capture.ParsePatterns([]string{"[a"}); err == nil {
		t.Error("a malformed pattern was taken")
	}
}

func FuzzPatterns(f *testing.F) {
	f.Add("a/**/b\n!c", "a/x/b")
	f.Fuzz(func(t *testing.T, patterns, path string) {
		if len(patterns) > 200 || len(path) > 200 {
			return // ** may take time that grows with the power of their number
		}
		if p, err := capture.ParsePatterns(strings.Split(patterns, "\n")); err == nil {
			p.Match(path, false)
		}
	})
}
