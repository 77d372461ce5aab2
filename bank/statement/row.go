package statement

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/daybook-go/daybook/bank"
)

// maxShownBytes is how much of a value out of a file an error keeps and shows.
const maxShownBytes = 60

// LineError says why a line cannot be used.
type LineError struct {
	// Line is the line of the file, counted from 1, the header included. LastLine is
	// the same, or, where a quoted field went over several lines, the last of them.
	Line, LastLine int
	// Column is the column's name, or "column 3". It is empty where the line as a
	// whole is at fault.
	Column string
	// Value is what stands in the column: escaped, quoted and shortened, fit to be
	// shown and to be kept.
	Value string
	// Reason is what is wrong with it.
	Reason string
}

func (e *LineError) Error() string {
	text := "line " + strconv.Itoa(e.Line)
	if e.LastLine > e.Line {
		text = fmt.Sprintf("lines %d to %d", e.Line, e.LastLine)
	}
	if e.Column != "" {
		text += ", " + e.Column + " " + e.Value
	}
	return text + ": " + e.Reason
}

// row is the fields of one line.
type row struct {
	line    int
	fields  []string
	columns map[Column]int
}

func (r row) value(c Column) string { return r.fields[r.columns[c]] }

// refuse is the LineError about a column of the row.
func (r row) refuse(c Column, reason string) error {
	return &LineError{Line: r.line, LastLine: r.line, Column: c.String(), Value: shorten(r.value(c)), Reason: reason}
}

// shorten shows a text that may be hostile: escaped, and cut where it is long.
func shorten(text string) string {
	if len(text) <= maxShownBytes {
		return strconv.QuoteToASCII(text)
	}
	return fmt.Sprintf("%s… (%d bytes)", strconv.QuoteToASCII(text[:maxShownBytes]), len(text))
}

// currencyOf is the fixed currency or, where there is none, that of the column.
func (r row) currencyOf(fixed bank.Currency, column Column) (bank.Currency, error) {
	if fixed != "" {
		return fixed, nil
	}
	c, err := bank.ParseCurrency(r.value(column))
	if err != nil {
		return "", r.refuse(column, "it is not the ISO 4217 code of a currency in use, such as EUR")
	}
	return c, nil
}

// handle is the value of a column as an account's handle.
func (r row) handle(column Column) (string, error) {
	handle := r.value(column)
	if err := bank.CheckHandle(handle); err != nil {
		return "", r.refuse(column, reason(err))
	}
	return handle, nil
}

func (r row) date(column Column, layout dateLayout, zone *time.Location) (time.Time, error) {
	moment, err := layout.parse(r.value(column), zone)
	if err != nil {
		return time.Time{}, r.refuse(column, err.Error())
	}
	return moment, nil
}

// id is the bank's own id. It is compared byte by byte with those of later files, so
// nothing is allowed in it that one file may have and another leave out.
func (r row) id(column Column) (string, error) {
	id := r.value(column)
	switch {
	case id == "":
		return "", r.refuse(column, "it is empty: without the bank's own id a line cannot be recognised when it is imported again")
	case strings.TrimSpace(id) != id:
		return "", r.refuse(column, "it has white space around it")
	}
	if err := bank.CheckText(column.String(), id); err != nil {
		return "", r.refuse(column, reason(err))
	}
	return id, nil
}
