package rules_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"keepsake/daemon/rules"
)

// aboutPatterns are patterns, a path and whether git ignores it: TestPatternsAreGits asks it.
var aboutPatterns = []struct {
	patterns string
	path     string // a directory if it ends in a slash
	want     bool
}{
	{"*.tmp", "a.tmp", true},
	{"*.tmp", "deep/down/a.tmp", true},
	{"*.tmp", "a.tmp.jpg", false},
	{"cache/", "x/cache/", true},
	{"cache/", "x/cache", false},
	{"/cache", "cache/", true},
	{"/cache", "x/cache/", false},
	{"/x/cache/", "x/cache/", true},
	{"a/b", "a/b", true},
	{"a/b", "x/a/b", false},
	{"a/*/c", "a/b/c", true},
	{"a/*/c", "a/b/b/c", false},
	{"a/**/c", "a/b/b/c", true},
	{"a/**/c", "a/c", true},
	{"a/**/**/c", "a/c", true},
	{"**/c", "a/b/c", true},
	{"**/c", "c", true},
	{"**/c/d", "a/b/c/d", true},
	{"dir/**", "dir/", false},
	{"dir/**", "dir/a", true},
	{"dir/**", "dir/a/b", true},
	{"dir/**/", "dir/a/", true},
	{"dir/**/", "dir/a", false},
	{"**", "a", true},
	{"/**", "a/b", true},
	{"a**c", "abc", true},
	{"x/a**c", "x/abbc", true},
	{"x/a**c", "x/a/c", false},
	{"x/**c", "x/a/c", false},
	{"*.jpg\n!keep.jpg", "keep.jpg", false},
	{"*.jpg\n!keep.jpg", "other.jpg", true},
	{"!keep.jpg\n*.jpg", "keep.jpg", true},
	{"dir/\n!dir/keep", "dir/keep", true}, // its directory is left out
	{"dir/*\n!dir/keep", "dir/keep", false},
	{"dir/*\n!dir/keep", "dir/other", true},
	{"/*\n!/keep/", "keep/", false},
	{"/*\n!/keep/", "keep/inside", false},
	{"/*\n!/keep/", "other/", true},
	{"# comment\n\n", "# comment", false},
	{`\#name`, "#name", true},
	{`\!name`, "!name", true},
	{"trailing   ", "trailing", true},
	{`space\ `, "space ", true},
	{`space\ `, "space", false},
	{`space\   `, "space ", true},
	{`a\ b`, "a b", true},
	{"a b", "a b", true},
	{" lead", " lead", true},
	{" lead", "lead", false},
	{"carriage\r", "carriage", true},
	{"tab\t", "tab", false},
	{"tab\t", "tab\t", true},
	{`star\*`, "star*", true},
	{`star\*`, "starx", false},
	{`back\\slash`, `back\slash`, true},
	{"[ab].txt", "a.txt", true},
	{"[ab].txt", "c.txt", false},
	{"[!ab].txt", "c.txt", true},
	{"[^ab].txt", "a.txt", false},
	{"[a-c]x", "bx", true},
	{"[]-]x", "-x", true},
	{"[]-]x", "]x", true},
	{"[a-]x", "-x", true},
	{`[\]]x`, "]x", true},
	{`[\-a]x`, "-x", true},
	{"[[:digit:]]x", "7x", true},
	{"[[:digit:]]x", "ax", false},
	{"[![:space:]]x", " x", false},
	{"[[:upper:]]x", "ax", false},
	{"[!a]b", "x/b", false},
	{"IMG_????.jpg", "IMG_0042.jpg", true},
	{"IMG_????.jpg", "IMG_042.jpg", false},
	{"?", "ä", false}, // bytes, not letters
	{"*\xff*", "a\xffb", true},
	{"Case", "case", false},
	{"*a*b*c", "xxaxbxxbc", true},
	{"*a*b*c", "xxaxbxx", false},
	{"foo*/bar", "foo1/bar", true},
	{"/foo/../bar", "foo/bar", false},
}

