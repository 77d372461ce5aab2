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

// elements are the OIDs of the server's types, by ours.
var elements = map[daybook.ColumnType]uint32{
	daybook.TextColumn:    pgtype.TextOID,
	daybook.IntegerColumn: pgtype.Int8OID,
	daybook.BooleanColumn: pgtype.BoolOID,
	daybook.RealColumn:    pgtype.Float8OID,
	daybook.UUIDColumn:    pgtype.UUIDOID,
	daybook.TimeColumn:    pgtype.TimestamptzOID,
	daybook.JSONColumn:    pgtype.JSONBOID,
}

// valueRoom is what a value takes in an array, about.
const valueRoom = 24

// arrayOf is an array of the values of one column.
func arrayOf(column daybook.Column, rows [][]any, at int) (encoded, error) {
	array := appendArray(make([]byte, 0, (len(rows)+1)*valueRoom), elements[column.Type], len(rows))
	for _, row := range rows {
		if err := number(column.Name, row[at]); err != nil {
			return nil, err
		}
		value, ok := appendValue(append(array, 0, 0, 0, 0), column.Type, row[at])
		if !ok {
			return nil, fmt.Errorf("column %s: the value is a %T, which a column of %s does not take", column.Name, row[at], sqlTypes[column.Type])
		}
		array = endElement(value, len(array), row[at] == nil)
	}
	return array, nil
}

// appendValue appends what valueOf reads, and nothing for a null.
func appendValue(buf []byte, columnType daybook.ColumnType, value any) (out []byte, ok bool) {
	switch v := value.(type) {
	case nil:
		return buf, true
	case string:
		return append(buf, v...), columnType == daybook.TextColumn
	case int64:
		return appendInt64(buf, v), columnType == daybook.IntegerColumn
	case bool:
		if v {
			return append(buf, 1), columnType == daybook.BooleanColumn
		}
		return append(buf, 0), columnType == daybook.BooleanColumn
	case float64:
		return binary.BigEndian.AppendUint64(buf, math.Float64bits(v)), columnType == daybook.RealColumn
	case daybook.UUID:
		return append(buf, v[:]...), columnType == daybook.UUIDColumn
	case time.Time:
		return appendTime(buf, v), columnType == daybook.TimeColumn
	case []byte:
		return append(append(buf, jsonbVersion), v...), columnType == daybook.JSONColumn
	}
	return buf, false
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
		if len(out) == 0 {
			if err := areOf(columns, rows); err != nil {
				return nil, err
			}
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

// areOf reports an error where rows have other types than columns.
func areOf(columns []daybook.Column, rows pgx.Rows) error {
	for i, field := range rows.FieldDescriptions() {
		if field.DataTypeOID != elements[columns[i].Type] {
			return fmt.Errorf("column %s is not kept as %s", columns[i].Name, sqlTypes[columns[i].Type])
		}
	}
	if !asExpected(rows, binaryOf(columns)) {
		return errNotBinary
	}
	return nil
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
