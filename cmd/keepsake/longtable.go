package main

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
)

// longTable prints what may have a hundred thousand rows: it keeps their cells
// and no rendered copy of the whole.
type longTable struct {
	heading []string
	rows    [][]string
}

func (t *longTable) add(cells ...string) { t.rows = append(t.rows, cells) }

// longTable prints a table in the style of table.
func (o *output) longTable(t *longTable) {
	widths := make([]int, len(t.heading))
	measure := func(cells []string) {
		for i, cell := range cells {
			widths[i] = max(widths[i], text.StringWidthWithoutEscSequences(cell))
		}
	}
	measure(t.heading)
	for _, row := range t.rows {
		measure(row)
	}
	line := func(cells []string, style func(string) string) {
		var b strings.Builder
		for i, cell := range cells {
			b.WriteString(style(cell))
			b.WriteString(strings.Repeat(" ", widths[i]-text.StringWidthWithoutEscSequences(cell)+2))
		}
		o.printf("%s", strings.TrimRight(b.String(), " "))
	}
	line(t.heading, strings.ToUpper)
	for _, row := range t.rows {
		line(row, func(cell string) string { return cell })
	}
}
