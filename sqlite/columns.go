package sqlite

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/daybook-go/daybook"
)

// declared is the declaration of each type of column. Text is compared by its bytes,
// which is SQLite's collation BINARY, the one it has without being told.
var declared = map[daybook.ColumnType]string{
	daybook.TextColumn:    "TEXT",
	daybook.IntegerColumn: "INTEGER",
	daybook.BooleanColumn: "INTEGER",
	daybook.RealColumn:    "REAL",
	daybook.UUIDColumn:    "TEXT",
	daybook.TimeColumn:    "INTEGER",
	daybook.JSONColumn:    "TEXT",
}

// quoted is a name as an identifier.
func quoted(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// list is names as identifiers, separated by commas.
func list(columns []daybook.Column) string {
	names := make([]string, 0, len(columns))
	for _, c := range columns {
		names = append(names, quoted(c.Name))
	}
	return strings.Join(names, ", ")
}

// marks are n parameters, separated by commas.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }

// createTable returns the statements that make a table. A table is its primary key, so
// that a row is found in one step, unless JSON makes its rows long: such are found
// faster where the tree of keys has only the keys.
func createTable(t daybook.Table) ([]string, error) {
	if t.Key < 1 || t.Key > len(t.Columns) {
		return nil, &daybook.InvalidError{Field: "table " + t.Name, Reason: fmt.Sprintf("a key of %d of its %d columns: give at least one", t.Key, len(t.Columns))}
	}
	var text strings.Builder
	fmt.Fprintf(&text, "CREATE TABLE %s (\n", quoted(t.Name))
	options := "STRICT, WITHOUT ROWID"
	for _, c := range t.Columns {
		kind, ok := declared[c.Type]
		if !ok {
			return nil, &daybook.InvalidError{Field: "column " + c.Name, Reason: fmt.Sprintf("there is no type %d", c.Type)}
		}
		fmt.Fprintf(&text, "\t%s %s", quoted(c.Name), kind)
		if !c.Null {
			text.WriteString(" NOT NULL")
		}
		if c.Type == daybook.BooleanColumn {
			fmt.Fprintf(&text, " CHECK (%s IN (0, 1))", quoted(c.Name))
		}
		if c.Type == daybook.JSONColumn {
			options = "STRICT"
		}
		text.WriteString(",\n")
	}
	fmt.Fprintf(&text, "\tPRIMARY KEY (%s)\n) %s", list(t.Columns[:t.Key]), options)
	statements := []string{text.String()}
	for _, index := range t.Indexes {
		names := make([]string, 0, len(index))
		for _, name := range index {
			names = append(names, quoted(name))
		}
		// Spaces keep its name out of the way of all tables and views.
		name := t.Name + " by " + strings.Join(index, ", ")
		statements = append(statements, fmt.Sprintf("CREATE INDEX %s ON %s (%s)", quoted(name), quoted(t.Name), strings.Join(names, ", ")))
	}
	return statements, nil
}

// value is v as SQLite keeps it. The column is for the error alone.
func value(column string, v any) (any, error) {
	switch v := v.(type) {
	case nil, string, int64, bool:
		return v, nil
	case float64:
		if math.IsNaN(v) {
			return nil, &daybook.InvalidError{Field: "column " + column, Reason: "NaN is no number, and SQLite would keep a null in its place: write null, or a number"}
		}
		return v, nil
	case daybook.UUID:
		return v.String(), nil
	case time.Time:
		return micros(v), nil
	case []byte:
		return string(v), nil
	}
	return nil, &daybook.InvalidError{Field: "column " + column, Reason: fmt.Sprintf("a %T is a value of no type of column", v)}
}

// values appends the values of columns to args.
func values(args []any, columns []daybook.Column, row []any) ([]any, error) {
	if len(row) != len(columns) {
		return nil, fmt.Errorf("%d values for the %d columns %s", len(row), len(columns), list(columns))
	}
	for i, c := range columns {
		if row[i] == nil && !c.Null {
			return nil, &daybook.InvalidError{Field: "column " + c.Name, Reason: "null, and it has no nulls: give a value"}
		}
		v, err := value(c.Name, row[i])
		if err != nil {
			return nil, err
		}
		args = append(args, v)
	}
	return args, nil
}

// restored is what value made v of, back in its type.
func restored(c daybook.Column, v any) (any, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case string:
		switch c.Type {
		case daybook.TextColumn:
			return v, nil
		case daybook.JSONColumn:
			return []byte(v), nil
		case daybook.UUIDColumn:
			id, err := parseUUID(v)
			if err != nil {
				return nil, fmt.Errorf("column %s: %w", c.Name, err)
			}
			return id, nil
		default: // is not kept as text
		}
	case int64:
		switch c.Type {
		case daybook.IntegerColumn:
			return v, nil
		case daybook.BooleanColumn:
			return v != 0, nil
		case daybook.TimeColumn:
			return fromMicros(v), nil
		default: // is not kept as a whole number
		}
	case float64:
		if c.Type == daybook.RealColumn {
			return v, nil
		}
	}
	return nil, fmt.Errorf("column %s holds a %T, which is not of its type", c.Name, v)
}

// parseUUID reads a stored id, also the nil UUID, which is none.
func parseUUID(text string) (daybook.UUID, error) {
	if text == (daybook.UUID{}).String() {
		return daybook.UUID{}, nil
	}
	id, err := daybook.ParseUUID(text)
	if err != nil {
		return id, fmt.Errorf("no UUID is stored there: %.100q", text)
	}
	return id, nil
}

// ours are the tables of the engine, which no view may take or lose.
var ours = []string{"books", "heads", "events", "snapshots", "checkpoints", "skips", migrationsTable}

func notOurs(name string) error {
	if slices.Contains(ours, name) {
		return &daybook.InvalidError{Field: "table", Reason: name + " belongs to the book itself: choose another name"}
	}
	return nil
}
