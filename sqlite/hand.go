package sqlite

import (
	"context"
	"database/sql"
	"sync/atomic"

	"github.com/daybook-go/daybook"
)

// handwritten is the transaction of a session, for SQL that is not ours. It outlives
// nothing: what was left open is closed when the transaction ends, because a query that
// goes on keeps the connection at what it has seen, and the next writer from the lock.
type handwritten struct {
	conn *sql.Conn
	over atomic.Bool // somebody may keep it, and use it later
	sets []*sql.Rows
	rows []*sql.Row
}

var _ daybook.Tx = (*handwritten)(nil)

// ExecContext is that of [sql.Tx].
func (h *handwritten) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if h.over.Load() {
		return nil, sql.ErrTxDone
	}
	return h.conn.ExecContext(ctx, query, args...)
}

// QueryContext is that of [sql.Tx].
func (h *handwritten) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if h.over.Load() {
		return nil, sql.ErrTxDone
	}
	rows, err := h.conn.QueryContext(ctx, query, args...)
	if err == nil {
		h.sets = append(h.sets, rows)
	}
	return rows, err
}

// QueryRowContext is that of [sql.Tx], but that after the end of the transaction the
// error is that of a context which has ended.
func (h *handwritten) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if h.over.Load() {
		ended, cancel := context.WithCancel(ctx)
		cancel()
		return h.conn.QueryRowContext(ended, query, args...)
	}
	row := h.conn.QueryRowContext(ctx, query, args...)
	h.rows = append(h.rows, row)
	return row
}

// end closes what was left open. What was read to its end, or closed, is closed again,
// which does nothing.
func (h *handwritten) end() {
	h.over.Store(true)
	for _, rows := range h.sets {
		_ = rows.Close() // whose reader had the error
	}
	for _, row := range h.rows {
		_ = row.Scan() // as above; there is no Close
	}
}
