// Package readmodel is what the bank's events come to, in tables that are easy to ask.
//
// There are three. [Balances] has a row for each account, as it is now: it is meant to be
// inline, so that whoever has appended something reads it there. [Daily] has what came in
// and went out, by account and day, and [Transfers] the two halves of each transfer
// brought together: these are to run behind.
//
// They are views of a [daybook.Book], so each can be rebuilt from its events, verified
// against them, and asked for any moment of the past. A history may hold what no command
// grants, such as an imported overdraft, a payment before the opening, or half a
// transfer. A view takes it as it is: what is recorded has happened.
package readmodel

import (
	"context"
	"slices"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// Behind returns the views that are to run behind the book, for [daybook.Book.Run].
func Behind() []daybook.Projector { return []daybook.Projector{Daily, Transfers} }

// Names returns the names of all views of this package.
func Names() []string { return []string{Balances.Name, Daily.Name, Transfers.Name} }

// Named returns the view of a name, or nil where there is none.
func Named(name string) daybook.Projector {
	switch name {
	case Balances.Name:
		return Balances
	case Daily.Name:
		return Daily
	case Transfers.Name:
		return Transfers
	}
	return nil
}

// Version is which version of a view this package makes, as in [daybook.Checkpoint]; 0 where
// there is no view of that name.
func Version(name string) int64 {
	switch name {
	case Balances.Name:
		return int64(Balances.Version)
	case Daily.Name:
		return int64(Daily.Version)
	case Transfers.Name:
		return int64(Transfers.Version)
	}
	return 0
}

// Checks returns, for [daybook.Verify], a check of each view that it equals the replay. One
// that the book does not know is not looked at, and the report says so.
func Checks(ctx context.Context, book *daybook.Book) ([]daybook.Check, error) {
	list, err := book.Projections(ctx)
	if err != nil {
		return nil, err
	}
	var checks []daybook.Check
	for _, one := range []struct {
		name  string
		check func(*daybook.Book) (daybook.Check, error)
	}{{Balances.Name, Balances.Check}, {Daily.Name, Daily.Check}, {Transfers.Name, Transfers.Check}} {
		check := daybook.Check(unknown(one.name))
		if slices.ContainsFunc(list, func(s daybook.ProjectionStatus) bool {
			return s.Projection == one.name && s.State == daybook.GenerationLive
		}) {
			if check, err = one.check(book); err != nil {
				return nil, err
			}
		}
		checks = append(checks, check)
	}
	return checks, nil
}

// unknown is the check of a view that the book does not know.
type unknown string

func (u unknown) Name() string { return string(u) }

func (u unknown) Begin(_ context.Context, p *daybook.Pass) (daybook.Look, error) {
	p.Skip("the book has no such read model")
	return nil, nil
}

// ofAccount returns the event where it is about an account.
func ofAccount(e daybook.ProjectedEvent) (bank.Event, bool) {
	event, ok := e.Data.(bank.Event)
	return event, ok && e.Aggregate.Type == bank.AccountType
}

// folded is text without regard to upper and lower case: two texts that differ in nothing
// else are folded to the same one. It is made here, and not in SQL, so that both engines
// find the same.
func folded(text string) string { return norm.NFC.String(cases.Fold().String(text)) }

// maxSortBytes is how much of a text its rows are sorted by with the help of an index: the
// index of a database has no room for more. The rest is sorted by as well, row by row.
const maxSortBytes = 200

// beginning is text up to maxSortBytes, in whole characters, so that texts are in the order
// of their beginnings.
func beginning(text string) string {
	if len(text) <= maxSortBytes {
		return text
	}
	end := maxSortBytes
	for end > 0 && text[end]&0xC0 == 0x80 {
		end--
	}
	return text[:end]
}
