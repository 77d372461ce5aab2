package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// The accounts of the demo. carol's is the one with 10,000 events.
const (
	alice = "alice"
	bob   = "bob"
	carol = "carol"
)

// eur returns whole cents as money.
func eur(cents int64) bank.Money { return bank.Money{Minor: cents, Currency: "EUR"} }

// expect notes that an event which changes the balance by so much must now be there.
func (t *tour) expect(handle string, change int64) {
	t.expected[handle] = append(t.expected[handle], t.balance(handle)+change)
}

// balance is the one the demo itself has worked out.
func (t *tour) balance(handle string) int64 {
	after := t.expected[handle]
	if len(after) == 0 {
		return 0
	}
	return after[len(after)-1]
}

// number is the sequence number the account must be at.
func (t *tour) number(handle string) int64 { return int64(len(t.expected[handle])) }

// checkAccount holds an account against the demo's own arithmetic.
func (t *tour) checkAccount(ctx context.Context, handle string) error {
	loaded, err := t.session.accounts.Load(ctx, bank.AccountID(handle))
	if err != nil {
		return err
	}
	return check(t, handle, place(loaded.State.Money(), loaded.SequenceNumber), place(eur(t.balance(handle)), t.number(handle)))
}

// place is a balance and where in its history the account has it.
func place(balance bank.Money, number int64) string {
	return fmt.Sprintf("%s at sequence number %d", balance, number)
}

// checkNothingWritten holds the book's last position against an earlier one.
func (t *tour) checkNothingWritten(ctx context.Context, before daybook.Head) error {
	head, err := t.session.book.Head(ctx)
	if err != nil {
		return err
	}
	return check(t, "nothing was written, the book's last position is still", head.Position, before.Position)
}

func (t *tour) begin(ctx context.Context) error {
	t.note("Amounts are whole cents: eur(10000) is %s.", eur(100_00))
	t.call(`alice, bob := bank.AccountID("alice"), bank.AccountID("bob")`)
	for _, one := range []struct {
		handle  string
		shown   string
		command bank.Command
		change  int64
	}{
		{alice, `bank.Open{Handle: "alice", Owner: "Alice", Currency: "EUR"}`, bank.Open{Handle: alice, Owner: "Alice", Currency: "EUR"}, 0},
		{bob, `bank.Open{Handle: "bob", Owner: "Bob", Currency: "EUR"}`, bank.Open{Handle: bob, Owner: "Bob", Currency: "EUR"}, 0},
		{alice, `bank.Deposit{Amount: eur(10000)}`, bank.Deposit{Amount: eur(100_00)}, 100_00},
		{alice, `bank.Withdraw{Amount: eur(3000)}`, bank.Withdraw{Amount: eur(30_00)}, -30_00},
	} {
		t.call(`accounts.Execute(ctx, %s, %s)`, one.handle, one.shown)
		if _, err := t.session.accounts.Execute(ctx, bank.AccountID(one.handle), one.command); err != nil {
			return err
		}
		t.expect(one.handle, one.change)
	}
	return errors.Join(t.checkAccount(ctx, alice), t.checkAccount(ctx, bob))
}

func (t *tour) showRows(ctx context.Context) error {
	id := bank.AccountID(alice)
	t.call(`book.Read(ctx, daybook.Query{Aggregate: alice})`)
	t.note("alice's aggregate id is %s, made from her handle.", id.ID)
	var rows [][]string
	var types []string
	for rec, err := range t.session.book.Read(ctx, daybook.Query{Aggregate: id}) {
		if err != nil {
			return err
		}
		event, err := eventRowOf(rec)
		if err != nil {
			return err
		}
		types = append(types, event.EventType)
		// A payload takes a line for each member: the table is wide enough as it is.
		payload := strings.Split(strings.ReplaceAll(string(event.Payload), `,"`, ",\n \""), "\n")
		rows = append(rows, []string{event.AggregateID[:8] + "…", event.EventType, payload[0], strconv.FormatInt(event.SequenceNumber, 10), event.OccurredAt})
		for _, rest := range payload[1:] {
			rows = append(rows, []string{"", "", rest, "", ""})
		}
	}
	err := t.table([]column{
		{title: "aggregate_id"}, {title: "event_type"}, {title: "payload"}, {title: "sequence_number", right: true}, {title: "occurred_at"},
	}, rows)
	if err != nil {
		return err
	}
	return check(t, "three events, in the order they happened", strings.Join(types, ", "), "AccountOpened, MoneyDeposited, MoneyWithdrawn")
}

