package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/daybook-go/daybook"
)

// inlineSQL: the revision of the inline projections of book $1. Index heads_pkey.
const inlineSQL = `SELECT inline FROM daybook.heads WHERE book_id = $1`

// beforeSQL: the id of the event of book $1 that stands $2 places before its end. Indexes
// heads_pkey, events_pkey.
const beforeSQL = `
SELECT event_id
FROM daybook.events
WHERE book_id = $1 AND position = (SELECT h.position - $2::bigint FROM daybook.heads AS h WHERE h.book_id = $1)`

// works reports whether there is anything to do besides writing events.
func (a *appending) works() bool { return a.inline.Fold != nil || a.inline.Apply != nil }

// guessInline is guess with inline work, in two round trips: the first writes the events
// and loads the rows they touch, the second writes rows and commits. In between the head
// is locked, and the program folds.
func (a *appending) guessInline(ctx context.Context, plan *daybook.Placement) ([]daybook.Outcome, error) {
	defer a.rollback(ctx) // whatever inline does
	sql, params, err := guessParams(a.book, a.inline.Revision, plan)
	if err != nil {
		return nil, err
	}
	var trip pgx.Batch
	trip.Queue(beginSQL)
	placed, loaded, err := a.writeAndLoad(ctx, &trip, sql, params, plan.Rows)
	if err != nil {
		return nil, err
	}
	plan.Shift(placed.before)
	outcomes := plan.Outcomes(placed.recordedAt.UTC())
	return outcomes, a.workAndCommit(ctx, plan.Rows, loaded)
}

// lockedInline is guessInline for what [daybook.Plan] has decided behind head, in the
// transaction that has locked it.
func (a *appending) lockedInline(ctx context.Context, head int64, plan *daybook.Placement) ([]daybook.Outcome, error) {
	params := appendParams(a.book, a.inline.Revision, &head, plan.Rows, nil)
	placed, loaded, err := a.writeAndLoad(ctx, new(pgx.Batch), appendSQL, params, plan.Rows)
	if err != nil {
		return nil, err
	}
	outcomes := plan.Outcomes(placed.recordedAt.UTC())
	return outcomes, a.workAndCommit(ctx, plan.Rows, loaded)
}

// writeAndLoad writes events, and loads the rows of tables that they touch.
func (a *appending) writeAndLoad(ctx context.Context, trip *pgx.Batch, sql string, params []any, rows []daybook.Recorded) (placed place, loaded [][][]any, err error) {
	var keys []daybook.TableKeys
	if a.inline.Keys != nil {
		if keys, err = a.inline.Keys(rows); err != nil {
			return placed, nil, &tablesError{err: err}
		}
	}
	trip.Queue(sql, params...).QueryRow(placed.scan)
	var before pgtype.UUID
	if a.inline.Before != nil {
		trip.Queue(beforeSQL, int64(a.book), int64(len(rows))).Query(func(rows pgx.Rows) error {
			_, err := pgx.ForEachRow(rows, []any{&before}, func() error { return nil })
			return err
		})
	}
	loaded = make([][][]any, len(keys))
	for i, k := range keys {
		if err := queueLoad(trip, k, &loaded[i]); err != nil {
			return placed, nil, err
		}
	}
	err = a.conn.SendBatch(ctx, trip).Close() // which fills placed and loaded
	if gone := (&tablesError{"the tables of the inline projections", err}); len(keys) > 0 && changedMeanwhile(gone) {
		// They are looked at before the head is locked, in order to prepare the statements.
		return placed, nil, gone
	}
	if err == nil && a.inline.Before != nil {
		a.inline.Before(before.Bytes)
	}
	return placed, loaded, err
}

// workAndCommit does the inline work for events that are written, and commits.
func (a *appending) workAndCommit(ctx context.Context, rows []daybook.Recorded, loaded [][][]any) error {
	var trip pgx.Batch
	if a.inline.Fold != nil {
		writes, err := a.fold(ctx, rows, loaded)
		if err != nil {
			return err
		}
		for _, w := range writes {
			if err := queueWrite(&trip, w); err != nil {
				return err
			}
		}
	}
	if a.inline.Apply != nil {
		trip.Queue(usersPlanningSQL)
		if err := a.conn.SendBatch(ctx, &trip).Close(); err != nil {
			return &tablesError{err: err}
		}
		trip = pgx.Batch{}
		if err := a.apply(ctx, rows); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	queueCommit(&trip)
	err := uncancelled(ctx, a.conn, func(ctx context.Context) error { return a.conn.SendBatch(ctx, &trip).Close() })
	if err != nil {
		return refusedRow("", &tablesError{err: err}) // by a constraint that is deferred
	}
	return nil
}

// fold calls Fold, and again where it needs rows that nobody could know of before the events
// had their places: a further round trip.
func (a *appending) fold(ctx context.Context, rows []daybook.Recorded, loaded [][][]any) ([]daybook.TableRows, error) {
	writes, err := a.inline.Fold(rows, loaded)
	var missing *daybook.MissingRowsError
	if errors.As(err, &missing) {
		var trip pgx.Batch
		loaded = make([][][]any, len(missing.Keys))
		for i, keys := range missing.Keys {
			if err := queueLoad(&trip, keys, &loaded[i]); err != nil {
				return nil, err
			}
		}
		if err := a.conn.SendBatch(ctx, &trip).Close(); err != nil {
			return nil, err
		}
		writes, err = a.inline.Fold(rows, loaded)
	}
	if err != nil {
		return nil, &tablesError{err: err}
	}
	return writes, nil
}

// apply runs the hand-written SQL of inline projections.
func (a *appending) apply(ctx context.Context, rows []daybook.Recorded) error {
	ended, end := context.WithCancelCause(ctx)
	defer end(errTooLate)
	hand := &handTx{lease: a.lease, ended: ended, begin: func(context.Context) error { return nil }}
	if err := a.inline.Apply(ctx, hand, rows); err != nil {
		return &tablesError{err: err}
	}
	err := a.fit()
	if errors.Is(err, errEnded) {
		// By a commit, perhaps: then the events are recorded.
		return fmt.Errorf("%w: %w", daybook.ErrUnclear, err)
	}
	if err != nil {
		return &tablesError{err: err}
	}
	return nil
}

// explainMissing says why a table that inline needs is not there, or not as it should be:
// most likely because the caller knows of projections that the book no longer has.
func (db *DB) explainMissing(ctx context.Context, book daybook.BookID, inline daybook.InlineWork, cause error) error {
	var revision int64
	err := db.do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, inlineSQL, int64(book)).Scan(&revision)
	})
	switch {
	case err != nil:
		return explain("append", errors.Join(cause, err))
	case revision != inline.Revision:
		return explain("append", errors.Join(inlineChanged(revision, inline.Revision), cause))
	}
	return explain("append", cause)
}
