package daybooktest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
)

// compare orders values of one type as columns do, text by its bytes.
func compare(a, b any) int {
	switch a := a.(type) {
	case string:
		return strings.Compare(a, b.(string))
	case int64:
		return cmp.Compare(a, b.(int64))
	case float64:
		return cmp.Compare(a, b.(float64))
	case daybook.UUID:
		other := b.(daybook.UUID)
		return bytes.Compare(a[:], other[:])
	case time.Time:
		return a.Compare(b.(time.Time))
	case bool:
		switch {
		case a == b.(bool):
			return 0
		case a:
			return 1
		}
		return -1
	}
	panic(fmt.Sprintf("values of type %T have no order", a))
}

// fulfils reports whether a value is as a condition says.
func fulfils(v any, c daybook.Condition) bool {
	if v == nil {
		return false
	}
	if c.Op == daybook.Contains {
		return strings.Contains(v.(string), c.Value.(string))
	}
	switch order := compare(v, c.Value); c.Op {
	case daybook.Equal:
		return order == 0
	case daybook.NotEqual:
		return order != 0
	case daybook.Less:
		return order < 0
	case daybook.LessOrEqual:
		return order <= 0
	case daybook.Greater:
		return order > 0
	default:
		return order >= 0
	}
}

// selected is the plainest way of selecting rows.
func selected(table daybook.Table, rows [][]any, q daybook.RowQuery) (out [][]any) {
	at := map[string]int{}
	for i, c := range table.Columns {
		at[c.Name] = i
	}
	// beyond compares a row with values for the columns of Order, in q's direction.
	beyond := func(row []any, values func(i int) any) int {
		for i, name := range q.Order {
			if c := compare(row[at[name]], values(i)); c != 0 && q.Reverse {
				return -c
			} else if c != 0 {
				return c
			}
		}
		return 0
	}
	for _, row := range rows {
		ok := q.After == nil || beyond(row, func(i int) any { return q.After[i] }) > 0
		for _, c := range q.Where {
			ok = ok && fulfils(row[at[c.Column]], c)
		}
		if ok {
			out = append(out, row)
		}
	}
	slices.SortStableFunc(out, func(a, b []any) int { return beyond(a, func(i int) any { return b[at[q.Order[i]]] }) })
	if q.Limit > 0 && len(out) > q.Limit {
		out = out[:q.Limit]
	}
	for i, row := range out {
		narrow := make([]any, 0, len(q.Columns))
		for _, c := range q.Columns {
			narrow = append(narrow, row[at[c.Name]])
		}
		out[i] = narrow
	}
	return out
}

// rowQueryOf draws a question about a table. Its order ends with the whole key, so that
// there is only one answer.
func rowQueryOf(t *rapid.T, table daybook.Table, rows [][]any) daybook.RowQuery {
	q := daybook.RowQuery{Table: table.Name, Columns: rapid.Permutation(table.Columns).Draw(t, "columns")}
	q.Columns = q.Columns[:rapid.IntRange(1, len(q.Columns)).Draw(t, "width")]
	// some is a value that is there, or another one.
	some := func(i int) any {
		c := table.Columns[i]
		c.Null = false
		if len(rows) > 0 && rapid.Bool().Draw(t, "there") {
			if v := rapid.SampledFrom(rows).Draw(t, "row")[i]; v != nil {
				return v
			}
		}
		return valueOf(t, c)
	}
	var sortable []int
	for i, c := range table.Columns {
		if c.Type == daybook.JSONColumn {
			continue
		}
		if !c.Null {
			sortable = append(sortable, i)
		}
		if rapid.IntRange(0, 3).Draw(t, "asked") > 0 {
			continue
		}
		condition := daybook.Condition{Column: c.Name, Op: daybook.Op(rapid.IntRange(int(daybook.Equal), int(daybook.Contains)).Draw(t, "op")), Value: some(i)}
		if text, ok := condition.Value.(string); ok && condition.Op == daybook.Contains {
			letters := []rune(text)
			condition.Value = string(letters[rapid.IntRange(0, len(letters)).Draw(t, "from"):])
		} else if condition.Op == daybook.Contains {
			condition.Op = daybook.NotEqual
		}
		q.Where = append(q.Where, condition)
	}
	for _, i := range rapid.Permutation(sortable).Draw(t, "order") {
		if i < table.Key || rapid.Bool().Draw(t, "ordered") {
			q.Order = append(q.Order, table.Columns[i].Name)
		}
	}
	q.Reverse = rapid.Bool().Draw(t, "reverse")
	if rapid.Bool().Draw(t, "behind") {
		for _, name := range q.Order {
			q.After = append(q.After, some(slices.IndexFunc(table.Columns, func(c daybook.Column) bool { return c.Name == name })))
		}
	}
	q.Limit = rapid.SampledFrom([]int{0, 0, 1, 2, 5, 100}).Draw(t, "limit")
	return q
}

