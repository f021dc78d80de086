package config

import (
	"fmt"
	"strings"
)

// Reference is every key as a comment in TOML, with what it means, its default
// and the reason: the last part of the example.
func Reference() string {
	var b strings.Builder
	section := "none"
	for _, k := range Keys() {
		if k.Section != section {
			section = k.Section
			fmt.Fprintf(&b, "\n# %s\n", sectionTitle(section))
		}
		b.WriteString("#\n# " + k.example() + "\n")
		remark(&b, k.Meaning+onlyFor(k))
		if k.Reason != "" {
			remark(&b, "why: "+k.Reason)
		}
		if k.Development != "" {
			remark(&b, fmt.Sprintf("development: %s, %s", k.Development, k.DevelopmentReason))
		}
	}
	return strings.TrimPrefix(b.String(), "\n")
}

// remark writes text below a key.
func remark(b *strings.Builder, text string) {
	for _, line := range wrap(text, 96) {
		b.WriteString("#     " + line + "\n")
	}
}

// example is the key with its default, or with what it looks like.
func (k Key) example() string {
	switch {
	case k.Default != "":
		return k.Name + " = " + k.Default
	case k.Name == "keep":
		return `keep = "everything"`
	case strings.HasPrefix(k.Type, "list"):
		return k.Name + ` = ["…"]`
	}
	return k.Name + ` = "…"`
}

func onlyFor(k Key) string {
	if k.Only == "" || k.Section == "source.output" {
		return ""
	}
	return fmt.Sprintf(" (sources with a %s)", k.Only)
}

func sectionTitle(section string) string {
	switch section {
	case "":
		return "At the top of the file"
	case "notify":
		return "[notify]"
	case "defaults":
		return "[defaults], and any [[source]] for itself"
	case "source":
		return "[[source]] alone"
	}
	return "[[source.output]]: a further command of a source, whose output is kept beside the first"
}

// wrap breaks text into lines of at most width characters, at spaces.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len([]rune(line))+1+len([]rune(word)) > width {
			lines = append(lines, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	return append(lines, line)
}
