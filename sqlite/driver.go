// Package sqlite keeps books in one SQLite file, embedded in the program, with the
// same promises as package postgres.
//
// The file is in WAL mode with synchronous=FULL: an append that was acknowledged
// survives a loss of power. Writers of all processes take turns; whoever waits,
// waits as long as its context lives. Readers wait for nobody, except for a process
// that opens or closes the file. The file must be on a
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
	"sync/atomic"
	"time"

	"github.com/daybook-go/daybook"
)

// DB is an open file. It is a [daybook.Driver], safe for concurrent use.
type DB struct {
	path    string
	writer  *sql.DB       // one connection: the file has one writer at a time anyway
	turn    chan *session // holds its session while nobody writes; nil where it is to be made
	readers *sql.DB
	resumer *reader
	pins    *sql.DB // one connection for each snapshot that is held
	now     func() time.Time
	closed  atomic.Bool
}

var _ daybook.Driver = (*DB)(nil)

// busySlice is how long SQLite itself waits for another process's lock before
// [patient] looks whether ctx still lives and tries again.
const busySlice = 100 * time.Millisecond

// checkpointPages is how long the log gets before a commit carries it over into the
// file: 16 MB, four times SQLite's default. A batch of 64 appends writes about a hundred
// pages, the same ones again and again, and each checkpoint costs two more flushes. Not
// longer: up to 4062 pages are found by one table of hashes.
const checkpointPages = 4000

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
	db := &DB{path: path, turn: make(chan *session, 1), now: time.Now} //nolint:forbidigo // the engine is the store, and this is the store's clock
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	if db.writer, err = sql.Open("sqlite", dsn(path, "rw")+fmt.Sprintf("&_pragma=wal_autocheckpoint(%d)", checkpointPages)); err != nil {
		return nil, err
	}
	db.writer.SetMaxOpenConns(1)
	db.turn <- nil
	if db.readers, err = sql.Open("sqlite", dsn(path, "rw")+"&_query_only=1"); err != nil {
		return nil, err
	}
	db.readers.SetMaxOpenConns(max(4, runtime.NumCPU()))
	db.readers.SetMaxIdleConns(max(4, runtime.NumCPU()))
	// Who holds a snapshot may take his time: as many as there are must not keep readers
	// from a connection, nor each other.
	if db.pins, err = sql.Open("sqlite", dsn(path, "rw")+"&_query_only=1"); err != nil {
		return nil, err
	}
	db.resumer = &reader{readers: db.readers, statements: map[string]*sql.Stmt{}}
	return db, patient(ctx, func() error {
		if err := checkSchema(ctx, db.writer); err != nil {
			return err
		}
		return checkDurable(ctx, db.writer)
	})
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
	db.closed.Store(true)
	errs := []error{db.closeSession()}
	for _, pool := range []*sql.DB{db.pins, db.readers, db.writer} { // the last one out checkpoints
		if pool != nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

// selectBook finds a book by name: ?1.
const selectBook = `SELECT book_id FROM books WHERE name = ?1`

// insertBook makes the book ?1 at time ?2, insertHead its head, recorded at
// ?2, with incarnation ?3.
const (
	insertBook = `INSERT INTO books (book_id, name, created_at)
SELECT coalesce(max(book_id), 0) + 1, ?1, ?2 FROM books RETURNING book_id`
	insertHead = `INSERT INTO heads (book_id, position, recorded_at, incarnation) VALUES (?1, 0, ?2, ?3)`
)

// OpenBook implements [daybook.Driver].
func (db *DB) OpenBook(ctx context.Context, name string) (id daybook.BookID, err error) {
	err = patient(ctx, func() error { return db.readers.QueryRowContext(ctx, selectBook, name).Scan(&id) })
	if !errors.Is(err, sql.ErrNoRows) {
		return id, explain(err)
	}
	err = db.write(ctx, func(ctx context.Context, s *session) (bool, error) {
		err := s.QueryRowContext(ctx, selectBook, name).Scan(&id)
		if !errors.Is(err, sql.ErrNoRows) {
			return false, err // another was first
		}
		if err := s.QueryRowContext(ctx, insertBook, name, micros(db.now())).Scan(&id); err != nil {
			return false, err
		}
		_, err = s.ExecContext(ctx, insertHead, id, micros(time.Time{}), daybook.NewUUID().String())
		return true, err
	})
	return id, err
}

// selectState returns the head of book ?1 and what goes with it.
const selectState = `SELECT position, recorded_at, incarnation, inline FROM heads WHERE book_id = ?1`

func readState(ctx context.Context, q querier, book daybook.BookID) (state daybook.BookState, err error) {
	var recordedAt int64
	var incarnation string
	err = q.QueryRowContext(ctx, selectState, book).Scan(&state.Position, &recordedAt, &incarnation, &state.Inline)
	if errors.Is(err, sql.ErrNoRows) {
		return state, fmt.Errorf("there is no book with id %d in this file", book)
	}
	if err != nil {
		return state, err
	}
	state.RecordedAt = fromMicros(recordedAt)
	if state.Incarnation, err = parseUUID(incarnation); err != nil {
		return state, fmt.Errorf("the incarnation of the book: %w", err)
	}
	return state, nil
}

// Head implements [daybook.Driver].
func (db *DB) Head(ctx context.Context, book daybook.BookID) (head daybook.Head, err error) {
	err = patient(ctx, func() error {
		state, err := readState(ctx, db.readers, book)
		head = state.Head
		return err
	})
	return head, explain(err)
}

// Fence implements [daybook.Driver].
func (db *DB) Fence(ctx context.Context, book daybook.BookID, t time.Time) (head daybook.Head, err error) {
	err = db.write(ctx, func(ctx context.Context, s *session) (bool, error) {
		state, err := readState(ctx, s, book)
		if err != nil {
			return false, err
		}
		head = state.Head
		if now := db.now(); t.After(now) {
			t = now
		}
		t = t.UTC().Truncate(time.Microsecond)
		if !t.After(head.RecordedAt) {
			return false, nil
		}
		head.RecordedAt = t
		_, err = s.ExecContext(ctx, updateHead, book, head.Position, micros(t))
		return true, err
	})
	return head, err
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }
