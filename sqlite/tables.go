package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"github.com/daybook-go/daybook"
)

// tables reads what projections keep. It is a [daybook.TablesReader].
type tables struct {
	book daybook.BookID
	on   querier
	rows rowQuerier // for statements that are made for their table
}

// State implements [daybook.TablesReader].
func (t *tables) State(ctx context.Context) (daybook.BookState, error) {
	state, err := readState(ctx, t.on, t.book)
	return state, explain(err)
}

// Checkpoints implements [daybook.TablesReader].
func (t *tables) Checkpoints(ctx context.Context, projection string) ([]daybook.Checkpoint, error) {
	list, err := readCheckpoints(ctx, t.on, t.book, projection)
	return list, explain(err)
}

// Skips implements [daybook.TablesReader].
func (t *tables) Skips(ctx context.Context, projection string) ([]daybook.Skip, error) {
	list, err := readSkips(ctx, t.on, t.book, projection)
	return list, explain(err)
}

// SelectRows implements [daybook.TablesReader].
func (t *tables) SelectRows(ctx context.Context, q daybook.RowQuery) ([][]any, error) {
	rows, err := selectRows(ctx, t.rows, q)
	return rows, explain(err)
}

// Read implements [daybook.TablesReader].
func (t *tables) Read(ctx context.Context, q daybook.Query) ([]daybook.Recorded, error) {
	records, err := read(ctx, t.on, t.book, q, nil)
	return records, explain(err)
}

// Checkpoints implements [daybook.Driver].
func (db *DB) Checkpoints(ctx context.Context, book daybook.BookID, projection string) (list []daybook.Checkpoint, err error) {
	err = patient(ctx, func() error {
		list, err = readCheckpoints(ctx, db.readers, book, projection)
		return err
	})
	return list, explain(err)
}

// SelectRows implements [daybook.Driver].
func (db *DB) SelectRows(ctx context.Context, q daybook.RowQuery) (rows [][]any, err error) {
	err = patient(ctx, func() error {
		rows, err = selectRows(ctx, db.resumer, q)
		return err
	})
	return rows, explain(err)
}

// pinned is a snapshot: a read transaction on a connection of its own. Nobody waits for
// it; but what is written meanwhile stays in the WAL until it is closed.
type pinned struct {
	tables
	conn *sql.Conn
}

// Pin implements [daybook.Driver].
func (db *DB) Pin(ctx context.Context, book daybook.BookID) (daybook.PinnedTables, error) {
	conn, err := db.pins.Conn(ctx)
	if err != nil {
		return nil, explain(err)
	}
	p := &pinned{conn: conn, tables: tables{book: book, on: conn, rows: conn}}
	// A transaction has its snapshot from its first read on, not from BEGIN.
	err = patient(ctx, func() error {
		_, err := conn.ExecContext(ctx, `BEGIN`)
		if err == nil {
			_, err = readState(ctx, conn, book)
		}
		if err != nil {
			err = errors.Join(err, p.rollback()) //nolint:contextcheck // what has begun is ended whatever becomes of ctx
		}
		return err
	})
	if err != nil {
		return nil, explain(errors.Join(err, p.Close())) //nolint:contextcheck // as above
	}
	return p, nil
}

// rollback ends the transaction, if it has begun.
func (p *pinned) rollback() error {
	_, err := p.conn.ExecContext(context.Background(), `ROLLBACK`)
	if notInTransaction(err) {
		return nil
	}
	return err
}

// Close implements [daybook.PinnedTables].
func (p *pinned) Close() error {
	err := p.rollback()
	switch {
	case errors.Is(err, sql.ErrConnDone):
		return nil // closed before
	case err != nil:
		// A connection that is in a transaction must not be used again.
		_ = p.conn.Raw(func(any) error { return driver.ErrBadConn })
		return err
	}
	return p.conn.Close()
}
