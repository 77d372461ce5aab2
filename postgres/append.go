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
	// lockSQL: the head of book $1, locked. Index heads_pkey.
	lockSQL = `SELECT head_position, head_recorded_at, head_inline FROM daybook.lock_head($1)`

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

	// appendSQL writes events to book $1, the inline projections of which are at revision
	// $2 and whose head is at position $3 unless that is null. It returns the position
	// before them and their recorded_at. $4 … $13 are arrays, one element an event.
	appendSQL = `SELECT before, stamp FROM daybook.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`

	// appendOneSQL is appendSQL for one event, wherever the head is.
	appendOneSQL = `SELECT before, stamp FROM daybook.append_one($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`
)

// Append settles the batch in one transaction; see [daybook.Driver] for its promise.
//
// At first it takes the writers at their word and writes what follows from it: one
// statement, one round trip, and nothing that could be left locked. Where the server
// finds that somebody was wrong, it has written nothing, and the batch is judged by
// what is there. Until that commit is sent, a lost connection and a deadlock are
// tried again. Inline projections make it two round trips; see [appending.guessInline].
func (db *DB) Append(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork) ([]daybook.Outcome, error) {
	var outcomes []daybook.Outcome
	borrow := db.borrow
	if inline.Apply != nil {
		borrow = db.borrowSQL
	}
	err := db.doOn(ctx, borrow, func(l *lease) error {
		var err error
		a := &appending{lease: l, book: book, inline: inline}
		outcomes, err = a.settle(ctx, batch)
		return err
	})
	switch {
	case err == nil:
		db.ahead.of(book).found(outcomes)
		return outcomes, nil
	case unkept(err):
		return db.appendKept(ctx, book, batch, inline, err)
	case changedMeanwhile(err):
		return nil, db.explainMissing(ctx, book, inline, err)
	}
	return nil, explain("append", err)
}

