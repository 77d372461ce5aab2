package postgres

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-go/daybook"
)

// column is a field of all events of a batch, as a parameter of appendSQL: an array. It is
// written straight from the events in the server's binary form, as in array_recv of its
// src/backend/utils/adt/arrayfuncs.c. To take each value through pgx's own arrays was a
// sixth of what a program spends on an append, and left most of its garbage.
type column struct {
	rows  []daybook.Recorded
	after map[daybook.UUID]daybook.UUID // as in [daybook.Placement]
	field *field
}

// field is one of the fields.
type field struct {
	element uint32 // the OID of its type
	// put appends the value of an event, or reports that it is null.
	put func(buf []byte, row *daybook.Recorded, after map[daybook.UUID]daybook.UUID) (out []byte, null bool, err error)
}

// fields are those of daybook.append, in its order.
var fields = [...]field{
	{pgtype.TextOID, func(buf []byte, row *daybook.Recorded, _ map[daybook.UUID]daybook.UUID) ([]byte, bool, error) {
		return append(buf, row.Aggregate.Type...), false, nil
	}},
	{pgtype.UUIDOID, func(buf []byte, row *daybook.Recorded, _ map[daybook.UUID]daybook.UUID) ([]byte, bool, error) {
		return append(buf, row.Aggregate.ID[:]...), false, nil
	}},
	{pgtype.Int8OID, func(buf []byte, row *daybook.Recorded, _ map[daybook.UUID]daybook.UUID) ([]byte, bool, error) {
		return appendInt64(buf, row.SequenceNumber), false, nil
	}},
	{pgtype.UUIDOID, func(buf []byte, row *daybook.Recorded, _ map[daybook.UUID]daybook.UUID) ([]byte, bool, error) {
		return append(buf, row.EventID[:]...), false, nil
	}},
	{pgtype.TextOID, func(buf []byte, row *daybook.Recorded, _ map[daybook.UUID]daybook.UUID) ([]byte, bool, error) {
		return append(buf, row.EventType...), false, nil
	}},
	{pgtype.Int4OID, func(buf []byte, row *daybook.Recorded, _ map[daybook.UUID]daybook.UUID) ([]byte, bool, error) {
		if row.SchemaVersion < 0 || row.SchemaVersion > math.MaxInt32 {
			return nil, false, fmt.Errorf("schema version %d of event %s is no integer of four bytes", row.SchemaVersion, row.EventID)
		}
		return appendInt32(buf, row.SchemaVersion), false, nil
	}},
	{pgtype.JSONBOID, func(buf []byte, row *daybook.Recorded, _ map[daybook.UUID]daybook.UUID) ([]byte, bool, error) {
		return append(append(buf, jsonbVersion), row.Payload...), false, nil
	}},
	{pgtype.JSONBOID, func(buf []byte, row *daybook.Recorded, _ map[daybook.UUID]daybook.UUID) ([]byte, bool, error) {
		metadata, err := row.Metadata.MarshalJSON()
		if err != nil {
			return nil, false, fmt.Errorf("metadata of event %s: %w", row.EventID, err)
		}
		return append(append(buf, jsonbVersion), metadata...), false, nil
	}},
	{pgtype.TimestamptzOID, func(buf []byte, row *daybook.Recorded, _ map[daybook.UUID]daybook.UUID) ([]byte, bool, error) {
		if row.OccurredAt.IsZero() {
			return buf, true, nil
		}
		return appendTime(buf, row.OccurredAt), false, nil
	}},
	{pgtype.UUIDOID, func(buf []byte, row *daybook.Recorded, after map[daybook.UUID]daybook.UUID) ([]byte, bool, error) {
		id, rests := after[row.EventID]
		return append(buf, id[:]...), !rests, nil
	}},
}

const (
	// jsonbVersion comes before the text of a jsonb.
	jsonbVersion = 1
	// null is the length of a null.
	null = math.MaxUint32
	// eventRoom is what an event takes in all columns, besides its payload: a guess, which
	// spares the buffer most of its growing.
	eventRoom = 256
)

