package catalogue

import (
	"encoding/hex"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"keepsake/store"
)

// timeLayout names snapshots: sortable, and without characters that Windows
// does not allow.
const timeLayout = "2006-01-02T15-04-05-0700"

// previousLayout is what Samba's shadow_copy2 takes for a snapshot; the time is in UTC.
const previousLayout = "@GMT-2006.01.02-15.04.05"

// maxLabel bounds a label as a path component, in bytes; a suffix must fit
// behind it within the 255 bytes that a name may have.
const maxLabel = 200

// safeLabel turns a label into something that may be a path component on any
// system that the mount may be exported to. Different labels may become equal.
func safeLabel(label string) string {
	var b strings.Builder
	for _, r := range label {
		switch {
		case r == utf8.RuneError, !unicode.IsPrint(r), strings.ContainsRune(`/\:*?"<>|`, r):
			r = '_'
		}
		if b.Len()+utf8.RuneLen(r) > maxLabel {
			break
		}
		b.WriteRune(r)
	}
	name := strings.Trim(b.String(), " ")
	// Windows drops dots at the end, and "." and ".." are no names at all.
	if t := strings.TrimRight(name, "."); t != name {
		name = t + strings.Repeat("_", len(name)-len(t))
	}
	if name == "" {
		return "source"
	}
	return name
}

// fold maps names to one that differ at most in case.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 'A' {
			return r // digits and the like
		}
		// The smallest of all runes that count as the same letter.
		for least := r; ; {
			if r = unicode.SimpleFold(r); r == least {
				return least
			} else if r < least {
				least = r
			}
		}
	}, name)
}

// names gives out path components that are distinct even where case does not count.
type names struct{ taken map[string]bool }

func newNames() names { return names{map[string]bool{}} }

// give returns name, or if it is taken name with as many digits of the id
// behind it as it needs.
func (n names) give(name string, id []byte) string {
	free := name
	folded := fold(free)
	for length := 4; n.taken[folded] && length <= len(id); length += 4 {
		free = name + "-" + hex.EncodeToString(id[:length])
		folded = fold(free)
	}
	n.taken[folded] = true
	return free
}

// snapshotName is the name of a snapshot that was the only one started in its second.
// The zone is taken in whole minutes, as it is written, so that the name says
// which second it was.
func snapshotName(s *store.Brief) string {
	return s.Started.Time().In(time.FixedZone("", int(s.ZoneOffset/60*60))).Format(timeLayout)
}
