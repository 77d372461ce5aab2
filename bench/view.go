package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-go/daybook"
)

// balance is a row of the read model: what the events of a key come to. Events shows one
// that was lost or taken twice.
type balance struct {
	Currency string    `db:"currency"`
	Balance  int64     `db:"balance,index"`
	Events   int64     `db:"events"`
	LastAt   time.Time `db:"last_at"`
}

// add is how a payment changes the row.
func (b balance) add(e Paid, recordedAt time.Time) balance {
	b.Currency, b.LastAt = e.Currency, recordedAt
	b.Balance += e.Amount
	b.Events++
	return b
}

// newBalances is the view that keeps a balance for every key.
func newBalances[K comparable](keys func(daybook.ProjectedEvent) []K) *daybook.View[K, balance] {
	return &daybook.View[K, balance]{
		Name: "balances", Keys: keys,
		Evolve: func(row balance, _ K, e daybook.ProjectedEvent) (balance, bool) {
			return row.add(e.Data.(Paid), e.RecordedAt), false //nolint:forcetypeassert // there is no other event
		},
	}
}

// maxAccounts is how many accounts a read model of a whole book has.
const maxAccounts = 10_000

// accountOf is the account that an event belongs to. Its events are of several aggregates.
func accountOf(e Paid) int64 { return e.Number % maxAccounts }

func perAccount(e daybook.ProjectedEvent) []int64 {
	return []int64{accountOf(e.Data.(Paid))} //nolint:forcetypeassert // there is no other event
}

// balances are rows of a read model, by the text of their keys.
type balances map[string]balance

// foldBook adds up all events of a book, one by one.
func foldBook(ctx context.Context, book *daybook.Book, key func(daybook.Recorded, Paid) string) (balances, error) {
	rows := balances{}
	for rec, err := range book.Read(ctx, daybook.Query{}) {
		if err != nil {
			return nil, err
		}
		event, err := paidOf(book.Decode(rec))
		if err != nil {
			return nil, err
		}
		at := key(rec, event)
		rows[at] = rows[at].add(event, rec.RecordedAt)
	}
	return rows, nil
}

func byAccount(_ daybook.Recorded, e Paid) string     { return fmt.Sprint(accountOf(e)) }
func byAggregate(rec daybook.Recorded, _ Paid) string { return rec.Aggregate.ID.String() }

// readBalances reads a table of balances back, by SQL of its own.
func readBalances(ctx context.Context, pool *pgxpool.Pool, table string) (balances, error) {
	found, err := pool.Query(ctx, `SELECT key::text, currency, balance, events, last_at FROM `+table)
	if err != nil {
		return nil, err
	}
	rows := balances{}
	var key string
	var row balance
	_, err = pgx.ForEachRow(found, []any{&key, &row.Currency, &row.Balance, &row.Events, &row.LastAt}, func() error {
		if _, twice := rows[key]; twice {
			return fmt.Errorf("table %s has key %s twice", table, key)
		}
		row.LastAt = row.LastAt.UTC()
		rows[key] = row
		return nil
	})
	return rows, err
}

// compare returns an error unless got has the rows of want and no other.
func (want balances) compare(got balances) error {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		switch row, found := got[key]; {
		case !found:
			return fmt.Errorf("the row of %s is missing, which comes of %d events", key, want[key].Events)
		case row != want[key]:
			return fmt.Errorf("the row of %s is %+v, and its events come to %+v", key, row, want[key])
		}
	}
	if len(got) > len(want) {
		return fmt.Errorf("there are %d rows, and the events come to %d", len(got), len(want))
	}
	return nil
}

// viewTable is what SQL calls the table of a view.
func viewTable[K comparable](book *daybook.Book, view *daybook.View[K, balance]) string {
	return pgx.Identifier{"daybook_views", view.SQLName(book)}.Sanitize()
}

// auditView returns an error unless a view's table holds what the events of its book come
// to.
func auditView[K comparable](ctx context.Context, s *stage, book *daybook.Book, view *daybook.View[K, balance], key func(daybook.Recorded, Paid) string) error {
	want, err := foldBook(ctx, book, key)
	if err != nil {
		return err
	}
	got, err := readBalances(ctx, s.pool, viewTable(book, view))
	if err != nil {
		return err
	}
	return want.compare(got)
}

// forget removes what a view has in the database, when the stage is closed.
func forget[K comparable](s *stage, book *daybook.Book, view *daybook.View[K, balance]) {
	s.onClose(func(ctx context.Context) error {
		if err := book.PauseProjection(ctx, view.Name); err != nil {
			return err
		}
		return book.DropProjection(ctx, view.Name)
	})
}
