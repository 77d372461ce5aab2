package statement

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
)

// maxColumns is the highest column number a mapping may use. Real statements have
// a few dozen; the bound keeps a slip of the finger from asking for a million.
const maxColumns = 1000

// Column names a column of a file: in JSON a string, its name in the header, or,
// where the file has no header, a number, counted from 1. The zero value names
// none.
type Column struct {
	Name   string
	Number int
}

// String is the name, or "column 3" where there is none.
func (c Column) String() string {
	if c.Number != 0 {
		return "column " + strconv.Itoa(c.Number)
	}
	return c.Name
}

// UnmarshalJSON reads a string or a number.
func (c *Column) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &c.Name) == nil && c.Name != "" {
		return nil
	}
	if json.Unmarshal(data, &c.Number) == nil && c.Number >= 1 && c.Number <= maxColumns {
		return nil
	}
	return fmt.Errorf("%s is not a column: write its name, or in a file without a header its number, 1 to %d",
		shorten(string(data)), maxColumns)
}

// check reports why a section of a mapping cannot use c.
func (c Column) check(noHeader bool) error {
	switch {
	case c == Column{}:
		return fmt.Errorf("it is missing: name the column")
	case noHeader && c.Number == 0:
		return fmt.Errorf("the file has no header, so write the column's number instead of %q", c.Name)
	case !noHeader && c.Number != 0:
		return fmt.Errorf("the file has a header, so write the column's name instead of %d", c.Number)
	}
	return nil
}

// template is a text with columns in it.
type template []templatePart

// templatePart is a fixed text or, where that is empty, a column.
type templatePart struct {
	text   string
	column Column
}

// parseTemplate reads text such as "Account {account_id}"; in a file without a
// header the braces hold numbers.
func parseTemplate(text string, noHeader bool) (template, error) {
	var parts template
	for text != "" {
		fixed, rest, found := strings.Cut(text, "{")
		if strings.Contains(fixed, "}") {
			return nil, fmt.Errorf("a } has no { before it: put column names in braces")
		}
		if fixed != "" {
			parts = append(parts, templatePart{text: fixed})
		}
		if !found {
			break
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed {
			return nil, fmt.Errorf("a { has no } after it: put column names in braces")
		}
		column := Column{Name: name}
		if noHeader {
			number, err := strconv.Atoi(name)
			if err != nil || number < 1 || number > maxColumns {
				return nil, fmt.Errorf("{%s} is not a column: the file has no header, so write a number, 1 to %d", name, maxColumns)
			}
			column = Column{Number: number}
		}
		if err := column.check(noHeader); err != nil {
			return nil, fmt.Errorf("{%s}: %w", name, err)
		}
		parts = append(parts, templatePart{column: column})
		text = after
	}
	return parts, nil
}

func (t template) columns() []Column {
	var columns []Column
	for _, part := range t {
		if part.text == "" {
			columns = append(columns, part.column)
		}
	}
	return columns
}

// fill is the text with the row's values in place of the columns.
func (t template) fill(r row) string {
	var filled strings.Builder
	for _, part := range t {
		if part.text != "" {
			filled.WriteString(part.text)
		} else {
			filled.WriteString(r.value(part.column))
		}
	}
	return filled.String()
}
