package main

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// listedAccount is an account in a list.
type listedAccount struct {
	accountRow `json:",inline"`
	// Next, of the last account of a page behind which there are more, is what --after
	// takes for the next page.
	Next string `json:"next,omitzero"`
}

// accountsFlags say which accounts, and in which order.
type accountsFlags struct {
	at                             pointFlags
	search, currency, status, sort string
	reverse                        bool
	limit                          number
	after                          string
}

func newAccounts(a *app) *cobra.Command {
	var f accountsFlags
	cmd := &cobra.Command{
		Use:   "accounts",
		Short: "List accounts, now or at any moment of the past",
		Long: `List all accounts, or those that are looked for, as they are at one and the same
position of the book.

They are answered from the read model balances, which every write keeps, and for
the past from the events behind it. Where the book has none it is the events alone.`,
		Args: needs(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			q, err := f.query(cmd.Flags().Changed)
			if err != nil {
				return err
			}
			return a.reading(cmd.Context(), func(ctx context.Context, s *session) error {
				return a.accounts(ctx, s, q, f.at)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.search, "search", "", "only those with `TEXT` in the handle or the owner's name, in upper or lower case")
	flags.StringVar(&f.currency, "currency", "", "only those in the currency, an ISO 4217 `CODE`")
	flags.StringVar(&f.status, "status", "", "only those that are open, closed or not-opened: a `STATUS`")
	flags.StringVar(&f.sort, "sort", string(readmodel.ByHandle), "the `ORDER`: handle, owner, balance or last-event")
	flags.BoolVar(&f.reverse, "reverse", false, "turn the order round")
	flags.Var(&f.limit, "limit", "at most `N` accounts")
	flags.StringVar(&f.after, "after", "", "the next page: `TOKEN` is what the page before said")
	f.at.addForBook(cmd)
	return cmd
}

// query is what the flags ask for.
func (f *accountsFlags) query(given func(flag string) bool) (q readmodel.BalanceQuery, err error) {
	q = readmodel.BalanceQuery{Search: f.search, Sort: readmodel.BalanceSort(f.sort), Reverse: f.reverse, After: f.after}
	if given("search") && f.search == "" || given("sort") && f.sort == "" || given("after") && f.after == "" {
		return q, usage("--search, --sort and --after take no empty text: leave it out, or see daybank accounts --help")
	}
	if given("currency") {
		if q.Currency, err = bank.ParseCurrency(f.currency); err != nil {
			return q, err
		}
	}
	if given("status") {
		status, known := map[string]bank.Status{"open": bank.StatusOpen, "closed": bank.StatusClosed, "not-opened": bank.StatusNotOpened}[f.status]
		if !known {
			return q, usage("--status %q: write open, closed or not-opened", shorten(f.status))
		}
		q.Status = &status
	}
	if f.limit.given {
		const most = 1_000_000
		if f.limit.value < 1 || f.limit.value > most {
			return q, usage("--limit %d: write a number from 1 to %d", f.limit.value, most)
		}
		q.Limit = int(f.limit.value)
	}
	_, err = q.Among(nil) // it finds what is wrong with the rest
	return q, err
}

func (a *app) accounts(ctx context.Context, s *session, q readmodel.BalanceQuery, at pointFlags) error {
	page, unreadable, err := a.findAccounts(ctx, s, q, at)
	if err != nil {
		return err
	}
	var rows []listedAccount
	for _, found := range page.Rows {
		one := accountIn(found)
		if err := countable(one); err != nil {
			unreadable = append(unreadable, err)
			continue
		}
		rows = append(rows, listedAccount{accountRow: accountRowOf(one)})
	}
	if len(rows) > 0 {
		rows[len(rows)-1].Next = page.Next
	}
	l := a.listing(accountColumns(), false)
	for _, one := range rows {
		if err := l.add(one); err != nil {
			return err
		}
	}
	if err := l.close(); err != nil {
		return err
	}
	if page.Next != "" {
		a.note("there are more: --after %s is the next page", page.Next)
	}
	// An account that cannot be read hides no other, and is not passed over in silence
	// either.
	return errors.Join(unreadable...)
}

// accountIn is the account that a row of balances is of.
func accountIn(row readmodel.AccountBalance) account {
	return account{
		Aggregate: daybook.AggregateID{Type: bank.AccountType, ID: row.Key}, State: row.Row.Account,
		SequenceNumber: row.Row.SequenceNumber, Position: row.Row.Position,
	}
}

// findAccounts answers from the read model, as it is now or was at a point. Where an event
// cannot be read, unreadable says so, and its account is left out.
func (a *app) findAccounts(ctx context.Context, s *session, q readmodel.BalanceQuery, at pointFlags) (page readmodel.Page[readmodel.AccountBalance], unreadable []error, err error) {
	if at == (pointFlags{}) {
		if now, found := s.balancesNow(ctx, q); found {
			return now, nil, nil
		}
	}
	c, err := a.cut(ctx, s, daybook.AggregateID{}, at)
	if err != nil {
		return page, nil, err
	}
	rows, unreadable, err := a.balancesAt(ctx, s, c)
	if err != nil {
		return page, nil, err
	}
	page, err = q.Among(rows)
	return page, unreadable, err
}

// balancesOf works balances out from the events that the cut shows, without the accounts
// that have one which cannot be read. Memory grows with the accounts, not with the events.
func (s *session) balancesOf(ctx context.Context, c cut) (accounts []readmodel.AccountBalance, unreadable []error, err error) {
	q, any := c.query(daybook.AggregateID{})
	if !any {
		return nil, nil, nil
	}
	rows := map[daybook.UUID]readmodel.AccountBalance{}
	broken := map[daybook.UUID]bool{}
	for rec, err := range s.book.Read(ctx, q) {
		if err != nil {
			return nil, nil, err
		}
		id := rec.Aggregate.ID
		if broken[id] || !c.includes(rec) {
			continue
		}
		event, err := s.decode(rec)
		if err != nil {
			broken[id] = true
			delete(rows, id)
			unreadable = append(unreadable, err)
			continue
		}
		row, _ := readmodel.Balances.Evolve(rows[id].Row, id, daybook.ProjectedEvent{Recorded: rec, Data: event})
		rows[id] = readmodel.AccountBalance{Key: id, Row: row}
	}
	return slices.Collect(maps.Values(rows)), unreadable, nil
}
