package postgres

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-go/daybook"
)

// The columns that scan reads, in its order.
const eventColumns = `position, aggregate_type, aggregate_id, sequence_number, event_id, event_type,
	schema_version, payload, metadata, occurred_at, recorded_at`

// readBook…SQL: the first $6 events of book $1 behind position $2 up to $3, of
// aggregates of type $4, of the types $5, each unless empty, that occurred up to $7.
// Walks events_pkey.
const (
	readBookForwardSQL = readBookSQL + `
ORDER BY position
LIMIT $6`
	readBookReverseSQL = readBookSQL + `
ORDER BY position DESC
LIMIT $6`
	// readAllSQL is readBookForwardSQL without conditions, $4 being the limit. They take a fifth
	// of the time in which the server finds an event.
	readAllSQL = readPositionsSQL + `
ORDER BY position
LIMIT $4`
	readBookSQL = readPositionsSQL + `
	AND ($4::text = '' OR aggregate_type = $4)
	AND (cardinality($5::text[]) = 0 OR event_type = any($5)) AND occurred_at <= $7`
	readPositionsSQL = `
SELECT ` + eventColumns + `
FROM daybook.events
WHERE book_id = $1 AND position > $2 AND position <= $3`
)

// readAggregate…SQL: the first $8 events of aggregate $3 of type $2 in book $1,
// with sequence numbers behind $4 up to $5, of the types $9 unless empty, that
// occurred up to $10, and with positions behind $6 up to $7. Walks events_sequence_key.
//
// The bound on the position that lies ahead is applied to the page, not to the
// walk: positions grow along the sequence numbers, so the page only loses its end
// by it, while a walk that found no more would go on to the end of the aggregate.
const (
	readAggregateForwardSQL = `
SELECT ` + eventColumns + `
FROM (` + readAggregateSQL + ` AND position > $6
	ORDER BY sequence_number
	LIMIT $8
) AS page
WHERE position <= $7
ORDER BY sequence_number`
	// readHistorySQL is readAggregateForwardSQL without conditions but those on places, $6 being
	// the bound on the position that lies ahead and $7 the limit.
	readHistorySQL = `
SELECT ` + eventColumns + `
FROM (` + readNumbersSQL + `
	ORDER BY sequence_number
	LIMIT $7
) AS page
WHERE position <= $6
ORDER BY sequence_number`
	readAggregateReverseSQL = `
SELECT ` + eventColumns + `
FROM (` + readAggregateSQL + ` AND position <= $7
	ORDER BY sequence_number DESC
	LIMIT $8
) AS page
WHERE position > $6
ORDER BY sequence_number DESC`
	readNumbersSQL = `
	SELECT ` + eventColumns + `
	FROM daybook.events
	WHERE book_id = $1 AND aggregate_id = $3 AND aggregate_type = $2
		AND sequence_number > $4 AND sequence_number <= $5`
	readAggregateSQL = readNumbersSQL + `
		AND (cardinality($9::text[]) = 0 OR event_type = any($9)) AND occurred_at <= $10`
)

// lookupSQL: the events of book $1 that have one of the ids $2. One probe of
// events_event_id_key each; event_id = any($2) would be a filter on the whole book
// in a plan made while the book was young.
const lookupSQL = `
SELECT ` + eventColumns + `
FROM unnest($2::uuid[]) AS asked(id)
CROSS JOIN LATERAL (
	SELECT ` + eventColumns + `
	FROM daybook.events
	WHERE book_id = $1 AND event_id = asked.id
	LIMIT 1
) AS found`

// Read returns the first q.Limit events that q selects, in q's order. It is one
// statement, so all of one snapshot.
func (db *DB) Read(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
	query, args := readStatement(book, q)
	records, err := db.records(ctx, daybook.MaxPageBytes, into, query, args...)
	return records, explain("read", err)
}

// Lookup returns those of the events ids that are recorded, in any order.
func (db *DB) Lookup(ctx context.Context, book daybook.BookID, ids []daybook.UUID) ([]daybook.Recorded, error) {
	params := pgtype.FlatArray[pgtype.UUID]{}
	seen := map[daybook.UUID]bool{}
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			params = append(params, uuidParam(id))
		}
	}
	records, err := db.records(ctx, math.MaxInt, nil, lookupSQL, int64(book), params)
	return records, explain("lookup", err)
}

func readStatement(book daybook.BookID, q daybook.Query) (query string, args []any) {
	types := append([]string{}, q.EventTypes...) // not nil: that would be NULL
	untilPosition := orNone(q.UntilPosition)
	if q.Aggregate.IsZero() {
		if q.AggregateType == "" && len(types) == 0 && q.OccurredUntil.IsZero() && !q.Reverse {
			return readAllSQL, []any{int64(book), q.AfterPosition, untilPosition, q.Limit}
		}
		args = []any{int64(book), q.AfterPosition, untilPosition, q.AggregateType, types, q.Limit, orForever(q.OccurredUntil)}
		if q.Reverse {
			return readBookReverseSQL, args
		}
		return readBookForwardSQL, args
	}
	args = []any{int64(book), q.Aggregate.Type, [16]byte(q.Aggregate.ID), q.AfterSequence, orNone(q.UntilSequence)}
	if len(types) == 0 && q.OccurredUntil.IsZero() && !q.Reverse && q.AfterPosition == 0 {
		return readHistorySQL, append(args, untilPosition, q.Limit)
	}
	args = append(args, q.AfterPosition, untilPosition, q.Limit, types, orForever(q.OccurredUntil))
	if q.Reverse {
		return readAggregateReverseSQL, args
	}
	return readAggregateForwardSQL, args
}

