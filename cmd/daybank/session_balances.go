package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/vbauerster/mpb/v8/decor"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// longToRead is how many events it takes noticeable time to make a read model from.
const longToRead = 20_000

// withBalances opens the book with the read model balances as part of every append, which is
// made where it is not there as this program declares it. Where that cannot be, for an
// event that cannot be read, commands on other accounts are granted all the same, as long
// as nobody else has it as part of his appends.
func (a *app) withBalances(ctx context.Context, driver daybook.Driver, plain *daybook.Book) (*daybook.Book, error) {
	err := a.makeBalances(ctx, plain)
	if err == nil {
		var book *daybook.Book
		if book, err = daybook.Open(ctx, driver, a.book, bank.Events, daybook.Inline{readmodel.Balances}); err == nil {
			return book, nil
		}
	}
	if !errors.Is(err, daybook.ErrProjection) {
		return nil, err
	}
	a.note("the read model balances cannot be made, and accounts are worked out from the events until it can: %s", a.redact(strings.TrimPrefix(err.Error(), "daybook: ")))
	return plain, nil
}

// makeBalances makes the read model where that takes long, and tells the user. Else it
// is left to the opening.
func (a *app) makeBalances(ctx context.Context, plain *daybook.Book) error {
	head, err := plain.Head(ctx)
	if err != nil || head.Position < longToRead {
		return err
	}
	live, found, err := liveGeneration(ctx, plain, readmodel.Balances.Name)
	if err != nil || found && live.Version >= int64(readmodel.Balances.Version) {
		return err
	}
	a.note("making the read model balances from %s, which this program keeps from now on: it takes a while, once", plural(head.Position, "event"))
	progress := a.progressBar("making balances", decor.CountersNoUnit("%d / %d events "))
	_, err = plain.Rebuild(ctx, readmodel.Balances, daybook.RebuildOptions{Progress: progress.update})
	progress.end(err == nil)
	if errors.Is(err, daybook.ErrProjectionBusy) {
		return nil // another process makes it, and the opening waits for that
	}
	return err
}

// liveGeneration is the generation of a projection that readers see, and whether there is
// one.
func liveGeneration(ctx context.Context, book *daybook.Book, name string) (daybook.ProjectionStatus, bool, error) {
	list, err := book.Projections(ctx)
	if err != nil {
		return daybook.ProjectionStatus{}, false, err
	}
	i := slices.IndexFunc(list, func(s daybook.ProjectionStatus) bool {
		return s.Projection == name && s.State == daybook.GenerationLive
	})
	if i < 0 {
		return daybook.ProjectionStatus{}, false, nil
	}
	return list[i], true, nil
}

// hasCurrentBalances reports whether the rows of balances are as of now, whatever is
// appended.
func (s *session) hasCurrentBalances(ctx context.Context) (bool, error) {
	live, found, err := liveGeneration(ctx, s.book, readmodel.Balances.Name)
	return found && live.Kind == daybook.KindInline && !live.Paused && live.Version == int64(readmodel.Balances.Version), err
}

// balancesAt is the read model as the cut shows it: worked out from the nearest rows that
// are kept, and the events behind them.
func (s *session) balancesAt(ctx context.Context, c cut) ([]readmodel.AccountBalance, error) {
	point := daybook.AtPosition(c.position)
	if c.occurredBy.given {
		point = point.OccurredBy(c.occurredBy.value)
	}
	past, err := readmodel.Balances.At(ctx, s.book, point)
	if err != nil {
		return nil, err
	}
	return past.Rows, nil
}
