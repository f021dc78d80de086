package samba

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ErrValue says that smb.conf cannot hold a value.
var ErrValue = errors.New("smb.conf cannot express it")

// Value returns an error that is ErrValue if a path, written behind "=" in
// smb.conf, would be read as another one.
func Value(path string) error {
	blank := func(r rune) bool { return r == ' ' }
	why := ""
	switch {
	case path == "":
		why = "it is empty"
	case !utf8.ValidString(path):
		why = "it is not UTF-8"
	case strings.ContainsFunc(path, unicode.IsControl):
		why = "it holds a control character, such as the end of a line"
	case strings.Contains(path, "%"):
		why = "Samba puts other things in place of what begins with %"
	case strings.Contains(path, "  "):
		why = "Samba makes one blank of several"
	case strings.TrimFunc(path, blank) != path:
		why = "Samba drops blanks at either end"
	case strings.HasPrefix(path, `"`), strings.HasSuffix(path, `"`):
		why = "Samba drops quotation marks at either end"
	case strings.HasSuffix(path, `\`):
		why = `a \ at the end of a line makes Samba take the next line for the rest of it`
	default:
		return nil
	}
	return fmt.Errorf("%w: %s", ErrValue, why)
}

// maxName is the longest name of a share that Windows takes, in characters.
const maxName = 80

// inNames are the characters that no share may have in its name.
const inNames = `%<>*?|/\+=;:",[]`

// reserved are sections that mean something else.
var reserved = []string{"global", "homes", "printers", "printer$", "print$", "ipc$", "admin$"}

// Name returns an error if no share can be called that.
func Name(name string) error {
	switch {
	case name == "":
		return errors.New("it is empty")
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return errors.New("it holds a control character, or is not UTF-8")
	case strings.ContainsAny(name, inNames):
		return fmt.Errorf("none of %s may be in it", inNames)
	case strings.TrimSpace(name) != name || strings.Contains(name, "  "):
		return errors.New("blanks may stand between words only, one at a time")
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Errorf("it has more than %d characters", maxName)
	case slices.Contains(reserved, strings.ToLower(name)):
		return errors.New("that name means something else to Samba")
	}
	return nil
}

// NameFor is a label with what no share may have in its name replaced. It may be
// none yet, if it is too long or reserved: Name says so.
func NameFor(label string) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || strings.ContainsRune(inNames, r) {
			return '_'
		}
		return r
	}, label)
	return strings.Join(strings.Fields(name), " ")
}
