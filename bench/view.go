package bench

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/daybook-go/daybook"
)

// balance is a row of the read model: what the events of an account come to. It has the
// columns of the bank's balances.
type balance struct {
	Handle, Owner, Currency string
	Balance                 int64
	Status                  string
	Overflow                bool
	HandleKey, OwnerKey     string
	Search                  string
	// Deposits counts the events, so that one shows that was lost or taken twice.
	Deposits, Withdrawals, Sent, Received int64
	OpenedAt                              *time.Time
	SequenceNumber, Position              int64
	LastEvent                             string
	LastOccurredAt, LastRecordedAt        time.Time
}

// add is how a payment changes the row.
func (b balance) add(e Paid, rec *daybook.Recorded) balance {
	if b.OpenedAt == nil {
		at := rec.OccurredAt
		b.OpenedAt, b.Status, b.Currency = &at, "open", e.Currency
		b.Handle = rec.Aggregate.ID.String()[24:] // 12 digits by chance: as long as handles and names are
		b.Owner = "Owner " + b.Handle
		b.HandleKey, b.OwnerKey = b.Handle, strings.ToLower(b.Owner)
		b.Search = b.Handle + "\n" + b.OwnerKey
	}
	b.Balance += e.Amount
	b.Deposits++
	b.SequenceNumber, b.Position, b.LastEvent = rec.SequenceNumber, rec.Position, rec.EventType
	b.LastOccurredAt, b.LastRecordedAt = rec.OccurredAt, rec.RecordedAt
	return b
}

// newBalances is the view that keeps a balance for every account.
func newBalances() *daybook.View[daybook.UUID, balance] {
	return &daybook.View[daybook.UUID, balance]{
		Name: "balances", Key: "account_id", Indexes: balanceIndexes, Keys: daybook.PerAggregate,
		Evolve: func(row balance, _ daybook.UUID, e daybook.ProjectedEvent) (balance, bool) {
			return row.add(e.Data.(Paid), &e.Recorded), false //nolint:forcetypeassert // there is no other event
		},
	}
}

var (
	balanceIndexes = []string{"handle_key", "owner_key"}
	balanceColumns = []string{
		"account_id", "handle", "owner", "currency", "balance", "status", "overflow", "handle_key", "owner_key", "search",
		"deposits", "withdrawals", "sent", "received", "opened_at", "sequence_number", "position", "last_event", "last_occurred_at", "last_recorded_at",
	}
)

// values are those of balanceColumns.
func (b *balance) values(key daybook.UUID) []any {
	return []any{
		[16]byte(key), b.Handle, b.Owner, b.Currency, b.Balance, b.Status, b.Overflow, b.HandleKey, b.OwnerKey, b.Search,
		b.Deposits, b.Withdrawals, b.Sent, b.Received, b.OpenedAt, b.SequenceNumber, b.Position, b.LastEvent, b.LastOccurredAt, b.LastRecordedAt,
	}
}

// places are where a row of balanceColumns is read to.
func (b *balance) places(key *daybook.UUID) []any {
	return []any{
		(*[16]byte)(key), &b.Handle, &b.Owner, &b.Currency, &b.Balance, &b.Status, &b.Overflow, &b.HandleKey, &b.OwnerKey, &b.Search,
		&b.Deposits, &b.Withdrawals, &b.Sent, &b.Received, &b.OpenedAt, &b.SequenceNumber, &b.Position, &b.LastEvent, &b.LastOccurredAt, &b.LastRecordedAt,
	}
}

// equal reports whether two rows are the same, wherever their times are.
func (b balance) equal(other balance) bool {
	same := b.LastOccurredAt.Equal(other.LastOccurredAt) && b.LastRecordedAt.Equal(other.LastRecordedAt) &&
		(b.OpenedAt == nil) == (other.OpenedAt == nil) && (b.OpenedAt == nil || b.OpenedAt.Equal(*other.OpenedAt))
	b.LastOccurredAt, b.LastRecordedAt, b.OpenedAt = other.LastOccurredAt, other.LastRecordedAt, other.OpenedAt
	return same && b == other
}

// balances are rows of a read model.
type balances map[daybook.UUID]*balance

// add adds a payment to the row of its account.
func (all balances) add(e Paid, rec *daybook.Recorded) {
	row := all[rec.Aggregate.ID]
	if row == nil {
		row = &balance{}
		all[rec.Aggregate.ID] = row
	}
	*row = row.add(e, rec)
}

// foldBook adds up all events of a book, one by one.
func foldBook(ctx context.Context, book *daybook.Book) (balances, error) {
	all := balances{}
	for rec, err := range book.Read(ctx, daybook.Query{}) {
		if err != nil {
			return nil, err
		}
		event, err := paidOf(book.Decode(rec))
		if err != nil {
			return nil, err
		}
		all.add(event, &rec)
	}
	return all, nil
}

// readBalances reads a table of balances back, by SQL of its own.
func readBalances(ctx context.Context, pool *pgxpool.Pool, table string) (balances, error) {
	found, err := pool.Query(ctx, `SELECT `+strings.Join(balanceColumns, ", ")+` FROM `+table)
	if err != nil {
		return nil, err
	}
	all := balances{}
	var key daybook.UUID
	var row balance
	_, err = pgx.ForEachRow(found, row.places(&key), func() error {
		if all[key] != nil {
			return fmt.Errorf("table %s has account %s twice", table, key)
		}
		kept := row
		all[key] = &kept
		return nil
	})
	return all, err
}

// compare returns an error unless got has the rows of want and no other.
func (want balances) compare(got balances) error {
	for _, key := range slices.SortedFunc(maps.Keys(want), func(a, b daybook.UUID) int { return bytes.Compare(a[:], b[:]) }) {
		switch row := got[key]; {
		case row == nil:
			return fmt.Errorf("the row of %s is missing, which comes of %d events", key, want[key].Deposits)
		case !row.equal(*want[key]):
			return fmt.Errorf("the row of %s is %+v, and its events come to %+v", key, *row, *want[key])
		}
	}
	if len(got) > len(want) {
		return fmt.Errorf("there are %d rows, and the events come to %d", len(got), len(want))
	}
	return nil
}

// auditBalances returns an error unless a table holds what the events of a book come to.
func auditBalances(ctx context.Context, s *stage, book *daybook.Book, table string) error {
	want, err := foldBook(ctx, book)
	if err != nil {
		return err
	}
	got, err := readBalances(ctx, s.pool, table)
	if err != nil {
		return err
	}
	return want.compare(got)
}

// viewTable is what SQL calls the table of a book's view.
func viewTable(book *daybook.Book) string {
	return pgx.Identifier{"daybook_views", newBalances().SQLName(book)}.Sanitize()
}

// forget removes what a book's view has in the database, when the stage is closed.
func forget(s *stage, book *daybook.Book) {
	s.onClose(func(ctx context.Context) error {
		view := newBalances()
		if err := book.PauseProjection(ctx, view.Name); err != nil {
			return err
		}
		return book.DropProjection(ctx, view)
	})
}
