package postgres

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-go/daybook"
)

// sqlTypes are the names of the server's types, by ours.
var sqlTypes = map[daybook.ColumnType]string{
	daybook.TextColumn:    "text",
	daybook.IntegerColumn: "bigint",
	daybook.BooleanColumn: "boolean",
	daybook.RealColumn:    "double precision",
	daybook.UUIDColumn:    "uuid",
	daybook.TimeColumn:    "timestamptz",
	daybook.JSONColumn:    "jsonb",
}

// typeOf is the server's type for a Go value; "" for nil, and for one that no column holds.
func typeOf(value any) string {
	switch value.(type) {
	case string:
		return sqlTypes[daybook.TextColumn]
	case int64:
		return sqlTypes[daybook.IntegerColumn]
	case bool:
		return sqlTypes[daybook.BooleanColumn]
	case float64:
		return sqlTypes[daybook.RealColumn]
	case daybook.UUID:
		return sqlTypes[daybook.UUIDColumn]
	case time.Time:
		return sqlTypes[daybook.TimeColumn]
	case []byte:
		return sqlTypes[daybook.JSONColumn]
	}
	return ""
}

// arrays turns rows into one array a column.
func arrays(columns []daybook.Column, rows [][]any) ([]any, error) {
	for _, row := range rows {
		if len(row) != len(columns) {
			return nil, fmt.Errorf("a row has %d values, for %d columns", len(row), len(columns))
		}
	}
	params := make([]any, len(columns))
	for i, column := range columns {
		var err error
		if params[i], err = arrayOf(column, rows, i); err != nil {
			return nil, err
		}
	}
	return params, nil
}

func arrayOf(column daybook.Column, rows [][]any, at int) (any, error) {
	switch column.Type {
	case daybook.TextColumn:
		return arrayWith(column, rows, at, func(v string) pgtype.Text { return pgtype.Text{String: v, Valid: true} })
	case daybook.IntegerColumn:
		return arrayWith(column, rows, at, func(v int64) pgtype.Int8 { return pgtype.Int8{Int64: v, Valid: true} })
	case daybook.BooleanColumn:
		return arrayWith(column, rows, at, func(v bool) pgtype.Bool { return pgtype.Bool{Bool: v, Valid: true} })
	case daybook.RealColumn:
		for _, row := range rows {
			if err := number(column.Name, row[at]); err != nil {
				return nil, err
			}
		}
		return arrayWith(column, rows, at, func(v float64) pgtype.Float8 { return pgtype.Float8{Float64: v, Valid: true} })
	case daybook.UUIDColumn:
		return arrayWith(column, rows, at, uuidParam)
	case daybook.TimeColumn:
		return arrayWith(column, rows, at, func(v time.Time) pgtype.Timestamptz { return pgtype.Timestamptz{Time: v, Valid: true} })
	case daybook.JSONColumn:
		return arrayWith(column, rows, at, func(v []byte) []byte { return v })
	}
	return nil, fmt.Errorf("column %s: %d is no type of a column", column.Name, column.Type)
}

// arrayWith makes an array of the values of one column. The zero P is a null.
func arrayWith[V, P any](column daybook.Column, rows [][]any, at int, param func(V) P) (pgtype.FlatArray[P], error) {
	array := make(pgtype.FlatArray[P], len(rows))
	for i, row := range rows {
		if row[at] == nil {
			continue
		}
		value, ok := row[at].(V)
		if !ok {
			return nil, fmt.Errorf("column %s: the value is a %T, and must be a %T", column.Name, row[at], value)
		}
		array[i] = param(value)
	}
	return array, nil
}

// number refuses NaN, which the server would keep, and SQLite does not.
func number(column string, value any) error {
	if real, ok := value.(float64); ok && math.IsNaN(real) {
		return &daybook.InvalidError{Field: "column " + column, Reason: "NaN is no number: write null, or a number"}
	}
	return nil
}

// param is one value as the parameter of a statement.
func param(value any) any {
	if id, ok := value.(daybook.UUID); ok {
		return uuidParam(id)
	}
	return value
}

// scanRows reads rows of these columns and closes them.
func scanRows(rows pgx.Rows, columns []daybook.Column) ([][]any, error) {
	defer rows.Close()
	var out [][]any
	for rows.Next() {
		if len(out) == 0 && !asExpected(rows, binaryOf(columns)) {
			return nil, errNotBinary
		}
		row := make([]any, len(columns))
		for i, raw := range rows.RawValues() {
			if raw != nil {
				row[i] = valueOf(columns[i].Type, raw)
			}
		}
		out = append(out, row)
	}
	rows.Close()
	return out, rows.Err()
}

// binaryOf says which columns arrive in PostgreSQL's binary form.
func binaryOf(columns []daybook.Column) (isBinary []bool) {
	for _, column := range columns {
		isBinary = append(isBinary, column.Type != daybook.TextColumn && column.Type != daybook.JSONColumn)
	}
	return isBinary
}

// valueOf decodes what the server has sent, and copies what it keeps.
func valueOf(columnType daybook.ColumnType, raw []byte) any {
	switch columnType {
	case daybook.TextColumn:
		return string(raw)
	case daybook.IntegerColumn:
		return integer(raw)
	case daybook.BooleanColumn:
		return raw[0] != 0
	case daybook.RealColumn:
		return math.Float64frombits(binary.BigEndian.Uint64(raw))
	case daybook.UUIDColumn:
		return daybook.UUID(raw)
	case daybook.TimeColumn:
		return instant(raw)
	case daybook.JSONColumn:
		return slices.Clone(raw)
	}
	return nil
}
