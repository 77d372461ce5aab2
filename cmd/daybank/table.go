package main

import (
	"io"
	"strings"

	"charm.land/lipgloss/v2"
)

// column is one column of a table.
type column struct {
	title string
	right bool // numbers are aligned on their last digit
	width int  // at least
}

// table writes rows as aligned text, in blocks: memory stays constant however long
// the answer is, and a column only ever gets wider from one block to the next.
//
// lipgloss has tables, too. They want all rows at once, and take 0.1 ms for each,
// which for a hundred thousand events is ten seconds.
type table struct {
	w       io.Writer
	columns []column
	block   int  // rows to gather before they are written
	pretty  bool // a terminal reads it

	rows   [][]string
	headed bool
}

const (
	// tableBlock is enough rows to find good widths from.
	tableBlock = 500
	// columnGap is the space between two columns.
	columnGap = "  "
	// rule is repeated below the titles.
	rule = "─"
)

// add takes a row. It is made harmless to a terminal here, whoever wrote it.
func (t *table) add(cells []string) error {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = plainText(cell)
	}
	t.rows = append(t.rows, row)
	if len(t.rows) < t.block {
		return nil
	}
	return t.flush()
}

// flush writes the rows gathered so far, and before the first of them the titles.
func (t *table) flush() error {
	titles := make([]string, len(t.columns))
	for i := range t.columns {
		c := &t.columns[i]
		titles[i] = c.title
		c.width = max(c.width, lipgloss.Width(c.title))
		for _, row := range t.rows {
			c.width = max(c.width, lipgloss.Width(row[i]))
		}
	}
	var out strings.Builder
	if !t.headed {
		t.head(&out, titles)
	}
	for _, row := range t.rows {
		out.WriteString(t.line(row) + "\n")
	}
	t.rows, t.headed = nil, true
	_, err := io.WriteString(t.w, out.String())
	return err
}

func (t *table) head(out *strings.Builder, titles []string) {
	line := t.line(titles)
	if !t.pretty {
		out.WriteString(line + "\n")
		return
	}
	width := len(columnGap) * (len(t.columns) - 1)
	for _, c := range t.columns {
		width += c.width
	}
	out.WriteString(lipgloss.NewStyle().Bold(true).Render(line) + "\n" + strings.Repeat(rule, width) + "\n")
}

// line brings every cell to the width of its column.
func (t *table) line(row []string) string {
	cells := make([]string, len(row))
	for i, cell := range row {
		space := strings.Repeat(" ", t.columns[i].width-lipgloss.Width(cell))
		if t.columns[i].right {
			cells[i] = space + cell
		} else {
			cells[i] = cell + space
		}
	}
	return strings.TrimRight(strings.Join(cells, columnGap), " ")
}
