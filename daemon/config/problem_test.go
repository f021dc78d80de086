package config_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"keepsake/daemon/config"
)

// TestProblems has one mistake each, and the whole of what is said about it.
func TestProblems(t *testing.T) {
	const ok = "\n[[source]]\nlabel = \"a\"\npath = \"/a\"\n"
	for _, tt := range []struct{ text, want string }{
		// Keys that nobody knows.
		{`repositry = "/r"`, `line 1: repositry is unknown; did you mean repository?`},
		{`key_file = "/k"`, `line 1: key_file is unknown; did you mean key-file?`},
		{`every = "15m"`, `line 1: every is unknown; every belongs below [defaults]`},
		{`path = "/a"`, `line 1: path is unknown; path belongs below [[source]]`},
		{"[defaults]\nkeep-dialy = 3", `line 2: defaults.keep-dialy is unknown; did you mean keep.daily?`},
		{"[defaults]\nkeep = { dayly = 3 }", `line 2: defaults.keep.dayly is unknown; did you mean keep.daily?`},
		{"[sources]\nlabel = \"a\"", `line 1: sources is unknown; did you mean source?`},
		{ok + `exclud = ["*.tmp"]`, `line 5: source.exclud is unknown; did you mean exclude?`},
		{ok + "[[source.outputs]]\nfile = \"x\"", `line 5: source.outputs is unknown; did you mean output?`},
		// Wrong types.
		{`repository = 7`, `line 1: repository is a number where a text is expected; put it in double quotes`},
		{`gentle = "yes"`, `line 1: gentle is a text where true or false is expected; write true or false, without quotes`},
		{"[defaults]\nevery = 15", `line 2: defaults.every is a number where a duration is expected; write it in double quotes and with its unit: 15s or 15m`},
		{"[defaults]\nevery = 12:30:00", `line 2: defaults.every is a date or time where a duration is expected; write it in double quotes and with its unit: 15m`},
		{"[defaults]\nevery = \"15 minutes\"", `line 2: defaults.every = "15 minutes" is not a duration; write whole numbers with y, w, d, h, m, s or ms, the largest first: 1h30m, 2w3d`},
		{"[defaults]\nexclude = \"*.tmp\"", `line 2: defaults.exclude is a text where a list is expected; write ["*.tmp"]`},
		{"[defaults]\nkeep = 7", `line 2: defaults.keep is neither a table of rules nor the word "everything"; write { daily = 7, weekly = 4, monthly = 12 } or "everything"`},
		{"[defaults]\nguards = true", `line 2: defaults.guards is true or false where a table is expected; write guards = { … } or guards.KEY = …`},
		{"[defaults]\nkeep.daily = -1", `line 2: defaults.keep.daily = -1 is not between 0 and 1000000000; 0 switches it off`},
		{"[defaults]\nmin-share = 50", `line 2: defaults.min-share = 50 is not a share; write a number from 0 to 1, such as 0.5`},
		{"[defaults]\nat = [\"02:30\",\n 7]", `line 3: defaults.at is a number where a text is expected; put it in double quotes`},
		{`defaults = 3`, `line 1: defaults is a number where a section is expected; write [defaults] on a line of its own and its keys below`},
		{"[[notify]]\ntimeout = \"9s\"", `line 1: notify stands more than once, or in double brackets; write one [notify]`},
		{"[source]\nlabel = \"a\"\npath = \"/a\"", `line 1: source stands in single brackets; write [[source]]: there may be several`},
		{`source = "/a"`, `line 1: source is a text where a section is expected; write [[source]] on a line of its own and its keys below`},
		{`source = ["/a"]`, `line 1: source is a text where a section is expected; write [[source]] on a line of its own and its keys below`},
		// Sizes.
		{`max-read = 20`, `line 1: max-read is a number where a size is expected; write it in double quotes and with its unit: "20GiB"`},
		{`max-read = "20MB"`, `line 1: max-read = "20MB" is ambiguous: MB may be a power of 1000 or of 1024; write KiB, MiB, GiB or TiB, which are powers of 1024: "20MiB"`},
		{`max-read = "20G/s"`, `line 1: max-read = "20G" is ambiguous: G may be a power of 1000 or of 1024; write KiB, MiB, GiB or TiB, which are powers of 1024: "20GiB"`},
		{`memory = "300"`, `line 1: memory = "300" has no unit; write KiB, MiB, GiB or TiB after it: "300MiB"`},
		{`memory = "1MiB"`, `line 1: memory = "1MiB" is too small; the indexes of a library need 64MiB`},
		{`cache = "4MiB"`, `line 1: cache = "4MiB" is too small; with less than 8MiB what is read ahead pushes out what is being read`},
		{`cache = "0"`, `line 1: cache = "0" is too small; with less than 8MiB what is read ahead pushes out what is being read`},
		{`read-ahead = "64KiB"`, `line 1: read-ahead = "64KiB" is too small; the kernel reads 128KiB ahead by itself; 0 leaves it at that`},
		{`read-ahead = "1GiB"`, `line 1: read-ahead = "1GiB" is too large; more than 16MiB of a file that a program only looks at is read for nothing`},
		{`read-ahead = "200001B"`, `line 1: read-ahead = "200001B" is no multiple of a page; write a multiple of 4KiB, such as 1MiB`},
		{`memory = "much"`, `line 1: memory = "much" is not a size; write a number and KiB, MiB, GiB or TiB: "20GiB"`},
		// Places.
		{`repository = "backups"`, `line 1: repository = "backups" is not an absolute path; begin it with /: a daemon has no directory of its own, and ~ is not expanded`},
		{"repository = \"/a/r\"\nmount = \"/a/r/m\"", `line 2: mount = /a/r/m and the repository, /a/r, lie in each other; choose a mount of its own: it covers what its directory holds`},
		{`repository = "/r"` + "\n[[source]]\nlabel = \"a\"\npath = \"/r/a\"", `line 4: source.path = /r/a lies inside the repository, /r; a snapshot of it would hold itself; choose another directory`},
		{`mount = "/m"` + "\n[[source]]\nlabel = \"a\"\npath = \"/m\"", `line 4: source.path = /m lies inside the mount, /m; a snapshot of it would hold itself; choose another directory`},
		{`metrics = "0.0.0.0:9273"`, `line 1: metrics = "0.0.0.0:9273" can be reached from other machines, and asks nobody for a password; write 127.0.0.1:9273, and let a proxy that asks for one pass it on`},
		{`metrics = ":9273"`, `line 1: metrics = ":9273" is not an address and a port; write 127.0.0.1:9273 or [::1]:9273`},
		{`profile = "prod"`, `line 1: profile = "prod" is unknown; write one of production, development`},
		{`profile = "developmnt"`, `line 1: profile = "developmnt" is unknown; did you mean "development"? There are production, development`},
		{"[notify]\ncommand = [\"mail\", \"me\"]", `line 2: notify.command = "mail" is not an absolute path; write where the program lies, such as /usr/local/bin/tell-me`},
		{"[notify]\ncommand = \"mail me\"", `line 2: notify.command is a text where a list is expected: no shell takes it apart; write the program and each argument in quotes: ["mail", "me"]`},
		// Sources.
		{"[[source]]\npath = \"/a\"", `line 1: source has no label; write label = "NAME": it is the folder in which the snapshots are shown`},
		{"[[source]]\nlabel = \"a\"", `line 1: source has neither a path nor a command; say what is to be kept`},
		{"[[source]]\nlabel = \"a/b\"\npath = \"/a\"", `line 2: source.label = "a/b" has one of / @ : in it, which separate labels from times and paths; choose a short name, such as weddings`},
		{"[[source]]\nlabel = \"..\"\npath = \"/a\"", `line 2: source.label = ".." is no name; choose a short name, such as weddings`},
		{ok + ok, `line 7: source.label = "a" is the label of line 3, too; choose another label`},
		{ok + "[[source]]\nlabel = \"A\"\npath = \"/b\"", `line 6: source.label = "A" differs from "a" of line 3 only in case; Windows and Macs would show one folder for both; choose another label`},
		{ok + `require = ["/b"]`, `line 5: source.require = "/b" is absolute; write it as it is seen from the source's directory`},
		{ok + `require = ["b/../../c"]`, `line 5: source.require = "b/../../c" is not below the source; name something inside it`},
		{ok + `min-share = 0.1`, `line 5: source.min-share has no meaning for a source with a path; remove it`},
		{ok + "[[source.output]]\ncommand = [\"x\"]\nfile = \"x\"", `line 5: source.output is kept beside a command, and this source has none; give it a [[source]] of its own, with command and file`},
		{ok + "command = [\"x\"]\nfile = \"x\"", `line 5: source.command stands beside a path, and a source is one or the other; make two of it`},
		{"[[source]]\nlabel = \"a\"\ncommand = [\"x\"]\nat = [\"02:30\"]", `line 3: source.command has no file; write file = "NAME": the output needs a name in the snapshot`},
		{"[[source]]\nlabel = \"a\"\ncommand = []\nfile = \"x\"\nat = [\"02:30\"]", `line 3: source.command names no program; write the program first`},
		{"defaults.every = \"5m\"\n[[source]]\nlabel = \"a\"\ncommand = [\"x\"]\nfile = \"x\"", `line 2: source never runs: nothing tells that the output of a command has changed; write at = ["02:30"] or every = "1h"`},
		{"[[source]]\nlabel = \"a\"\ncommand = [\"x\"]\nfile = \"x\"\nevery = \"1h\"\nsettle = \"2s\"", `line 6: source.settle has no meaning for a source with a command; remove it`},
		{"[[source]]\nlabel = \"a\"\ncommand = [\"x\"]\nfile = \"x\"\nevery = \"1h\"\n[[source.output]]\ncommand = [\"y\"]\nfile = \"X\"", `line 8: source.file = "X" is the file of another output, too; choose another name`},
		{"[[source]]\nlabel = \"a\"\ncommand = [\"x\"]\nfile = \"x\"\nevery = \"1h\"\n[[source.output]]\ncommand = [\"y\"]\nfile = \"x/y\"", `line 8: source.file = "x/y" and another output would be file and directory of one name; choose another name`},
		{"[[source]]\nlabel = \"a\"\ncommand = [\"x\"]\nfile = \"x\"\nevery = \"1h\"\n[[source.output]]\nfile = \"y\"", `line 6: source.output needs both a command and a file; write both`},
		// What can never be, or never ends.
		{"[defaults]\nat = [\"25:00\"]", `line 2: defaults.at never comes: not a schedule: "25:00": "25:00" is on no clock: hours go from 00 to 23, minutes from 00 to 59; there are "02:30", "Sat 22:00", "Mon..Fri 12:00", "Mon,Thu 06:15"`},
		{"[defaults]\nevery = \"1ms\"", `line 2: defaults.every makes a schedule that cannot be kept: not a schedule: every 1ms: the least distance between runs is 1s; leave every out to run as soon as changes rest`},
		{"[defaults]\nsettle = \"0\"", `line 2: defaults.settle = "0" is too short; a file that is read while it is written is stored half; 5s suits most`},
		{"[defaults]\nsettle = \"20m\"\nevery = \"15m\"", `line 2: defaults.settle makes files rest for 20m before they are read, and every is 15m; make settle the shorter one`},
		{ok + `every = "2s"`, `line 5: source.every makes files rest for 5s before they are read, and every is 2s; make settle the shorter one`},
		{"[defaults]\nkeep = { within = \"0\", daily = 0, weekly = 0, monthly = 0 }", `line 2: defaults.keep keeps nothing; make one rule more than 0, or write keep = "everything"`},
		{"[defaults]\nkeep = { within = \"0\", daily = 0, weekly = 0, monthly = 0, tags = [\"x\"] }", `line 2: defaults.keep keeps nothing but what has a tag, and snapshots have none of themselves; make one of the other rules more than 0`},
		{"[defaults]\nexclude = [\"*\"]", `line 2: defaults.exclude has "*", which leaves out everything; name what is to be left out, or remove the source`},
		{ok + `exclude = ["*.tmp", "/**"]`, `line 5: source.exclude has "/**", which leaves out everything; name what is to be left out, or remove the source`},
		{ok + `exclude = ["!a", "?*"]`, `line 5: source.exclude has "?*", which leaves out everything; name what is to be left out, or remove the source`},
		{ok + `presets = ["nle"]`, `line 5: source.presets = "nle" is unknown; write one of nle-caches, nas-droppings`},
		{ok + `guards.overwritten.least = 200`, `line 5: source.guards.overwritten.least makes least 200 and most 100; least is the smaller one; write both`},
		{ok + `guards.shrunk.share = 0`, `line 5: source.guards.shrunk.share = 0 would raise an alarm with every change; to switch it off, write on = false`},
	} {
		_, err := config.Parse([]byte(tt.text))
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s\n got  %v\n want %s", tt.text, err, tt.want)
		}
	}
}

