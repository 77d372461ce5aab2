package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/vbauerster/mpb/v8/decor"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// longToRead is how many events it takes noticeable time to make a read model from.
const longToRead = 20_000

// bookFor opens the book. For who writes, the read model balances is part of every append,
// and is made first where the book has none that this program can keep. A bank does not
// stand still for that: where it cannot be made, for an event that cannot be read perhaps,
// commands are granted without it. Where others keep it, the book refuses such appends.
func (a *app) bookFor(ctx context.Context, driver daybook.Driver, writes bool) (*daybook.Book, error) {
	if !writes {
		return daybook.Open(ctx, driver, a.book, bank.Events)
	}
	making := &makingBalances{app: a}
	book, err := daybook.Open(ctx, driver, a.book, bank.Events, daybook.Inline{readmodel.Balances}, daybook.InlineProgress(making.tell))
	making.bar.end(err == nil)
	if err == nil {
		return book, nil
	}
	book, plainErr := daybook.Open(ctx, driver, a.book, bank.Events)
	if plainErr != nil {
		return nil, plainErr
	}
	a.noteUnread("made", err)
	return book, nil
}

// makingBalances tells whoever waits why, where it takes long.
type makingBalances struct {
	app *app
	bar *progressBar
	on  bool
}

func (m *makingBalances) tell(projection string, position, head int64) {
	if head < longToRead {
		return
	}
	if !m.on {
		m.on = true
		m.app.note("reading %s for the read model %s, which every write keeps from now on: this is done once", plural(head, "event"), projection)
		m.bar = m.app.progressBar("making "+projection, decor.CountersNoUnit("%d / %d events "))
	}
	m.bar.update(position, head)
}

// noteUnread says that answers come from the events alone, and why.
func (a *app) noteUnread(cannotBe string, err error) {
	a.note("the read model balances cannot be %s, and accounts are worked out from the events meanwhile: %s", cannotBe, a.redact(strings.TrimPrefix(err.Error(), "daybook: ")))
}

// explainInline says in the user's words that the book keeps read models with every write
// which this program cannot keep.
func (a *app) explainInline(ctx context.Context, s *session, err error) error {
	if !errors.Is(err, daybook.ErrProjectionChanged) {
		return err
	}
	list, listErr := s.book.Projections(ctx)
	if listErr != nil {
		return err
	}
	var names []string
	for _, status := range list {
		if status.State == daybook.GenerationLive && status.Kind == daybook.KindInline && !status.Paused {
			names = append(names, status.Projection)
		}
	}
	if len(names) == 0 { // balances comes behind, as by a rebuild before the first write
		return &hintError{
			&subjectError{err, fmt.Sprintf("the read model balances of book %s is of another daybank, and this one cannot keep it with its writes", a.book)},
			"use that daybank, which may be a newer one; or daybank pause balances lets others write without it",
		}
	}
	return &hintError{
		&subjectError{err, fmt.Sprintf("every write to book %s keeps %s, in another way than this daybank can", a.book, strings.Join(names, ", "))},
		"use the program that has made it, which may be a newer daybank (daybank projections shows the version); or daybank pause NAME lets others write without it",
	}
}

// balancesNow answers from the table of the read model. found says whether that is there, and
// is kept with every append as this program does it: else it is not the present.
func (s *session) balancesNow(ctx context.Context, q readmodel.BalanceQuery) (page readmodel.Page[readmodel.AccountBalance], found bool) {
	live, found, err := liveGeneration(ctx, s.book, readmodel.Balances.Name)
	if err != nil || !found || live.Kind != daybook.KindInline || live.Paused || live.Version != readmodel.Version(live.Projection) {
		return page, false
	}
	page, err = readmodel.FindBalances(ctx, s.book, q)
	return page, err == nil
}

// balancesAt is the read model as the cut shows it: worked out from the nearest rows that are
// kept and the events behind them, or from all events. Where one cannot be read, unreadable
// says so, and its account is left out.
func (a *app) balancesAt(ctx context.Context, s *session, c cut) (rows []readmodel.AccountBalance, unreadable []error, err error) {
	point := daybook.AtPosition(c.position)
	if c.occurredBy.given {
		point = point.OccurredBy(c.occurredBy.value)
	}
	past, err := readmodel.Balances.At(ctx, s.book, point)
	if err == nil {
		return past.Rows, nil, nil
	}
	if !errors.Is(err, daybook.ErrProjection) && ctx.Err() == nil { // and not an event, which is named below
		a.noteUnread("read", err)
	}
	return s.balancesOf(ctx, c)
}
