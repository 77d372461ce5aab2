package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-go/daybook"
)

const (
	// commitTimeout bounds the wait for the reply to a commit. It is longer than lock_timeout, as the wait for the head
	// may be part of it.
	commitTimeout = 60 * time.Second
	// rollbackTimeout bounds the attempt to leave a connection fit for the pool.
	rollbackTimeout = 5 * time.Second
)

// lastWait is for how long the reply is waited for after ctx has ended, and the server is
// asked to give up meanwhile. Tests give a slow machine longer.
var lastWait = 100 * time.Millisecond

const (
	// beginSQL names the level although the session has it as its default: under
	// a stricter one the survey would see the book as it was before the lock.
	beginSQL    = `BEGIN ISOLATION LEVEL READ COMMITTED`
	commitSQL   = `COMMIT`
	rollbackSQL = `ROLLBACK`

	// lockSQL: the head of book $1, locked. Index heads_pkey.
	lockSQL = `SELECT head_position, head_recorded_at FROM daybook.lock_head($1)`

	// lastSQL: type, last sequence number and last event id of those of the
	// aggregates $2 that have events in book $1. One step back from the end of each in events_sequence_key.
	lastSQL = `
SELECT asked.id, last.aggregate_type, last.sequence_number, last.event_id
FROM unnest($2::uuid[]) AS asked(id)
CROSS JOIN LATERAL (
	SELECT e.aggregate_type, e.sequence_number, e.event_id
	FROM daybook.events AS e
	WHERE e.book_id = $1 AND e.aggregate_id = asked.id
	ORDER BY e.sequence_number DESC
	LIMIT 1
) AS last`

	// keepSQL does nothing but take payloads, $1.
	keepSQL = `SELECT cardinality($1::jsonb[])`

	// appendSQL writes events to book $1, whose head is at position $2 unless that
	// is null. It returns the position before them and their recorded_at. $3 … $12
	// are arrays, one element an event.
	appendSQL = `SELECT before, stamp FROM daybook.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`

	// appendOneSQL is appendSQL for one event, wherever the head is.
	appendOneSQL = `SELECT before, stamp FROM daybook.append_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`
)

// Append settles the batch in one transaction; see [daybook.Driver] for its promise.
//
// At first it takes the writers at their word and writes what follows from it: one
// statement, one round trip, and nothing that could be left locked. Where the server
// finds that somebody was wrong, it has written nothing, and the batch is judged by
// what is there. Until that commit is sent, a lost connection and a deadlock are
// tried again.
func (db *DB) Append(ctx context.Context, book daybook.BookID, batch []daybook.Append) ([]daybook.Outcome, error) {
	var outcomes []daybook.Outcome
	err := db.do(ctx, func(conn *pgx.Conn) error {
		var err error
		if plan, ok := daybook.Guess(batch); ok {
			if outcomes, err = appendGuess(ctx, conn, book, plan); !wrongGuess(err) {
				return err
			}
		}
		outcomes, err = appendLocked(ctx, conn, book, batch)
		return err
	})
	if unkept(err) {
		return db.appendKept(ctx, book, batch, err)
	}
	return outcomes, explain("append", err)
}

// appendKept is Append for a batch with a payload that the server cannot keep: each
// such append is refused, with the server's reason, and the others are one batch.
func (db *DB) appendKept(ctx context.Context, book daybook.BookID, batch []daybook.Append, cause error) ([]daybook.Outcome, error) {
	outcomes := make([]daybook.Outcome, len(batch))
	var kept []daybook.Append
	var places []int
	for i, a := range batch {
		reason, err := db.unkeptReason(ctx, a)
		switch {
		case err != nil:
			return nil, explain("append", err)
		case reason != "":
			outcomes[i].Err = &daybook.InvalidError{Field: "payload", Reason: "PostgreSQL cannot keep it: " + reason}
		default:
			kept, places = append(kept, a), append(places, i)
		}
	}
	if len(kept) == len(batch) {
		return nil, explain("append", cause) // it was something else
	}
	if len(kept) == 0 {
		return outcomes, nil
	}
	others, err := db.Append(ctx, book, kept)
	if err != nil {
		return nil, err
	}
	for i, outcome := range others {
		outcomes[places[i]] = outcome
	}
	return outcomes, nil
}