// TestSyntax: where the text is not TOML, line and column are said.
func TestSyntax(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"a = 1\nrepository = /r\n", "line 2: column 14: "},
		{"{\"repository\": 1}", "line 1: column 1: "},
		{"group = \"a\"\ngroup = \"b\"\n", "line 2: column 1: "},
		{"[defaults]\n\nkeep = {\n", "line 3: "},
		{"group = \"a\"\nmount = \"\xff\"\n", "line 2: has the byte 0xff, which is not UTF-8"},
		{"group = \"a", "line 1: "},
	} {
		_, err := config.Parse([]byte(tt.text))
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %s…", tt.text, err, tt.want)
		}
	}
}

// TestAllProblemsAtOnce: no problem hides another one, and they come in the
// order of the lines.
func TestAllProblemsAtOnce(t *testing.T) {
	_, err := config.Parse([]byte(`repositry = "/r"
mount = 3
max-read = "20MB"
[defaults]
every = 15
keep = { dayly = 7, weekly = "4" }
[[source]]
path = "relative"
require = ["/a", "b", "../c"]
[[source]]
label = "a"
command = ["x"]
exclude = ["*"]
`))
	problems, ok := errors.AsType[config.Problems](err)
	if !ok {
		t.Fatalf("%T is no list of problems: %v", err, err)
	}
	var lines []int
	for _, p := range problems {
		lines = append(lines, p.Line)
		if p.Remedy == "" {
			t.Errorf("no remedy for: %v", p)
		}
	}
	if want := []int{1, 2, 3, 5, 6, 6, 7, 8, 9, 9, 10, 12, 13, 13}; !slices.Equal(lines, want) {
		t.Errorf("problems on lines %v, want %v:\n%v", lines, want, err)
	}
}

