package daybooktest

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
)

// newName is a name for a table or what stands for one: all books share them.
func newName(kind string) string {
	return kind + "_" + strings.ReplaceAll(daybook.NewUUID().String(), "-", "")
}

// transact runs work in a transaction of the first handle, and ends the test where that
// fails.
func (s *scene) transact(work func(ctx context.Context, tx daybook.DriverTx) error) {
	s.Helper()
	if err := s.driver.Transact(s.Context(), s.id, false, work); err != nil {
		s.Fatalf("Transact: %v", err)
	}
}

// create makes a table.
func (s *scene) create(tables ...daybook.Table) {
	s.Helper()
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		for _, t := range tables {
			if err := tx.CreateTable(ctx, t); err != nil {
				return err
			}
		}
		return nil
	})
}

// put writes rows.
func (s *scene) put(t daybook.Table, rows ...[]any) {
	s.Helper()
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		return tx.WriteRows(ctx, daybook.TableRows{Table: t, Rows: rows})
	})
}

// rows returns what q selects, through both handles, and ends the test where they fail.
func (s *scene) rows(q daybook.RowQuery) [][]any {
	s.Helper()
	var answers [2][][]any
	for i, driver := range s.drivers {
		rows, err := driver.SelectRows(s.Context(), q)
		if err != nil {
			s.Fatalf("SelectRows(%+v): %v", q, err)
		}
		answers[i] = rows
	}
	s.sameRows(fmt.Sprintf("SelectRows(%+v) through the other handle", q), q.Columns, answers[1], answers[0])
	return answers[0]
}

// whole returns all rows of a table, in the order of its key.
func (s *scene) whole(t daybook.Table) [][]any {
	s.Helper()
	return s.rows(daybook.RowQuery{Table: t.Name, Columns: t.Columns, Order: keyNames(t)})
}

func keyNames(t daybook.Table) (names []string) {
	for _, c := range t.Columns[:t.Key] {
		names = append(names, c.Name)
	}
	return names
}

