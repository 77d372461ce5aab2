package main

import (
	"context"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// cut is a point found in the book: it shows the events up to a position and, where
// occurredBy is given, of those the ones that had occurred by then. Several accounts,
// or an account and its events, are looked at through one cut, and so belong together
// whatever others write meanwhile.
type cut struct {
	position   int64
	occurredBy instant
}

// includes reports whether the cut shows an event.
func (c cut) includes(rec daybook.Recorded) bool {
	return rec.Position <= c.position && (!c.occurredBy.given || !rec.OccurredAt.After(c.occurredBy.value))
}

// query is what there is to read for the cut, of one account or, where id is zero, of
// all; false where it is nothing.
func (c cut) query(id daybook.AggregateID) (daybook.Query, bool) {
	q := daybook.Query{Aggregate: id, UntilPosition: c.position, OccurredUntil: c.occurredBy.value}
	if id.IsZero() {
		q.AggregateType = bank.AccountType
	}
	return q, c.position > 0 // to a Query, 0 is no bound
}

// cut finds a point in the book. id is the account that a sequence number counts in.
// It tells the user when the point lies in the future.
func (a *app) cut(ctx context.Context, s *session, id daybook.AggregateID, at pointFlags) (cut, error) {
	c := cut{occurredBy: at.asOfOccurred}
	future := false
	head, err := s.book.Head(ctx)
	switch {
	case err != nil:
	case at.sequence.given:
		var loaded account
		loaded, err = s.accounts.LoadAt(ctx, id, daybook.AtSequence(at.sequence.value))
		c.position = loaded.Position
	case at.asOf.given:
		c.position, future, err = s.book.PositionAt(ctx, at.asOf.value)
	case at.position.value > head.Position:
		err = &daybook.NotThereError{What: "position", Asked: at.position.value, Last: head.Position, Subject: "book " + s.book.Name()}
	case at.position.given:
		c.position = at.position.value
	default:
		c.position = head.Position
	}
	if err != nil {
		return cut{}, err
	}
	a.noteFuture(at, future)
	return c, nil
}

// noteFuture says so where a point has not come yet; recorded is whether that is true
// of its recorded time.
func (a *app) noteFuture(at pointFlags, recorded bool) {
	const provisional = "%s has not passed yet: this is the answer as of now, and it may still change"
	if recorded {
		a.note(provisional, at.asOf.String())
	}
	if at.occurredInFuture() {
		a.note(provisional, at.asOfOccurred.String())
	}
}