// unkeptReason says why the server cannot keep the payloads of a, or nothing.
func (db *DB) unkeptReason(ctx context.Context, a daybook.Append) (string, error) {
	var payloads pgtype.FlatArray[[]byte]
	for _, entry := range a.Entries {
		for _, event := range entry.Events {
			payloads = append(payloads, event.Payload)
		}
	}
	err := db.do(ctx, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, keepSQL, payloads)
		return err
	})
	var refused *pgconn.PgError
	if unkept(err) && errors.As(err, &refused) {
		return refused.Message, nil
	}
	return "", err
}

// appendGuess writes a guess and commits it, in one statement. The statement waits
// for the head; when ctx ends, the server is asked to give up, and what it answers
// holds.
func appendGuess(ctx context.Context, conn *pgx.Conn, book daybook.BookID, plan *daybook.Placement) ([]daybook.Outcome, error) {
	sql, params, err := guessParams(book, plan)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	place, err := uncancelled(ctx, conn, func(ctx context.Context) (place place, err error) {
		err = conn.QueryRow(ctx, sql, params...).Scan(&place.before, &place.recordedAt)
		return place, err
	})
	if err != nil {
		return nil, err
	}
	plan.Shift(place.before)
	return plan.Outcomes(place.recordedAt.UTC()), nil
}

// guessParams returns the statement that writes a guess, and its parameters.
func guessParams(book daybook.BookID, plan *daybook.Placement) (sql string, params []any, err error) {
	if len(plan.Rows) > 1 {
		params, err = appendParams(book, nil, plan.Rows, plan.After)
		return appendSQL, params, err
	}
	row := &plan.Rows[0]
	metadata, err := row.Metadata.MarshalJSON()
	if err != nil {
		return "", nil, fmt.Errorf("metadata of event %s: %w", row.EventID, err)
	}
	after, rests := plan.After[row.Aggregate.ID]
	return appendOneSQL, []any{
		int64(book), row.Aggregate.Type, uuidParam(row.Aggregate.ID), row.SequenceNumber, uuidParam(row.EventID), row.EventType,
		int64(row.SchemaVersion), row.Payload, metadata, timeParam(row.OccurredAt), pgtype.UUID{Bytes: after, Valid: rests},
	}, nil
}

// wrongGuess reports whether err says that a guess did not hold.
func wrongGuess(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && !errors.Is(err, daybook.ErrUnclear) && (refused.Code == codeHole || refused.Code == codeUnique)
}

// appendLocked is Append in two round trips: lock the head and look up what
// [daybook.Plan] needs; write what it answers and commit. It leaves no transaction
// open on a connection that still works.
func appendLocked(ctx context.Context, conn *pgx.Conn, book daybook.BookID, batch []daybook.Append) ([]daybook.Outcome, error) {
	survey, err := lockAndSurvey(ctx, conn, book, batch)
	if err != nil {
		rollback(ctx, conn)
		return nil, err
	}
	plan := daybook.Plan(batch, survey)
	if len(plan.Rows) == 0 && len(survey.Recorded) == 0 {
		rollback(ctx, conn)
		return plan.Outcomes(time.Time{}), nil
	}
	place, err := writeAndCommit(ctx, conn, book, survey.Position, plan.Rows)
	if err != nil {
		return nil, err
	}
	return plan.Outcomes(place.recordedAt.UTC()), nil
}

// place is what daybook.append answers: where the book was, and when.
type place struct {
	before     int64
	recordedAt time.Time
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
		var id, event pgtype.UUID
		var last daybook.AggregateHead
		_, err := pgx.ForEachRow(rows, []any{&id, &last.Type, &last.SequenceNumber, &event}, func() error {
			last.EventID = event.Bytes
			survey.Aggregates[id.Bytes] = last
			return nil
		})
		return err
	})
	trip.Queue(lookupSQL, int64(book), events).Query(func(rows pgx.Rows) error {
		records, err := scan(rows, math.MaxInt, 0)
		for _, rec := range records {
			survey.Recorded[rec.EventID] = rec
		}
		return err
	})
	err := conn.SendBatch(ctx, &trip).Close() // which fills survey
	return survey, err
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