func (t *tour) transfer(ctx context.Context) error {
	t.call(`accounts.ExecuteAll(ctx, bank.Transfer("alice", "bob", eur(2000), daybook.NewUUID(), "rent"))`)
	results, err := t.session.accounts.ExecuteAll(ctx, bank.Transfer(alice, bob, eur(20_00), daybook.NewUUID(), "rent"))
	if err != nil {
		return err
	}
	t.expect(alice, -20_00)
	t.expect(bob, 20_00)
	sent, received := results[0].Events[0], results[1].Events[0]
	t.note("%s is at position %d of the book, %s at %d, both recorded at %s.",
		sent.EventType, sent.Position, received.EventType, received.Position, timeText(sent.RecordedAt))
	return errors.Join(
		check(t, "the two halves have adjacent positions", received.Position-sent.Position, 1),
		check(t, "recorded at one and the same moment", received.RecordedAt.Equal(sent.RecordedAt), true),
		t.checkAccount(ctx, alice), t.checkAccount(ctx, bob),
	)
}

func (t *tour) refuse(ctx context.Context) error {
	before, err := t.session.book.Head(ctx)
	if err != nil {
		return err
	}
	t.call(`_, err := accounts.Execute(ctx, alice, bank.Withdraw{Amount: eur(100000)})`)
	_, err = t.session.accounts.Execute(ctx, bank.AccountID(alice), bank.Withdraw{Amount: eur(1000_00)})
	var refused *bank.InsufficientFundsError
	if !errors.As(err, &refused) {
		return unexpected("a *bank.InsufficientFundsError", err)
	}
	t.note("err: %v", err)
	return errors.Join(
		check(t, "the error is typed, and is bank.ErrInsufficientFunds", errors.Is(err, bank.ErrInsufficientFunds), true),
		check(t, "its Balance", refused.Balance, eur(t.balance(alice))),
		check(t, "its Requested", refused.Requested, eur(1000_00)),
		t.checkNothingWritten(ctx, before),
	)
}

// unexpected says that a call ended in another way than it had to.
func unexpected(want string, err error) error {
	if err == nil {
		return fmt.Errorf("the check failed: expected %s, and there was no error", want)
	}
	return fmt.Errorf("the check failed: expected %s, got %w", want, err)
}

// writer is one of two who race.
type writer struct {
	name    string
	deposit int64
	err     error
}

func (w *writer) append(ctx context.Context, book *daybook.Book, at int64) error {
	_, err := book.Append(ctx, daybook.Entry{
		Aggregate: bank.AccountID(alice),
		Expected:  daybook.Exactly(at),
		Events:    []daybook.Event{{Data: bank.MoneyDeposited{Amount: w.deposit, Reference: "writer " + w.name}}},
	})
	return err
}

func (t *tour) race(ctx context.Context) error {
	loaded, err := t.session.accounts.Load(ctx, bank.AccountID(alice))
	if err != nil {
		return err
	}
	at := loaded.SequenceNumber
	t.note("A and B have both loaded alice at sequence number %d. Both append now, in two goroutines:", at)
	writers := []*writer{{name: "A", deposit: 5_00}, {name: "B", deposit: 7_00}}
	gun := make(chan struct{})
	var race sync.WaitGroup
	for _, w := range writers {
		t.call("book.Append(ctx, daybook.Entry{Aggregate: alice, Expected: daybook.Exactly(%d), Events: %s})", at, w.name)
		race.Go(func() {
			<-gun
			w.err = w.append(ctx, t.session.book, at)
		})
	}
	close(gun)
	race.Wait()

	winner, loser := writers[0], writers[1]
	if winner.err != nil {
		winner, loser = loser, winner
	}
	var conflict *daybook.ConflictError
	switch {
	case winner.err != nil:
		return fmt.Errorf("neither writer won: %w", errors.Join(winner.err, loser.err))
	case !errors.As(loser.err, &conflict):
		return unexpected("a *daybook.ConflictError for one of the two writers", loser.err)
	}
	t.expect(alice, winner.deposit)
	t.note("%s won. %s gets a *daybook.ConflictError:", winner.name, loser.name)
	t.note("%v", conflict)
	if err := check(t, "its Actual is the true sequence number", conflict.Actual, at+1); err != nil {
		return err
	}
	return t.raceAgain(ctx, loser)
}

// raceAgain lets the loser do what a loser does.
func (t *tour) raceAgain(ctx context.Context, loser *writer) error {
	t.note("%s loads again and appends with the number it finds, as accounts.Execute does by itself:", loser.name)
	loaded, err := t.session.accounts.Load(ctx, bank.AccountID(alice))
	if err != nil {
		return err
	}
	t.call("book.Append(ctx, daybook.Entry{Aggregate: alice, Expected: daybook.Exactly(%d), Events: %s})", loaded.SequenceNumber, loser.name)
	if err := loser.append(ctx, t.session.book, loaded.SequenceNumber); err != nil {
		return err
	}
	t.expect(alice, loser.deposit)
	return t.checkAccount(ctx, alice)
}

