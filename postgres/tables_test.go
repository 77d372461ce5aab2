package postgres

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
)

// everything is a table with a column of each type.
func everything(name string) daybook.Table {
	return daybook.Table{
		Name: name, Key: 2,
		Columns: []daybook.Column{
			{Name: "owner", Type: daybook.TextColumn},
			{Name: "number", Type: daybook.IntegerColumn},
			{Name: "text", Type: daybook.TextColumn, Null: true},
			{Name: "integer", Type: daybook.IntegerColumn, Null: true},
			{Name: "boolean", Type: daybook.BooleanColumn, Null: true},
			{Name: "real", Type: daybook.RealColumn, Null: true},
			{Name: "uuid", Type: daybook.UUIDColumn, Null: true},
			{Name: "time", Type: daybook.TimeColumn, Null: true},
			{Name: "json", Type: daybook.JSONColumn, Null: true},
		},
		Indexes: [][]string{{"text"}, {"number", "owner"}, {"owner"}},
	}
}

// balances is what most tests fold into: so many deposits by account.
func balances(name string) daybook.Table {
	return daybook.Table{
		Name: name, Key: 1,
		Columns: []daybook.Column{{Name: "account", Type: daybook.UUIDColumn}, {Name: "deposits", Type: daybook.IntegerColumn}},
	}
}

// transactOn runs work in a transaction that must succeed.
func transactOn(t testing.TB, db *DB, book daybook.BookID, lockHead bool, work func(ctx context.Context, tx daybook.DriverTx) error) {
	t.Helper()
	if err := db.Transact(t.Context(), book, lockHead, work); err != nil {
		t.Fatal(err)
	}
}

func createTable(t testing.TB, db *DB, book daybook.BookID, table daybook.Table) {
	t.Helper()
	transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error { return tx.CreateTable(ctx, table) })
}

func writeRows(t testing.TB, db *DB, book daybook.BookID, rows daybook.TableRows) {
	t.Helper()
	transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error { return tx.WriteRows(ctx, rows) })
}

func selectAll(t testing.TB, db *DB, table daybook.Table) [][]any {
	t.Helper()
	q := daybook.RowQuery{Table: table.Name, Columns: table.Columns}
	for _, column := range table.Columns[:table.Key] {
		q.Order = append(q.Order, column.Name)
	}
	rows, err := db.SelectRows(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func TestRowsComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	db, book, _ := openBook(t)
	table := everything("everything")
	createTable(t, db, book, table)
	id := daybook.NewUUID()
	rows := [][]any{
		{"", int64(math.MinInt64), "", int64(0), false, 0.0, daybook.UUID{}, time.Time{}, []byte(`null`)},
		{"B", int64(1), nil, nil, nil, nil, nil, nil, nil},
		{"a", int64(math.MaxInt64), "Zoë 👩‍🚀 '\"\\\n", int64(-1), true, math.Inf(1), id, time.Date(8999, 12, 31, 23, 59, 59, 999999000, time.UTC), []byte(`{"a": [1, 2.50, null]}`)},
		{"a\u0301", int64(2), "x", int64(7), true, -math.MaxFloat64, id, time.Date(1000, 1, 1, 0, 0, 0, 1000, time.UTC), []byte(`"ü"`)},
		{"é", int64(2), "x", int64(7), true, math.SmallestNonzeroFloat64, id, time.Date(1969, 12, 31, 23, 59, 59, 1000, time.UTC), []byte(`{}`)},
	}
	writeRows(t, db, book, daybook.TableRows{Table: table, Rows: rows})
	if diff := cmp.Diff(rows, selectAll(t, db, table)); diff != "" {
		t.Errorf("selected rows differ: %s", diff)
	}
	keys := daybook.TableKeys{Table: table, Keys: [][]any{{"é", int64(2)}, {"a", int64(1)}, {"B", int64(1)}, {"nobody", int64(1)}}}
	transactOn(t, db, book, false, func(ctx context.Context, tx daybook.DriverTx) error {
		loaded, err := tx.LoadRows(ctx, keys)
		if diff := cmp.Diff([][]any{rows[4], rows[1]}, loaded); diff != "" {
			t.Errorf("loaded rows differ: %s", diff)
		}
		return err
	})
	t.Run("what is written again takes its place, and what is dropped is gone", func(t *testing.T) {
		rows[1][2] = "no longer null"
		writeRows(t, db, book, daybook.TableRows{
			Table: table, Rows: [][]any{rows[1]}, Dropped: [][]any{{"", int64(math.MinInt64)}, {"nobody", int64(1)}},
		})
		if diff := cmp.Diff(rows[1:], selectAll(t, db, table)); diff != "" {
			t.Errorf("rows differ: %s", diff)
		}
	})
}

func TestRowsThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	db, book, _ := openBook(t)
	table := everything("everything")
	createTable(t, db, book, table)
	row := func(at int, v any) []any {
		row := []any{"a", int64(1), nil, nil, nil, nil, nil, nil, nil}
		row[at] = v
		return row
	}
	for name, test := range map[string]struct {
		row  []any
		want string
	}{
		"a value of another type":           {row(3, 7), "table daybook_views.everything: column integer: the value is a int, which a column of bigint does not take"},
		"too few values":                    {[]any{"a"}, "a row has 1 values, for 9 columns"},
		"no key":                            {row(0, nil), "null value in column \"owner\""},
		"a zero byte":                       {row(2, "a\x00b"), "invalid byte sequence"},
		"bytes that are no text":            {row(2, "\xff"), "invalid byte sequence"},
		"JSON that is none":                 {row(8, []byte(`{`)), "invalid input syntax for type json"},
		"a character that JSON cannot keep": {row(8, []byte(`"\u0000"`)), "unsupported Unicode escape sequence"},
	} {
		t.Run(name, func(t *testing.T) {
			err := db.Transact(t.Context(), book, false, func(ctx context.Context, tx daybook.DriverTx) error {
				return tx.WriteRows(ctx, daybook.TableRows{Table: table, Rows: [][]any{test.row}})
			})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "table daybook_views.everything") {
				t.Errorf("error is %v", err)
			}
		})
	}
}

