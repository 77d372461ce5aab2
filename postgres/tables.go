package postgres

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

// viewsSchema is where the tables of projections are.
const viewsSchema = "daybook_views"

// quoted is a name in SQL, whatever it contains.
func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// qualified is the name of a table in SQL.
func qualified(table string) string { return pgx.Identifier{viewsSchema, table}.Sanitize() }

// list is what text gives for each column, with commas between.
func list(columns []daybook.Column, text func(i int, name string) string) string {
	parts := make([]string, len(columns))
	for i, column := range columns {
		parts[i] = text(i, quoted(column.Name))
	}
	return strings.Join(parts, `, `)
}

func plain(_ int, name string) string { return name }

// unnestSQL is a table "given" of arrays, $1 and on, one a column.
func unnestSQL(columns []daybook.Column) string {
	return `unnest(` + list(columns, func(i int, _ string) string {
		return fmt.Sprintf(`$%d::%s[]`, i+1, sqlTypes[columns[i].Type])
	}) + `) AS given(` + list(columns, plain) + `)`
}

// foundSQL is a query for the row of a table that has the given key: for what is selected
// of it. It is a step in the order of the primary key. An equation would say the same, and
// a planner that was told that the table is small may serve it by any index that has one
// of the columns: by a walk through much of the table, when it has grown.
func foundSQL(t daybook.Table, selected string) string {
	key := t.Columns[:t.Key]
	own := list(key, func(_ int, name string) string { return `t.` + name })
	given := list(key, func(_ int, name string) string { return `given.` + name })
	return `(
	SELECT ` + selected + `
	FROM ` + qualified(t.Name) + ` AS t
	WHERE (` + own + `) >= (` + given + `) AND (` + own + `) <= (` + given + `)
	ORDER BY ` + own + `
	LIMIT 1
) AS found`
}

// selectedSQL is a list of columns of "t", with their types as a comment: the statement is
// another one where a table of the same name has other types. A session keeps the first as it
// was prepared.
func selectedSQL(columns []daybook.Column) string {
	return list(columns, func(i int, name string) string { return `t.` + name + ` /* ` + sqlTypes[columns[i].Type] + ` */` })
}

// loadSQL: the rows of a table that have one of the keys $1 …, arrays.
func loadSQL(t daybook.Table) string {
	return ownMark + `SELECT ` + list(t.Columns, func(_ int, name string) string { return `found.` + name }) + `
FROM ` + unnestSQL(t.Columns[:t.Key]) + `
CROSS JOIN LATERAL ` + foundSQL(t, selectedSQL(t.Columns))
}

// writeSQL writes rows, $1 … as arrays, to a table, over those with the same keys.
func writeSQL(t daybook.Table) string {
	key, rest := t.Columns[:t.Key], t.Columns[t.Key:]
	conflict := `NOTHING`
	if len(rest) > 0 {
		conflict = `UPDATE SET ` + list(rest, func(_ int, name string) string { return name + ` = excluded.` + name })
	}
	return ownMark + `INSERT INTO ` + qualified(t.Name) + ` (` + list(t.Columns, plain) + `)
SELECT ` + list(t.Columns, func(_ int, name string) string { return `given.` + name }) + ` FROM ` + unnestSQL(t.Columns) + `
ON CONFLICT (` + list(key, plain) + `) DO ` + conflict
}

// dropRowsSQL removes the rows with the keys $1 …, arrays, from a table. Whoever writes to
// it is alone: a row that another one has just changed would be passed over.
func dropRowsSQL(t daybook.Table) string {
	return ownMark + `DELETE FROM ` + qualified(t.Name) + `
WHERE ctid = any(ARRAY(
	SELECT found.ctid
	FROM ` + unnestSQL(t.Columns[:t.Key]) + `
	CROSS JOIN LATERAL ` + foundSQL(t, `t.ctid`) + `))`
}

// queueLoad makes loading rows part of a trip, which fills loaded.
func queueLoad(trip *pgx.Batch, keys daybook.TableKeys, loaded *[][]any) error {
	if len(keys.Keys) == 0 {
		return nil
	}
	err := checkTable(keys.Table)
	var params []any
	if err == nil {
		params, err = arrays(keys.Table.Columns[:keys.Table.Key], keys.Keys)
	}
	if err != nil {
		return tableError(keys.Table.Name, err)
	}
	trip.Queue(loadSQL(keys.Table), params...).Query(func(rows pgx.Rows) (err error) {
		*loaded, err = scanRows(rows, keys.Table.Columns)
		return tableError(keys.Table.Name, err)
	})
	return nil
}

