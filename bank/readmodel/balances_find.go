package readmodel

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// AccountBalance is a row of [Balances] with its key.
type AccountBalance = daybook.ViewRow[daybook.UUID, Balance]

// BalanceSort is what accounts are sorted by. Accounts that are alike in it are in the order
// of their ids.
type BalanceSort string

// The orders. Handles are sorted by their bytes, owners without regard to case, balances
// by their minor units whatever the currency.
const (
	ByHandle    BalanceSort = "handle"
	ByOwner     BalanceSort = "owner"
	ByBalance   BalanceSort = "balance"
	ByLastEvent BalanceSort = "last-event"
)

// BalanceSorts returns all orders.
func BalanceSorts() []BalanceSort { return []BalanceSort{ByHandle, ByOwner, ByBalance, ByLastEvent} }

// columns are what SQL sorts by.
func (s BalanceSort) columns() []string {
	switch s {
	case ByHandle:
		return []string{"handle_key", "handle"}
	case ByOwner:
		return []string{"owner_key", "owner"}
	case ByBalance:
		return []string{"balance"}
	case ByLastEvent:
		return []string{"position"}
	}
	return nil
}

// BalanceQuery selects accounts. The zero BalanceQuery is all of them, by handle.
type BalanceQuery struct {
	// Search is text in the handle or in the owner's name, in upper or lower case.
	Search string
	// Currency and Status, where set, are theirs.
	Currency bank.Currency
	Status   *bank.Status
	// Min and Max, where set, are the least and the largest balance, in minor units.
	Min, Max *int64
	// From and To, where set, are for accounts the last event of which was recorded at
	// From or later, and before To.
	From, To time.Time
	// Sort is the order, ByHandle where it is empty; Reverse turns it round.
	Sort    BalanceSort
	Reverse bool
	// Limit is the most accounts; 0 is all, all as of one moment.
	Limit int
	// After is the Next of the page before.
	After string
}

// FindBalances returns the accounts that q selects, as they are now. See
// [BalanceQuery.Among] for those of another moment.
func FindBalances(ctx context.Context, book *daybook.Book, q BalanceQuery) (Page[AccountBalance], error) {
	last, err := q.check()
	if err != nil {
		return Page[AccountBalance]{}, err
	}
	view := daybook.ViewQuery{Where: q.conditions(), Order: q.Sort.columns(), Reverse: q.Reverse, Limit: more(q.Limit)}
	rows, err := find(ctx, book, Balances, view, last)
	return pageOf(rows, q.Limit, q.place), err
}

// Among returns those of rows that q selects, as FindBalances does those of the table: for
// rows of the past, that [daybook.View.At] has worked out.
func (q BalanceQuery) Among(rows []AccountBalance) (Page[AccountBalance], error) {
	last, err := q.check()
	if err != nil {
		return Page[AccountBalance]{}, err
	}
	var selected []AccountBalance
	for _, row := range rows {
		if q.selects(row.Row) && (last == nil || q.compare(row, *last) > 0) {
			selected = append(selected, row)
		}
	}
	slices.SortFunc(selected, q.compare)
	return pageOf(selected, q.Limit, q.place), nil
}

// check completes q, and returns the row that After is behind, with what is sorted by.
func (q *BalanceQuery) check() (last *AccountBalance, err error) {
	if q.Sort == "" {
		q.Sort = ByHandle
	}
	switch {
	case q.Sort.columns() == nil:
		return nil, refused("sort", "%q is no order of accounts: use %s", short(string(q.Sort)), joined(BalanceSorts()))
	case q.After == "":
		return nil, checkLimit(q.Limit)
	}
	c, err := parseCursor(q.After, string(q.Sort), q.Reverse)
	if err != nil {
		return nil, err
	}
	row := AccountBalance{Key: c.Key}
	switch q.Sort {
	case ByHandle:
		row.Row.Handle, row.Row.HandleKey = c.Text, beginning(c.Text)
	case ByOwner:
		row.Row.Owner, row.Row.OwnerKey = c.Text, beginning(folded(c.Text))
	case ByBalance:
		row.Row.Balance = c.Number
	case ByLastEvent:
		row.Row.Position = c.Number
	}
	return &row, checkLimit(q.Limit)
}

// place is the one behind a row.
func (q BalanceQuery) place(last AccountBalance) string {
	c := cursor{Sort: string(q.Sort), Reverse: q.Reverse, Key: last.Key}
	switch q.Sort {
	case ByHandle:
		c.Text = last.Row.Handle
	case ByOwner:
		c.Text = last.Row.Owner
	case ByBalance:
		c.Number = last.Row.Balance
	case ByLastEvent:
		c.Number = last.Row.Position
	}
	return c.String()
}

// conditions are q's for SQL. selects says the same in Go.
func (q BalanceQuery) conditions() (where conditions) {
	where.add(q.Search != "", "search", daybook.Contains, func() any { return folded(q.Search) })
	where.add(q.Currency != "", "currency", daybook.Equal, func() any { return q.Currency })
	where.add(q.Status != nil, "status", daybook.Equal, func() any { return *q.Status })
	where.add(q.Min != nil, "balance", daybook.GreaterOrEqual, func() any { return *q.Min })
	where.add(q.Max != nil, "balance", daybook.LessOrEqual, func() any { return *q.Max })
	where.add(!q.From.IsZero(), "last_recorded_at", daybook.GreaterOrEqual, func() any { return q.From })
	where.add(!q.To.IsZero(), "last_recorded_at", daybook.Less, func() any { return q.To })
	return where
}

// selects reports whether q selects a row, but for After.
func (q BalanceQuery) selects(row Balance) bool {
	return strings.Contains(row.Search, folded(q.Search)) &&
		(q.Currency == "" || row.Currency == q.Currency) &&
		(q.Status == nil || row.Status == *q.Status) &&
		(q.Min == nil || row.Balance >= *q.Min) &&
		(q.Max == nil || row.Balance <= *q.Max) &&
		(q.From.IsZero() || !row.LastRecordedAt.Before(q.From)) &&
		(q.To.IsZero() || row.LastRecordedAt.Before(q.To))
}

// compare is q's order, as SQL has it.
func (q BalanceQuery) compare(x, y AccountBalance) int {
	by := 0
	switch a, b := x.Row, y.Row; q.Sort {
	case ByHandle:
		by = cmp.Or(strings.Compare(a.HandleKey, b.HandleKey), strings.Compare(a.Handle, b.Handle))
	case ByOwner:
		by = cmp.Or(strings.Compare(a.OwnerKey, b.OwnerKey), strings.Compare(a.Owner, b.Owner))
	case ByBalance:
		by = cmp.Compare(a.Balance, b.Balance)
	case ByLastEvent:
		by = cmp.Compare(a.Position, b.Position)
	}
	by = cmp.Or(by, bytes.Compare(x.Key[:], y.Key[:]))
	if q.Reverse {
		return -by
	}
	return by
}