// sameRows fails the test unless two lists of rows are equal, JSON by value, and every
// value is of the type of its column.
func (s *scene) sameRows(what string, columns []daybook.Column, got, want [][]any) {
	s.Helper()
	for _, row := range got {
		for i, c := range columns {
			if i >= len(row) || !ofType(c, row[i]) {
				s.Errorf("%s: the row %v does not fit the columns %v", what, row, columns)
				return
			}
		}
	}
	if diff := cmp.Diff(plain(columns, want), plain(columns, got)); diff != "" {
		s.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// ofType reports whether v is what comes out of a column.
func ofType(c daybook.Column, v any) bool {
	switch v := v.(type) {
	case nil:
		return c.Null
	case string:
		return c.Type == daybook.TextColumn
	case int64:
		return c.Type == daybook.IntegerColumn
	case bool:
		return c.Type == daybook.BooleanColumn
	case float64:
		return c.Type == daybook.RealColumn
	case daybook.UUID:
		return c.Type == daybook.UUIDColumn
	case time.Time:
		return c.Type == daybook.TimeColumn && v.Location() == time.UTC
	case []byte:
		return c.Type == daybook.JSONColumn
	}
	return false
}

// plain returns rows that can be compared, with JSON in its canonical form.
func plain(columns []daybook.Column, rows [][]any) [][]any {
	out := make([][]any, 0, len(rows))
	for _, row := range rows {
		row = slices.Clone(row)
		for i, c := range columns {
			if text, ok := row[i].([]byte); ok && c.Type == daybook.JSONColumn {
				if canonical, err := daybook.CanonicalJSON(text); err == nil {
					row[i] = string(canonical)
				}
			}
		}
		out = append(out, row)
	}
	return out
}

// texts are those that a database is likely to change, or to order in its own way.
var texts = []string{"", " ", "a", "A", "b", "B", "z", "Z", "ä", "Ä", "é", "e\u0301", "ß", "ss", "aa", "aA", "a b", "a_b", "a-b", "ab",
	"%", "_", "\\", "'", `"`, "$1", "?", "null", "1", "10", "9", "\n", "\u202e", "日本", "😀", "\uffff", "\U0010ffff"}

// valueOf draws a value for a column, of few, so that some are equal.
func valueOf(t *rapid.T, c daybook.Column) any {
	if c.Null && rapid.IntRange(0, 3).Draw(t, "null") == 0 {
		return nil
	}
	switch c.Type {
	case daybook.IntegerColumn:
		return rapid.OneOf(rapid.SampledFrom([]int64{math.MinInt64, -1, 0, 1, 1 << 53, 1<<53 + 1, math.MaxInt64}), rapid.Int64Range(-3, 3), rapid.Int64()).Draw(t, c.Name)
	case daybook.BooleanColumn:
		return rapid.Bool().Draw(t, c.Name)
	case daybook.RealColumn:
		v := rapid.OneOf(rapid.SampledFrom([]float64{0, 1, -1, 0.1, 1e21, math.MaxFloat64, math.SmallestNonzeroFloat64, math.Inf(1), math.Inf(-1)}), rapid.Float64()).Draw(t, c.Name)
		return v + 0 // there is one zero
	case daybook.UUIDColumn:
		if rapid.Bool().Draw(t, "few") {
			return daybook.UUID{0: rapid.Byte().Draw(t, c.Name), 15: 1}
		}
		return daybook.NewUUID().Derive(rapid.StringN(0, 3, 3).Draw(t, c.Name))
	case daybook.TimeColumn:
		const year1, year9999 = -62135596800_000_000, 253402300799_999_999
		return time.UnixMicro(rapid.OneOf(rapid.SampledFrom([]int64{year1, -1, 0, 1, year9999}), rapid.Int64Range(year1, year9999)).Draw(t, c.Name)).UTC()
	case daybook.JSONColumn:
		return []byte(rapid.SampledFrom([]string{`null`, `{}`, `[]`, `0`, `""`, `"ä'\"\\ 😀"`, `{"a":[1,2.5,true,null],"b":{"c":""}}`, `[9007199254740991,-1]`}).Draw(t, c.Name))
	default:
		text := rapid.OneOf(rapid.SampledFrom(texts), rapid.String()).Draw(t, c.Name)
		return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
	}
}

// tableOf draws a table: a key of one to three columns, and up to six others.
func tableOf(t *rapid.T) daybook.Table {
	table := daybook.Table{Name: newName("t"), Key: rapid.IntRange(1, 3).Draw(t, "key")}
	for i := range table.Key + rapid.IntRange(0, 6).Draw(t, "columns") {
		c := daybook.Column{Name: fmt.Sprintf("c%d", i), Type: daybook.ColumnType(rapid.IntRange(int(daybook.TextColumn), int(daybook.JSONColumn)).Draw(t, "type"))}
		switch {
		case i >= table.Key:
			c.Null = rapid.Bool().Draw(t, "nulls")
		case c.Type == daybook.JSONColumn: // which has no order
			c.Type = daybook.TextColumn
		}
		if i == 0 && rapid.IntRange(0, 4).Draw(t, "reserved") == 0 {
			c.Name = rapid.SampledFrom([]string{"order", "select", "user", "rowid", "key"}).Draw(t, "name")
		}
		table.Columns = append(table.Columns, c)
		if c.Type != daybook.JSONColumn && rapid.IntRange(0, 3).Draw(t, "indexed") == 0 {
			table.Indexes = append(table.Indexes, []string{c.Name})
		}
	}
	return table
}

// rowsOf draws up to n rows with different keys.
func rowsOf(t *rapid.T, table daybook.Table, n int) [][]any {
	rows := map[string][]any{}
	for range rapid.IntRange(0, n).Draw(t, "rows") {
		row := make([]any, 0, len(table.Columns))
		for _, c := range table.Columns {
			row = append(row, valueOf(t, c))
		}
		rows[keyText(table, row)] = row
	}
	return ordered(table, slices.Collect(maps.Values(rows))) // a case that fails must fail again
}

// keyText is the key of a row in one text.
func keyText(table daybook.Table, row []any) string {
	var text strings.Builder
	for _, v := range row[:table.Key] {
		fmt.Fprintf(&text, "%T %q ", v, fmt.Sprint(v))
	}
	return text.String()
}

// rowsComeBack writes random rows to random tables, over each other, and drops some.
func rowsComeBack(s *scene) {
	rapid.Check(s, func(t *rapid.T) {
		r := s.again(t)
		table := tableOf(t)
		r.create(table)
		model := map[string][]any{}
		for range rapid.IntRange(1, 4).Draw(t, "writes") {
			written := daybook.TableRows{Table: table}
			for _, row := range rowsOf(t, table, 12) {
				if rapid.IntRange(0, 3).Draw(t, "drop") == 0 {
					written.Dropped = append(written.Dropped, row[:table.Key])
					continue
				}
				written.Rows = append(written.Rows, row)
			}
			for _, key := range slices.Sorted(maps.Keys(model)) { // which are hit by chance too seldom
				row := model[key]
				if slices.ContainsFunc(written.Rows, func(other []any) bool { return keyText(table, other) == key }) ||
					slices.ContainsFunc(written.Dropped, func(other []any) bool { return keyText(table, other) == key }) {
					continue
				}
				switch rapid.IntRange(0, 3).Draw(t, "again") {
				case 0:
					written.Dropped = append(written.Dropped, row[:table.Key])
				case 1:
					again := slices.Clone(row[:table.Key])
					for _, c := range table.Columns[table.Key:] {
						again = append(again, valueOf(t, c))
					}
					written.Rows = append(written.Rows, again)
				}
			}
			for _, row := range written.Rows {
				model[keyText(table, row)] = row
			}
			for _, key := range written.Dropped {
				delete(model, keyText(table, key))
			}
			r.transact(func(ctx context.Context, tx daybook.DriverTx) error { return tx.WriteRows(ctx, written) })
			r.sameRows("the whole table", table.Columns, r.whole(table), ordered(table, slices.Collect(maps.Values(model))))
		}
		var keys, there [][]any
		absent := map[string]bool{}
		for _, row := range slices.Concat(ordered(table, slices.Collect(maps.Values(model))), rowsOf(t, table, 12)) {
			if rapid.Bool().Draw(t, "ask") && !absent[keyText(table, row)] {
				absent[keyText(table, row)] = true
				keys = append(keys, row[:table.Key])
				if kept := model[keyText(table, row)]; kept != nil {
					there = append(there, kept)
				}
			}
		}
		r.loadsRows(table, keys, there)
		r.transact(func(ctx context.Context, tx daybook.DriverTx) error { return tx.DropTable(ctx, table.Name) })
		if rows, err := r.driver.SelectRows(t.Context(), daybook.RowQuery{Table: table.Name, Columns: table.Columns}); err == nil {
			r.Errorf("a table that was dropped has the rows %v", rows)
		}
	})
}

// ordered sorts rows by their keys.
func ordered(table daybook.Table, rows [][]any) [][]any {
	slices.SortFunc(rows, func(a, b []any) int {
		for i := range table.Key {
			if c := compare(a[i], b[i]); c != 0 {
				return c
			}
		}
		return 0
	})
	return rows
}

// loadsRows fails the test unless LoadRows returns these rows for those keys.
func (s *scene) loadsRows(table daybook.Table, keys, want [][]any) {
	s.Helper()
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		got, err := tx.LoadRows(ctx, daybook.TableKeys{Table: table, Keys: keys})
		if err == nil {
			s.sameRows("the rows with some keys", table.Columns, ordered(table, got), ordered(table, want))
		}
		return err
	})
}

