package readmodel

import (
	"context"
	"math/big"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// DayBalance is a day of an account. The sums are exact, in minor units of Currency; in an
// odd history they may be more than an int64 holds.
type DayBalance struct {
	Day      Day
	Currency bank.Currency
	// Closing is Opening + In − Out, and the Opening of the next day there is.
	Opening, In, Out, Closing *big.Int
	// Deposits, Withdrawals, Sent and Received count the movements of each kind.
	Deposits, Withdrawals, Sent, Received int64
}

// DaysQuery selects days of an account. The zero DaysQuery is all of them.
type DaysQuery struct {
	// From and To, where set, are the first and the last day.
	From, To Day
	// Limit is the most days; 0 is all.
	Limit int
	// After is the Next of the page before.
	After string
}

// FindDays returns the days of an account on which something occurred, in order, by what
// [Daily] knows. It reads all days of the account, at one moment, to add them up.
func FindDays(ctx context.Context, book *daybook.Book, account daybook.UUID, q DaysQuery) (Page[DayBalance], error) {
	var page Page[DayBalance]
	if err := q.check(); err != nil {
		return page, err
	}
	rows, err := Daily.Find(ctx, book, daybook.ViewQuery{Where: []daybook.Condition{{Column: "account_id", Op: daybook.Equal, Value: account}}})
	if err != nil {
		return page, err
	}
	code := currencyOf(rows)
	balance := new(big.Int)
	for _, row := range rows {
		day := DayBalance{
			Day: row.Key.Day, Currency: code, Opening: balance, In: row.Row.In(), Out: row.Row.Out(),
			Deposits: row.Row.Deposits, Withdrawals: row.Row.Withdrawals, Sent: row.Row.Sent, Received: row.Row.Received,
		}
		balance = new(big.Int).Sub(new(big.Int).Add(balance, day.In), day.Out)
		day.Closing = balance
		switch {
		case day.Day < q.From || day.Day <= Day(q.After):
			continue
		case q.To != "" && day.Day > q.To:
			return page, nil
		case q.Limit > 0 && len(page.Rows) == q.Limit:
			page.Next = string(page.Rows[q.Limit-1].Day)
			return page, nil
		}
		page.Rows = append(page.Rows, day)
	}
	return page, nil
}

func (q DaysQuery) check() error {
	for field, day := range map[string]string{"from": string(q.From), "to": string(q.To), "after": q.After} {
		if day == "" {
			continue
		}
		if _, err := ParseDay(day); err != nil {
			return refused(field, "%q is no day: write it as in 2026-11-24", short(day))
		}
	}
	return checkLimit(q.Limit)
}

// currencyOf is that of the account's last opening; empty where it has none.
func currencyOf(rows []daybook.ViewRow[AccountDay, DayMovements]) (code bank.Currency) {
	opened := int64(0)
	for _, row := range rows {
		if row.Row.Opened > opened {
			opened, code = row.Row.Opened, row.Row.Currency
		}
	}
	return code
}

// AccountMovements is what occurred to one account on a day.
type AccountMovements = daybook.ViewRow[AccountDay, DayMovements]

// FindMovements returns what occurred on a day, to each account, in the order of their ids:
// at most limit accounts, or all where it is 0. after is the Next of the page before.
func FindMovements(ctx context.Context, book *daybook.Book, day Day, limit int, after string) (Page[AccountMovements], error) {
	if _, err := ParseDay(string(day)); err != nil {
		return Page[AccountMovements]{}, err
	}
	if err := checkLimit(limit); err != nil {
		return Page[AccountMovements]{}, err
	}
	var last *AccountMovements
	if after != "" {
		id, err := daybook.ParseUUID(after)
		if err != nil {
			return Page[AccountMovements]{}, refused("after", "%q is no account's id: give what the page before said is next", short(after))
		}
		last = &AccountMovements{Key: AccountDay{id, day}}
	}
	where := []daybook.Condition{{Column: "day", Op: daybook.Equal, Value: day}}
	rows, err := find(ctx, book, Daily, daybook.ViewQuery{Where: where, Limit: more(limit)}, last)
	return pageOf(rows, limit, func(last AccountMovements) string { return last.Key.AccountID.String() }), err
}
