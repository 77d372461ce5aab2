package readmodel_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
	"github.com/daybook-go/daybook/internal/pgtest"
	"github.com/daybook-go/daybook/postgres"
	"github.com/daybook-go/daybook/sqlite"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var migrated = &pgtest.Template{Prepare: func(dsn string) error { return postgres.Migrate(context.Background(), dsn) }}

func onSQLite(t testing.TB) daybook.Driver {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bank.db")
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	driver, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return driver
}

func onPostgres(t testing.TB) daybook.Driver {
	t.Helper()
	driver, err := postgres.Open(t.Context(), migrated.DSN(t))
	if err != nil {
		t.Fatal(err)
	}
	return driver
}

// onBoth runs a test on each engine, with an empty database.
func onBoth(t *testing.T, test func(t *testing.T, driver daybook.Driver)) {
	t.Helper()
	for name, open := range map[string]func(testing.TB) daybook.Driver{"on SQLite": onSQLite, "on PostgreSQL": onPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driver := open(t)
			t.Cleanup(func() {
				if err := driver.Close(); err != nil {
					t.Error(err)
				}
			})
			test(t, driver)
		})
	}
}

// fataler is a *testing.T or a *rapid.T.
type fataler interface {
	Helper()
	Context() context.Context
	Fatal(args ...any)
}

func openBook(t fataler, driver daybook.Driver, name string, options ...daybook.OpenOption) *daybook.Book {
	t.Helper()
	book, err := daybook.Open(t.Context(), driver, name, bank.Events, options...)
	if err != nil {
		t.Fatal(err)
	}
	return book
}

func openInline(t fataler, driver daybook.Driver, name string) *daybook.Book {
	t.Helper()
	return openBook(t, driver, name, daybook.Inline{readmodel.Balances})
}

// fact is something that happened to an account, whatever the rules say of it.
type fact struct {
	handle   string
	event    bank.Event
	occurred time.Time
}

func record(t fataler, book *daybook.Book, facts ...fact) {
	t.Helper()
	for _, f := range facts {
		_, err := book.Append(t.Context(), daybook.Entry{
			Aggregate: bank.AccountID(f.handle), Expected: daybook.Any(), Events: []daybook.Event{{Data: f.event, OccurredAt: f.occurred}},
		})
		if err != nil {
			t.Fatal(fmt.Errorf("%s %+v: %w", f.handle, f.event, err))
		}
	}
}

// wantProved verifies the book and what it has read models of.
func wantProved(t fataler, book *daybook.Book) {
	t.Helper()
	checks, err := readmodel.Checks(t.Context(), book)
	if err != nil {
		t.Fatal(err)
	}
	v, err := daybook.Verify(t.Context(), book, daybook.VerifyOptions{Checks: checks})
	if err != nil || !v.Proved() {
		t.Fatal(errors.Join(err, fmt.Errorf("findings: %v", v.Findings)))
	}
}

func catchUp(t fataler, book *daybook.Book) {
	t.Helper()
	if err := book.CatchUp(t.Context(), readmodel.Behind()...); err != nil {
		t.Fatal(err)
	}
}
