package main

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jedib0t/go-pretty/v6/text"

	"keepsake/daemon/config"
)

// settings prints settings in sections, with columns that are the same in all.
func (o *output) settings(all []config.Setting) {
	widths := settingWidths(all)
	inherited := 0
	section := ""
	for i, s := range all {
		if title := settingTitle(s); title != section {
			section, inherited = title, 0
			o.printf("\n%s", o.color(text.Bold, title))
		}
		// A source says what is its own; the rest stands once, above.
		if s.Section == "source" && !strings.HasPrefix(s.From, "line ") {
			inherited++
		} else {
			o.setting(s, widths)
		}
		if inherited > 0 && (i+1 == len(all) || settingTitle(all[i+1]) != section) {
			o.printf("%s", o.color(text.Faint, "all else as in [defaults]"))
		}
	}
}

func settingTitle(s config.Setting) string {
	switch s.Section {
	case "":
		return "Everything"
	case "defaults":
		return "[defaults], for every source that does not say otherwise"
	case "source":
		return "[[source]] " + quote(s.Source)
	case "source.output":
		return fmt.Sprintf("[[source.output]] %s, beside %s", quote(s.Output), quote(s.Source))
	}
	return "[" + s.Section + "]"
}

// columns are the widths of key, value and origin.
type columns struct{ key, value, from int }

// widest bounds the columns: one long list must not push all reasons away.
const widest = 28

func settingWidths(all []config.Setting) columns {
	var c columns
	for _, s := range all {
		c.key = max(c.key, utf8.RuneCountInString(s.Name))
		c.from = max(c.from, utf8.RuneCountInString(s.From))
		if n := utf8.RuneCountInString(s.Value); n <= widest {
			c.value = max(c.value, n)
		}
	}
	return c
}

// leastReason is the least width in which reasons are readable.
const leastReason = 40

// setting prints one line. On a terminal a reason is kept to its own column, or
// stands below if there is no room for one.
func (o *output) setting(s config.Setting, c columns) {
	from := fmt.Sprintf("%-*s", c.from, s.From)
	if s.Line == 0 {
		from = o.color(text.Faint, from)
	}
	line := fmt.Sprintf("%-*s  %-*s  %s", c.key, s.Name, c.value, s.Value, from)
	indent := c.key + c.value + c.from + 6
	room := o.options.Width - indent
	var reason []string
	switch {
	case s.Reason == "":
	case !o.options.Terminal:
		reason = []string{s.Reason}
	case room >= leastReason:
		reason = strings.Split(text.WrapSoft(s.Reason, room), "\n")
	default:
		indent = 4
		reason = append([]string{""}, strings.Split(text.WrapSoft(s.Reason, max(o.options.Width-indent, leastReason)), "\n")...)
	}
	for i, r := range reason {
		r = o.color(text.Faint, strings.TrimRight(r, " "))
		if i == 0 {
			line += "  " + r
			continue
		}
		line = strings.TrimRight(line, " ") + fmt.Sprintf("\n%*s%s", indent, "", r)
	}
	o.printf("%s", strings.TrimRight(line, " "))
}
