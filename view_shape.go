package daybook

import (
	"bytes"
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
)

// viewShape is how the keys and rows of a view are kept in columns.
type viewShape struct {
	columns []viewColumn // those of the key first
	key     int          // how many those are
	// inexact says that keys may differ in Go and be one in SQL, such as times of two zones.
	inexact bool
	indexes [][]string
}

// viewColumn is a column, and where its value comes from.
type viewColumn struct {
	Column
	path []int // to the field, in the key or in the row; empty for a key that is no struct
	out  func(reflect.Value) (any, error)
	in   func(any, reflect.Value) error
}

func shapeOfView[K comparable, R any](keyName string, indexes []string) (*viewShape, error) {
	s := &viewShape{}
	key, row := reflect.TypeFor[K](), reflect.TypeFor[R]()
	if isColumn(key) {
		column, err := newColumn(key, "the key")
		if err != nil {
			return nil, err
		}
		column.Name = keyName
		if keyName == "" {
			column.Name = "key"
		}
		s.columns = append(s.columns, column)
	} else if err := s.addFields(key, nil); err != nil {
		return nil, err
	}
	s.key = len(s.columns)
	s.inexact = !isExact(key)
	if isColumn(row) {
		return nil, invalid("row", "%s is no struct: its fields are to be the columns", row)
	}
	if err := s.addFields(row, nil); err != nil {
		return nil, err
	}
	for _, index := range indexes {
		s.indexes = append(s.indexes, strings.Split(strings.ReplaceAll(index, " ", ""), ","))
	}
	return s, s.check()
}

// check says what the columns may not be.
func (s *viewShape) check() error {
	seen := map[string]bool{}
	for i, column := range s.columns {
		switch {
		case !isColumnName(column.Name):
			return invalid("column", "%s is not a name: %s", quote(column.Name), columnRule)
		case slices.Contains(systemColumns, column.Name):
			return invalid("column", "%s is a column that PostgreSQL has in every table: give it another name by a tag `db:\"name\"`", column.Name)
		case seen[column.Name]:
			return invalid("column", "%s is there twice: give one another name by a tag `db:\"name\"`", column.Name)
		case i < s.key && (column.Null || column.Type == JSONColumn || column.Type == RealColumn):
			return invalid("column", "%s cannot be in a key: use text, a whole number, a bool, a UUID or a time", column.Name)
		}
		seen[column.Name] = true
	}
	switch {
	case s.key == 0:
		return invalid("key", "has no columns: give it exported fields")
	case len(s.columns) > maxColumns:
		return invalid("row", "has %d columns: at most %d are possible", len(s.columns), maxColumns)
	}
	for _, index := range s.indexes {
		for _, name := range index {
			if !seen[name] {
				return invalid("index", "there is no column %s", quote(name))
			}
		}
	}
	return nil
}

const (
	maxColumns    = 200
	maxColumnName = 50
	columnRule    = "use 1 to 50 of a-z, 0-9 and '_', the first a letter"
)

// systemColumns cannot be declared on PostgreSQL, and so not on SQLite either.
var systemColumns = []string{"cmax", "cmin", "ctid", "tableoid", "xmax", "xmin"}

