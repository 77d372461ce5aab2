package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
)

// errRolledBack is a commit that the server has answered with a rollback: a statement had
// failed, and whoever sent it did not say so.
var errRolledBack = errors.New("the server has rolled the transaction back: a statement in it has failed, and its error was not returned")

// queueCommit makes a commit the last statement of a trip.
func queueCommit(trip *pgx.Batch) {
	trip.Queue(commitSQL).Exec(func(tag pgconn.CommandTag) error {
		switch tag.String() {
		case "COMMIT":
			return nil
		case "ROLLBACK":
			return errRolledBack
		}
		return fmt.Errorf("the server answered the commit with %s", tag)
	})
}

// uncancelled sends a commit, and waits for the reply even where ctx has ended: to
// give up at once would leave the outcome unclear. When ctx ends, the server is asked
// to cancel the statement; it may, or may have committed, and says which, within a
// moment where it is well. An error that leaves the outcome unclear is
// [daybook.ErrUnclear].
func uncancelled(ctx context.Context, conn *pgx.Conn, send func(context.Context) error) error {
	waiting, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	asked := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(asked)
		time.AfterFunc(lastWait, cancel)
		_ = conn.PgConn().CancelRequest(waiting) // where it fails, there is still the reply to wait for
	})
	delete(conn.PgConn().CustomData(), warned)
	err := send(waiting)
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
		return fmt.Errorf("%w: %w", daybook.ErrUnclear, err)
	case err != nil && cancelled:
		return errors.Join(ctx.Err(), err)
	case err != nil:
		rollback(ctx, conn)
	}
	return err
}

// refused reports whether err proves that the transaction on conn was not
// committed: the server said ERROR and then that it waits for the next statement.
// The server skips the commit after an error in the append. Nothing less is a
// proof: a connection can break, and FATAL or PANIC arrive, after the commit was
// written to the log.
func refused(conn *pgx.Conn, err error) bool {
	if errors.Is(err, errRolledBack) {
		return true
	}
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