// counters is a table for checks that are about something else.
func counters() daybook.Table {
	return daybook.Table{Name: newName("t"), Key: 1, Columns: []daybook.Column{{Name: "name", Type: daybook.TextColumn}, {Name: "n", Type: daybook.IntegerColumn}}}
}

// manyRows writes and loads more than fits into one statement.
func manyRows(s *scene) {
	const n = 3000
	table := counters()
	var rows, keys [][]any
	for i := range n {
		rows = append(rows, []any{fmt.Sprintf("%05d", i), int64(i)})
		keys = append(keys, []any{fmt.Sprintf("%05d", i)}, []any{fmt.Sprintf("%05d and none", i)})
	}
	s.create(table)
	s.put(table, rows...)
	for _, row := range rows {
		row[1] = row[1].(int64) + 1
	}
	s.put(table, rows...)
	s.sameRows("3000 rows, written twice", table.Columns, s.whole(table), rows)
	s.loadsRows(table, keys, rows)
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		return tx.WriteRows(ctx, daybook.TableRows{Table: table, Rows: [][]any{{"x", int64(1)}}, Dropped: keys[2:]})
	})
	s.sameRows("after dropping all but one", table.Columns, s.whole(table), [][]any{rows[0], {"x", int64(1)}})
	s.loadsRows(table, nil, nil)
	s.put(table)
}

