package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	sqlitedriver "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// intruder is a connection of its own to the database, as anybody with the file or
// the password has one.
type intruder struct {
	// prefix stands before the names of tables.
	prefix string
	// book returns the number of a book.
	book func(ctx context.Context, name string) (int64, error)
	// try runs a statement in a transaction that it then gives up: should the
	// database let the statement pass, nothing is changed all the same.
	try func(ctx context.Context, statement string) error
	// refused reports whether an error of try is the database saying no.
	refused func(error) bool
	close   func() error
}

func (t *tour) tamper(ctx context.Context) (err error) {
	records, err := t.history(ctx, alice)
	if err != nil {
		return err
	}
	db, err := t.target.intrude(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.close()) }()
	book, err := db.book(ctx, t.app.book)
	if err != nil {
		return err
	}
	where := fmt.Sprintf("  WHERE book_id = %d AND sequence_number = 2\n  AND aggregate_id = '%s'", book, bank.AccountID(alice).ID)
	for _, one := range []struct{ name, statement string }{
		{"UPDATE", fmt.Sprintf("UPDATE %sevents SET payload = '{\"amount\":99999900}'\n%s", db.prefix, where)},
		{"DELETE", fmt.Sprintf("DELETE FROM %sevents\n%s", db.prefix, where)},
	} {
		t.call("%s", one.statement)
		err := db.try(ctx, one.statement)
		if err != nil && !db.refused(err) {
			return err
		}
		if err != nil {
			t.note("%v", err)
		}
		if err := check(t, one.name+" refused by the database", err != nil, true); err != nil {
			return err
		}
	}
	after, err := t.history(ctx, alice)
	if err != nil {
		return err
	}
	if err := check(t, "alice's events, before and after, are the same", fingerprint(after) == fingerprint(records), true); err != nil {
		return err
	}
	return t.prove(ctx)
}

// prove verifies the whole book of the demo.
func (t *tour) prove(ctx context.Context) error {
	t.call("daybook.Verify(ctx, book, daybook.VerifyOptions{Checks: bank.Checks()})")
	v, err := daybook.Verify(ctx, t.session.book, daybook.VerifyOptions{Checks: bank.Checks()})
	if err != nil {
		return err
	}
	return check(t, "the whole book is proved, as daybank verify does it: findings", len(v.Findings), 0)
}

// fingerprint is all there is to records.
func fingerprint(records []daybook.Recorded) string {
	var b strings.Builder
	for _, rec := range records {
		fmt.Fprintf(&b, "%s %s %s %s %s\n", rec, rec.EventID, rec.Payload, timeText(rec.OccurredAt), timeText(rec.RecordedAt))
	}
	return b.String()
}

// intrude connects to the database without the library.
func (t target) intrude(ctx context.Context) (*intruder, error) {
	if t.path != "" {
		return intrudeSQLite(t.path)
	}
	return intrudePostgres(ctx, t.url)
}

func intrudeSQLite(path string) (*intruder, error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_busy_timeout=5000")
	if err != nil {
		return nil, err
	}
	return &intruder{
		book: func(ctx context.Context, name string) (id int64, err error) {
			err = db.QueryRowContext(ctx, `SELECT book_id FROM books WHERE name = ?`, name).Scan(&id)
			return id, err
		},
		try: func(ctx context.Context, statement string) error {
			tx, err := db.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			_, err = tx.ExecContext(ctx, statement)
			return errors.Join(err, tx.Rollback())
		},
		refused: func(err error) bool {
			var e *sqlitedriver.Error
			return errors.As(err, &e) && e.Code() == sqlite3.SQLITE_CONSTRAINT_TRIGGER
		},
		close: db.Close,
	}, nil
}

// The codes of the two ways in which PostgreSQL refuses: by the trigger, which
// holds for the owner as well, and to the application's role by privilege.
const (
	codeAppendOnly = "ZD001"
	codePrivilege  = "42501"
)

func intrudePostgres(ctx context.Context, url string) (*intruder, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	return &intruder{
		prefix: "daybook.",
		book: func(ctx context.Context, name string) (id int64, err error) {
			err = conn.QueryRow(ctx, `SELECT book_id FROM daybook.books WHERE name = $1`, name).Scan(&id)
			return id, err
		},
		try: func(ctx context.Context, statement string) error {
			tx, err := conn.Begin(ctx)
			if err != nil {
				return err
			}
			_, err = tx.Exec(ctx, statement)
			return errors.Join(err, tx.Rollback(ctx))
		},
		refused: func(err error) bool {
			var e *pgconn.PgError
			return errors.As(err, &e) && (e.Code == codeAppendOnly || e.Code == codePrivilege)
		},
		// Also where ctx has ended: the server is told that nobody is there any more.
		close: func() error { return conn.Close(context.WithoutCancel(ctx)) },
	}, nil
}
