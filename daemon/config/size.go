package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// unit is a power of 1024 with the letters that stand for it.
type unit struct {
	name  string
	bytes int64
}

// units, largest first.
var units = []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// sizeKind is a number of bytes such as 20GiB. GB and G are refused: half of the
// world's programs mean 1000³ by them and half 1024³, and a budget should not
// depend on which half its author comes from.
func sizeKind(least int64, remedy string) kind[int64] {
	return kind[int64]{
		name: "size",
		read: func(v *value, bad complain) int64 {
			if v.kind != unstable.String {
				bad(v, "is "+v.says()+" where a size is expected", `write it in double quotes and with its unit: "20GiB"`)
				return 0
			}
			n, text, hint := parseSize(v.text)
			switch {
			case text != "":
				bad(v, fmt.Sprintf("= %s %s", quoteTOML(v.text), text), hint)
			case n != 0 && n < least:
				bad(v, fmt.Sprintf("= %s is too small", quoteTOML(v.text)), remedy)
			}
			return n
		},
		write: func(n int64) string { return quoteTOML(size(n)) },
	}
}

// rateKind is a size per second; "/s" may be left out.
func rateKind(least int64, remedy string) kind[int64] {
	k := sizeKind(least, remedy)
	read := k.read
	k.name = "size per second"
	k.read = func(v *value, bad complain) int64 {
		bare := *v
		bare.text = strings.TrimSuffix(v.text, "/s")
		return read(&bare, bad)
	}
	k.write = func(n int64) string {
		if n == 0 {
			return `"0"`
		}
		return quoteTOML(size(n) + "/s")
	}
	return k
}

// parseSize returns what is wrong and the remedy if s is no size.
func parseSize(s string) (n int64, text, remedy string) {
	digits := strings.TrimRight(s, "BKMGTPEZkmgtpezib ")
	name := strings.TrimSpace(s[len(digits):])
	x, err := strconv.ParseFloat(digits, 64)
	if err != nil || x < 0 || strings.ContainsAny(digits, "xX_pP+eEnN") {
		return 0, "is not a size", `write a number and KiB, MiB, GiB or TiB: "20GiB"`
	}
	if name == "" && x == 0 {
		return 0, "", ""
	}
	for _, u := range units {
		if u.name != name {
			continue
		}
		bytes := x * float64(u.bytes)
		if bytes != math.Trunc(bytes) || bytes > 1<<52 {
			return 0, "is not a whole number of bytes below 4 PiB", "write a rounder one"
		}
		return int64(bytes), "", ""
	}
	if name == "" {
		return 0, "has no unit", `write KiB, MiB, GiB or TiB after it: "` + digits + `MiB"`
	}
	return 0, fmt.Sprintf("is ambiguous: %s may be a power of 1000 or of 1024", name), `write KiB, MiB, GiB or TiB, which are powers of 1024: "` + digits + binaryUnit(name) + `"`
}

// binaryUnit is the unambiguous unit that begins as s does.
func binaryUnit(s string) string {
	for _, u := range units[:4] {
		if strings.EqualFold(u.name[:1], s[:1]) {
			return u.name
		}
	}
	return "GiB"
}

// size writes a number of bytes in the largest unit that it is a multiple of.
func size(n int64) string {
	if n == 0 {
		return "0"
	}
	for _, u := range units {
		if n%u.bytes == 0 {
			return fmt.Sprintf("%d%s", n/u.bytes, u.name)
		}
	}
	panic("config: every number is a multiple of one") // units ends with B
}
