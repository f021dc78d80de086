package config

import (
	"fmt"
	"strconv"

	"github.com/pelletier/go-toml/v2/unstable"

	"keepsake/daemon/guard"
)

// guardKeys are the thresholds at which a source raises an alarm. Their defaults
// are the guards' own.
func guardKeys() []field[guard.Thresholds] {
	all := []field[guard.Thresholds]{
		setting("emptied", onKind, func(t *guard.Thresholds) *bool { return &t.Emptied.Off }).
			means("whether a source that has lost all its files raises an alarm").
			usually(false, "an empty directory is a disk that is not mounted more often than a wish").forOnly("path"),
		setting("other-file-system", onKind, func(t *guard.Thresholds) *bool { return &t.Elsewhere.Off }).
			means("whether a source on another file system than last time raises an alarm").
			usually(false, "what is found there may be the empty mount point, or somebody else's disk").forOnly("path"),
	}
	for _, l := range guardLimits() {
		all = append(all, lift(l.name, limitKeys(l.counts, l.why, l.usual), l.at, nil)...)
	}
	return all
}

// guardLimit is a guard that counts files.
type guardLimit struct {
	name, counts, why string
	at                func(*guard.Thresholds) *guard.Limit
	usual             guard.Limit
}

func guardLimits() []guardLimit {
	d := guard.Default()
	return []guardLimit{
		{"shrunk", "files, or bytes, that are gone", "two projects that go to the archive may be half of a library; beyond that somebody should say that it was meant",
			func(t *guard.Thresholds) *guard.Limit { return &t.Shrunk }, d.Shrunk},
		{"overwritten", "files whose content no longer fits their names", "no program of a studio makes a photo that is no photo; a bad cable may spoil a few",
			func(t *guard.Thresholds) *guard.Limit { return &t.Overwritten }, d.Overwritten},
		{"random", "compressible files that became noise", "somebody may encrypt a folder of notes under their old names, but not a library",
			func(t *guard.Thresholds) *guard.Limit { return &t.Random }, d.Random},
		{"renamed", "files renamed to extensions that nobody knows", "people invent extensions by the folder, not by the library",
			func(t *guard.Thresholds) *guard.Limit { return &t.Renamed }, d.Renamed},
		{"scattered", "files deleted one by one in many directories", "culling takes hundreds of files in tens of directories; a quarter of everything, here and there, is no day's work",
			func(t *guard.Thresholds) *guard.Limit { return &t.Scattered }, d.Scattered},
	}
}

func limitKeys(counts, why string, usual guard.Limit) []field[guard.Limit] {
	return []field[guard.Limit]{
		setting("on", onKind, func(l *guard.Limit) *bool { return &l.Off }).
			means("whether "+counts+" within a day raise an alarm").
			usually(usual.Off, "an alarm pins the last good snapshot and stops expiry, and costs one keepsake ack").forOnly("path"),
		setting("share", aboveZeroKind, func(l *guard.Limit) *float64 { return &l.Share }).
			means("the share of all files from which on they do").
			usually(usual.Share, why).forOnly("path"),
		setting("least", filesKind, func(l *guard.Limit) *uint64 { return &l.Least }).
			means("so few files raise no alarm, whatever their share").
			usually(usual.Least, "fewer are one person's tidying").forOnly("path"),
		setting("most", mostKind, func(l *guard.Limit) *uint64 { return &l.Most }).
			means("so many files raise one, whatever their share; 0 leaves it to the share").
			usually(usual.Most, mostReason(usual)).forOnly("path"),
	}
}

func mostReason(usual guard.Limit) string {
	if usual.Most == noMost() {
		return "in a large library a day's work is many files"
	}
	return "so many at once are never innocent, however large the library"
}

// onKind is written as whether something is on, and held as whether it is off.
var onKind = kind[bool]{
	name:  boolKind.name,
	read:  func(v *value, bad complain) bool { return !boolKind.read(v, bad) },
	write: func(off bool) string { return strconv.FormatBool(!off) },
}

var aboveZeroKind = shareKind.checked(func(x float64) (string, string) {
	if x == 0 {
		return "= 0 would raise an alarm with every change", "to switch it off, write on = false"
	}
	return "", ""
})

// filesKind is a number of files, at least one.
var filesKind = kind[uint64]{
	name: "number",
	read: func(v *value, bad complain) uint64 {
		n := countKind.read(v, bad)
		if n == 0 && v.kind == unstable.Integer {
			bad(v, "= 0 means nothing", "the smallest number is 1")
		}
		return uint64(n)
	},
	write: func(n uint64) string { return fmt.Sprint(n) },
}

// noMost is how the guards hold that only the share decides.
func noMost() uint64 { return guard.Default().Shrunk.Most }

// mostKind is a number of files; 0 stands for more than there are.
var mostKind = kind[uint64]{
	name: "number",
	read: func(v *value, bad complain) uint64 {
		if n := countKind.read(v, bad); n > 0 {
			return uint64(n)
		}
		return noMost()
	},
	write: func(n uint64) string {
		if n == noMost() {
			return "0"
		}
		return fmt.Sprint(n)
	},
}