// A table of keys, with nothing beside them.
func TestRowsThatAreKeys(t *testing.T) {
	t.Parallel()
	db, book, _ := openBook(t)
	table := daybook.Table{Name: "members", Key: 1, Columns: []daybook.Column{{Name: "name", Type: daybook.TextColumn}}}
	createTable(t, db, book, table)
	for range 2 {
		writeRows(t, db, book, daybook.TableRows{Table: table, Rows: [][]any{{"a"}, {"b"}}})
	}
	if got := selectAll(t, db, table); len(got) != 2 {
		t.Errorf("rows are %v", got)
	}
}

func TestSelectRows(t *testing.T) {
	t.Parallel()
	db, book, _ := openBook(t)
	table := everything("everything")
	createTable(t, db, book, table)
	var rows [][]any
	for i := range 20 {
		row := []any{string(rune('a' + i/5)), int64(i % 5), "Text " + string(rune('A'+i)), int64(i), i%2 == 0, float64(i) / 2, daybook.UUID{15: byte(i)}, time.UnixMicro(int64(i)).UTC(), nil}
		if i%7 == 0 {
			row[2] = nil
		}
		rows = append(rows, row)
	}
	writeRows(t, db, book, daybook.TableRows{Table: table, Rows: rows})
	where := func(column string, op daybook.Op, value any) []daybook.Condition {
		return []daybook.Condition{{Column: column, Op: op, Value: value}}
	}
	order := []string{"owner", "number"}
	for name, test := range map[string]struct {
		q    daybook.RowQuery
		want []int64
	}{
		"a page":                   {daybook.RowQuery{Order: order, Limit: 3}, []int64{0, 1, 2}},
		"the next page":            {daybook.RowQuery{Order: order, After: []any{"a", int64(3)}, Limit: 3}, []int64{4, 5, 6}},
		"from the end":             {daybook.RowQuery{Order: order, Reverse: true, Limit: 2}, []int64{19, 18}},
		"on from there":            {daybook.RowQuery{Order: order, Reverse: true, After: []any{"d", int64(1)}, Limit: 3}, []int64{15, 14, 13}},
		"by another column":        {daybook.RowQuery{Order: []string{"real"}, Reverse: true, Limit: 1}, []int64{19}},
		"equal":                    {daybook.RowQuery{Where: where("owner", daybook.Equal, "b"), Order: order, Limit: 2}, []int64{5, 6}},
		"not equal, and no null":   {daybook.RowQuery{Where: where("text", daybook.NotEqual, "Text B"), Order: order, Limit: 2}, []int64{2, 3}},
		"less":                     {daybook.RowQuery{Where: where("integer", daybook.Less, int64(2)), Order: order}, []int64{0, 1}},
		"less or equal":            {daybook.RowQuery{Where: where("time", daybook.LessOrEqual, time.UnixMicro(1)), Order: order}, []int64{0, 1}},
		"greater":                  {daybook.RowQuery{Where: where("real", daybook.Greater, 9.0), Order: order}, []int64{19}},
		"greater or equal":         {daybook.RowQuery{Where: where("uuid", daybook.GreaterOrEqual, daybook.UUID{15: 18}), Order: order}, []int64{18, 19}},
		"contains":                 {daybook.RowQuery{Where: where("text", daybook.Contains, "t B"), Order: order}, []int64{1}},
		"contains, by case":        {daybook.RowQuery{Where: where("text", daybook.Contains, "text"), Order: order}, nil},
		"contains no pattern":      {daybook.RowQuery{Where: where("text", daybook.Contains, "%"), Order: order}, nil},
		"nothing equals a null":    {daybook.RowQuery{Where: where("text", daybook.Equal, nil), Order: order}, nil},
		"all conditions must hold": {daybook.RowQuery{Where: append(where("boolean", daybook.Equal, true), where("owner", daybook.Equal, "b")...), Order: order}, []int64{6, 8}},
	} {
		t.Run(name, func(t *testing.T) {
			test.q.Table, test.q.Columns = table.Name, table.Columns[3:4]
			found, err := db.SelectRows(t.Context(), test.q)
			var got []int64
			for _, row := range found {
				got = append(got, row[0].(int64)) //nolint:forcetypeassert // or the test fails
			}
			if diff := cmp.Diff(test.want, got); diff != "" || err != nil {
				t.Errorf("rows differ: %s, error %v", diff, err)
			}
		})
	}
	for name, q := range map[string]daybook.RowQuery{
		"no column":                 {Table: table.Name},
		"no such table":             {Table: "nothing", Columns: table.Columns},
		"no such column":            {Table: table.Name, Columns: []daybook.Column{{Name: "nothing", Type: daybook.TextColumn}}},
		"a comparison of no kind":   {Table: table.Name, Columns: table.Columns, Where: where("text", 99, "a")},
		"a value of no column":      {Table: table.Name, Columns: table.Columns, Where: where("text", daybook.Equal, 1)},
		"too few values to go past": {Table: table.Name, Columns: table.Columns, Order: order, After: []any{"a"}},
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			if _, err := db.SelectRows(t.Context(), q); err == nil || !strings.Contains(err.Error(), "table daybook_views."+q.Table) {
				t.Errorf("error is %v", err)
			}
		})
	}
}