// orNone is the bound itself, or one that excludes nothing for "no bound".
func orNone(bound int64) int64 {
	if bound == 0 {
		return math.MaxInt64
	}
	return bound
}

// orForever is orNone for times.
func orForever(bound time.Time) pgtype.Timestamptz {
	if bound.IsZero() {
		return pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}
	}
	return pgtype.Timestamptz{Time: bound, Valid: true}
}

func (db *DB) records(ctx context.Context, most int, into []daybook.Recorded, query string, args ...any) (records []daybook.Recorded, err error) {
	err = db.do(ctx, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, query, args...)
		if err != nil {
			return err
		}
		records, err = scan(rows, most, into)
		return err
	})
	return records, err
}

// binaryColumns says which of eventColumns arrive in PostgreSQL's binary form; the
// others are text.
var binaryColumns = []bool{true, false, true, true, true, false, true, false, false, true, true}

// scan reads rows of eventColumns into into[:0], up to the one by which they hold so many
// bytes of payload, and closes them. It decodes the bytes of the protocol itself: replaying an
// aggregate is mostly this, and rows.Scan takes twice as long.
func scan(rows pgx.Rows, most int, into []daybook.Recorded) ([]daybook.Recorded, error) {
	return scanWith(rows, binaryColumns, most, into, nil)
}

// scanWith is scan for rows that have more columns behind those, which first gets to
// see in the first row.
func scanWith(rows pgx.Rows, isBinary []bool, most int, into []daybook.Recorded, first func(raw [][]byte)) ([]daybook.Recorded, error) {
	defer rows.Close()
	records := into[:0]
	var before repeats
	for most > 0 && rows.Next() {
		rec := daybook.Recorded{}
		if len(records) == 0 {
			if !asExpected(rows, isBinary) {
				return nil, errNotBinary
			}
			if first != nil {
				first(rows.RawValues())
			}
		}
		before.decode(rows.RawValues(), &rec)
		records = append(records, rec)
		most -= len(rec.Payload)
	}
	rows.Close()
	return records, rows.Err()
}

var errNotBinary = errors.New("the columns do not arrive in PostgreSQL's binary form: see that nothing between here and the server changes that")

func asExpected(rows pgx.Rows, want []bool) bool {
	var isBinary []bool
	for _, field := range rows.FieldDescriptions() {
		isBinary = append(isBinary, field.Format == pgx.BinaryFormatCode)
	}
	return slices.Equal(isBinary, want)
}

// repeats is what rows have in common with those before, and so is made once, and room
// for what they have not. Whatever is kept of a row is copied: pgx uses the bytes again.
type repeats struct {
	aggregateType, eventType string
	object                   []byte // of metadata
	metadata                 daybook.Metadata
	room                     []byte
}

// decode reads one row of eventColumns into rec.
func (r *repeats) decode(raw [][]byte, rec *daybook.Recorded) {
	rec.Position = integer(raw[0])
	rec.Aggregate.Type = shared(&r.aggregateType, raw[1])
	rec.Aggregate.ID = daybook.UUID(raw[2])
	rec.SequenceNumber = integer(raw[3])
	rec.EventID = daybook.UUID(raw[4])
	rec.EventType = shared(&r.eventType, raw[5])
	rec.SchemaVersion = int(int32(binary.BigEndian.Uint32(raw[6]))) //nolint:gosec // the column's type
	rec.Payload = r.copied(raw[7])
	rec.Metadata = r.metadataOf(raw[8])
	rec.OccurredAt = instant(raw[9])
	rec.RecordedAt = instant(raw[10])
}

func (r *repeats) metadataOf(object []byte) daybook.Metadata {
	if r.object == nil || !bytes.Equal(r.object, object) || r.metadata.Extra != nil { // a map is its owner's to change
		r.object, r.metadata = append(r.object[:0], object...), daybook.StoredMetadata(object)
	}
	return r.metadata
}

// roomBytes is what several payloads are copied into; one that fills an eighth of it has
// room of its own.
const roomBytes = 8 << 10

// copied takes a payload out of pgx's hands. Who keeps one keeps its neighbours from being
// collected, so the room is small; who appends to one does not write into the next.
func (r *repeats) copied(payload []byte) []byte {
	if len(payload) > cap(r.room)-len(r.room) {
		if len(payload) >= roomBytes/8 {
			return slices.Clone(payload)
		}
		// It grows: many reads are of one event, or of a few.
		r.room = make([]byte, 0, min(roomBytes, max(len(payload), 2*cap(r.room))))
	}
	start := len(r.room)
	r.room = append(r.room, payload...)
	return r.room[start:len(r.room):len(r.room)]
}

func shared(s *string, raw []byte) string {
	if *s != string(raw) {
		*s = string(raw)
	}
	return *s
}

func integer(raw []byte) int64 {
	return int64(binary.BigEndian.Uint64(raw)) //nolint:gosec // the column's type
}

// epoch is what PostgreSQL counts microseconds from, in those of Go.
var epoch = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC).UnixMicro()

// instant does not go through time.Duration, which ends after 292 years.
func instant(raw []byte) time.Time {
	return time.UnixMicro(epoch + integer(raw)).UTC()
}