// TestTooMany: what no configuration has is refused before it costs time, and
// nobody is told of more than can be read.
func TestTooMany(t *testing.T) {
	lines := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	const dump = "[[source]]\nlabel = \"a\"\ncommand = [\"x\"]\nfile = \"x\"\nevery = \"1h\"\n"
	for _, tt := range []struct{ name, text, want string }{
		{"1001 sources", lines(1001, "[[source]]\nlabel = \"s%d\"\npath = \"/a/%[1]d\"\n"), "stands 1001 times, and at most 1000 are possible"},
		{"1000 sources", lines(1000, "[[source]]\nlabel = \"s%d\"\npath = \"/a/%[1]d\"\n"), ""},
		{"101 outputs", dump + lines(101, "[[source.output]]\ncommand = [\"x\"]\nfile = \"f%d\"\n"), "stands 101 times, and at most 100 are possible"},
		{"100 outputs", dump + lines(100, "[[source.output]]\ncommand = [\"x\"]\nfile = \"f%d\"\n"), ""},
		{"a large text", "#" + strings.Repeat(" ", 256<<10), "at most 262144"},
	} {
		_, err := config.Parse([]byte(tt.text))
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	_, err := config.Parse([]byte(lines(1000, "key%d = 1\n")))
	if problems, ok := errors.AsType[config.Problems](err); !ok || len(problems) != 100 {
		t.Errorf("1000 unknown keys are %d problems", len(problems))
	}
}
