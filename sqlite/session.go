package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// session is the connection that writes, with its statements: to parse them again
// for every append takes longer than to run them.
type session struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	tables     tableStatements
	broken     bool // in a transaction that could not be ended

	mayCommit atomic.Bool // write commits, and nobody else
	over      atomic.Bool // the transaction has ended without write
}

// querier is a session, or the readers.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// reader is the readers with their statements, for queries that are short to run:
// parsing them takes several times as long. A statement belongs to all connections and
// ends with them, so there is a bound to how many are kept: those that come later, for
// the tables of views, are parsed each time.
type reader struct {
	readers    *sql.DB
	mu         sync.Mutex
	statements map[string]*sql.Stmt
}

// prepared returns nil where there are too many.
func (r *reader) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if statement := r.statements[query]; statement != nil || len(r.statements) >= maxTableStatements {
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
	switch {
	case err != nil:
		return nil, err
	case statement == nil:
		return r.readers.QueryContext(ctx, query, args...)
	}
	return statement.QueryContext(ctx, args...)
}

// QueryRowContext is that of the readers.
func (r *reader) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	statement, err := r.prepared(ctx, query) //nolint:sqlclosecheck // it ends with the readers
	if err != nil || statement == nil {
		return r.readers.QueryRowContext(ctx, query, args...) // which says what is wrong
	}
	return statement.QueryRowContext(ctx, args...)
}

// prepared keeps all: the texts are this package's constants.
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
	if err == nil || notInTransaction(err) {
		return nil
	}
	s.broken = true
	return err
}

// notInTransaction tells the error of a ROLLBACK that has found nothing to end.
func notInTransaction(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_ERROR
}

// close gives back the connection, or ends it where the session is broken.
func (s *session) close() error {
	var errs []error
	errs = append(errs, s.tables.forget())
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
	s = &session{conn: conn, statements: map[string]*sql.Stmt{}, tables: tableStatements{conn: conn, prepared: map[string]*sql.Stmt{}}}
	if err := s.guard(); err != nil {
		err = errors.Join(err, conn.Close())
		db.turn <- nil
		return nil, err
	}
	return s, nil
}

// guard keeps hand-written SQL from ending a transaction unnoticed. SQLite asks before
// it commits anything on this connection, and reports whatever it rolls back: a COMMIT
// that is not [session.commit]'s is refused, which rolls back, and so is what a statement
// writes that comes after a ROLLBACK, the user's own or SQLite's after some errors, and
// would be a transaction by itself. Whichever it was, write sees that its own is over.
func (s *session) guard() error {
	return s.conn.Raw(func(conn any) error {
		hooks, ok := conn.(sqlite.HookRegisterer)
		if !ok {
			return fmt.Errorf("a connection of type %T has no hooks", conn)
		}
		hooks.RegisterCommitHook(func() int32 {
			if s.mayCommit.Load() {
				return 0
			}
			s.over.Store(true)
			return 1
		})
		hooks.RegisterRollbackHook(func() { s.over.Store(true) })
		return nil
	})
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