// columnsOf returns the columns of rows, as the last parameters of appendSQL.
func columnsOf(rows []daybook.Recorded, after map[daybook.UUID]daybook.UUID) []any {
	columns := make([]any, len(fields))
	for i := range fields {
		columns[i] = column{rows, after, &fields[i]}
	}
	return columns
}

// room is how many bytes all columns of c's rows take, about.
func (c column) room() int {
	room := len(c.rows) * eventRoom
	for i := range c.rows {
		room += len(c.rows[i].Payload)
	}
	return room
}

// encode appends the column to buf.
func (c column) encode(buf []byte) (out []byte, err error) {
	if c.field == &fields[0] {
		buf = slices.Grow(buf, c.room())
	}
	buf = appendArray(buf, c.field.element, len(c.rows))
	for i := range c.rows {
		at := len(buf)
		value, isNull, err := c.field.put(append(buf, 0, 0, 0, 0), &c.rows[i], c.after)
		if err != nil {
			return nil, err
		}
		buf = endElement(value, at, isNull)
	}
	return buf, nil
}

// endElement sets the length of the element of an array that begins at a place of buf and
// ends with it, or makes it a null.
func endElement(buf []byte, at int, isNull bool) []byte {
	length := uint32(null)
	if isNull {
		buf = buf[:at+4]
	} else {
		length = uint32(len(buf) - at - 4) //nolint:gosec // an append, and a row, is far below 4 GiB
	}
	binary.BigEndian.PutUint32(buf[at:], length)
	return buf
}

// appendArray appends what comes before the elements of an array, each of which has its length
// before it.
func appendArray(buf []byte, element uint32, elements int) []byte {
	buf = appendInt32(buf, 1) // dimensions
	buf = appendInt32(buf, 1) // there may be nulls
	buf = binary.BigEndian.AppendUint32(buf, element)
	buf = appendInt32(buf, elements)
	return appendInt32(buf, 1) // the first index
}

// encoded is an array that has its binary form already.
type encoded []byte

func (e encoded) encode(buf []byte) ([]byte, error) { return append(buf, e...), nil } //nolint:unparam // as an encoder

func appendInt64(buf []byte, n int64) []byte { return binary.BigEndian.AppendUint64(buf, uint64(n)) } //nolint:gosec // the same bits

// appendTime appends what instant reads.
func appendTime(buf []byte, t time.Time) []byte { return appendInt64(buf, t.UnixMicro()-epoch) }

func appendInt32(buf []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(buf, uint32(n)) //nolint:gosec // counts, and what was checked
}

// takeColumns lets a connection take columns, and what is encoded, as parameters.
func takeColumns(types *pgtype.Map) {
	for _, oid := range []uint32{
		pgtype.TextArrayOID, pgtype.UUIDArrayOID, pgtype.Int8ArrayOID, pgtype.Int4ArrayOID, pgtype.JSONBArrayOID, pgtype.TimestamptzArrayOID,
		pgtype.BoolArrayOID, pgtype.Float8ArrayOID,
	} {
		known, _ := types.TypeForOID(oid) // all are built into pgx
		types.RegisterType(&pgtype.Type{Name: known.Name, OID: oid, Codec: columnCodec{known.Codec}})
	}
}

// encoder is a column, or what is encoded.
type encoder interface {
	encode(buf []byte) (out []byte, err error)
}

// columnCodec is pgx's codec for arrays of a type, and takes encoders besides.
type columnCodec struct{ pgtype.Codec }

// PlanEncode implements [pgtype.Codec].
func (c columnCodec) PlanEncode(types *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(encoder); ok && format == pgtype.BinaryFormatCode {
		return columnPlan{}
	}
	return c.Codec.PlanEncode(types, oid, format, value)
}

type columnPlan struct{}

// Encode implements [pgtype.EncodePlan].
func (columnPlan) Encode(value any, buf []byte) ([]byte, error) { return value.(encoder).encode(buf) } //nolint:forcetypeassert // PlanEncode has looked