// appendKept is Append for a batch with a payload that the server cannot keep: each
// such append is refused, with the server's reason, and the others are one batch.
func (db *DB) appendKept(ctx context.Context, book daybook.BookID, batch []daybook.Append, inline daybook.InlineWork, cause error) ([]daybook.Outcome, error) {
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
	others, err := db.Append(ctx, book, kept, inline)
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

// appending is one try to settle a batch, on one connection.
type appending struct {
	*lease

	book   daybook.BookID
	inline daybook.InlineWork
}

// settle writes the batch by a guess, where one can be made and holds, or by what is there.
func (a *appending) settle(ctx context.Context, batch []daybook.Append) ([]daybook.Outcome, error) {
	if plan, ok := daybook.Guess(batch); ok {
		guess := a.guess
		if a.works() {
			guess = a.guessInline
		}
		if outcomes, err := guess(ctx, plan); !wrongGuess(err) {
			return outcomes, err
		}
	}
	return a.locked(ctx, batch)
}

// guess writes a guess and commits it, in one statement. The statement waits
// for the head; when ctx ends, the server is asked to give up, and what it answers
// holds.
func (a *appending) guess(ctx context.Context, plan *daybook.Placement) ([]daybook.Outcome, error) {
	message := newGuessMessage
	if len(plan.Rows) == 1 {
		message = newGuessOfOne
	}
	m, err := message(a.book, a.inline.Revision, plan)
	if err != nil {
		return nil, err
	}
	defer m.free()
	if err := m.prepare(ctx, a.conn); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var placed place
	err = uncancelled(ctx, a.conn, func(ctx context.Context) error {
		placed, err = m.exchange(ctx, a.conn)
		return err
	})
	if err != nil {
		return nil, err
	}
	return placed.outcomes(plan), nil
}

// guessParams returns the statement that writes a guess, and its parameters.
func guessParams(book daybook.BookID, inline int64, plan *daybook.Placement) (sql string, params []any, err error) {
	if len(plan.Rows) > 1 {
		return appendSQL, appendParams(book, inline, nil, plan.Rows, plan.After), nil
	}
	row := &plan.Rows[0]
	metadata, err := row.Metadata.MarshalJSON()
	if err != nil {
		return "", nil, fmt.Errorf("metadata of event %s: %w", row.EventID, err)
	}
	after, rests := plan.After[row.EventID]
	return appendOneSQL, []any{
		int64(book), inline, row.Aggregate.Type, uuidParam(row.Aggregate.ID), row.SequenceNumber, uuidParam(row.EventID), row.EventType,
		int64(row.SchemaVersion), row.Payload, metadata, timeParam(row.OccurredAt), pgtype.UUID{Bytes: after, Valid: rests},
	}, nil
}

// wrongGuess reports whether err says that a guess did not hold.
func wrongGuess(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && (refused.Code == codeHole || refused.Code == codeUnique) && !errors.Is(err, daybook.ErrUnclear) && !isTablesError(err)
}

// locked settles the batch in two round trips: lock the head and look up what
// [daybook.Plan] needs; write what it answers and commit. It leaves no transaction
// open on a connection that still works.
func (a *appending) locked(ctx context.Context, batch []daybook.Append) ([]daybook.Outcome, error) {
	defer a.rollback(ctx) // whatever Plan and inline do
	survey, err := a.lockAndSurvey(ctx, batch)
	if err != nil {
		return nil, err
	}
	plan := daybook.Plan(batch, survey)
	if len(plan.Rows) == 0 && len(survey.Recorded) == 0 {
		return plan.Outcomes(time.Time{}), nil
	}
	if len(plan.Rows) > 0 && a.works() {
		return a.lockedInline(ctx, survey.Position, plan)
	}
	place, err := a.writeAndCommit(ctx, survey.Position, plan.Rows)
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

// outcomes are those of a guess that was written there.
func (p place) outcomes(plan *daybook.Placement) []daybook.Outcome {
	plan.Shift(p.before)
	return plan.Outcomes(p.recordedAt.UTC())
}

func (p *place) scan(row pgx.Row) error { return row.Scan(&p.before, &p.recordedAt) }

// lockAndSurvey begins a transaction, waits for the head and asks what the planner
// needs, in one round trip. Every statement in it has a snapshot of its own, taken
// after the one before has ended: the survey sees all that had been committed when
// the lock was granted, and the lock keeps that true.
//
// The revision of the inline projections is looked at here already: whoever does not
// know it would decide by tables that are gone.
func (a *appending) lockAndSurvey(ctx context.Context, batch []daybook.Append) (daybook.Survey, error) {
	survey := daybook.Survey{Aggregates: map[daybook.UUID]daybook.AggregateHead{}, Recorded: map[daybook.UUID]daybook.Recorded{}}
	aggregates, events := idsOf(batch)
	var revision int64
	var trip pgx.Batch
	trip.Queue(beginSQL)
	trip.Queue(lockSQL, int64(a.book)).QueryRow(func(row pgx.Row) error {
		return row.Scan(&survey.Position, nil, &revision)
	})
	trip.Queue(lastSQL, int64(a.book), aggregates).Query(func(rows pgx.Rows) error {
		var id, event pgtype.UUID
		var last daybook.AggregateHead
		_, err := pgx.ForEachRow(rows, []any{&id, &last.Type, &last.SequenceNumber, &event}, func() error {
			last.EventID = event.Bytes
			survey.Aggregates[id.Bytes] = last
			return nil
		})
		return err
	})
	trip.Queue(lookupSQL, int64(a.book), events).Query(func(rows pgx.Rows) error {
		records, err := scan(rows, math.MaxInt, nil)
		for _, rec := range records {
			survey.Recorded[rec.EventID] = rec
		}
		return err
	})
	err := a.conn.SendBatch(ctx, &trip).Close() // which fills survey
	if err == nil && revision != a.inline.Revision {
		err = inlineChanged(revision, a.inline.Revision)
	}
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
func (a *appending) writeAndCommit(ctx context.Context, head int64, rows []daybook.Recorded) (placed place, err error) {
	if err := ctx.Err(); err != nil {
		return place{}, err
	}
	var trip pgx.Batch
	if len(rows) > 0 {
		trip.Queue(appendSQL, appendParams(a.book, a.inline.Revision, &head, rows, nil)...).QueryRow(placed.scan)
	} else {
		trip.Queue(fenceSQL, int64(a.book), pgtype.Timestamptz{InfinityModifier: pgtype.Infinity, Valid: true}).QueryRow(placed.scan)
	}
	queueCommit(&trip)
	err = uncancelled(ctx, a.conn, func(ctx context.Context) error {
		return a.conn.SendBatch(ctx, &trip).Close() // which fills placed
	})
	return placed, err
}

// appendParams returns the parameters of appendSQL; head is nil where it is not
// known, after as in [daybook.Placement].
func appendParams(book daybook.BookID, inline int64, head *int64, rows []daybook.Recorded, after map[daybook.UUID]daybook.UUID) []any {
	return append([]any{int64(book), inline, head}, columnsOf(rows, after)...)
}
