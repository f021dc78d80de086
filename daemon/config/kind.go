package config

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/prometheus/common/model"
)

// complain records what is wrong with a value and what to write instead.
type complain func(v *value, text, remedy string)

// kind is how a type of setting stands in the file. read complains about what
// it cannot use; what it returns then counts for nothing.
type kind[T any] struct {
	name  string
	read  func(v *value, bad complain) T
	write func(T) string // as TOML
}

// checked adds a condition on single values to a kind: fault returns what is
// wrong and the remedy, or nothing.
func (k kind[T]) checked(fault func(T) (text, remedy string)) kind[T] {
	read := k.read
	k.read = func(v *value, bad complain) T {
		fine := true
		x := read(v, func(v *value, text, remedy string) { fine = false; bad(v, text, remedy) })
		if !fine {
			return x
		}
		if text, remedy := fault(x); text != "" {
			bad(v, text, remedy)
		}
		return x
	}
	return k
}

// textKind is a text in quotes.
var textKind = kind[string]{
	name: "text",
	read: func(v *value, bad complain) string {
		if v.kind != unstable.String {
			bad(v, "is "+v.says()+" where a text is expected", "put it in double quotes")
			return ""
		}
		return v.text
	},
	write: quoteTOML,
}

// pathKind is an absolute path, cleaned; empty means the usual one.
var pathKind = kind[string]{
	name: "path",
	read: func(v *value, bad complain) string {
		s := textKind.read(v, bad)
		switch {
		case v.kind != unstable.String || s == "":
			return ""
		case strings.Contains(s, "\x00"):
			bad(v, "has a NUL character in it", "write the path of a file or directory")
		case !filepath.IsAbs(s):
			bad(v, fmt.Sprintf("= %s is not an absolute path", quoteTOML(s)), "begin it with /: a daemon has no directory of its own, and ~ is not expanded")
		}
		return filepath.Clean(s)
	},
	write: quoteTOML,
}

var boolKind = kind[bool]{
	name: "true or false",
	read: func(v *value, bad complain) bool {
		if v.kind != unstable.Bool {
			bad(v, "is "+v.says()+" where true or false is expected", "write true or false, without quotes")
		}
		return v.text == "true"
	},
	write: strconv.FormatBool,
}

// maxCount bounds numbers that count snapshots or files: more is a typing error.
const maxCount = 1_000_000_000

var countKind = kind[int]{
	name: "number",
	read: func(v *value, bad complain) int {
		n, err := strconv.ParseInt(strings.ReplaceAll(v.text, "_", ""), 0, 64)
		switch {
		case v.kind != unstable.Integer || err != nil:
			bad(v, "is "+v.says()+" where a whole number is expected", "write it without quotes, such as 7")
		case n < 0 || n > maxCount:
			bad(v, fmt.Sprintf("= %d is not between 0 and %d", n, maxCount), "0 switches it off")
		}
		return int(n)
	},
	write: strconv.Itoa,
}

// shareKind is a part of a whole.
var shareKind = kind[float64]{
	name: "share",
	read: func(v *value, bad complain) float64 {
		x, err := strconv.ParseFloat(strings.ReplaceAll(v.text, "_", ""), 64)
		switch {
		case v.kind != unstable.Float && v.kind != unstable.Integer || err != nil:
			bad(v, "is "+v.says()+" where a share is expected", "write a number from 0 to 1, such as 0.5")
		case math.IsNaN(x) || x < 0 || x > 1:
			bad(v, fmt.Sprintf("= %v is not a share", x), "write a number from 0 to 1, such as 0.5")
		}
		return x
	},
	write: func(x float64) string { return strconv.FormatFloat(x, 'g', -1, 64) },
}

// longest bounds durations: longer ones are typing errors, and sums of a few of
// them still fit.
const longest = 10 * 365 * 24 * time.Hour

// durationKind is a duration such as 15m, 1h30m, 2w3d, within bounds.
func durationKind(least time.Duration, remedy string) kind[time.Duration] {
	return kind[time.Duration]{
		name: "duration",
		read: func(v *value, bad complain) time.Duration {
			if v.kind != unstable.String {
				example := "15m"
				if v.kind == unstable.Integer && len(v.text) < 6 {
					example = v.text + "s or " + v.text + "m"
				}
				bad(v, "is "+v.says()+" where a duration is expected", "write it in double quotes and with its unit: "+example)
				return 0
			}
			d, err := model.ParseDuration(v.text)
			switch {
			case err != nil:
				bad(v, fmt.Sprintf("= %s is not a duration", quoteTOML(v.text)), "write whole numbers with y, w, d, h, m, s or ms, the largest first: 1h30m, 2w3d")
			case time.Duration(d) > longest:
				bad(v, fmt.Sprintf("= %s is longer than ten years", quoteTOML(v.text)), "write a shorter one")
			case time.Duration(d) < least:
				bad(v, fmt.Sprintf("= %s is too short", quoteTOML(v.text)), remedy)
			}
			return time.Duration(d)
		},
		write: func(d time.Duration) string { return quoteTOML(duration(d)) },
	}
}

// duration writes a duration as its kind reads it.
func duration(d time.Duration) string { return model.Duration(d).String() }

// listKind is a list of what another kind reads.
func listKind[T any](name string, item kind[T]) kind[[]T] {
	return kind[[]T]{
		name: name,
		read: func(v *value, bad complain) []T {
			if v.kind != unstable.Array {
				remedy := "write it in brackets"
				if v.kind == unstable.String {
					remedy = fmt.Sprintf("write [%s]", quoteTOML(v.text))
				}
				bad(v, "is "+v.says()+" where a list is expected", remedy)
				return nil
			}
			var list []T
			for _, i := range v.items {
				list = append(list, item.read(i, bad))
			}
			return list
		},
		write: func(list []T) string {
			all := make([]string, len(list))
			for i, x := range list {
				all[i] = item.write(x)
			}
			return "[" + strings.Join(all, ", ") + "]"
		},
	}
}

// choiceKind is one of a few words.
func choiceKind(words ...string) kind[string] {
	k := textKind.checked(func(s string) (string, string) {
		if slices.Contains(words, s) {
			return "", ""
		}
		remedy := "write one of " + strings.Join(words, ", ")
		if near := nearest(s, words); near != "" {
			remedy = fmt.Sprintf("did you mean %s? There are %s", quoteTOML(near), strings.Join(words, ", "))
		}
		return fmt.Sprintf("= %s is unknown", quoteTOML(s)), remedy
	})
	k.name = "one of " + strings.Join(words, ", ")
	return k
}

// quoteTOML writes a text as a basic string. Bytes that are not UTF-8 stay what
// they are: whoever writes a file looks for them.
func quoteTOML(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for at, r := range s {
		switch {
		case r == utf8.RuneError:
			_, n := utf8.DecodeRuneInString(s[at:])
			b.WriteString(s[at : at+n])
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
