package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/daybook-go/daybook"
)

// maxTableStatements bounds the statements kept for the tables of views: what another
// process drops is not heard of, and each kept one is some kilobytes.
const maxTableStatements = 200

// tableStatements are the statements of a connection that name tables of views. These
// come and go, so all are forgotten when there are too many, or when one of the tables
// changes: SQLite would parse them again anyway.
type tableStatements struct {
	conn     *sql.Conn
	prepared map[string]*sql.Stmt
}

func (t *tableStatements) prepare(ctx context.Context, query string) (*sql.Stmt, error) {
	if statement := t.prepared[query]; statement != nil {
		return statement, nil
	}
	if len(t.prepared) >= maxTableStatements {
		if err := t.forget(); err != nil {
			return nil, err
		}
	}
	statement, err := t.conn.PrepareContext(ctx, query)
	if err == nil {
		t.prepared[query] = statement
	}
	return statement, err
}

// forget closes the statements.
func (t *tableStatements) forget() (err error) {
	for _, statement := range t.prepared {
		if e := statement.Close(); e != nil {
			err = e
		}
	}
	clear(t.prepared)
	return err
}

// QueryContext is that of the connection.
func (t *tableStatements) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	statement, err := t.prepare(ctx, query) //nolint:sqlclosecheck // forget closes it
	if err != nil {
		return nil, err
	}
	return statement.QueryContext(ctx, args...)
}

// rowQuerier is where rows of tables are read.
type rowQuerier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// selectText returns the statement for q and its arguments. Conditions on the columns of
// an index are answered by it, and so is After where they leave the columns of Order.
func selectText(q daybook.RowQuery) (string, []any, error) {
	var text strings.Builder
	var args []any
	fmt.Fprintf(&text, "SELECT %s FROM %s", list(q.Columns), quoted(q.Table))
	joint := " WHERE "
	for _, c := range q.Where {
		form, ok := comparisons[c.Op]
		if !ok {
			return "", nil, &daybook.InvalidError{Field: "column " + c.Column, Reason: fmt.Sprintf("there is no way %d to compare", c.Op)}
		}
		v, err := value(c.Column, c.Value)
		if err != nil {
			return "", nil, err
		}
		fmt.Fprintf(&text, joint+form, quoted(c.Column))
		args, joint = append(args, v), " AND "
	}
	order := make([]string, 0, len(q.Order))
	for _, name := range q.Order {
		order = append(order, quoted(name))
	}
	beyond, direction := ">", ""
	if q.Reverse {
		beyond, direction = "<", " DESC"
	}
	if q.After != nil {
		if len(q.After) != len(q.Order) || len(q.Order) == 0 {
			return "", nil, fmt.Errorf("%d values to come behind, in an order by %d columns", len(q.After), len(q.Order))
		}
		for i, behind := range q.After {
			v, err := value(q.Order[i], behind)
			if err != nil {
				return "", nil, err
			}
			args = append(args, v)
		}
		fmt.Fprintf(&text, "%s(%s) %s (%s)", joint, strings.Join(order, ", "), beyond, marks(len(order)))
	}
	if len(order) > 0 {
		fmt.Fprintf(&text, " ORDER BY %s%s", strings.Join(order, direction+", "), direction)
	}
	if q.Limit > 0 {
		text.WriteString(" LIMIT ?")
		args = append(args, q.Limit)
	}
	return text.String(), args, nil
}

// comparisons are the ways to compare, as formats for the column.
var comparisons = map[daybook.Op]string{
	daybook.Equal:          "%s = ?",
	daybook.NotEqual:       "%s <> ?",
	daybook.Less:           "%s < ?",
	daybook.LessOrEqual:    "%s <= ?",
	daybook.Greater:        "%s > ?",
	daybook.GreaterOrEqual: "%s >= ?",
	daybook.Contains:       "instr(%s, ?) > 0", // LIKE has wildcards, and is blind to case
}

func selectRows(ctx context.Context, on rowQuerier, q daybook.RowQuery) ([][]any, error) {
	text, args, err := selectText(q)
	if err != nil {
		return nil, err
	}
	return scanRows(ctx, on, nil, q.Columns, text, args...)
}

// scanRows appends the rows that a query selects to list.
func scanRows(ctx context.Context, on rowQuerier, list [][]any, columns []daybook.Column, query string, args ...any) ([][]any, error) {
	rows, err := on.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	cells := make([]any, len(columns))
	for i := range cells {
		cells[i] = new(any)
	}
	for rows.Next() {
		if err := rows.Scan(cells...); err != nil {
			return nil, err
		}
		row := make([]any, len(columns))
		for i, c := range columns {
			if row[i], err = restored(c, *cells[i].(*any)); err != nil {
				return nil, err
			}
		}
		list = append(list, row)
	}
	return list, rows.Err()
}