func TestPatterns(t *testing.T) {
	for _, c := range aboutPatterns {
		r, err := rules.New(strings.Split(c.patterns, "\n"), nil, false)
		if err != nil {
			t.Fatal(err)
		}
		rule, got := r.Match(strings.TrimSuffix(c.path, "/"), strings.HasSuffix(c.path, "/"))
		if got != c.want || got && !strings.HasPrefix(rule, "pattern ") {
			t.Errorf("%q against %q: %v by %q", c.patterns, c.path, got, rule)
		}
	}
	for _, bad := range []string{"[a", `a\`, "a//b", "/", "!", "[[:nonsense:]]", strings.Repeat("x", 3000)} {
		if _, err := rules.New([]string{bad}, nil, false); err == nil {
			t.Errorf("%q would match nothing, and was taken", bad)
		}
	}
	if _, err := rules.New(nil, []string{"no-such"}, false); err == nil || !strings.Contains(err.Error(), "nle-caches") {
		t.Errorf("an unknown preset: %v", err)
	}
}

// ignored asks git about a path under some patterns. A directory is made, since
// git takes a slash at the end of a path for a part of its name.
func ignored(t *testing.T, repository string, patterns, path string) bool {
	t.Helper()
	if err := os.WriteFile(filepath.Join(repository, ".git/info/exclude"), []byte(patterns+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if dir, ok := strings.CutSuffix(path, "/"); ok {
		if err := os.MkdirAll(filepath.Join(repository, dir), 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(filepath.Join(repository, strings.Split(dir, "/")[0]))
		path = dir
	}
	c := exec.Command("git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "-q", "-z", "--stdin")
	c.Dir, c.Stdin = repository, strings.NewReader(path+"\x00")
	out, err := c.CombinedOutput()
	if exit, ok := err.(*exec.ExitError); err != nil && (!ok || exit.ExitCode() != 1) {
		t.Fatalf("git check-ignore: %v %s", err, out)
	}
	return err == nil
}

func TestPatternsAreGits(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("not run: no git")
	}
	dir := t.TempDir()
	if out, err := exec.Command("git", "init", "-q", dir).CombinedOutput(); err != nil {
		t.Skipf("not run: git init: %v %s", err, out)
	}
	for _, c := range aboutPatterns {
		if got := ignored(t, dir, c.patterns, c.path); got != c.want {
			t.Errorf("git, %q against %q: %v", c.patterns, c.path, got)
		}
	}
	// Random patterns over a small alphabet hit each other's corners.
	random := rand.New(rand.NewPCG(1, 2))
	word := func(pieces []string, n int) string {
		var b strings.Builder
		for range 1 + random.IntN(n) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		return b.String()
	}
	compared, matched := 0, 0
	for range 500 {
		lines := []string{word([]string{"a", "b", "/", "/", "*", "**", "**/", "/**", "?", "[ab]", "[!a]", `\a`}, 6)}
		if random.IntN(3) == 0 {
			lines = append(lines, "!"+word([]string{"a", "b", "/", "*"}, 3))
		}
		// Git cuts off what has no wildcard first, and then takes the ** of a** for
		// one between slashes, which its manual does not say.
		if regexp.MustCompile(`[^/*]\*\*`).MatchString(lines[0]) {
			continue
		}
		path := strings.TrimPrefix(filepath.Clean("/"+word([]string{"a", "b", "a", "b", "/"}, 6)), "/")
		r, err := rules.New(lines, nil, false)
		if err != nil || path == "" {
			continue
		}
		_, got := r.Match(path, false)
		if want := ignored(t, dir, strings.Join(lines, "\n"), path); got != want {
			t.Errorf("%q against %q: %v, git says %v", lines, path, got, want)
		}
		compared++
		if got {
			matched++
		}
	}
	t.Logf("%d random patterns compared with git, %d of them matched", compared, matched)
	if matched == 0 || matched == compared {
		t.Error("the random patterns show nothing")
	}
}

// TestManyStarsTakeNoTime matches what made older matchers try every way.
func TestManyStarsTakeNoTime(t *testing.T) {
	pattern := strings.Repeat("**/a*a*a*a*a*a*b/", 20) + "z"
	r, err := rules.New([]string{pattern}, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	path := string(bytes.Repeat([]byte("aaaaaaaaaaaaaaaaaaaaaaaa/"), 60)) + "a"
	began := time.Now()
	if _, out := r.Match(path, false); out {
		t.Error("matched")
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("took %v", took)
	}
}

func FuzzPatterns(f *testing.F) {
	f.Add("a/**/b\n!c", "a/x/b")
	f.Add("[[:alpha:]-z]\\ \n/**", "a/x/b")
	f.Fuzz(func(t *testing.T, patterns, path string) {
		if r, err := rules.New(strings.Split(patterns, "\n"), []string{"nle-caches", "nas-droppings"}, true); err == nil {
			r.Match(path, false)
		}
	})
}
