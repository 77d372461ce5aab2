package main

import (
	"context"
	"errors"
	"slices"
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
	replayed, err := t.session.accounts.Load(ctx, id)
	if err != nil {
		return err
	}
	replaying := time.Since(began)
	t.note("There is no snapshot yet: all were read, decoded, folded, in %s, %s.", millis(replaying), perSecond(replaying))
	t.report.BulkEvents = replayed.SequenceNumber
	t.report.AppendMicroseconds, t.report.ReplayMicroseconds = appending.Microseconds(), replaying.Microseconds()
	if err := check(t, carol, place(replayed.State.Money(), replayed.SequenceNumber), place(eur(t.balance(carol)), bulkEvents)); err != nil {
		return err
	}
	return t.snapshot(ctx, replayed, replaying)
}

const (
	// snapshotBehind is how far behind a snapshot a command is on average: they are kept
	// at every fiftieth event.
	snapshotBehind = 25
	snapshotNumber = bulkEvents - 50 + snapshotBehind
	// snapshotLoads is how often carol is loaded with one: the first ones have
	// statements to get ready, so the median is what is shown.
	snapshotLoads = 5
)

// snapshot keeps snapshots of carol's account and loads her with them.
func (t *tour) snapshot(ctx context.Context, replayed account, replaying time.Duration) error {
	id := replayed.Aggregate
	t.call("accounts.Keep(ctx, carol)")
	if _, err := t.session.accounts.Keep(ctx, id); err != nil {
		return err
	}
	// The load before has asked for the same ones, to be made in the background.
	if err := t.session.accounts.Flush(ctx); err != nil {
		return err
	}
	t.call("accounts.LoadAt(ctx, carol, daybook.AtSequence(%d))", snapshotNumber)
	var behind account
	var err error
	var times []time.Duration
	for range snapshotLoads {
		began := time.Now()
		if behind, err = t.session.accounts.LoadAt(ctx, id, daybook.AtSequence(snapshotNumber)); err != nil {
			return err
		}
		times = append(times, time.Since(began))
	}
	took := slices.Sorted(slices.Values(times))[snapshotLoads/2]
	t.report.SnapshotMicroseconds = took.Microseconds()
	t.note("A snapshot and the %d events behind it took %s instead of %s: %.0f times as fast.", snapshotBehind,
		took.Round(10*time.Microsecond), millis(replaying), float64(replaying)/float64(max(took, time.Microsecond)))
	loaded, err := t.session.accounts.Load(ctx, id)
	if err != nil {
		return err
	}
	return errors.Join(
		check(t, carol, place(behind.State.Money(), behind.SequenceNumber), place(eur(t.expected[carol][snapshotNumber-1]), snapshotNumber)),
		check(t, "the present account with a snapshot is the replayed one", loaded == replayed, true),
		check(t, "loads that began with a snapshot", t.session.accounts.SnapshotStats().Used, snapshotLoads+1),
	)
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
