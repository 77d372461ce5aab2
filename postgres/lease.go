package postgres

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/daybook-go/daybook"
)

// maxTries bounds how often a transaction is tried whose connection was lost, or
// that lost to another one, before it sent its commit.
const maxTries = 3

// losersPause is how long a transaction that has lost to another one waits, at first.
const losersPause = 20 * time.Millisecond

// lease is a connection of the pool, lent out.
type lease struct {
	conn *pgx.Conn
	// sql is the same connection for hand-written SQL, nil where there is none.
	sql *sql.Conn
	// giveBack returns it to the pool, which closes one that is in a transaction.
	giveBack func()
	// kept says that it is not to be given back by those who borrowed it.
	kept bool
}

// borrow takes a connection from the pool.
func (db *DB) borrow(ctx context.Context) (*lease, error) {
	conn, err := db.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return &lease{conn: conn.Conn(), giveBack: conn.Release}, nil
}

// borrowSQL is borrow for transactions that hand-written SQL may be part of.
func (db *DB) borrowSQL(ctx context.Context) (*lease, error) {
	conn, err := db.sql.Conn(ctx)
	if err != nil {
		return nil, err
	}
	l := &lease{sql: conn, giveBack: func() { _ = conn.Close() }} // an error says only that it is closed
	err = conn.Raw(func(driver any) error {
		l.conn = driver.(*stdlib.Conn).Conn() //nolint:forcetypeassert // what stdlib.OpenDBFromPool makes
		return nil
	})
	return l, err
}

// held reports whether the connection is still lent to us. database/sql gives one back
// by itself where a call says that it is not fit for use; somebody else may have it then.
func (l *lease) held() bool {
	return l.sql == nil || l.sql.Raw(func(any) error { return nil }) == nil
}

// busy reports whether the connection cannot be used, because rows that hand-written SQL
// has asked for are still open.
func (l *lease) busy() bool {
	return !l.held() || !l.conn.IsClosed() && l.conn.PgConn().IsBusy()
}

// closed reports whether the connection is of no more use.
func (l *lease) closed() bool { return !l.held() || l.conn.IsClosed() }

// rollback ends the transaction, where the connection is in one.
func (l *lease) rollback(ctx context.Context) {
	if l.held() {
		rollback(ctx, l.conn)
	}
}

// do runs work on a connection of the pool, and again, at most maxTries times in
// all, when it failed for a reason that passes: the connection was lost, even while it
// was being made, or another transaction was in the way. An error of work says that nothing was committed,
// unless it is [daybook.ErrUnclear]: that one is never tried again here.
//
// A connection that work leaves in a transaction does not go back to the pool.
func (db *DB) do(ctx context.Context, work func(*pgx.Conn) error) error {
	return db.doOn(ctx, db.borrow, func(l *lease) error { return work(l.conn) })
}

// doOn is do for connections that are borrowed in another way.
func (db *DB) doOn(ctx context.Context, borrow func(context.Context) (*lease, error), work func(*lease) error) error {
	for try := 1; ; try++ {
		l, err := borrow(ctx)
		if endedAtOnce(err) && try < maxTries {
			continue
		}
		if err != nil {
			return err
		}
		lost, freed, err := db.attempt(ctx, l, work)
		if lost {
			// What ended this connection, a restart of the server perhaps, has
			// ended those that lie idle in the pool.
			db.pool.Reset()
		}
		again := err != nil && (lost || freed || lostToAnother(err)) && !errors.Is(err, daybook.ErrUnclear) && ctx.Err() == nil
		if !again || try == maxTries {
			return err
		}
		if lostToAnother(err) {
			// At once, it could lock the same rows again before the other one has woken up.
			select {
			case <-ctx.Done():
			case <-time.After(time.Duration(try) * losersPause):
			}
		}
	}
}

// attempt runs work once, and gives the connection back even where work panics. lost
// says that the connection was, freed that somebody who held a lock may no longer.
func (db *DB) attempt(ctx context.Context, l *lease, work func(*lease) error) (lost, freed bool, err error) {
	defer func() {
		if !l.kept {
			l.giveBack()
		}
	}()
	err = work(l)
	if l.kept {
		return false, false, err
	}
	if forgotten(err) && l.held() {
		_ = l.conn.Close(ctx)
	}
	freed = err != nil && l.held() && db.silent.mayBreak(ctx, l.conn, err)
	return l.closed() && ctx.Err() == nil && !endedByHand(err), freed, err
}