// queueWrite makes writing rows, and removing others, part of a trip.
func queueWrite(trip *pgx.Batch, w daybook.TableRows) error {
	err := checkTable(w.Table)
	var written, dropped []any
	if err == nil {
		written, err = arrays(w.Table.Columns, w.Rows)
	}
	if err == nil {
		dropped, err = arrays(w.Table.Columns[:w.Table.Key], w.Dropped)
	}
	if err != nil {
		return tableError(w.Table.Name, err)
	}
	done := func(results pgx.BatchResults) error {
		_, err := results.Exec()
		return refusedRow(w.Table.Name, tableError(w.Table.Name, err))
	}
	if len(w.Dropped) > 0 {
		trip.Queue(dropRowsSQL(w.Table), dropped...).Fn = done
	}
	if len(w.Rows) > 0 {
		trip.Queue(writeSQL(w.Table), written...).Fn = done
	}
	return nil
}

func checkTable(t daybook.Table) error {
	if t.Key < 1 || t.Key > len(t.Columns) {
		return fmt.Errorf("%d of %d columns cannot be the primary key", t.Key, len(t.Columns))
	}
	for _, column := range t.Columns {
		if sqlTypes[column.Type] == "" {
			return fmt.Errorf("column %s: %d is no type of a column", column.Name, column.Type)
		}
	}
	return nil
}

// tableError says which table err is about.
func tableError(name string, err error) error {
	if err == nil {
		return nil
	}
	return &tablesError{"table " + viewsSchema + "." + name, err}
}

var errNoColumns = errors.New("no columns are asked for")

// ops are the comparisons of [daybook.Condition], except for Contains.
var ops = map[daybook.Op]string{
	daybook.Equal: `=`, daybook.NotEqual: `<>`,
	daybook.Less: `<`, daybook.LessOrEqual: `<=`, daybook.Greater: `>`, daybook.GreaterOrEqual: `>=`,
}

// rowsSQL is the statement for q, and its parameters.
func rowsSQL(q daybook.RowQuery) (query string, args []any, err error) {
	if len(q.Columns) == 0 {
		return "", nil, errNoColumns
	}
	value := func(v any) string {
		args = append(args, param(v))
		return fmt.Sprintf(`$%d::%s`, len(args), typeOf(v))
	}
	var where []string
	for _, c := range q.Where {
		if err := number(c.Column, c.Value); err != nil {
			return "", nil, err
		}
		name := `t.` + quoted(c.Column)
		_, isText := c.Value.(string)
		switch {
		case c.Value == nil:
			where = append(where, `false`)
		case typeOf(c.Value) == "":
			return "", nil, fmt.Errorf("condition on %s: no column holds a %T", c.Column, c.Value)
		case c.Op == daybook.Contains && isText:
			where = append(where, `strpos(`+name+`, `+value(c.Value)+`) > 0`)
		case ops[c.Op] == "":
			return "", nil, fmt.Errorf("condition on %s: %d is no way to compare a %T", c.Column, c.Op, c.Value)
		default:
			where = append(where, name+` `+ops[c.Op]+` `+value(c.Value))
		}
	}
	order, direction, behind := make([]string, len(q.Order)), ``, ` > `
	if q.Reverse {
		direction, behind = ` DESC`, ` < `
	}
	for i, name := range q.Order {
		order[i] = `t.` + quoted(name)
	}
	if len(q.After) > 0 {
		after := make([]string, len(q.After))
		for i, v := range q.After {
			if typeOf(v) == "" || len(q.After) != len(q.Order) {
				return "", nil, fmt.Errorf("%d values to come behind, for an order of %d columns, or one that no column holds", len(q.After), len(q.Order))
			}
			after[i] = value(v)
		}
		where = append(where, `(`+strings.Join(order, `, `)+`)`+behind+`(`+strings.Join(after, `, `)+`)`)
	}
	query = ownMark + `SELECT ` + selectedSQL(q.Columns) + ` FROM ` + qualified(q.Table) + ` AS t`
	if len(where) > 0 {
		query += ` WHERE ` + strings.Join(where, ` AND `)
	}
	if len(order) > 0 {
		query += ` ORDER BY ` + strings.Join(order, direction+`, `) + direction
	}
	if q.Limit > 0 {
		args = append(args, int64(q.Limit))
		query += fmt.Sprintf(` LIMIT $%d::bigint`, len(args))
	}
	return query, args, nil
}

// queueRows makes a question to a table part of a trip, which fills found. The planner is
// to be set for it: see usersPlanningSQL.
func queueRows(trip *pgx.Batch, q daybook.RowQuery, found *[][]any) error {
	query, args, err := rowsSQL(q)
	if err != nil {
		return tableError(q.Table, err)
	}
	trip.Queue(query, args...).Query(func(rows pgx.Rows) (err error) {
		*found, err = scanRows(rows, q.Columns)
		return tableError(q.Table, err)
	})
	return nil
}