// selectingAgrees asks random questions of random tables.
func selectingAgrees(s *scene) {
	rapid.Check(s, func(t *rapid.T) {
		r := s.again(t)
		table := tableOf(t)
		rows := rowsOf(t, table, 20)
		r.create(table)
		r.put(table, rows...)
		for range 5 {
			q := rowQueryOf(t, table, rows)
			r.sameRows(fmt.Sprintf("SelectRows(%+v)", q), q.Columns, r.rows(q), selected(table, rows, q))
		}
		q := daybook.RowQuery{Table: table.Name, Columns: table.Columns}
		r.sameRows("all rows in no order", table.Columns, ordered(table, r.rows(q)), ordered(table, rows))
	})
}

// otherTypes asks for columns as what they are not. A value that is turned into another one
// would be a wrong answer.
func otherTypes(s *scene) {
	table := daybook.Table{Name: newName("t"), Key: 1, Columns: []daybook.Column{
		{Name: "name", Type: daybook.TextColumn}, {Name: "n", Type: daybook.IntegerColumn}, {Name: "part", Type: daybook.RealColumn}, {Name: "digits", Type: daybook.TextColumn},
	}}
	s.create(table)
	s.put(table, []any{"a", int64(66), 1.5, "7"})
	for name, as := range map[string]daybook.ColumnType{"n": daybook.TextColumn, "part": daybook.IntegerColumn, "digits": daybook.IntegerColumn} {
		q := daybook.RowQuery{Table: table.Name, Columns: []daybook.Column{{Name: name, Type: as}}}
		if rows, err := s.driver.SelectRows(s.Context(), q); err == nil {
			s.Errorf("column %s as type %d is %v", name, as, rows)
		}
	}
	s.sameRows("as they are", table.Columns, s.whole(table), [][]any{{"a", int64(66), 1.5, "7"}})
}

// pagesOfRows turns pages of every size in both directions, in an order in which many
// rows begin alike.
func pagesOfRows(s *scene) {
	table := counters()
	table.Indexes = [][]string{{"n", "name"}}
	var rows [][]any
	for i, text := range texts {
		rows = append(rows, []any{text, int64(i % 4)})
	}
	s.create(table)
	s.put(table, rows...)
	for _, order := range [][]string{{"name"}, {"n", "name"}} {
		for _, reverse := range []bool{false, true} {
			for _, size := range []int{1, 2, 3, 7, len(rows) - 1, len(rows), len(rows) + 1} {
				q := daybook.RowQuery{Table: table.Name, Columns: table.Columns, Order: order, Reverse: reverse, Limit: size}
				var seen [][]any
				for len(seen) <= len(rows) {
					page := s.rows(q)
					seen = append(seen, page...)
					if len(page) < size {
						break
					}
					last := page[len(page)-1]
					q.After = map[int][]any{1: {last[0]}, 2: {last[1], last[0]}}[len(order)]
				}
				q.After, q.Limit = nil, 0
				s.sameRows(fmt.Sprintf("all pages of %d rows by %v, reverse %v", size, order, reverse), table.Columns, seen, selected(table, rows, q))
			}
		}
	}
}
