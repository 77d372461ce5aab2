package postgres

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/internal/pgtest"
)

func TestMain(m *testing.M) {
	lastWait = 5 * time.Second // what a server that is well answers is no matter of its speed
	pgtest.Main(m)
}

// migrated makes databases that have been migrated.
var migrated = &pgtest.Template{Prepare: func(dsn string) error { return Migrate(context.Background(), dsn) }}

func openDB(t testing.TB, dsn string) *DB {
	t.Helper()
	db, err := Open(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// openBook returns a new database with one book and a superuser's connection to it.
func openBook(t testing.TB) (*DB, daybook.BookID, *pgx.Conn) {
	t.Helper()
	return openBookAt(t, migrated.DSN(t))
}

func openBookAt(t testing.TB, dsn string) (*DB, daybook.BookID, *pgx.Conn) {
	t.Helper()
	db := openDB(t, dsn)
	book, err := db.OpenBook(t.Context(), "main")
	if err != nil {
		t.Fatal(err)
	}
	return db, book, connect(t, dsn)
}

func connect(t testing.TB, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	takeColumns(conn.TypeMap())
	t.Cleanup(func() {
		if err := conn.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func exec(t testing.TB, conn *pgx.Conn, query string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), query, args...); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
}

func value[T any](t testing.TB, conn *pgx.Conn, query string, args ...any) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// with returns dsn with one more parameter.
func with(t testing.TB, dsn, name, value string) string {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Set(name, value)
	u.RawQuery = query.Encode()
	return u.String()
}

func account() daybook.AggregateID {
	return daybook.AggregateID{Type: "account", ID: daybook.NewUUID()}
}

// deposits is an append of n events to one aggregate, whatever is there.
func deposits(aggregate daybook.AggregateID, n int) daybook.Append {
	entry := daybook.EncodedEntry{Aggregate: aggregate, Expected: daybook.Any()}
	for i := range n {
		entry.Events = append(entry.Events, daybook.Recorded{
			EventID: daybook.NewUUID(), EventType: "MoneyDeposited", SchemaVersion: 1,
			Payload: fmt.Appendf(nil, `{"amount": %d}`, i+1),
		})
	}
	return daybook.Append{Entries: []daybook.EncodedEntry{entry}}
}

// appendOne appends a and returns its records.
func appendOne(t testing.TB, db *DB, book daybook.BookID, a daybook.Append) []daybook.Recorded {
	t.Helper()
	outcomes, err := db.Append(t.Context(), book, []daybook.Append{a}, daybook.InlineWork{})
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].Err != nil {
		t.Fatal(outcomes[0].Err)
	}
	return outcomes[0].Records
}

// appendingTo is what Append does with a connection.
func appendingTo(conn *pgx.Conn, book daybook.BookID) *appending {
	return &appending{lease: &lease{conn: conn}, book: book}
}

// wantHead fails the test unless the book has exactly n events.
func wantHead(t testing.TB, conn *pgx.Conn, book daybook.BookID, n int64) {
	t.Helper()
	head := value[int64](t, conn, `SELECT position FROM daybook.heads WHERE book_id = $1`, int64(book))
	events := value[int64](t, conn, `SELECT count(*) FROM daybook.events WHERE book_id = $1`, int64(book))
	if head != n || events != n {
		t.Errorf("the head is at %d and there are %d events, want %d", head, events, n)
	}
}

func sqlState(err error) string {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}
