package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/daybook-go/daybook"
)

const columns = `position, aggregate_type, aggregate_id, sequence_number, event_id, event_type, schema_version, payload, metadata, occurred_at, recorded_at`

// Parameters of the four: book ?1, position after ?2 and until ?3, aggregate type
// ?4 or ”, event types ?5 as a JSON array or '[]', limit ?6, occurred until ?7.
const (
	bounds = `book_id = ?1 AND position > ?2 AND position <= ?3
	AND (?4 = '' OR aggregate_type = ?4) AND (?5 = '[]' OR event_type IN (SELECT value FROM json_each(?5))) AND occurred_at <= ?7`

	// Index: the primary key.
	selectForward = `SELECT ` + columns + ` FROM events WHERE ` + bounds + ` ORDER BY position LIMIT ?6`
	selectReverse = `SELECT ` + columns + ` FROM events WHERE ` + bounds + ` ORDER BY position DESC LIMIT ?6`

	// Besides: aggregate ?8, sequence number after ?9 and until ?10. Index:
	// events_by_aggregate; the + keeps the planner from choosing the primary key. The
	// bound on the position that lies ahead is applied to the page, not to the walk,
	// which would go on to the end of the aggregate where it found no more.
	ofAggregate = `book_id = ?1 AND aggregate_id = ?8 AND sequence_number > ?9 AND sequence_number <= ?10
	AND (?4 = '' OR aggregate_type = ?4) AND (?5 = '[]' OR event_type IN (SELECT value FROM json_each(?5))) AND occurred_at <= ?7`

	selectAggregateForward = `SELECT * FROM (
	SELECT ` + columns + ` FROM events WHERE ` + ofAggregate + ` AND +position > ?2 ORDER BY sequence_number LIMIT ?6)
WHERE position <= ?3 ORDER BY sequence_number`
	selectAggregateReverse = `SELECT * FROM (
	SELECT ` + columns + ` FROM events WHERE ` + ofAggregate + ` AND +position <= ?3 ORDER BY sequence_number DESC LIMIT ?6)
WHERE position > ?2 ORDER BY sequence_number DESC`
)

// selectByID returns the events of book ?1 whose ids are in the JSON array ?2, each
// there once. Index: events_by_event_id, one probe an id: CROSS JOIN keeps the order,
// and with event_id IN (…) the planner visits the whole book.
const selectByID = `SELECT ` + columns + ` FROM json_each(?2) AS wanted CROSS JOIN events
WHERE book_id = ?1 AND event_id = wanted.value`

// Read implements [daybook.Driver].
func (db *DB) Read(ctx context.Context, book daybook.BookID, q daybook.Query, into []daybook.Recorded) (records []daybook.Recorded, err error) {
	err = patient(ctx, func() error {
		records, err = read(ctx, db.readers, book, q, into)
		return err
	})
	return records, explain(err)
}

func read(ctx context.Context, on querier, book daybook.BookID, q daybook.Query, into []daybook.Recorded) ([]daybook.Recorded, error) {
	types, err := json.Marshal(q.EventTypes)
	if err != nil {
		return nil, err
	}
	args := []any{book, q.AfterPosition, orMax(q.UntilPosition), q.AggregateType, string(types), q.Limit, orForever(q.OccurredUntil)}
	query := selectForward
	if q.Reverse {
		query = selectReverse
	}
	if !q.Aggregate.IsZero() {
		args[3] = q.Aggregate.Type
		args = append(args, q.Aggregate.ID.String(), q.AfterSequence, orMax(q.UntilSequence))
		query = selectAggregateForward
		if q.Reverse {
			query = selectAggregateReverse
		}
	}
	return scan(ctx, on, daybook.MaxPageBytes, into, query, args...)
}

// Lookup implements [daybook.Driver].
func (db *DB) Lookup(ctx context.Context, book daybook.BookID, ids []daybook.UUID) ([]daybook.Recorded, error) {
	var records []daybook.Recorded
	err := patient(ctx, func() (err error) {
		records, err = lookup(ctx, db.readers, book, ids)
		return err
	})
	return records, explain(err)
}

func lookup(ctx context.Context, q querier, book daybook.BookID, ids []daybook.UUID) ([]daybook.Recorded, error) {
	ids = slices.Clone(ids)
	slices.SortFunc(ids, func(a, b daybook.UUID) int { return bytes.Compare(a[:], b[:]) })
	wanted, err := json.Marshal(slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	return scan(ctx, q, math.MaxInt, nil, selectByID, book, string(wanted))
}

// scan reads the rows of a query into into[:0], up to the one by which they hold so many
// bytes of payload.
func scan(ctx context.Context, q querier, most int, into []daybook.Recorded, query string, args ...any) (records []daybook.Recorded, err error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	records = into[:0]
	for most > 0 && rows.Next() {
		rec, err := scanOne(rows)
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
		most -= len(rec.Payload)
	}
	return records, rows.Err()
}

func scanOne(rows *sql.Rows) (rec daybook.Recorded, err error) {
	var aggregateID, eventID, metadata string
	var occurredAt, recordedAt int64
	if err = rows.Scan(&rec.Position, &rec.Aggregate.Type, &aggregateID, &rec.SequenceNumber, &eventID,
		&rec.EventType, &rec.SchemaVersion, &rec.Payload, &metadata, &occurredAt, &recordedAt); err != nil {
		return rec, err
	}
	if rec.Aggregate.ID, err = daybook.ParseUUID(aggregateID); err != nil {
		return rec, forged(rec.Position, "aggregate", aggregateID)
	}
	if rec.EventID, err = daybook.ParseUUID(eventID); err != nil {
		return rec, forged(rec.Position, "event", eventID)
	}
	rec.OccurredAt, rec.RecordedAt = fromMicros(occurredAt), fromMicros(recordedAt)
	rec.Metadata = daybook.StoredMetadata([]byte(metadata))
	return rec, nil
}

// forged says where there is an id that this package has not written. It is no error
// of the caller's, as a [*daybook.InvalidError] would be.
func forged(position int64, of, id string) error {
	return fmt.Errorf("the id of the %s at position %d is no UUID: %.100q", of, position, id)
}

// orMax turns the zero bound, "none", into one that bounds nothing.
func orMax(bound int64) int64 {
	if bound == 0 {
		return math.MaxInt64
	}
	return bound
}

// orForever is orMax for times.
func orForever(bound time.Time) int64 {
	if bound.IsZero() {
		return math.MaxInt64
	}
	return micros(bound)
}
