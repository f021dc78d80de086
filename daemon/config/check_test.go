package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keepsake/daemon/config"
)

// checked checks a text in which DIR is a new directory with what tests need:
// pictures with weddings in it, a file, a program, one that everybody can change
// and one that is not executable. It returns notes and problems, with DIR in the place of the directory.
func checked(t *testing.T, text string, usual ...string) (notes []string, problems string) {
	t.Helper()
	dir := t.TempDir()
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"pictures/weddings", "state", "etc"} {
		mkdir(t, filepath.Join(dir, d), 0o700)
	}
	write(t, filepath.Join(dir, "file"), "", 0o600)
	write(t, filepath.Join(dir, "program"), "#!/bin/sh\n", 0o755)
	write(t, filepath.Join(dir, "anyones"), "#!/bin/sh\n", 0o757)
	write(t, filepath.Join(dir, "plain"), "#!/bin/sh\n", 0o644)
	if err := os.Symlink(filepath.Join(dir, "pictures"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if usual == nil {
		usual = []string{"DIR/state"}
	}
	in := strings.NewReplacer("DIR", dir)
	path := write(t, filepath.Join(dir, "etc/keepsake.toml"), in.Replace(text), 0o600)
	_, all, err := config.Check(path, config.Places{State: in.Replace(usual[0])})
	out := func(s string) string { return strings.ReplaceAll(s, dir, "DIR") }
	for _, n := range all {
		notes = append(notes, out(n.String()))
	}
	if err != nil {
		problems = out(err.Error())
	}
	return notes, problems
}

// TestNotes: what is allowed and should be known is said, and nothing else.
func TestNotes(t *testing.T) {
	const (
		head   = "profile = \"development\"\n"
		source = "[[source]]\nlabel = \"a\"\npath = \"DIR/pictures\"\n"
	)
	for _, tt := range []struct {
		text string
		want []string
	}{
		{head + source, nil},
		{source, []string{"there is no command below [notify]: nobody is told when a source fails, and keepsake status must be looked at"}},
		{head, []string{"there is no [[source]]: nothing is backed up"}},
		{head + "mount = \"DIR/view\"\n" + source, []string{"line 2: the mount DIR/view is not there: it is created"}},
		{head + "cache = \"200MiB\"\n" + source, []string{"line 2: the service uses 128MiB of the cache's 200MiB, half of memory; make memory at least 400MiB to have all of it"}},
		{head + "cache = \"200MiB\"\nmemory = \"400MiB\"\n" + source, nil},
		{head + "memory = \"64MiB\"\n" + source, nil},
		{head + "repository = \"DIR/r\"\n" + source, []string{"line 2: the repository DIR/r is not there: is its disk mounted? A new one is made with keepsake init"}},
		{head + "repository = \"DIR/pictures/weddings\"\n" + source, []string{`line 5: the repository, DIR/pictures/weddings, lies inside source "a" and is left out of it`}},
		// Through a link: one directory has two names.
		{head + "repository = \"DIR/link/weddings\"\n" + source, []string{`line 5: the repository, DIR/pictures/weddings, lies inside source "a" and is left out of it`}},
		{head + "repository = \"DIR/etc\"\nkey-file = \"DIR/etc/keepsake.toml\"\n" + source, []string{"line 3: the key lies inside the repository: whoever takes the disk can read everything, and who loses it loses both"}},
		{head + source + "[[source]]\nlabel = \"b\"\npath = \"DIR/link/weddings\"\n", []string{`line 7: source "b" lies inside source "a": its files are in the snapshots of both, and stored once`}},
		{head + "[[source]]\nlabel = \"b\"\npath = \"DIR/link/weddings\"\n" + source, []string{`line 7: source "b" lies inside source "a": its files are in the snapshots of both, and stored once`}},
		{head + source + "[[source]]\nlabel = \"b\"\npath = \"DIR/link\"\n", []string{`line 7: sources "a" and "b" are the same directory: it is watched twice, and stored once`}},
		{head + "[[source]]\nlabel = \"a\"\npath = \"DIR/card\"\n", []string{`line 4: source "a", DIR/card, is not there: it is watched as soon as it is, and a gap until then is reported`}},
		{head + source + "before = [[\"DIR/program\"]]\nafter = [[\"DIR/none\"]]\n", []string{"line 6: DIR/none is not there, and a snapshot without it is degraded: install it"}},
		{head + "[[source]]\nlabel = \"a\"\ncommand = [\"no-such-program-anywhere\"]\nfile = \"x\"\nat = [\"02:30\"]\n", []string{"line 4: no-such-program-anywhere is in no directory of this PATH; the daemon's may be another: an absolute path is safer"}},
	} {
		notes, problems := checked(t, tt.text)
		if problems != "" || strings.Join(notes, "\n") != strings.Join(tt.want, "\n") {
			t.Errorf("%s\n got  %q, problems %s\n want %q", tt.text, notes, problems, tt.want)
		}
	}
}

// TestDiskProblems: what only a look at the disk shows.
func TestDiskProblems(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"repository = \"DIR/pictures\"\n[[source]]\nlabel = \"a\"\npath = \"DIR/link/weddings\"\n", "line 4: source.path = DIR/link/weddings lies inside the repository, DIR/pictures; a snapshot of it would hold itself; choose another directory"},
		{"[[source]]\nlabel = \"a\"\npath = \"DIR/state\"\n", "line 3: source.path = DIR/state lies inside the state directory, DIR/state; a snapshot of it would hold itself; choose another directory"},
		{"mount = \"DIR/state/view\"\n", "line 1: mount = DIR/state/view and the state directory, DIR/state, lie in each other; choose a mount of its own: it covers what its directory holds"},
		{"[[source]]\nlabel = \"a\"\npath = \"DIR/file\"\n", "line 3: source.path = DIR/file is not a directory; name the directory above it"},
		{"mount = \"DIR/file\"\n", "line 1: mount = DIR/file is not a directory; name the directory above it"},
		{"group = \"no-such-group-here\"\n", "line 1: group = \"no-such-group-here\" is no group of this machine; make it with groupadd, or name one of /etc/group"},
		{"[notify]\ncommand = [\"DIR/none\"]\n", "line 2: notify.command = DIR/none is not there; install it"},
		{"[notify]\ncommand = [\"DIR/plain\"]\n", "line 2: notify.command = DIR/plain is not executable; chmod +x DIR/plain"},
		{"[notify]\ncommand = [\"DIR\"]\n", "line 2: notify.command = DIR is not a program; name the file that is to run"},
		{"[notify]\ncommand = [\"DIR/anyones\"]\n", "line 2: notify.command = DIR/anyones can be changed by everybody; chmod o-w DIR/anyones"},
		{"[notify]\ncommand = [\"DIR/program\"]\n", ""},
	} {
		_, problems := checked(t, tt.text)
		if got := strings.TrimPrefix(problems, "DIR/etc/keepsake.toml: "); got != tt.want {
			t.Errorf("%s\n got  %s\n want %s", tt.text, got, tt.want)
		}
	}
}

// TestReadLooksAtNoDisk: a daemon starts although a program or a disk is gone.
func TestReadLooksAtNoDisk(t *testing.T) {
	dir := mkdir(t, filepath.Join(t.TempDir(), "etc"), 0o700)
	path := write(t, filepath.Join(dir, "keepsake.toml"), studio, 0o600)
	if _, err := config.Read(path); err != nil {
		t.Error(err)
	}
	if _, _, err := config.Check(path, config.Places{}); err == nil {
		t.Error("the program of the studio's notifications is not there, and Check says nothing")
	}
}
