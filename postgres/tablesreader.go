package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

// tablesReader reads what projections keep, in a transaction.
type tablesReader struct {
	*lease

	book daybook.BookID
	// users says that the planner is set for hand-written SQL.
	users bool
}

// trip sends statements in one round trip, and explains what has gone wrong.
func (r *tablesReader) trip(ctx context.Context, doing string, users bool, queue func(*pgx.Batch) error) error {
	return explain(doing, r.send(ctx, users, queue))
}

// send sends statements in one round trip, after setting the planner where it is set
// otherwise.
func (r *tablesReader) send(ctx context.Context, users bool, queue func(*pgx.Batch) error) error {
	if r.busy() {
		return errRowsOpen
	}
	var trip pgx.Batch
	switch {
	case users && !r.users:
		trip.Queue(usersPlanningSQL)
	case r.users && !users:
		trip.Queue(ownPlanningSQL)
	}
	if err := queue(&trip); err != nil {
		return err
	}
	err := r.conn.SendBatch(ctx, &trip).Close()
	if err != nil && !isTablesError(err) {
		err = &tablesError{err: err}
	}
	r.users = users // where it has failed, nothing else will go well
	return err
}

func (r *tablesReader) State(ctx context.Context) (state daybook.BookState, err error) {
	err = r.trip(ctx, "state", false, func(trip *pgx.Batch) error {
		queueState(trip, r.book, &state)
		return nil
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return daybook.BookState{}, noBook(r.book)
	}
	return state, err
}

func (r *tablesReader) Checkpoints(ctx context.Context, projection string) (found []daybook.Checkpoint, err error) {
	err = r.trip(ctx, "checkpoints", false, func(trip *pgx.Batch) error {
		queueCheckpoints(trip, r.book, projection, &found)
		return nil
	})
	return found, err
}

func (r *tablesReader) Skips(ctx context.Context, projection string) (found []daybook.Skip, err error) {
	err = r.trip(ctx, "skips", false, func(trip *pgx.Batch) error {
		queueSkips(trip, r.book, projection, &found)
		return nil
	})
	return found, err
}

func (r *tablesReader) SelectRows(ctx context.Context, q daybook.RowQuery) (found [][]any, err error) {
	err = r.trip(ctx, "select rows", true, func(trip *pgx.Batch) error { return queueRows(trip, q, &found) })
	return found, err
}

func (r *tablesReader) Read(ctx context.Context, q daybook.Query) (records []daybook.Recorded, err error) {
	query, args := readStatement(r.book, q)
	err = r.trip(ctx, "read", false, func(trip *pgx.Batch) error {
		trip.Queue(query, args...).Query(func(rows pgx.Rows) (err error) {
			records, err = scan(rows, daybook.MaxPageBytes, nil)
			return err
		})
		return nil
	})
	return records, err
}

// Checkpoints lists the checkpoints of a projection; see [daybook.Driver].
func (db *DB) Checkpoints(ctx context.Context, book daybook.BookID, projection string) (found []daybook.Checkpoint, err error) {
	err = db.do(ctx, func(conn *pgx.Conn) error {
		var trip pgx.Batch
		queueCheckpoints(&trip, book, projection, &found)
		return conn.SendBatch(ctx, &trip).Close()
	})
	return found, explain("checkpoints", err)
}

// SelectRows returns the rows of a projection's table that q selects; see
// [daybook.Driver].
func (db *DB) SelectRows(ctx context.Context, q daybook.RowQuery) (found [][]any, err error) {
	err = db.do(ctx, func(conn *pgx.Conn) error {
		// What is sent at once is one transaction, and so is the planner's setting.
		var trip pgx.Batch
		trip.Queue(usersPlanningSQL)
		if err := queueRows(&trip, q, &found); err != nil {
			return err
		}
		err := conn.SendBatch(ctx, &trip).Close()
		if err != nil && !isTablesError(err) {
			err = tableError(q.Table, err)
		}
		return err
	})
	return found, explain("select rows", err)
}

const (
	// beginPinSQL begins a transaction that has one snapshot throughout.
	beginPinSQL = `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`

	// holdSQL takes that snapshot, and lets the caller work for as long as it takes between
	// two statements: a pin locks nothing. transaction_timeout is of PostgreSQL 17.
	holdSQL = `SELECT set_config(s.name, '0', true) FROM pg_catalog.pg_settings AS s WHERE s.name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')`
)

// pin is a snapshot held on a connection of its own.
type pin struct {
	tablesReader

	closed bool
}

// Pin takes a snapshot, and a connection from the pool until it is closed; see
// [daybook.Driver].
func (db *DB) Pin(ctx context.Context, book daybook.BookID) (daybook.PinnedTables, error) {
	var p *pin
	err := db.doOn(ctx, db.borrow, func(l *lease) error {
		var trip pgx.Batch
		var state daybook.BookState
		trip.Queue(beginPinSQL)
		trip.Queue(holdSQL)
		queueState(&trip, book, &state)
		if err := l.conn.SendBatch(ctx, &trip).Close(); err != nil {
			l.rollback(ctx)
			return err
		}
		l.kept = true
		p = &pin{tablesReader: tablesReader{lease: l, book: book}}
		return nil
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, noBook(book)
	}
	if err != nil {
		return nil, explain("pin", err)
	}
	return p, nil
}

// Close lets go of the snapshot and the connection. The second time it does nothing.
func (p *pin) Close() error {
	if !p.closed {
		p.closed = true
		p.rollback(context.Background())
		p.giveBack()
	}
	return nil
}

func noBook(book daybook.BookID) error {
	return fmt.Errorf("there is no book with the id %d: ask OpenBook for it", book)
}
