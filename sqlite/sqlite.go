// Package sqlite keeps books in one SQLite file, embedded in the program, with the
// same promises as package postgres.
//
// The file is in WAL mode with synchronous=FULL: an append that was acknowledged
// survives a loss of power. Writers of all processes take turns; whoever waits,
// waits as long as its context lives. Readers never wait. The file must be on a
// local disk, because SQLite's locks do not work over networks.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/daybook-go/daybook"
)

// DB is an open file. It is a [daybook.Driver], safe for concurrent use.
type DB struct {
	path    string
	writer  *sql.DB // one connection: the file has one writer at a time anyway
	readers *sql.DB
	now     func() time.Time
}

var _ daybook.Driver = (*DB)(nil)

// busySlice is how long SQLite itself waits for another process's lock before we
// look whether ctx still lives and try again.
const busySlice = 100 * time.Millisecond

// Open opens the file at path, which [Migrate] has made. It only checks: the error
// is of kind [daybook.ErrSchema] when the tables are not those this program needs,
// and fs.ErrNotExist when there is no file. File and directory must be writable, for
// readers too: that is how SQLite's WAL works.
func Open(ctx context.Context, path string) (*DB, error) {
	db, err := open(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", path, explain(err))
	}
	return db, nil
}

func open(ctx context.Context, path string) (_ *DB, err error) {
	if err := checkPath(path); err != nil {
		return nil, err
	}
	if err := exists(path); err != nil {
		return nil, err
	}
	db := &DB{path: path, now: time.Now} //nolint:forbidigo // the engine is the store, and this is the store's clock
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	if db.writer, err = sql.Open("sqlite", dsn(path, "rw")); err != nil {
		return nil, err
	}
	db.writer.SetMaxOpenConns(1)
	if db.readers, err = sql.Open("sqlite", dsn(path, "rw")+"&_query_only=1"); err != nil {
		return nil, err
	}
	db.readers.SetMaxOpenConns(max(4, runtime.NumCPU()))
	db.readers.SetMaxIdleConns(max(4, runtime.NumCPU()))
	if err := checkSchema(ctx, db.writer); err != nil {
		return nil, err
	}
	return db, checkDurable(ctx, db.writer)
}

// checkDurable refuses a file system on which SQLite could not do what was asked.
func checkDurable(ctx context.Context, db *sql.DB) error {
	var journal string
	var synchronous int
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&journal); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, `PRAGMA synchronous`).Scan(&synchronous); err != nil {
		return err
	}
	if journal != "wal" || synchronous != 2 {
		return fmt.Errorf("needs journal_mode=wal and synchronous=2 (FULL), got %s and %d: put the file on a local disk", journal, synchronous)
	}
	return nil
}

// dsn names the file as a URI, so that mode can keep a reader from making one.
func dsn(path, mode string) string {
	return fmt.Sprintf("file:%s?mode=%s&_busy_timeout=%d&_journal_mode=WAL&_synchronous=FULL&_foreign_keys=1&_dqs=0",
		(&url.URL{Path: path}).EscapedPath(), mode, busySlice.Milliseconds())
}

func checkPath(path string) error {
	switch {
	case path == "" || path == ":memory:":
		return &daybook.InvalidError{Field: "path", Reason: fmt.Sprintf("%q names no file: a book is kept in one", path)}
	case strings.HasPrefix(path, "sqlite:") || strings.HasPrefix(path, "file:"):
		return &daybook.InvalidError{Field: "path", Reason: fmt.Sprintf("%q is an address: give the file's name alone, or write ./%[1]s for a file that is called so", path)}
	}
	return nil
}

// Close closes the file.
func (db *DB) Close() error {
	var errs []error
	for _, pool := range []*sql.DB{db.readers, db.writer} { // the last one out checkpoints
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// explain adds what to do about an error of SQLite's, where that is not obvious.
func explain(err error) error {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("the disk is full: nothing was written, free some space and try again: %w", err)
	case sqlite3.SQLITE_READONLY:
		return fmt.Errorf("the file or its directory cannot be written to: change the permissions: %w", err)
	case sqlite3.SQLITE_NOTADB:
		return fmt.Errorf("this is no SQLite file: name another: %w", err)
	case sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("the file cannot be opened: check that the directory exists and can be written to: %w", err)
	case sqlite3.SQLITE_CORRUPT:
		return fmt.Errorf("the file is damaged: restore it from a backup: %w", err)
	}
	return err
}

func isBusy(err error) bool {
	var e *sqlite.Error
	return errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_BUSY
}

// write runs f in a transaction that holds the file's writer lock from its start.
// It waits for the lock as long as ctx lives. f says whether there is anything to commit.
func (db *DB) write(ctx context.Context, f func(ctx context.Context, conn *sql.Conn) (commit bool, err error)) error {
	conn, err := db.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// What ends the transaction does not look at ctx: it is finished once begun.
	ended := context.WithoutCancel(ctx)
	for {
		_, err = conn.ExecContext(ctx, `BEGIN IMMEDIATE`)
		if err == nil {
			break
		}
		if !isBusy(err) || ctx.Err() != nil {
			// Where ctx ended meanwhile the driver reports that, although the
			// transaction may have begun.
			return explain(errors.Join(err, rollback(ended, conn)))
		}
	}
	commit, err := f(ctx, conn)
	if err != nil || !commit {
		return explain(errors.Join(err, rollback(ended, conn)))
	}
	if err = ctx.Err(); err != nil {
		return errors.Join(err, rollback(ended, conn))
	}
	if _, err = conn.ExecContext(ended, `COMMIT`); err == nil {
		return nil
	}
	var e *sqlite.Error
	full := errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_FULL
	err = explain(errors.Join(err, rollback(ended, conn)))
	if full {
		return err // the commit's last page was not written, so it cannot be found later
	}
	// The commit may be in the log although it could not be made durable.
	return fmt.Errorf("%w: %w", daybook.ErrUnclear, err)
}

// rollback ends the transaction, or the connection if that fails: a connection that
// is in a transaction must not be used again.
func rollback(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, `ROLLBACK`)
	var e *sqlite.Error
	if err == nil || (errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_ERROR) { // "no transaction is active"
		return nil
	}
	discard := conn.Raw(func(any) error { return errDiscard })
	return errors.Join(err, discard)
}