func (t *tour) retry(ctx context.Context) error {
	deposit := func(cents int64) (daybook.Result[bank.Account], error) {
		t.call("accounts.Execute(ctx, alice, bank.Deposit{Amount: eur(%d)}, daybook.Key(\"salary-2026-11\"))", cents)
		return t.session.accounts.Execute(ctx, bank.AccountID(alice), bank.Deposit{Amount: eur(cents)}, daybook.Key("salary-2026-11"))
	}
	original, err := deposit(1500_00)
	if err != nil {
		return err
	}
	t.expect(alice, 1500_00)
	before, err := t.session.book.Head(ctx)
	if err != nil {
		return err
	}
	t.note("The answer got lost, so the same is asked again:")
	repeated, err := deposit(1500_00)
	if err != nil {
		return err
	}
	if err := errors.Join(
		check(t, "the answer is the original record, by its event id", ids(repeated.Events), ids(original.Events)),
		t.checkNothingWritten(ctx, before),
	); err != nil {
		return err
	}
	t.note("And another amount under the same key:")
	_, err = deposit(1600_00)
	var reused *daybook.KeyReusedError
	if !errors.As(err, &reused) {
		return unexpected("a *daybook.KeyReusedError", err)
	}
	t.note("%v", err)
	return errors.Join(
		check(t, "refused, with the position of the original", reused.Position, original.Position),
		t.checkNothingWritten(ctx, before),
		t.checkAccount(ctx, alice),
	)
}

// ids are the event ids of records, as text.
func ids(records []daybook.Recorded) string {
	var all []string
	for _, rec := range records {
		all = append(all, rec.EventID.String())
	}
	return strings.Join(all, " ")
}

func (t *tour) replay(ctx context.Context) error {
	t.call("for rec := range book.Read(ctx, daybook.Query{Aggregate: alice}) { fold(&state, rec) }")
	var rows [][]string
	var states []account
	for _, handle := range []string{alice, bob} {
		state, err := t.session.fold(ctx, handle, nil)
		if err != nil {
			return err
		}
		states = append(states, state)
		rows = append(rows, []string{
			handle, strconv.FormatInt(state.SequenceNumber, 10), state.State.Money().String(), eur(t.balance(handle)).String(),
		})
	}
	err := t.table([]column{
		{title: "ACCOUNT"}, {title: "EVENTS", right: true}, {title: "REPLAYED", right: true}, {title: "THE DEMO'S OWN SUM", right: true},
	}, rows)
	if err != nil {
		return err
	}
	return errors.Join(
		check(t, "alice's replayed balance", states[0].State.Money(), eur(t.balance(alice))),
		check(t, "bob's replayed balance", states[1].State.Money(), eur(t.balance(bob))),
	)
}

func (t *tour) past(ctx context.Context) error {
	t.call("accounts.LoadAt(ctx, alice, at), at: daybook.AtSequence(n), AsOf(time) or AtPosition(p)")
	records, err := t.history(ctx, alice)
	if err != nil {
		return err
	}
	if err := check(t, "events in alice's history", int64(len(records)), t.number(alice)); err != nil {
		return err
	}
	// Before the first event lies the moment right before it.
	opening := records[0]
	before := daybook.Recorded{Position: opening.Position - 1, RecordedAt: opening.RecordedAt.Add(-time.Microsecond)}
	var rows [][]string
	answers, right := 0, 0
	for i, rec := range slices.Concat([]daybook.Recorded{before}, records) {
		expected, event := "not opened yet", "(before the opening)"
		if i > 0 {
			expected, event = eur(t.expected[alice][i-1]).String(), rec.EventType
		}
		row := []string{strconv.Itoa(i), event, rec.RecordedAt.Format("15:04:05.000000"), strconv.FormatInt(rec.Position, 10)}
		for _, at := range []daybook.Point{daybook.AtSequence(int64(i)), daybook.AsOf(rec.RecordedAt), daybook.AtPosition(rec.Position)} {
			loaded, err := t.session.accounts.LoadAt(ctx, bank.AccountID(alice), at)
			if err != nil {
				return err
			}
			answer := "not opened yet"
			if loaded.State.Status != bank.StatusNotOpened {
				answer = loaded.State.Money().String()
			}
			row = append(row, answer)
			answers++
			if answer == expected {
				right++
			}
		}
		rows = append(rows, row)
	}
	err = t.table([]column{
		{title: "N", right: true}, {title: "EVENT"}, {title: "RECORDED (UTC)"}, {title: "P", right: true},
		{title: "AT SEQUENCE", right: true}, {title: "AS OF RECORDED", right: true}, {title: "AT POSITION", right: true},
	}, rows)
	if err != nil {
		return err
	}
	return check(t, fmt.Sprintf("balances of the past, of %d, that equal the demo's own sums", answers), right, answers)
}

// history returns the events of an account of the demo, of which there are few.
func (t *tour) history(ctx context.Context, handle string) (records []daybook.Recorded, err error) {
	for rec, err := range t.session.book.Read(ctx, daybook.Query{Aggregate: bank.AccountID(handle)}) {
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	return records, nil
}
