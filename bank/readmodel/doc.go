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

// views are all of them. What is inline comes first.
var views = []struct {
	name      string
	version   int
	projector daybook.Projector
	check     func(*daybook.Book) (daybook.Check, error)
}{
	{Balances.Name, Balances.Version, Balances, Balances.Check},
	{Daily.Name, Daily.Version, Daily, Daily.Check},
	{Transfers.Name, Transfers.Version, Transfers, Transfers.Check},
}

// Behind returns the views that are to run behind the book, for [daybook.Book.Run].
func Behind() []daybook.Projector { return []daybook.Projector{Daily, Transfers} }

// Names returns the names of all views of this package.
func Names() (names []string) {
	for _, v := range views {
		names = append(names, v.name)
	}
	return names
}

// Named returns the view of a name, or nil where there is none.
func Named(name string) daybook.Projector {
	for _, v := range views {
		if v.name == name {
			return v.projector
		}
	}
	return nil
}

// Version is which version of a view this package makes, as in [daybook.Checkpoint]; 0 where
// there is no view of that name.
func Version(name string) int64 {
	for _, v := range views {
		if v.name == name {
			return int64(v.version)
		}
	}
	return 0
}

// Checks returns, for [daybook.Verify], a check of each view that it equals the replay. One
// that the book does not know is not looked at, and the report says so.
func Checks(ctx context.Context, book *daybook.Book) (checks []daybook.Check, err error) {
	list, err := book.Projections(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range views {
		check := daybook.SkippedCheck(v.name, "the book has no such read model")
		if slices.ContainsFunc(list, func(s daybook.ProjectionStatus) bool {
			return s.Projection == v.name && s.State == daybook.GenerationLive
		}) {
			if check, err = v.check(book); err != nil {
				return nil, err
			}
		}
		checks = append(checks, check)
	}
	return checks, nil
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