// notANumber writes NaN, and asks for it.
func notANumber(s *scene) {
	table := daybook.Table{Name: newName("t"), Key: 1, Columns: []daybook.Column{{Name: "name", Type: daybook.TextColumn}, {Name: "part", Type: daybook.RealColumn, Null: true}}}
	s.create(table)
	s.put(table, []any{"nothing", nil}, []any{"all", math.Inf(1)})
	err := s.driver.Transact(s.Context(), s.id, false, func(ctx context.Context, tx daybook.DriverTx) error {
		return tx.WriteRows(ctx, daybook.TableRows{Table: table, Rows: [][]any{{"a", 0.5}, {"b", math.NaN()}}})
	})
	s.refused("a row with NaN", err, daybook.ErrInvalid)
	_, err = s.driver.SelectRows(s.Context(), daybook.RowQuery{Table: table.Name, Columns: table.Columns, Where: []daybook.Condition{{Column: "part", Op: daybook.Equal, Value: math.NaN()}}})
	s.refused("a question for NaN", err, daybook.ErrInvalid)
	err = s.driver.Transact(s.Context(), s.id, false, func(ctx context.Context, tx daybook.DriverTx) error {
		_, err := tx.PutCheckpoint(ctx, daybook.Checkpoint{Projection: "p", Generation: 1, Kind: daybook.KindBehind, State: daybook.GenerationLive, Rate: math.NaN()})
		return err
	})
	s.refused("a rate of NaN", err, daybook.ErrInvalid)
	s.sameRows("after all that", table.Columns, s.whole(table), [][]any{{"all", math.Inf(1)}, {"nothing", nil}})
	s.sameCheckpoints("after all that", s.checkpoints(""), nil)
}

// tablesHaveOneName makes tables where something is, and drops what is not there.
func tablesHaveOneName(s *scene) {
	table, other := counters(), counters()
	name := newName("v")
	s.create(table, other)
	s.put(table, []any{"a", int64(1)})
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error { return tx.Point(ctx, name, table) })
	for doing, work := range map[string]func(context.Context, daybook.DriverTx) error{
		"making a table twice":       func(ctx context.Context, tx daybook.DriverTx) error { return tx.CreateTable(ctx, table) },
		"making another table twice": func(ctx context.Context, tx daybook.DriverTx) error { return tx.CreateTable(ctx, other) },
		"making a table of a name for another": func(ctx context.Context, tx daybook.DriverTx) error {
			t := other
			t.Name = name
			return tx.CreateTable(ctx, t)
		},
		"making the name of a table stand for it": func(ctx context.Context, tx daybook.DriverTx) error { return tx.Point(ctx, table.Name, other) },
		"dropping a table that a name stands for": func(ctx context.Context, tx daybook.DriverTx) error { return tx.DropTable(ctx, table.Name) },
	} {
		if err := s.driver.Transact(s.Context(), s.id, false, work); err == nil {
			s.Errorf("%s works", doing)
		}
	}
	s.transact(func(ctx context.Context, tx daybook.DriverTx) error {
		if err := tx.DropTable(ctx, newName("t")); err != nil {
			return err
		}
		return tx.Unpoint(ctx, newName("v"))
	})
	s.sameRows("after all that", table.Columns, s.rows(daybook.RowQuery{Table: name, Columns: table.Columns}), [][]any{{"a", int64(1)}})
}
