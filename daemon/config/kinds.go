package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2/unstable"

	"keepsake/daemon/rules"
	"keepsake/daemon/schedule"
	"keepsake/store/retention"
)

// nonEmptyKind is a text that says something.
var nonEmptyKind = textKind.checked(func(s string) (string, string) {
	if s == "" {
		return "is empty", "write something between the quotes, or remove it"
	}
	return "", ""
})

// maxLabel bounds labels: they are names of directories in the view.
const maxLabel = 255

// labelKind is what a source is called: a directory's name on every system that
// the view may be shown on, and unambiguous in latest@LABEL and SNAPSHOT:PATH.
var labelKind = textKind.checked(func(s string) (string, string) {
	const remedy = "choose a short name, such as weddings"
	switch {
	case s == "" || s == "." || s == "..":
		return fmt.Sprintf("= %s is no name", quoteTOML(s)), remedy
	case len(s) > maxLabel:
		return fmt.Sprintf("has %d bytes, and at most %d are possible", len(s), maxLabel), remedy
	case strings.ContainsAny(s, "/@:"):
		return fmt.Sprintf("= %s has one of / @ : in it, which separate labels from times and paths", quoteTOML(s)), remedy
	case strings.ContainsFunc(s, unicode.IsControl):
		return fmt.Sprintf("= %s has a control character in it", quoteTOML(s)), remedy
	}
	return "", ""
})

// groupKind is the name of a group.
var groupKind = textKind.checked(func(s string) (string, string) {
	if strings.ContainsAny(s, ":,/ \t\n\x00") {
		return fmt.Sprintf("= %s is not the name of a group", quoteTOML(s)), "write one name, such as users"
	}
	return "", ""
})

// loopbackKind is an address that only this machine reaches: metrics name
// sources and sizes, and nobody is asked for a password.
var loopbackKind = textKind.checked(func(s string) (string, string) {
	if s == "" {
		return "", ""
	}
	address, err := netip.ParseAddrPort(s)
	switch {
	case err != nil:
		return fmt.Sprintf("= %s is not an address and a port", quoteTOML(s)), "write 127.0.0.1:9273 or [::1]:9273"
	case !address.Addr().Unmap().IsLoopback():
		return fmt.Sprintf("= %s can be reached from other machines, and asks nobody for a password", quoteTOML(s)), "write 127.0.0.1:9273, and let a proxy that asks for one pass it on"
	case address.Port() == 0:
		return fmt.Sprintf("= %s has no port that can be found again", quoteTOML(s)), "write one, such as 9273"
	}
	return "", ""
})

// The bounds of what a view can work with.
const (
	leastCache    = 8 << 20
	tooLittle     = "with less than 8MiB what is read ahead pushes out what is being read"
	leastAhead    = 128 << 10 // what the kernel does by itself
	mostReadAhead = 16 << 20
	page          = 4 << 10
)

// UsualReadAhead is the read-ahead of a configuration that does not name it.
// Only root can set any, so that nobody else is told that it could not be.
const UsualReadAhead = 512 << 10

// cacheKind is memory that is never none: without it every request would
// decrypt anew what the one before it has decrypted.
var cacheKind = sizeKind(leastCache, tooLittle).checked(func(n int64) (string, string) {
	if n == 0 {
		return `= "0" is too small`, tooLittle
	}
	return "", ""
})

// readAheadKind is what the kernel takes for a mount's read-ahead.
var readAheadKind = sizeKind(leastAhead, "the kernel reads 128KiB ahead by itself; 0 leaves it at that").checked(func(n int64) (string, string) {
	switch {
	case n > mostReadAhead:
		return fmt.Sprintf("= %s is too large", quoteTOML(size(n))), "more than 16MiB of a file that a program only looks at is read for nothing"
	case n%page != 0:
		return fmt.Sprintf("= %s is no multiple of a page", quoteTOML(size(n))), "write a multiple of 4KiB, such as 1MiB"
	}
	return "", ""
})

// insideKind is a path relative to a source's root that stays below it.
var insideKind = kind[string]{
	name: "relative path",
	read: func(v *value, bad complain) string {
		s := textKind.read(v, bad)
		if v.kind != unstable.String {
			return ""
		}
		switch clean := filepath.Clean(s); {
		case s == "" || strings.Contains(s, "\x00"):
			bad(v, "names nothing", "write a path such as CONTRACTS")
		case filepath.IsAbs(s):
			bad(v, fmt.Sprintf("= %s is absolute", quoteTOML(s)), "write it as it is seen from the source's directory")
		case !filepath.IsLocal(clean) || clean == ".":
			bad(v, fmt.Sprintf("= %s is not below the source", quoteTOML(s)), "name something inside it")
		default:
			return clean
		}
		return s
	},
	write: quoteTOML,
}

