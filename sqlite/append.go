package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/daybook-go/daybook"
)

// errDiscard makes database/sql close a connection instead of using it again.
var errDiscard = driver.ErrBadConn

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

// selectAggregates returns type, last sequence number and last event id of each
// aggregate of the JSON array ?2 in book ?1, or nulls where it has no events. Probes of
// events_by_aggregate each: joined to its last event in one, SQLite visits them all.
const selectAggregates = `SELECT wanted.value,
	(SELECT aggregate_type FROM events WHERE book_id = ?1 AND aggregate_id = wanted.value ORDER BY sequence_number DESC LIMIT 1),
	(SELECT max(sequence_number) FROM events WHERE book_id = ?1 AND aggregate_id = wanted.value),
	(SELECT event_id FROM events WHERE book_id = ?1 AND aggregate_id = wanted.value ORDER BY sequence_number DESC LIMIT 1)
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
		var kind, event sql.NullString
		var number sql.NullInt64
		if err := rows.Scan(&text, &kind, &number, &event); err != nil {
			return survey, err
		}
		if !number.Valid {
			continue
		}
		id, err := daybook.ParseUUID(text)
		if err != nil {
			return survey, err
		}
		last, err := daybook.ParseUUID(event.String)
		if err != nil {
			return survey, err
		}
		survey.Aggregates[id] = daybook.AggregateHead{Type: kind.String, SequenceNumber: number.Int64, EventID: last}
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

// write runs f in a transaction that holds the file's writer lock from its start.
// It waits for the lock as long as ctx lives. f says whether there is anything to commit.
func (db *DB) write(ctx context.Context, f func(ctx context.Context, conn *sql.Conn) (commit bool, err error)) error {
	conn, err := db.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// What ends the transaction does not look at ctx: it is finished once begun.
	ended := context.WithoutCancel(ctx)
	err = patient(ctx, func() error {
		_, err := conn.ExecContext(ctx, `BEGIN IMMEDIATE`)
		return err
	})
	if err != nil {
		// Where ctx ended meanwhile the driver reports that, although the
		// transaction may have begun.
		return explain(errors.Join(err, rollback(ended, conn)))
	}
	commit, err := f(ctx, conn)
	if err != nil || !commit {
		return explain(errors.Join(err, rollback(ended, conn)))
	}
	if err = ctx.Err(); err != nil {
		return errors.Join(err, rollback(ended, conn))
	}
	if _, err = conn.ExecContext(ended, `COMMIT`); err == nil {
		return nil
	}
	var e *sqlite.Error
	full := errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_FULL
	err = explain(errors.Join(err, rollback(ended, conn)))
	if full {
		return err // the commit's last page was not written, so it cannot be found later
	}
	// The commit may be in the log although it could not be made durable.
	return fmt.Errorf("%w: %w", daybook.ErrUnclear, err)
}

// rollback ends the transaction, or the connection if that fails: a connection that
// is in a transaction must not be used again.
func rollback(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `ROLLBACK`)
	var e *sqlite.Error
	if err == nil || (errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_ERROR) { // "no transaction is active"
		return nil
	}
	discard := conn.Raw(func(any) error { return errDiscard })
	return errors.Join(err, discard)
}
