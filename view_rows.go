package daybook

import (
	"fmt"
	"reflect"
	"slices"
)

// out returns a row as it is kept, the key first.
func (v *View[K, R]) out(key K, row R) ([]any, error) {
	values, err := v.shape.values(reflect.ValueOf(&key).Elem(), 0, v.shape.key)
	if err != nil {
		return nil, err
	}
	rest, err := v.shape.values(reflect.ValueOf(&row).Elem(), v.shape.key, len(v.shape.columns))
	return append(values, rest...), err
}

// keys are those of the rows that an event touches, as the table gives them back: two that
// are one there are one here.
func (v *View[K, R]) keys(e ProjectedEvent) ([]K, error) {
	keys := v.Keys(e)
	if !v.shape.inexact {
		return keys, nil
	}
	kept := make([]K, len(keys)) // keys may be a slice that Keys keeps
	for i, key := range keys {
		var err error
		if kept[i], err = v.keptKey(key); err != nil {
			return nil, err
		}
	}
	return kept, nil
}

// keptKey is a key as the table gives it back.
func (v *View[K, R]) keptKey(key K) (kept K, err error) {
	if !v.shape.inexact {
		return key, nil
	}
	values, err := v.shape.keyOut(key)
	if err != nil {
		return kept, err
	}
	to := reflect.ValueOf(&kept).Elem()
	for i, column := range v.shape.columns[:v.shape.key] {
		if err := column.in(values[i], column.of(to)); err != nil {
			return kept, fmt.Errorf("column %s: %w", column.Name, err)
		}
	}
	return kept, nil
}

// keyOut returns a key as it is kept.
func (s *viewShape) keyOut(key any) ([]any, error) {
	return s.values(reflect.ValueOf(key), 0, s.key)
}

// values returns the columns from and up to, not including, to of v.
func (s *viewShape) values(v reflect.Value, from, to int) ([]any, error) {
	values := make([]any, 0, len(s.columns))
	for _, column := range s.columns[from:to] {
		value, err := column.out(column.of(v))
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	return values, nil
}

// of is the column's value in a key or row.
func (c viewColumn) of(v reflect.Value) reflect.Value {
	if len(c.path) == 0 {
		return v
	}
	return v.FieldByIndex(c.path)
}

// in reads a row as it is kept.
func (v *View[K, R]) in(values []any, e *ViewRow[K, R]) error {
	if len(values) != len(v.shape.columns) {
		return fmt.Errorf("a row of %d columns where %d were expected", len(values), len(v.shape.columns))
	}
	key, row := reflect.ValueOf(&e.Key).Elem(), reflect.ValueOf(&e.Row).Elem()
	for i, column := range v.shape.columns {
		to := row
		if i < v.shape.key {
			to = key
		}
		if err := column.in(values[i], column.of(to)); err != nil {
			return fmt.Errorf("column %s: %w", column.Name, err)
		}
	}
	return nil
}

// rowQuery brings a query to the form that engines take.
func (s *viewShape) rowQuery(table string, q ViewQuery) (RowQuery, error) {
	out := RowQuery{Table: table, Reverse: q.Reverse, Limit: q.Limit}
	for _, column := range s.columns {
		out.Columns = append(out.Columns, column.Column)
	}
	if q.Limit < 0 {
		return out, invalid("query.limit", "%d is negative: use 0 for no bound, or more", q.Limit)
	}
	for _, condition := range q.Where {
		i := s.index(condition.Column)
		if i < 0 {
			return out, invalid("query.where", "there is no column %s", quote(condition.Column))
		}
		if !s.columns[i].Type.has(condition.Op) {
			return out, invalid("query.where", "column %s cannot be compared so: Op is none, or not one for its type", condition.Column)
		}
		var err error
		if condition.Value, err = s.columns[i].comparable(condition.Value); err != nil {
			return out, err
		}
		out.Where = append(out.Where, condition)
	}
	for _, name := range q.Order {
		i := s.index(name)
		if i < 0 {
			return out, invalid("query.order", "there is no column %s", quote(name))
		}
		if s.columns[i].Null || s.columns[i].Type == JSONColumn {
			return out, invalid("query.order", "rows cannot be sorted by %s, which is %s", name, map[bool]string{true: "null in some", false: "JSON"}[s.columns[i].Null])
		}
		out.Order = append(out.Order, name)
	}
	for _, column := range s.columns[:s.key] {
		if !slices.Contains(out.Order, column.Name) {
			out.Order = append(out.Order, column.Name)
		}
	}
	return out, nil
}

// has reports whether values of a type can be compared so, with the same answer on every
// engine.
func (t ColumnType) has(op Op) bool {
	switch op {
	case Equal, NotEqual:
		return true
	case Less, LessOrEqual, Greater, GreaterOrEqual:
		return t != JSONColumn
	case Contains:
		return t == TextColumn
	}
	return false
}

// comparable brings a value to what the column holds. It may be of the type of the
// column's field, or of another one that is kept alike.
func (c viewColumn) comparable(value any) (any, error) {
	v := reflect.ValueOf(value)
	if !v.IsValid() {
		return nil, invalid("query.where", "column %s is compared with nil, which equals nothing", c.Name)
	}
	other, err := newColumn(v.Type(), "query.where "+c.Name)
	if err != nil {
		return nil, err
	}
	if other.Type != c.Type {
		return nil, invalid("query.where", "column %s is compared with a %T, which is kept as something else", c.Name, value)
	}
	return other.out(v)
}
