package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// kind is what a sum is the sum of.
type kind int

const (
	deposited kind = iota
	withdrawn
	sent
	received
	transferredHere // both halves are in the cut
	inTransit       // one half is: sent and not received, or, below zero, received and not sent
	balances
	kinds
)

// totals are the sums of one currency.
type totals struct {
	accounts map[bank.Status]int64
	count    [kinds]int64
	sum      [kinds]big.Int // a thousand accounts can hold more than an int64
}

func (c *totals) add(k kind, amount int64) {
	c.count[k]++
	c.sum[k].Add(&c.sum[k], big.NewInt(amount))
}

// tally adds the whole book up in one pass, and then the accounts as the read model
// balances has them. It remembers of each account its currency, and the transfers of which
// it has seen one half, which are few: the halves are neighbours.
type tally struct {
	cut        cut
	accounts   map[daybook.UUID]*tallied
	halves     map[daybook.UUID]half
	currencies map[bank.Currency]*totals
	recordedAt time.Time // of the last event up to the cut's position
	strange    []string  // what is wrong with single transfers and accounts
}

// tallied is an account, and what was moved on it before its currency was known: a
// fact can be recorded, or be in the cut, without the opening.
type tallied struct {
	currency bank.Currency
	waiting  []movement
	included bool // an event of it is in the cut
}

type movement struct {
	kind   kind
	amount int64
}

// half is one of the two events of a transfer.
type half struct {
	rec      daybook.Recorded
	kind     kind // sent or received
	amount   int64
	included bool
	account  *tallied
}

// strangeShown is how many transfers and accounts are named that are not as they must be.
const strangeShown = 10

// tally adds up what the cut shows: the movements by following the events, and the
// accounts as rows has them, the read model as of that cut.
func (s *session) tally(ctx context.Context, c cut, rows []readmodel.AccountBalance) (*tally, error) {
	t := &tally{cut: c, accounts: map[daybook.UUID]*tallied{}, halves: map[daybook.UUID]half{}, currencies: map[bank.Currency]*totals{}}
	if c.position == 0 {
		return t, nil
	}
	for rec, err := range s.book.Read(ctx, daybook.Query{AggregateType: bank.AccountType}) {
		if err != nil {
			return nil, err
		}
		// Beyond the cut only the other halves of transfers that it goes through are
		// looked for: they are in the same append, and so have the same time.
		if rec.Position > c.position && (len(t.halves) == 0 || rec.RecordedAt.After(t.recordedAt)) {
			break
		}
		event, err := s.decode(rec)
		if err != nil {
			return nil, err
		}
		t.take(rec, event)
	}
	return t, t.finish(rows)
}

// take adds one event.
func (t *tally) take(rec daybook.Recorded, event bank.Event) {
	one := t.accounts[rec.Aggregate.ID]
	if one == nil {
		one = &tallied{}
		t.accounts[rec.Aggregate.ID] = one
	}
	if rec.Position <= t.cut.position {
		t.recordedAt = rec.RecordedAt
		if opening, ok := event.(bank.AccountOpened); ok {
			one.currency = opening.Currency // for ever, so also where the cut leaves the opening out
		}
	}
	included := t.cut.includes(rec)
	one.included = one.included || included
	switch e := event.(type) {
	case bank.MoneyDeposited:
		t.move(one, deposited, e.Amount, included)
	case bank.MoneyWithdrawn:
		t.move(one, withdrawn, e.Amount, included)
	case bank.TransferSent:
		t.move(one, sent, e.Amount, included)
		t.pair(e.TransferID, half{rec, sent, e.Amount, included, one})
	case bank.TransferReceived:
		t.move(one, received, e.Amount, included)
		t.pair(e.TransferID, half{rec, received, e.Amount, included, one})
	case bank.AccountOpened, bank.AccountClosed: // move nothing
	}
}