// commandKind is a program and its arguments. No shell reads it: what needs one
// names it.
var commandKind = kind[[]string]{
	name: "list of texts",
	read: func(v *value, bad complain) []string {
		if v.kind == unstable.String {
			bad(v, "is a text where a list is expected: no shell takes it apart", fmt.Sprintf("write the program and each argument in quotes: [%s]", quoteFields(v.text)))
			return nil
		}
		args := texts.read(v, bad)
		switch {
		case v.kind != unstable.Array:
		case len(args) > 0 && args[0] == "":
			bad(v, "names no program", "write the program first")
		case strings.Contains(strings.Join(args, ""), "\x00"):
			bad(v, "has a NUL character in it, which no argument can have", "remove it")
		}
		return args
	},
	write: texts.write,
}

var texts = listKind("list of texts", textKind)

// quoteFields is what the words of a command line look like in a list.
func quoteFields(line string) string {
	words := strings.Fields(line)
	for i, w := range words {
		words[i] = quoteTOML(w)
	}
	return strings.Join(words, ", ")
}

// programKind is a command whose program has an absolute path: an alarm that
// depends on a PATH is the one that does not come.
var programKind = commandKind.checked(func(args []string) (string, string) {
	if len(args) > 0 && !filepath.IsAbs(args[0]) {
		return fmt.Sprintf("= %s is not an absolute path", quoteTOML(args[0])), "write where the program lies, such as /usr/local/bin/tell-me"
	}
	return "", ""
})

// commandsKind is one command or a list of them.
var commandsKind = kind[[][]string]{
	name: "list of commands",
	read: func(v *value, bad complain) [][]string {
		if v.kind != unstable.Array || len(v.items) > 0 && v.items[0].kind == unstable.String {
			if one := commandKind.read(v, bad); len(one) > 0 {
				return [][]string{one}
			}
			return nil
		}
		return listKind("", requiredCommand).read(v, bad)
	},
	write: listKind("", commandKind).write,
}

// requiredCommand is a command that runs something.
var requiredCommand = commandKind.checked(func(args []string) (string, string) {
	if len(args) == 0 {
		return "names no program", "write the program first"
	}
	return "", ""
})

// timesKind are times of a schedule.
var timesKind = listKind("list of times", kind[schedule.Time]{
	read: func(v *value, bad complain) schedule.Time {
		s := textKind.read(v, bad)
		if v.kind != unstable.String {
			return schedule.Time{}
		}
		t, err := schedule.ParseTime(s)
		if err != nil {
			bad(v, "never comes: "+err.Error(), `there are "02:30", "Sat 22:00", "Mon..Fri 12:00", "Mon,Thu 06:15"`)
			return schedule.Time{}
		}
		// Mon..Sun is every day: what means the same is the same.
		if t, err = schedule.ParseTime(t.String()); err != nil {
			panic("config: a time is not read as it is written: " + err.Error())
		}
		return t
	},
	write: func(t schedule.Time) string { return quoteTOML(t.String()) },
})

// everythingKind is the one word that stands for a policy without rules.
var everythingKind = kind[retention.Policy]{
	name: `table, or "everything"`,
	read: func(v *value, bad complain) retention.Policy {
		if v.kind != unstable.String || v.text != "everything" {
			bad(v, "is neither a table of rules nor the word \"everything\"", `write { daily = 7, weekly = 4, monthly = 12 } or "everything"`)
		}
		return retention.Policy{}
	},
	write: func(p retention.Policy) string {
		if p.Zero() {
			return `"everything"`
		}
		return "" // its rules say it
	},
}

// patternKind is a line as in .gitignore.
var patternKind = nonEmptyKind.checked(func(s string) (string, string) {
	if _, err := rules.New([]string{s}, nil, false); err != nil {
		return fmt.Sprintf("= %s: %v", quoteTOML(s), err), `write a name such as "*.tmp" or a path such as "/Trash/"`
	}
	return "", ""
})

// presetKind is the name of a set of patterns.
var presetKind = choiceKind(presetNames()...)

func presetNames() []string {
	var names []string
	for _, p := range rules.Presets() {
		names = append(names, p.Name)
	}
	return names
}
