// Package systemd holds the units by which systemd runs keepsake. The files in
// this directory are what packages ship; the program carries the same bytes and
// writes them with its own path in place of the packages' one, so that there is
// one source of truth.
//
// It knows nothing of the machine: where units go and who may change them is up
// to whoever installs them.
package systemd

import (
	_ "embed"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed keepsake.service
var system string

//go:embed keepsake-user.service
var user string

// Name is what the unit is called.
const Name = "keepsake.service"

// What the files name and the installed units need not.
const (
	program       = "/usr/bin/keepsake"
	systemCommand = program + " daemon --config /etc/keepsake/keepsake.toml"
	userCommand   = program + " daemon --config %E/keepsake/keepsake.toml"
)

// System is the unit of the machine's service: program is run with that
// configuration file. Both are absolute paths.
func System(program, config string) (string, error) {
	return render(system, systemCommand, program, config)
}

// User is the unit of one person's service.
func User(program, config string) (string, error) {
	return render(user, userCommand, program, config)
}

func render(unit, command, program, config string) (string, error) {
	before, after, ok := strings.Cut(unit, "\nExecStart="+command+"\n")
	if !ok {
		panic("systemd: the unit does not run " + command) // a test reads it
	}
	if strings.ContainsAny(program, "\"'\\") {
		return "", fmt.Errorf("%q: systemd runs no program with quotes or backslashes in its path; move it", program)
	}
	// Variables are expanded in arguments only, specifiers everywhere.
	p, err := quote(program, "%", "%%")
	if err != nil {
		return "", err
	}
	c, err := quote(config, "\\", "\\\\", "\"", "\\\"", "%", "%%", "$", "$$")
	if err != nil {
		return "", err
	}
	return before + "\nExecStart=" + p + " daemon --config " + c + "\n" + after, nil
}

// quote writes a path as one word of a command line (systemd.service(5)), with
// what would not mean itself replaced.
func quote(path string, replace ...string) (string, error) {
	if !strings.HasPrefix(path, "/") {
		return "", fmt.Errorf("%q is not an absolute path", path)
	}
	if !utf8.ValidString(path) || strings.ContainsFunc(path, unicode.IsControl) {
		return "", fmt.Errorf("%q: a unit cannot name a path with control characters or broken UTF-8; move it", path)
	}
	special := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("/._-+@:", r)
	}
	if !strings.ContainsFunc(path, special) {
		return path, nil
	}
	return `"` + strings.NewReplacer(replace...).Replace(path) + `"`, nil
}