// move adds an amount to a sum of the account's currency, once that is known.
func (t *tally) move(one *tallied, k kind, amount int64, included bool) {
	switch {
	case !included:
	case one.currency == "":
		one.waiting = append(one.waiting, movement{k, amount})
	default:
		t.of(one.currency).add(k, amount)
	}
}

func (t *tally) of(code bank.Currency) *totals {
	if t.currencies[code] == nil {
		t.currencies[code] = &totals{accounts: map[bank.Status]int64{}}
	}
	return t.currencies[code]
}

// pair brings the two halves of a transfer together.
func (t *tally) pair(id daybook.UUID, h half) {
	other, found := t.halves[id]
	if !found {
		t.halves[id] = h
		return
	}
	delete(t.halves, id)
	switch {
	case other.kind == h.kind || other.amount != h.amount:
		if h.included || other.included {
			t.wonder("transfer %s: %s and %s are no two halves of one", id, other.rec, h.rec)
		}
	case h.included && other.included:
		t.move(h.account, transferredHere, h.amount, true)
	default:
		t.inTransit(h)
		t.inTransit(other)
	}
}

// inTransit adds a half whose other half the cut does not show.
func (t *tally) inTransit(h half) {
	amount := h.amount
	if h.kind == received {
		amount = -amount
	}
	t.move(h.account, inTransit, amount, h.included)
}

func (t *tally) wonder(format string, args ...any) {
	if len(t.strange) < strangeShown {
		t.strange = append(t.strange, fmt.Sprintf(format, args...))
	}
}

// finish counts the accounts and adds up their balances.
func (t *tally) finish(rows []readmodel.AccountBalance) error {
	for _, one := range t.accounts {
		for _, m := range one.waiting {
			t.of(one.currency).add(m.kind, m.amount)
		}
	}
	listed := map[daybook.UUID]bool{}
	for _, row := range rows {
		if err := countable(accountIn(row)); err != nil {
			return err
		}
		one := t.accounts[row.Key]
		if one == nil || !one.included {
			t.wonder("the read model balances has account %s, and no event speaks of it", row.Key)
			continue
		}
		listed[row.Key] = true
		c := t.of(one.currency)
		c.accounts[row.Row.Status]++
		c.add(balances, row.Row.Balance)
	}
	for _, id := range slices.SortedFunc(maps.Keys(t.accounts), func(x, y daybook.UUID) int { return bytes.Compare(x[:], y[:]) }) {
		if t.accounts[id].included && !listed[id] {
			t.wonder("the read model balances does not have account %s", id)
		}
	}
	for _, h := range slices.SortedFunc(maps.Values(t.halves), func(x, y half) int { return int(x.rec.Position - y.rec.Position) }) {
		if h.included {
			t.wonder("%s has no other half", h.rec)
		}
	}
	return nil
}

func (t *tally) codes() []bank.Currency { return slices.Sorted(maps.Keys(t.currencies)) }

// findings says which sums do not agree that must, by two ways of adding up: one
// follows the movements, the other the states of the accounts.
func (t *tally) findings() []string {
	found := []string{} // [] in JSON, not null
	for _, code := range t.codes() {
		c := t.currencies[code]
		var net, held, open big.Int
		net.Sub(&c.sum[deposited], &c.sum[withdrawn])
		held.Add(&c.sum[balances], &c.sum[inTransit])
		if net.Cmp(&held) != 0 {
			found = append(found, fmt.Sprintf("%s: deposited - withdrawn is %s, balances + in transit is %s", code, decimal(&net, code), decimal(&held, code)))
		}
		open.Sub(&c.sum[sent], &c.sum[received])
		if open.Cmp(&c.sum[inTransit]) != 0 {
			found = append(found, fmt.Sprintf("%s: sent - received is %s, in transit is %s", code, decimal(&open, code), decimal(&c.sum[inTransit], code)))
		}
	}
	return append(found, t.strange...)
}
