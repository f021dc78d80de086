package config

import (
	"fmt"
	"slices"
	"strings"
)

// unknownRemedy says which known key an unknown one may have meant: one of its
// own section, or of another section that it was to stand in.
func unknownRemedy(section, name string) string {
	var here, elsewhere []string
	where := map[string]string{}
	for _, k := range Keys() {
		if k.Section == section || section == "source" && k.Section == "defaults" {
			here = append(here, k.Name)
			continue
		}
		elsewhere = append(elsewhere, k.Name)
		if where[k.Name] == "" {
			where[k.Name] = heading(k.Section)
		}
	}
	switch section {
	case "":
		here = append(here, "defaults", "notify", "source")
	case "source":
		here = append(here, "output")
	}
	if slices.Contains(elsewhere, name) {
		return fmt.Sprintf("%s belongs %s", name, where[name])
	}
	if near := nearest(name, here); near != "" {
		return fmt.Sprintf("did you mean %s?", near)
	}
	if near := nearest(name, elsewhere); near != "" {
		return fmt.Sprintf("did you mean %s? It belongs %s", near, where[near])
	}
	slices.Sort(here)
	return "known are " + strings.Join(here, ", ")
}

// heading says where the keys of a section stand.
func heading(section string) string {
	switch section {
	case "":
		return "at the top, before the first section"
	case "source", "source.output":
		return fmt.Sprintf("below [[%s]]", section)
	}
	return fmt.Sprintf("below [%s]", section)
}

// nearest is the word that s most likely meant, nothing if none is near.
func nearest(s string, words []string) string {
	best, distance := "", len(plain(s))/3+1
	for _, w := range words {
		if d := editDistance(plain(s), plain(w)); d < distance {
			best, distance = w, d
		}
	}
	return best
}

// plain is a key without what people mix up: keep_daily is keep.daily.
func plain(s string) string {
	return strings.NewReplacer("-", "", "_", "", ".", "", " ", "").Replace(strings.ToLower(s))
}

// maxWord bounds the words that are compared: no key is longer, and the work
// grows with the square.
const maxWord = 64

// editDistance is how many characters must be typed, removed, replaced or
// exchanged with their neighbour to make a of b.
func editDistance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return max(len(a), len(b))
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replaced := last[j-1]
			if a[i-1] != b[j-1] {
				replaced++
			}
			row[j] = min(replaced, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