func isColumnName(name string) bool {
	return name != "" && len(name) <= maxColumnName && 'a' <= name[0] && name[0] <= 'z' && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// text is what makes the table of one declaration another than that of the next.
func (s *viewShape) text() string {
	var text strings.Builder
	for i, column := range s.columns {
		fmt.Fprintf(&text, "%t %+v\n", i < s.key, column.Column)
	}
	fmt.Fprintf(&text, "%q", s.indexes)
	return text.String()
}

func (s *viewShape) index(name string) int {
	return slices.IndexFunc(s.columns, func(c viewColumn) bool { return c.Name == name })
}

// addFields adds the fields of a struct, and of those embedded in it.
func (s *viewShape) addFields(t reflect.Type, path []int) error {
	for i := range t.NumField() {
		field := t.Field(i)
		at := append(slices.Clone(path), i)
		name, options, _ := strings.Cut(field.Tag.Get("db"), ",")
		switch {
		case name == "-":
			continue
		case field.Anonymous && name == "" && field.Type.Kind() == reflect.Struct && !isColumn(field.Type):
			if err := s.addFields(field.Type, at); err != nil {
				return err
			}
			continue
		case !field.IsExported():
			return invalid("field", "%s.%s is not exported, so it cannot be kept: export it, or tag it `db:\"-\"`", t, field.Name)
		}
		column, err := newColumn(field.Type, t.String()+"."+field.Name)
		if err != nil {
			return err
		}
		if column.Name, column.path = name, at; name == "" {
			column.Name = snake(field.Name)
		}
		switch options {
		case "":
		case "index":
			s.indexes = append(s.indexes, []string{column.Name})
		default:
			return invalid("field", "%s.%s has the tag option %s: there is only index", t, field.Name, quote(options))
		}
		s.columns = append(s.columns, column)
	}
	return nil
}

// snake writes a Go name as SQL does: AccountID is account_id.
func snake(name string) string {
	var out strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		begins := unicode.IsUpper(r) && i > 0 && (!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
		if begins && runes[i-1] != '_' {
			out.WriteByte('_')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}

var (
	uuidType = reflect.TypeFor[UUID]()
	timeType = reflect.TypeFor[time.Time]()
)

// hasText reports whether values of type t have a text form of their own, out and in.
func hasText(t reflect.Type) bool {
	to := reflect.PointerTo(t)
	return to.Implements(reflect.TypeFor[encoding.TextMarshaler]()) && to.Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// isColumn reports whether a value of type t is one column, and not a struct of some.
func isColumn(t reflect.Type) bool {
	return t.Kind() != reflect.Struct || t == timeType || hasText(t)
}

// isExact reports whether keys of type t that differ in Go do so in columns, too.
func isExact(t reflect.Type) bool {
	switch {
	case t == timeType || hasText(t) && t != uuidType:
		return false
	case t.Kind() != reflect.Struct:
		return true
	}
	for i := range t.NumField() {
		if field := t.Field(i); field.Tag.Get("db") == "-" || !isExact(field.Type) {
			return false
		}
	}
	return true
}

// newColumn says how values of type t are kept. place names the value in errors.
func newColumn(t reflect.Type, place string) (c viewColumn, err error) {
	switch kind := t.Kind(); {
	case t == uuidType:
		c.Type = UUIDColumn
		c.out, c.in = func(v reflect.Value) (any, error) { return v.Interface(), nil }, assign
	case t == timeType:
		c.Type = TimeColumn
		c.out = func(v reflect.Value) (any, error) { return timeOut(place, v) }
		c.in = assign
	case kind == reflect.Pointer && !hasText(t):
		return nullColumn(t.Elem(), place)
	case hasText(t):
		c.Type, c.out, c.in = TextColumn, func(v reflect.Value) (any, error) { return marshaledOut(place, v) }, marshaledIn
	case kind == reflect.String:
		c.Type, c.in = TextColumn, assign
		c.out = func(v reflect.Value) (any, error) { return v.String(), checkText(place, v.String()) }
	case kind == reflect.Bool:
		c.Type, c.in = BooleanColumn, assign
		c.out = func(v reflect.Value) (any, error) { return v.Bool(), nil }
	case reflect.Int <= kind && kind <= reflect.Int64:
		c.Type, c.in = IntegerColumn, integerIn
		c.out = func(v reflect.Value) (any, error) { return v.Int(), nil }
	case reflect.Uint8 <= kind && kind <= reflect.Uint32:
		c.Type, c.in = IntegerColumn, integerIn
		c.out = func(v reflect.Value) (any, error) { return int64(v.Uint()), nil } //nolint:gosec // at most 32 bits
	case kind == reflect.Float32 || kind == reflect.Float64:
		c.Type, c.in = RealColumn, assign
		c.out = func(v reflect.Value) (any, error) { return realOut(place, v) }
	default:
		return jsonColumn(t, place)
	}
	return c, nil
}

// nullColumn is for a pointer: nil is null.
func nullColumn(t reflect.Type, place string) (viewColumn, error) {
	c, err := newColumn(t, place)
	if err != nil {
		return c, err
	}
	if c.Null {
		return c, invalid("field", "%s is a pointer to a pointer: one is enough for null", place)
	}
	c.Null = true
	out, in := c.out, c.in
	c.out = func(v reflect.Value) (any, error) {
		if v.IsNil() {
			return nil, nil
		}
		return out(v.Elem())
	}
	c.in = func(value any, v reflect.Value) error {
		if value == nil {
			v.SetZero()
			return nil
		}
		v.Set(reflect.New(t))
		return in(value, v.Elem())
	}
	return c, nil
}

// jsonColumn is for what no other column holds.
func jsonColumn(t reflect.Type, place string) (viewColumn, error) {
	if t.Kind() == reflect.Uint || t.Kind() == reflect.Uint64 {
		return viewColumn{}, invalid("field", "%s is a %s, which does not fit into a whole number of SQL: use int64", place, t)
	}
	if reason := uncarried(t, place, map[reflect.Type]bool{}); reason != "" {
		return viewColumn{}, invalid("field", "%s: JSON cannot carry it", reason)
	}
	return viewColumn{
		Column: Column{Type: JSONColumn},
		out: func(v reflect.Value) (any, error) {
			text, err := json.Marshal(v.Interface(), json.Deterministic(true))
			if err != nil {
				return nil, invalid(place, "%v", err)
			}
			if bytes.Contains(text, []byte(`\u0000`)) { // it may be a '\\' before "u0000"
				err = checkTokens(place, text, false)
			}
			return text, err
		},
		in: func(value any, v reflect.Value) error {
			text, ok := value.([]byte)
			if !ok {
				return fmt.Errorf("a %T where JSON was expected", value)
			}
			return json.Unmarshal(text, v.Addr().Interface())
		},
	}, nil
}

func assign(value any, v reflect.Value) error {
	from := reflect.ValueOf(value)
	if !from.IsValid() || !from.CanConvert(v.Type()) || from.Kind() != v.Kind() && !v.CanFloat() {
		return fmt.Errorf("a %T where a %s was expected", value, v.Type())
	}
	v.Set(from.Convert(v.Type()))
	return nil
}

func integerIn(value any, v reflect.Value) error {
	n, ok := value.(int64)
	if !ok {
		return fmt.Errorf("a %T where a whole number was expected", value)
	}
	if v.CanInt() && !v.OverflowInt(n) {
		v.SetInt(n)
		return nil
	}
	if v.CanUint() && n >= 0 && !v.OverflowUint(uint64(n)) {
		v.SetUint(uint64(n))
		return nil
	}
	return fmt.Errorf("%d does not fit into a %s", n, v.Type())
}

func realOut(place string, v reflect.Value) (any, error) {
	if math.IsNaN(v.Float()) {
		return nil, invalid(place, "is NaN, which SQL does not keep everywhere: use a pointer, nil for no number")
	}
	return v.Float() + 0, nil // without the sign of a zero
}

func timeOut(place string, v reflect.Value) (any, error) {
	t, ok := v.Interface().(time.Time)
	if !ok {
		return nil, fmt.Errorf("%s is no time", place)
	}
	return normalTime(place, t)
}

func marshaledOut(place string, v reflect.Value) (any, error) {
	if !v.CanAddr() { // such as a key
		to := reflect.New(v.Type()).Elem()
		to.Set(v)
		v = to
	}
	value, _ := v.Addr().Interface().(encoding.TextMarshaler)
	text, err := value.MarshalText()
	if err != nil {
		return nil, invalid(place, "%v", err)
	}
	return string(text), checkText(place, string(text))
}

func marshaledIn(value any, v reflect.Value) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("a %T where text was expected", value)
	}
	to, _ := v.Addr().Interface().(encoding.TextUnmarshaler)
	return to.UnmarshalText([]byte(text))
}
