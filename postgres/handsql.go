package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/daybook-go/daybook"
)

// handTx is a transaction as hand-written SQL sees it. It checks, before each call, that
// the rows of the one before are closed: pgx cannot do two things at once, and
// database/sql would take the refusal for a broken connection, and give up the one that
// the transaction is on.
type handTx struct {
	lease *lease
	// ended closes what is still open when the transaction ends. Its cause is errTooLate, or
	// why the caller has gone before.
	ended context.Context //nolint:containedctx // it is as long as the transaction
	// begin comes before each statement.
	begin func(context.Context) error
}

var _ daybook.Tx = (*handTx)(nil)

var (
	errRowsOpen = errors.New("hand-written SQL has left rows open: close them before the next call, and before the end")
	errFailed   = errors.New("a statement has failed, and its error was not returned: the transaction cannot go on")
	errEnded    = errors.New("hand-written SQL has ended the transaction, which is not its own")
	errTooLate  = errors.New("the transaction has ended")
)

// ExecContext is that of [sql.Tx].
func (h *handTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := h.ready(ctx); err != nil {
		return nil, err
	}
	return h.lease.sql.ExecContext(ctx, query, args...)
}

// QueryContext is that of [sql.Tx].
func (h *handTx) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := h.ready(ctx); err != nil {
		return nil, err
	}
	return h.lease.sql.QueryContext(h.within(ctx), query, args...)
}

// QueryRowContext is that of [sql.Tx].
func (h *handTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if err := h.ready(ctx); err != nil {
		db := sql.OpenDB(refusing{err}) // there is no other way to make a row that has an error
		defer func() { _ = db.Close() }()
		return db.QueryRowContext(ctx, query)
	}
	return h.lease.sql.QueryRowContext(h.within(ctx), query, args...)
}

// within is ctx until the transaction ends.
func (h *handTx) within(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(h.ended, cancel)
	return ctx
}

func (h *handTx) ready(ctx context.Context) error {
	switch {
	case h.ended.Err() != nil:
		return context.Cause(h.ended) //nolint:contextcheck // it is as long as the transaction, and no call's
	case h.lease.busy():
		return errRowsOpen
	}
	return h.begin(ctx)
}

// fit reports what keeps the transaction from going on, after hand-written SQL may have
// done anything.
func (l *lease) fit() error {
	switch {
	case l.busy():
		return errRowsOpen
	case l.conn.IsClosed():
		return errLost
	}
	switch l.conn.PgConn().TxStatus() {
	case 'E':
		return errFailed
	case 'I':
		return errEnded
	}
	return nil
}

var errLost = errors.New("the connection was lost")

// refusing is a database that cannot be reached, for a reason.
type refusing struct{ err error }

func (r refusing) Connect(context.Context) (driver.Conn, error) { return nil, r.err }
func (r refusing) Driver() driver.Driver                        { return nil }
