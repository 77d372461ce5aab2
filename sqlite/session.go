package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// session is the connection that writes, with its statements: to parse them again
// for every append takes longer than to run them.
type session struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	broken     bool // in a transaction that could not be ended
}

// querier is a session, or the readers.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// reader is the readers with their statements, for queries that are short to run:
// parsing them takes several times as long. A statement belongs to all connections and
// ends with them.
type reader struct {
	readers    *sql.DB
	mu         sync.Mutex
	statements map[string]*sql.Stmt
}

func (r *reader) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if statement := r.statements[query]; statement != nil {
		return statement, nil
	}
	statement, err := r.readers.PrepareContext(ctx, query) //nolint:sqlclosecheck // it ends with the readers
	if err == nil {
		r.statements[query] = statement
	}
	return statement, err
}

// QueryContext is that of the readers.
func (r *reader) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	statement, err := r.prepared(ctx, query) //nolint:sqlclosecheck // it ends with the readers
	if err != nil {
		return nil, err
	}
	return statement.QueryContext(ctx, args...)
}

// QueryRowContext is that of the readers.
func (r *reader) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	statement, err := r.prepared(ctx, query) //nolint:sqlclosecheck // it ends with the readers
	if err != nil {
		return r.readers.QueryRowContext(ctx, query, args...) // which says what is wrong
	}
	return statement.QueryRowContext(ctx, args...)
}

func (s *session) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	if statement := s.statements[query]; statement != nil {
		return statement, nil
	}
	statement, err := s.conn.PrepareContext(ctx, query)
	if err == nil {
		s.statements[query] = statement
	}
	return statement, err
}

func (s *session) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	statement, err := s.prepared(ctx, query) //nolint:sqlclosecheck // the session closes it
	if err != nil {
		return nil, err
	}
	return statement.ExecContext(ctx, args...)
}

func (s *session) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	statement, err := s.prepared(ctx, query) //nolint:sqlclosecheck // the session closes it
	if err != nil {
		return nil, err
	}
	return statement.QueryContext(ctx, args...)
}

func (s *session) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	statement, err := s.prepared(ctx, query) //nolint:sqlclosecheck // the session closes it
	if err != nil {
		return s.conn.QueryRowContext(ctx, query, args...) // which says what is wrong
	}
	return statement.QueryRowContext(ctx, args...)
}

// rollback ends the transaction. Where that fails the session is broken: a
// connection that is in a transaction must not be used again.
func (s *session) rollback(ctx context.Context) error {
	_, err := s.ExecContext(ctx, `ROLLBACK`)
	var e *sqlite.Error
	if err == nil || (errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_ERROR) { // "no transaction is active"
		return nil
	}
	s.broken = true
	return err
}

// close gives back the connection, or ends it where the session is broken.
func (s *session) close() error {
	var errs []error
	for _, statement := range s.statements {
		errs = append(errs, statement.Close())
	}
	if s.broken {
		// This makes database/sql close the connection instead of using it again.
		_ = s.conn.Raw(func(any) error { return driver.ErrBadConn })
		return errors.Join(errs...)
	}
	return errors.Join(append(errs, s.conn.Close())...)
}

// session waits for the one session and returns it. It is to be put back.
func (db *DB) session(ctx context.Context) (*session, error) {
	var s *session
	select {
	case s = <-db.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s != nil {
		return s, nil
	}
	conn, err := db.writer.Conn(ctx)
	if err != nil {
		db.turn <- nil
		return nil, err
	}
	return &session{conn: conn, statements: map[string]*sql.Stmt{}}, nil
}

// putBack lets the next writer have the session, or a new one where this one is
// broken or the file has been closed meanwhile.
func (db *DB) putBack(s *session) error {
	if !s.broken && !db.closed.Load() {
		db.turn <- s
		if !db.closed.Load() {
			return nil
		}
		return db.closeSession() // Close may have come in between
	}
	err := s.close()
	db.turn <- nil
	return err
}

// closeSession closes the session, unless a call has it: that one will.
func (db *DB) closeSession() error {
	select {
	case s := <-db.turn:
		db.turn <- nil
		if s != nil {
			return s.close()
		}
	default:
	}
	return nil
}
