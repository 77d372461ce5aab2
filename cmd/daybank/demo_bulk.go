package main

import (
	"context"
	"strconv"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

const (
	bulkEvents  = 10_000
	bulkAppends = 10
)

func (t *tour) bulk(ctx context.Context) error {
	id := bank.AccountID(carol)
	events := bulkEvents / bulkAppends
	t.call("book.Append(ctx, daybook.Entry{Aggregate: carol, Expected: daybook.Exactly(n), Events: events})")
	var appending time.Duration
	for range bulkAppends {
		entry := daybook.Entry{Aggregate: id, Expected: daybook.Exactly(t.number(carol))}
		for range events {
			entry.Events = append(entry.Events, daybook.Event{Data: t.nextOfCarol()})
		}
		began := time.Now()
		if _, err := t.session.book.Append(ctx, entry); err != nil {
			return err
		}
		appending += time.Since(began)
	}
	t.note("%d times, with %d events each: appended in %s, %s", bulkAppends, events, millis(appending), perSecond(appending))

	t.call("accounts.Load(ctx, carol)")
	began := time.Now()
	loaded, err := t.session.accounts.Load(ctx, id)
	if err != nil {
		return err
	}
	replaying := time.Since(began)
	t.note("replayed in %s, %s. There is no snapshot: all were read, decoded, folded.", millis(replaying), perSecond(replaying))
	t.report.BulkEvents = loaded.SequenceNumber
	t.report.AppendMicroseconds, t.report.ReplayMicroseconds = appending.Microseconds(), replaying.Microseconds()
	return check(t, carol, place(loaded.State.Money(), loaded.SequenceNumber), place(eur(t.balance(carol)), bulkEvents))
}

// nextOfCarol returns the event that comes next on carol's account: its opening,
// and then deposits and, every third time, a smaller withdrawal.
func (t *tour) nextOfCarol() bank.Event {
	n := t.number(carol)
	switch {
	case n == 0:
		t.expect(carol, 0)
		return bank.AccountOpened{AccountID: carol, OwnerName: "Carol", Currency: "EUR"}
	case n%3 == 0:
		t.expect(carol, -(n - 1))
		return bank.MoneyWithdrawn{Amount: n - 1}
	default:
		t.expect(carol, n)
		return bank.MoneyDeposited{Amount: n}
	}
}

func millis(d time.Duration) string { return d.Round(time.Millisecond).String() }

// perSecond is how many of the events a second that makes.
func perSecond(d time.Duration) string {
	return strconv.FormatInt(int64(bulkEvents/max(d, time.Microsecond).Seconds()), 10) + " events/s"
}