// keyIs is the condition that a row has the key in the parameters.
func keyIs(t daybook.Table) string {
	names := make([]string, 0, t.Key)
	for _, c := range t.Columns[:t.Key] {
		names = append(names, quoted(c.Name)+" = ?")
	}
	return strings.Join(names, " AND ")
}

// loadSizes are how many rows are asked for at once: a row takes 4 µs by itself, and 2 in
// company. They are few, because each is a statement to be kept.
var loadSizes = []int{64, 8, 1}

// loadText is the statement for n rows: a probe of the primary key each, in the order
// of the keys, which CROSS JOIN keeps. Names with a space are in nobody's way.
func loadText(t daybook.Table, n int) string {
	if n == 1 {
		return "SELECT " + list(t.Columns) + " FROM " + quoted(t.Name) + " WHERE " + keyIs(t)
	}
	var names, same []string
	for _, c := range t.Columns[:t.Key] {
		names = append(names, quoted("key "+c.Name))
		same = append(same, quoted(c.Name)+" = "+quoted("key "+c.Name))
	}
	return fmt.Sprintf(`WITH "the keys" (%s) AS (VALUES %s) SELECT %s FROM "the keys" CROSS JOIN %s WHERE %s`, strings.Join(names, ", "),
		strings.TrimSuffix(strings.Repeat("("+marks(t.Key)+"), ", n), ", "), list(t.Columns), quoted(t.Name), strings.Join(same, " AND "))
}

// loadRows returns the rows that are there. It stops when ctx ends; its statements do
// not look at that.
func loadRows(ctx context.Context, s *session, keys daybook.TableKeys) (list [][]any, err error) {
	t, ended := keys.Table, context.WithoutCancel(ctx)
	var args []any
	for _, n := range loadSizes {
		if len(keys.Keys) < n {
			continue
		}
		text := loadText(t, n)
		for ; len(keys.Keys) >= n; keys.Keys = keys.Keys[n:] {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			args = args[:0]
			for _, key := range keys.Keys[:n] {
				if args, err = values(args, t.Columns[:t.Key], key); err != nil {
					return nil, fmt.Errorf("table %s: %w", t.Name, err)
				}
			}
			if list, err = scanRows(ended, &s.tables, list, t.Columns, text, args...); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// upsert is the statement that writes a row over the one with its key, if there is one.
func upsert(t daybook.Table) string {
	text := fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (%s) DO ", quoted(t.Name), list(t.Columns), marks(len(t.Columns)), list(t.Columns[:t.Key]))
	if t.Key == len(t.Columns) {
		return text + "NOTHING"
	}
	set := make([]string, 0, len(t.Columns)-t.Key)
	for _, c := range t.Columns[t.Key:] {
		set = append(set, fmt.Sprintf("%[1]s = excluded.%[1]s", quoted(c.Name)))
	}
	return text + "UPDATE SET " + strings.Join(set, ", ")
}

// writeRows writes and removes row by row: in company a row would take a fifth less. It
// stops as loadRows does.
func writeRows(ctx context.Context, s *session, rows daybook.TableRows) error {
	t := rows.Table
	if err := s.eachRow(ctx, t, t.Columns, rows.Rows, func() string { return upsert(t) }); err != nil {
		return err
	}
	return s.eachRow(ctx, t, t.Columns[:t.Key], rows.Dropped, func() string { return "DELETE FROM " + quoted(t.Name) + " WHERE " + keyIs(t) })
}

// eachRow runs a statement with the values of columns of each row.
func (s *session) eachRow(ctx context.Context, t daybook.Table, columns []daybook.Column, rows [][]any, text func() string) (err error) {
	if len(rows) == 0 {
		return nil
	}
	ended := context.WithoutCancel(ctx)
	statement, err := s.tables.prepare(ended, text()) //nolint:sqlclosecheck // forget closes it
	if err != nil {
		return err
	}
	var args []any
	for _, row := range rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		if args, err = values(args[:0], columns, row); err == nil {
			_, err = statement.ExecContext(ended, args...)
		}
		if err != nil {
			return refusedRow(t.Name, fmt.Errorf("table %s: %w", t.Name, err))
		}
	}
	return nil
}
