package main

import (
	"context"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// past is something that happened to an account.
type past struct {
	rec   daybook.Recorded
	event bank.Event
}

// past returns the events of an account that one of the cuts shows, in the order they
// were recorded.
func (s *session) past(ctx context.Context, id daybook.AggregateID, first cut, others ...cut) (events []past, err error) {
	cuts := append([]cut{first}, others...)
	widest := first
	for _, c := range others {
		widest = cut{position: max(widest.position, c.position)}
	}
	q, any := widest.query(id)
	if !any {
		return nil, nil
	}
	for rec, err := range s.book.Read(ctx, q) {
		if err != nil {
			return nil, err
		}
		included := false
		for _, c := range cuts {
			included = included || c.includes(rec)
		}
		if !included {
			continue
		}
		event, err := s.decode(rec)
		if err != nil {
			return nil, err
		}
		events = append(events, past{rec, event})
	}
	return events, nil
}

// then applies an event that happened to the account.
func (p past) then(one account) account {
	one.State = bank.Accounts.Evolve(one.State, p.event)
	one.SequenceNumber, one.Position = p.rec.SequenceNumber, p.rec.Position
	return one
}

// fold works an account out from events.
func fold(id daybook.AggregateID, events []past) account {
	one := account{Aggregate: id, State: bank.Accounts.Initial()}
	for _, p := range events {
		one = p.then(one)
	}
	return one
}

// amount is what the event adds to the balance, below zero where it takes away.
func (p past) amount() int64 { return bank.Accounts.Evolve(bank.Account{}, p.event).Balance }

// movementRow is an event of an account, and what it meant.
type movementRow struct {
	eventRow     `json:",inline"`
	Command      string `json:"command"`
	Counterparty string `json:"counterparty"`
	Reference    string `json:"reference"`
	Amount       string `json:"amount"`
	AmountMinor  int64  `json:"amount_minor"`
}

// row shows the event; amounts are in the account's currency.
func (p past) row(code bank.Currency) (movementRow, error) {
	event, err := eventRowOf(p.rec)
	amount := bank.Money{Minor: p.amount(), Currency: code}
	r := movementRow{eventRow: event, Amount: amount.Decimal(), AmountMinor: amount.Minor, Reference: p.rec.Metadata.Extra["reference"]}
	switch e := p.event.(type) {
	case bank.AccountOpened:
		r.Command = "open"
	case bank.MoneyDeposited:
		r.Command, r.Reference = "deposit", e.Reference
	case bank.MoneyWithdrawn:
		r.Command, r.Reference = "withdraw", e.Reference
	case bank.TransferSent:
		r.Command, r.Counterparty, r.Reference = "transfer", e.To, e.Reference
	case bank.TransferReceived:
		r.Command, r.Counterparty, r.Reference = "transfer", e.From, e.Reference
	case bank.AccountClosed:
		r.Command = "close"
	}
	if p.rec.Metadata.Extra["source_id"] != "" {
		r.Command = "import"
	}
	return r, err
}

// movement is the amount with its sign, where the event moved money.
func (r movementRow) movement() string {
	if r.AmountMinor > 0 {
		return "+" + r.Amount
	}
	if r.AmountMinor == 0 {
		return ""
	}
	return r.Amount
}

// what is the command with the other side of a transfer.
func (r movementRow) what() string {
	switch {
	case r.Counterparty == "":
		return r.Command
	case r.AmountMinor < 0:
		return r.Command + " to " + r.Counterparty
	default:
		return r.Command + " from " + r.Counterparty
	}
}
