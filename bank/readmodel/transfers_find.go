package readmodel

import (
	"context"
	"slices"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// TransferSort is what transfers are sorted by. Those that are alike in it are in the order
// of their ids.
type TransferSort string

// The orders: by the half that was recorded first, and by the amount in minor units.
const (
	ByPosition   TransferSort = "position"
	ByOccurredAt TransferSort = "occurred-at"
	ByAmount     TransferSort = "amount"
)

// TransferSorts returns all orders.
func TransferSorts() []TransferSort { return []TransferSort{ByPosition, ByOccurredAt, ByAmount} }

func (s TransferSort) column() string {
	switch s {
	case ByPosition:
		return "position"
	case ByOccurredAt:
		return "occurred_at"
	case ByAmount:
		return "amount"
	}
	return ""
}

// TransferQuery selects transfers. The zero TransferQuery is all of them, as they were
// recorded.
type TransferQuery struct {
	// From and To, where set, are the accounts.
	From, To daybook.UUID
	// Search is text in a handle or in the reference, in upper or lower case.
	Search string
	// State, where set, is theirs.
	State TransferState
	// Min and Max, where set, are the least and the largest amount, in minor units.
	Min, Max *int64
	// Since and Before, where set, are for transfers that occurred at Since or later, and
	// before Before.
	Since, Before time.Time
	// Sort is the order, ByPosition where it is empty; Reverse turns it round.
	Sort    TransferSort
	Reverse bool
	// Limit is the most transfers; 0 is all.
	Limit int
	// After is the Next of the page before.
	After string
}

// FoundTransfer is a transfer with its id, and the currency of its accounts: the sender's
// where it is known, else the receiver's, and else empty.
type FoundTransfer struct {
	ID       daybook.UUID
	Currency bank.Currency
	Transfer
}

// FindTransfers returns the transfers that q selects, by what [Transfers] knows by now, with
// their currencies by [Balances].
func FindTransfers(ctx context.Context, book *daybook.Book, q TransferQuery) (page Page[FoundTransfer], err error) {
	last, err := q.check()
	if err != nil {
		return page, err
	}
	view := daybook.ViewQuery{Where: q.conditions(), Order: []string{q.Sort.column()}, Reverse: q.Reverse, Limit: more(q.Limit)}
	rows, err := find(ctx, book, Transfers, view, last)
	if err != nil {
		return page, err
	}
	found := pageOf(rows, q.Limit, q.place)
	page.Next = found.Next
	known := map[daybook.UUID]bank.Currency{}
	for _, row := range found.Rows {
		one := FoundTransfer{ID: row.Key, Transfer: row.Row}
		for _, account := range []daybook.UUID{row.Row.FromAccount, row.Row.ToAccount} {
			if one.Currency != "" {
				break
			}
			if one.Currency, err = currencyFrom(ctx, book, account, known); err != nil {
				return Page[FoundTransfer]{}, err
			}
		}
		page.Rows = append(page.Rows, one)
	}
	return page, nil
}

// currencyFrom looks up each account once.
func currencyFrom(ctx context.Context, book *daybook.Book, account daybook.UUID, known map[daybook.UUID]bank.Currency) (bank.Currency, error) {
	if code, seen := known[account]; seen {
		return code, nil
	}
	row, _, err := Balances.Get(ctx, book, account)
	if err != nil {
		return "", err
	}
	known[account] = row.Currency
	return row.Currency, nil
}

// check completes q, and returns the row that After is behind, with what is sorted by.
func (q *TransferQuery) check() (last *daybook.ViewRow[daybook.UUID, Transfer], err error) {
	if q.Sort == "" {
		q.Sort = ByPosition
	}
	switch {
	case q.Sort.column() == "":
		return nil, refused("sort", "%q is no order of transfers: use %s", short(string(q.Sort)), joined(TransferSorts()))
	case q.State != "" && !slices.Contains(TransferStates(), q.State):
		return nil, refused("state", "%q is no state of transfers: use %s", short(string(q.State)), joined(TransferStates()))
	case q.After == "":
		return nil, checkLimit(q.Limit)
	}
	c, err := parseCursor(q.After, string(q.Sort), q.Reverse)
	if err != nil {
		return nil, err
	}
	row := daybook.ViewRow[daybook.UUID, Transfer]{Key: c.Key}
	switch q.Sort {
	case ByPosition:
		row.Row.Position = c.Number
	case ByOccurredAt:
		row.Row.OccurredAt = time.UnixMicro(c.Number).UTC()
	case ByAmount:
		row.Row.Amount = c.Number
	}
	return &row, checkLimit(q.Limit)
}

// place is the one behind a row.
func (q TransferQuery) place(last daybook.ViewRow[daybook.UUID, Transfer]) string {
	c := cursor{Sort: string(q.Sort), Reverse: q.Reverse, Key: last.Key}
	switch q.Sort {
	case ByPosition:
		c.Number = last.Row.Position
	case ByOccurredAt:
		c.Number = last.Row.OccurredAt.UnixMicro()
	case ByAmount:
		c.Number = last.Row.Amount
	}
	return c.String()
}

// conditions are q's for SQL.
func (q TransferQuery) conditions() (where conditions) {
	where.add(!q.From.IsZero(), "from_account", daybook.Equal, func() any { return q.From })
	where.add(!q.To.IsZero(), "to_account", daybook.Equal, func() any { return q.To })
	where.add(q.Search != "", "search", daybook.Contains, func() any { return folded(q.Search) })
	where.add(q.State != "", "state", daybook.Equal, func() any { return q.State })
	where.add(q.Min != nil, "amount", daybook.GreaterOrEqual, func() any { return *q.Min })
	where.add(q.Max != nil, "amount", daybook.LessOrEqual, func() any { return *q.Max })
	where.add(!q.Since.IsZero(), "occurred_at", daybook.GreaterOrEqual, func() any { return q.Since })
	where.add(!q.Before.IsZero(), "occurred_at", daybook.Less, func() any { return q.Before })
	return where
}
