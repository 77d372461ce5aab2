package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/daybook-go/daybook"
)

// transaction is one that changes what projections keep.
type transaction struct {
	tablesReader

	hand       *handTx
	role       *role // of DDL, nil before the first
	headLocked bool
}

var _ daybook.DriverTx = (*transaction)(nil)

// Transact runs work in one transaction; see [daybook.Driver] for its promise. Nobody
// waits for a lock longer than lock_timeout at a time; a client that is silent for
// idle_in_transaction_session_timeout between two statements loses its transaction.
func (db *DB) Transact(ctx context.Context, book daybook.BookID, lockHead bool, work func(ctx context.Context, tx daybook.DriverTx) error) error {
	borrow := func(ctx context.Context) (*lease, error) {
		l, err := db.borrowSQL(ctx)
		return l, explain("transact", err)
	}
	return db.doOn(ctx, borrow, func(l *lease) error { return transact(ctx, l, book, lockHead, work) })
}

func transact(ctx context.Context, l *lease, book daybook.BookID, lockHead bool, work func(ctx context.Context, tx daybook.DriverTx) error) error {
	defer l.rollback(ctx) // whatever work does
	var trip pgx.Batch
	trip.Queue(beginSQL)
	if lockHead {
		trip.Queue(lockSQL, int64(book))
	}
	if err := l.conn.SendBatch(ctx, &trip).Close(); err != nil {
		return explain("transact", err)
	}
	if err := runWork(ctx, l, book, lockHead, work); err != nil {
		return err
	}
	trip = pgx.Batch{}
	queueCommit(&trip)
	return explain("transact: commit", uncancelled(ctx, l.conn, func(ctx context.Context) error {
		return l.conn.SendBatch(ctx, &trip).Close()
	}))
}

// runWork runs work, up to where only the commit is missing.
func runWork(ctx context.Context, l *lease, book daybook.BookID, headLocked bool, work func(ctx context.Context, tx daybook.DriverTx) error) error {
	within, end := context.WithCancelCause(ctx)
	defer end(errTooLate)
	tx := &transaction{tablesReader: tablesReader{lease: l, book: book}, headLocked: headLocked}
	tx.hand = &handTx{lease: l, ended: within, begin: tx.forUsers}
	if err := work(within, tx); err != nil {
		return err
	}
	err := l.fit()
	if errors.Is(err, errEnded) {
		// By a commit, perhaps: then all of it is kept.
		err = fmt.Errorf("%w: %w", daybook.ErrUnclear, err)
	}
	if err == nil {
		err = ctx.Err()
	}
	return explain("transact", err)
}

func (tx *transaction) forUsers(ctx context.Context) error {
	if tx.users {
		return nil
	}
	return tx.trip(ctx, "hand-written SQL", true, func(*pgx.Batch) error { return nil })
}

func (tx *transaction) SQL() daybook.Tx { return tx.hand }

func (tx *transaction) PutCheckpoint(ctx context.Context, c daybook.Checkpoint) (written bool, err error) {
	if err := number("rate", c.Rate); err != nil {
		return false, explain("put checkpoint", err)
	}
	query, args := putCheckpoint(tx.book, c)
	written, err = tx.one(ctx, "put checkpoint", query, args...)
	if err != nil || written || c.Revision > 0 {
		return written, err
	}
	// Either it is there, or another generation is what only one can be.
	found, err := tx.Checkpoints(ctx, c.Projection)
	if err == nil && !slices.ContainsFunc(found, func(one daybook.Checkpoint) bool { return one.Generation == c.Generation }) {
		err = fmt.Errorf("postgres: put checkpoint: %s has another generation that is %s", c.Projection, c.State)
	}
	return false, err
}

func (tx *transaction) DropCheckpoint(ctx context.Context, c daybook.Checkpoint) (bool, error) {
	return tx.one(ctx, "drop checkpoint", dropCheckpointSQL, int64(tx.book), c.Projection, c.Generation, c.Revision)
}

func (tx *transaction) PutSkip(ctx context.Context, s daybook.Skip) error {
	_, err := tx.one(ctx, "put skip", putSkipSQL, int64(tx.book), s.Projection, s.Position, storable(s.Reason))
	return err
}

func (tx *transaction) SetInline(ctx context.Context, revision int64) error {
	if !tx.headLocked { // or a transaction that has locked rows would wait for the head, and an append for the rows
		return errors.New("postgres: set inline: the inline projections change only while the head is locked: give Transact lockHead")
	}
	_, err := tx.one(ctx, "set inline", setInlineSQL, int64(tx.book), revision)
	return err
}

// one runs a statement, and reports whether it has changed a row.
func (tx *transaction) one(ctx context.Context, doing, query string, args ...any) (written bool, err error) {
	err = tx.trip(ctx, doing, false, func(trip *pgx.Batch) error {
		queueOne(trip, &written, query, args...)
		return nil
	})
	return written, err
}

func (tx *transaction) LoadRows(ctx context.Context, keys daybook.TableKeys) (loaded [][]any, err error) {
	err = tx.trip(ctx, "load rows", false, func(trip *pgx.Batch) error { return queueLoad(trip, keys, &loaded) })
	return loaded, err
}

func (tx *transaction) WriteRows(ctx context.Context, rows daybook.TableRows) error {
	return tx.trip(ctx, "write rows", false, func(trip *pgx.Batch) error { return queueWrite(trip, rows) })
}
