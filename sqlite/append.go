package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/daybook-go/daybook"
)

// errDiscard makes database/sql close a connection instead of using it again.
var errDiscard = driver.ErrBadConn

// selectBook finds a book by name: ?1.
const selectBook = `SELECT book_id FROM books WHERE name = ?1`

// insertBook makes the book ?1 at time ?2, insertHead its head with incarnation ?2.
const (
	insertBook = `INSERT INTO books (book_id, name, created_at)
SELECT coalesce(max(book_id), 0) + 1, ?1, ?2 FROM books RETURNING book_id`
	insertHead = `INSERT INTO heads (book_id, position, recorded_at, incarnation) VALUES (?1, 0, 0, ?2)`
)

// OpenBook implements [daybook.Driver].
func (db *DB) OpenBook(ctx context.Context, name string) (id daybook.BookID, err error) {
	err = db.readers.QueryRowContext(ctx, selectBook, name).Scan(&id)
	if !errors.Is(err, sql.ErrNoRows) {
		return id, explain(err)
	}
	err = db.write(ctx, func(ctx context.Context, conn *sql.Conn) (bool, error) {
		err := conn.QueryRowContext(ctx, selectBook, name).Scan(&id)
		if !errors.Is(err, sql.ErrNoRows) {
			return false, err // another was first
		}
		if err := conn.QueryRowContext(ctx, insertBook, name, micros(db.now())).Scan(&id); err != nil {
			return false, err
		}
		_, err = conn.ExecContext(ctx, insertHead, id, daybook.NewUUID().String())
		return true, err
	})
	return id, err
}

// Append implements [daybook.Driver].
func (db *DB) Append(ctx context.Context, book daybook.BookID, batch []daybook.Append) (outcomes []daybook.Outcome, err error) {
	err = db.write(ctx, func(ctx context.Context, conn *sql.Conn) (bool, error) {
		head, err := selectHead(ctx, conn, book)
		if err != nil {
			return false, err
		}
		survey, err := look(ctx, conn, book, batch)
		if err != nil {
			return false, err
		}
		survey.Position = head.Position
		placement := daybook.Plan(batch, survey)
		recordedAt := db.now().UTC().Truncate(time.Microsecond)
		if !recordedAt.After(head.RecordedAt) {
			recordedAt = head.RecordedAt.Add(time.Microsecond) // the clock was set back
		}
		outcomes = placement.Outcomes(recordedAt)
		if len(placement.Rows) == 0 {
			return false, nil
		}
		return true, insert(ctx, conn, book, placement.Rows)
	})
	if err != nil {
		return nil, err
	}
	return outcomes, nil
}

// selectAggregates returns type and last sequence number of each aggregate of the
// JSON array ?2 in book ?1, or nulls where it has no events. Two probes of
// events_by_aggregate each: joined to its last event in one, SQLite visits them all.
const selectAggregates = `SELECT wanted.value,
	(SELECT aggregate_type FROM events WHERE book_id = ?1 AND aggregate_id = wanted.value ORDER BY sequence_number DESC LIMIT 1),
	(SELECT max(sequence_number) FROM events WHERE book_id = ?1 AND aggregate_id = wanted.value)
FROM json_each(?2) AS wanted`

// look finds out what the planner needs to know about batch.
func look(ctx context.Context, conn *sql.Conn, book daybook.BookID, batch []daybook.Append) (daybook.Survey, error) {
	survey := daybook.Survey{Aggregates: map[daybook.UUID]daybook.AggregateHead{}, Recorded: map[daybook.UUID]daybook.Recorded{}}
	var aggregates, events []daybook.UUID
	for _, a := range batch {
		for _, entry := range a.Entries {
			aggregates = append(aggregates, entry.Aggregate.ID)
			for _, event := range entry.Events {
				events = append(events, event.EventID)
			}
		}
	}
	wanted, err := json.Marshal(aggregates)
	if err != nil {
		return survey, err
	}
	rows, err := conn.QueryContext(ctx, selectAggregates, book, string(wanted))
	if err != nil {
		return survey, err
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		var kind sql.NullString
		var number sql.NullInt64
		if err := rows.Scan(&text, &kind, &number); err != nil {
			return survey, err
		}
		if !number.Valid {
			continue
		}
		id, err := daybook.ParseUUID(text)
		if err != nil {
			return survey, err
		}
		survey.Aggregates[id] = daybook.AggregateHead{Type: kind.String, SequenceNumber: number.Int64}
	}
	if err := rows.Err(); err != nil {
		return survey, err
	}
	recorded, err := lookup(ctx, conn, book, events)
	for _, rec := range recorded {
		survey.Recorded[rec.EventID] = rec
	}
	return survey, err
}

// insertEvent writes one event at its place.
const insertEvent = `INSERT INTO events (book_id, position, aggregate_type, aggregate_id, sequence_number, event_id,
	event_type, schema_version, payload, metadata, occurred_at, recorded_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)`

// updateHead moves the head of book ?1 to position ?2, recorded at ?3.
const updateHead = `UPDATE heads SET position = ?2, recorded_at = ?3 WHERE book_id = ?1`

func insert(ctx context.Context, conn *sql.Conn, book daybook.BookID, rows []daybook.Recorded) error {
	statement, err := conn.PrepareContext(ctx, insertEvent)
	if err != nil {
		return err
	}
	defer statement.Close()
	for _, row := range rows {
		metadata, err := row.Metadata.MarshalJSON()
		if err != nil {
			return err
		}
		if _, err = statement.ExecContext(ctx, book, row.Position, row.Aggregate.Type, row.Aggregate.ID.String(), row.SequenceNumber, row.EventID.String(),
			row.EventType, row.SchemaVersion, string(row.Payload), string(metadata), micros(row.OccurredAt), micros(row.RecordedAt)); err != nil {
			return fmt.Errorf("%s: %w", row, err)
		}
	}
	last := rows[len(rows)-1]
	_, err = conn.ExecContext(ctx, updateHead, book, last.Position, micros(last.RecordedAt))
	return err
}

// selectHeadRow returns the head of book ?1.
const selectHeadRow = `SELECT position, recorded_at FROM heads WHERE book_id = ?1`

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func selectHead(ctx context.Context, q querier, book daybook.BookID) (head daybook.Head, err error) {
	var recordedAt int64
	err = q.QueryRowContext(ctx, selectHeadRow, book).Scan(&head.Position, &recordedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return head, fmt.Errorf("there is no book with id %d in this file", book)
	}
	if recordedAt != 0 {
		head.RecordedAt = fromMicros(recordedAt)
	}
	return head, err
}

// Head implements [daybook.Driver].
func (db *DB) Head(ctx context.Context, book daybook.BookID) (daybook.Head, error) {
	head, err := selectHead(ctx, db.readers, book)
	return head, explain(err)
}

// Fence implements [daybook.Driver].
func (db *DB) Fence(ctx context.Context, book daybook.BookID, t time.Time) (head daybook.Head, err error) {
	err = db.write(ctx, func(ctx context.Context, conn *sql.Conn) (bool, error) {
		if head, err = selectHead(ctx, conn, book); err != nil {
			return false, err
		}
		if now := db.now(); t.After(now) {
			t = now
		}
		t = t.UTC().Truncate(time.Microsecond)
		if !t.After(head.RecordedAt) {
			return false, nil
		}
		head.RecordedAt = t
		_, err := conn.ExecContext(ctx, updateHead, book, head.Position, micros(t))
		return true, err
	})
	return head, err
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }
