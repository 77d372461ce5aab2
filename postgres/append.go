package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-go/daybook"
)

const (
	// commitTimeout bounds the wait for the reply to a commit, whatever the
	// caller's ctx says: to give up earlier would leave its outcome unclear.
	commitTimeout = 30 * time.Second
	// rollbackTimeout bounds the attempt to leave a connection fit for the pool.
	rollbackTimeout = 5 * time.Second
)

const (
	// beginSQL names the level although the session has it as its default: under
	// a stricter one the survey would see the book as it was before the lock.
	beginSQL    = `BEGIN ISOLATION LEVEL READ COMMITTED`
	commitSQL   = `COMMIT`
	rollbackSQL = `ROLLBACK`

	// lockSQL: the head of book $1, locked. Index heads_pkey.
	lockSQL = `SELECT head_position, head_recorded_at FROM daybook.lock_head($1)`

	// lastSQL: type and last sequence number of those of the aggregates $2 that
	// have events in book $1. One step back from the end of each in events_sequence_key.
	lastSQL = `
SELECT asked.id, last.aggregate_type, last.sequence_number
FROM unnest($2::uuid[]) AS asked(id)
CROSS JOIN LATERAL (
	SELECT e.aggregate_type, e.sequence_number
	FROM daybook.events AS e
	WHERE e.book_id = $1 AND e.aggregate_id = asked.id
	ORDER BY e.sequence_number DESC
	LIMIT 1
) AS last`

	// appendSQL writes events behind position $2 of book $1 and returns their
	// recorded_at. $3 … $11 are arrays, one element an event.
	appendSQL = `SELECT daybook.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
)

// Append settles the batch in one transaction of two round trips: lock the head
// and look up what [daybook.Plan] needs; write what it answers and commit. See
// [daybook.Driver] for its promise.
//
// Until the commit is sent, a lost connection and a deadlock are tried again.
func (db *DB) Append(ctx context.Context, book daybook.BookID, batch []daybook.Append) ([]daybook.Outcome, error) {
	var outcomes []daybook.Outcome
	err := db.do(ctx, func(conn *pgx.Conn) error {
		var err error
		outcomes, err = appendOn(ctx, conn, book, batch)
		return err
	})
	return outcomes, explain("append", err)
}

// appendOn is Append on one connection. It leaves no transaction open on a
// connection that still works.
func appendOn(ctx context.Context, conn *pgx.Conn, book daybook.BookID, batch []daybook.Append) ([]daybook.Outcome, error) {
	survey, err := lockAndSurvey(ctx, conn, book, batch)
	if err != nil {
		rollback(ctx, conn)
		return nil, err
	}
	plan := daybook.Plan(batch, survey)
	if len(plan.Rows) == 0 {
		rollback(ctx, conn)
		return plan.Outcomes(time.Time{}), nil
	}
	recordedAt, err := writeAndCommit(ctx, conn, book, survey.Position, plan.Rows)
	if err != nil {
		return nil, err
	}
	return plan.Outcomes(recordedAt), nil
}

// lockAndSurvey begins a transaction, waits for the head and asks what the planner
// needs, in one round trip. Every statement in it has a snapshot of its own, taken
// after the one before has ended: the survey sees all that had been committed when
// the lock was granted, and the lock keeps that true.
func lockAndSurvey(ctx context.Context, conn *pgx.Conn, book daybook.BookID, batch []daybook.Append) (daybook.Survey, error) {
	survey := daybook.Survey{Aggregates: map[daybook.UUID]daybook.AggregateHead{}, Recorded: map[daybook.UUID]daybook.Recorded{}}
	aggregates, events := idsOf(batch)
	var trip pgx.Batch
	trip.Queue(beginSQL)
	trip.Queue(lockSQL, int64(book)).QueryRow(func(row pgx.Row) error {
		return row.Scan(&survey.Position, new(time.Time))
	})
	trip.Queue(lastSQL, int64(book), aggregates).Query(func(rows pgx.Rows) error {
		var id pgtype.UUID
		var last daybook.AggregateHead
		_, err := pgx.ForEachRow(rows, []any{&id, &last.Type, &last.SequenceNumber}, func() error {
			survey.Aggregates[id.Bytes] = last
			return nil
		})
		return err
	})
	trip.Queue(lookupSQL, int64(book), events).Query(func(rows pgx.Rows) error {
		records, err := scan(rows)
		for _, rec := range records {
			survey.Recorded[rec.EventID] = rec
		}
		return err
	})
	return survey, conn.SendBatch(ctx, &trip).Close()
}

// idsOf returns the ids of the batch's aggregates, each once, and of its events.
func idsOf(batch []daybook.Append) (aggregates, events pgtype.FlatArray[pgtype.UUID]) {
	// Not nil: that would be NULL.
	aggregates, events = pgtype.FlatArray[pgtype.UUID]{}, pgtype.FlatArray[pgtype.UUID]{}
	seen := map[daybook.UUID]bool{}
	for _, a := range batch {
		for _, entry := range a.Entries {
			if !seen[entry.Aggregate.ID] {
				seen[entry.Aggregate.ID] = true
				aggregates = append(aggregates, uuidParam(entry.Aggregate.ID))
			}
			for _, event := range entry.Events {
				events = append(events, uuidParam(event.EventID))
			}
		}
	}
	return aggregates, events
}

func uuidParam(id daybook.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

// writeAndCommit writes rows behind head and commits, in one round trip. From the
// moment it is sent, ctx has no say any more.
func writeAndCommit(ctx context.Context, conn *pgx.Conn, book daybook.BookID, head int64, rows []daybook.Recorded) (time.Time, error) {
	params, err := appendParams(book, head, rows)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		rollback(ctx, conn)
		return time.Time{}, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()

	var recordedAt time.Time
	var trip pgx.Batch
	trip.Queue(appendSQL, params...).QueryRow(func(row pgx.Row) error { return row.Scan(&recordedAt) })
	trip.Queue(commitSQL).Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return fmt.Errorf("the server answered the commit with %s", tag)
		}
		return nil
	})
	err = conn.SendBatch(ctx, &trip).Close()
	if err == nil {
		return recordedAt.UTC(), nil
	}
	if !refused(conn, err) {
		return time.Time{}, fmt.Errorf("%w: %w", daybook.ErrUnclear, err)
	}
	rollback(ctx, conn)
	return time.Time{}, err
}

// refused reports whether err proves that the transaction on conn was not
// committed: the server said ERROR and then that it waits for the next statement.
// The server skips the commit after an error in the append. Nothing less is a
// proof: a connection can break, and FATAL or PANIC arrive, after the commit was
// written to the log.
func refused(conn *pgx.Conn, err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && said.SeverityUnlocalized == "ERROR" && !conn.IsClosed() && conn.PgConn().TxStatus() != 'T'
}

// rollback makes the connection fit for the pool again. Where it cannot, the pool
// closes the connection, and the server rolls back then: nothing to report.
func rollback(ctx context.Context, conn *pgx.Conn) {
	if conn.IsClosed() || conn.PgConn().TxStatus() == 'I' {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	_, _ = conn.Exec(ctx, rollbackSQL)
}

// appendParams returns the parameters of appendSQL.
func appendParams(book daybook.BookID, head int64, rows []daybook.Recorded) ([]any, error) {
	n := len(rows)
	var (
		aggregateTypes  = make(pgtype.FlatArray[string], n)
		aggregateIDs    = make(pgtype.FlatArray[pgtype.UUID], n)
		sequenceNumbers = make(pgtype.FlatArray[int64], n)
		eventIDs        = make(pgtype.FlatArray[pgtype.UUID], n)
		eventTypes      = make(pgtype.FlatArray[string], n)
		schemaVersions  = make(pgtype.FlatArray[int64], n)
		payloads        = make(pgtype.FlatArray[[]byte], n)
		metadatas       = make(pgtype.FlatArray[[]byte], n)
		occurredAts     = make(pgtype.FlatArray[pgtype.Timestamptz], n)
	)
	for i, row := range rows {
		metadata, err := row.Metadata.MarshalJSON()
		if err != nil {
			return nil, fmt.Errorf("metadata of event %s: %w", row.EventID, err)
		}
		aggregateTypes[i], aggregateIDs[i] = row.Aggregate.Type, uuidParam(row.Aggregate.ID)
		sequenceNumbers[i] = row.SequenceNumber
		eventIDs[i], eventTypes[i], schemaVersions[i] = uuidParam(row.EventID), row.EventType, int64(row.SchemaVersion)
		payloads[i], metadatas[i] = row.Payload, metadata
		occurredAts[i] = pgtype.Timestamptz{Time: row.OccurredAt, Valid: !row.OccurredAt.IsZero()}
	}
	return []any{
		int64(book), head, aggregateTypes, aggregateIDs, sequenceNumbers, eventIDs, eventTypes,
		schemaVersions, payloads, metadatas, occurredAts,
	}, nil
}