// timeParam is null for no time.
func timeParam(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()}
}

// writeAndCommit writes rows behind head and commits, in one round trip.
//
// Without rows, all there is to answer with was recorded before: by whom and how is
// not known. So the head is written once more: when that commit has been
// acknowledged, what was committed before it is as safe as any acknowledged append,
// on this server and on the standbys it waits for.
func writeAndCommit(ctx context.Context, conn *pgx.Conn, book daybook.BookID, head int64, rows []daybook.Recorded) (place, error) {
	params, err := appendParams(book, &head, rows, nil)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		rollback(ctx, conn)
		return place{}, err
	}
	var placed place
	var trip pgx.Batch
	write := func(row pgx.Row) error { return row.Scan(&placed.before, &placed.recordedAt) }
	if len(rows) > 0 {
		trip.Queue(appendSQL, params...).QueryRow(write)
	} else {
		trip.Queue(fenceSQL, int64(book), pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}).QueryRow(write)
	}
	trip.Queue(commitSQL).Exec(func(tag pgconn.CommandTag) error {
		if tag.String() != "COMMIT" {
			return fmt.Errorf("the server answered the commit with %s", tag)
		}
		return nil
	})
	return uncancelled(ctx, conn, func(ctx context.Context) (place, error) {
		err := conn.SendBatch(ctx, &trip).Close() // which fills placed
		return placed, err
	})
}

// uncancelled sends a commit, and waits for the reply even where ctx has ended: to
// give up at once would leave the outcome unclear. When ctx ends, the server is asked
// to cancel the statement; it may, or may have committed, and says which, within a
// moment where it is well. An error that leaves the outcome unclear is
// [daybook.ErrUnclear].
func uncancelled(ctx context.Context, conn *pgx.Conn, send func(context.Context) (place, error)) (place, error) {
	waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	asked := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(asked)
		time.AfterFunc(lastWait, cancel)
		_ = conn.PgConn().CancelRequest(waiting) // where it fails, there is still the reply to wait for
	})
	delete(conn.PgConn().CustomData(), warned)
	placed, err := send(waiting)
	cancelled := !stop()
	if cancelled {
		<-asked
	}
	sure := err == nil || refused(conn, err)
	if warning := conn.PgConn().CustomData()[warned]; warning != nil && sure {
		// Such as that the wait for a standby was cancelled: committed here, and
		// perhaps nowhere else.
		sure, err = false, fmt.Errorf("the server warned: %v", warning)
	}
	if cancelled {
		// The request may arrive late, and must not meet another's statement.
		closing, done := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer done()
		_ = conn.Close(closing)
	}
	switch {
	case !sure:
		return placed, fmt.Errorf("%w: %w", daybook.ErrUnclear, err)
	case err != nil && cancelled:
		return placed, errors.Join(ctx.Err(), err)
	case err != nil:
		rollback(ctx, conn)
	}
	return placed, err
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

// appendParams returns the parameters of appendSQL; head is nil where it is not
// known, after as in [daybook.Placement].
func appendParams(book daybook.BookID, head *int64, rows []daybook.Recorded, after map[daybook.UUID]daybook.UUID) ([]any, error) {
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
		afters          = make(pgtype.FlatArray[pgtype.UUID], n)
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
		occurredAts[i] = timeParam(row.OccurredAt)
		if id, rests := after[row.Aggregate.ID]; rests {
			afters[i] = uuidParam(id)
		}
	}
	return []any{
		int64(book), head, aggregateTypes, aggregateIDs, sequenceNumbers, eventIDs, eventTypes,
		schemaVersions, payloads, metadatas, occurredAts, afters,
	}, nil
}
