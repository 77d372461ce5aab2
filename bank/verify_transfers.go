package bank

import (
	"context"
	"strconv"
	"time"

	"github.com/daybook-go/daybook"
)

// transfersCheck: the halves of a transfer are in one append, and so recorded at one
// moment, and they agree.
type transfersCheck struct{}

func (transfersCheck) Name() string { return "transfers" }

func (transfersCheck) Begin(_ context.Context, p *daybook.Pass) (daybook.Look, error) {
	switch {
	case !p.Whole():
		p.Skip("only one account is read, and a transfer is of two")
		return nil, nil
	case p.Number() > 1:
		return nil, nil
	}
	p.Looked(0, "event")
	return &transfersLook{pass: p, open: map[daybook.UUID]half{}}, nil
}

// half is one half of a transfer.
type half struct {
	daybook.Recorded
	sent         bool
	amount       int64
	counterparty string
	reference    string
}

// transfersLook holds the halves, of one moment only, whose others have not come yet.
type transfersLook struct {
	pass   *daybook.Pass
	moment time.Time
	open   map[daybook.UUID]half
}

func (l *transfersLook) Event(e *daybook.CheckedEvent) {
	if !e.RecordedAt.Equal(l.moment) {
		l.close()
		l.moment = e.RecordedAt
	}
	data, err := e.Data()
	if err != nil {
		return
	}
	var own half
	var id daybook.UUID
	switch event := data.(type) {
	case TransferSent:
		id, own = event.TransferID, half{e.Recorded, true, event.Amount, event.To, event.Reference}
	case TransferReceived:
		id, own = event.TransferID, half{e.Recorded, false, event.Amount, event.From, event.Reference}
	default:
		return
	}
	l.pass.Looked(1, "event")
	other, there := l.open[id]
	switch {
	case !there:
		l.open[id] = own
	case other.sent == own.sent:
		l.alone(other)
		l.open[id] = own
	default:
		delete(l.open, id)
		l.compare(other, own)
	}
}

// End closes the last moment, unless its end is not among the events.
func (l *transfersLook) End(context.Context) error {
	if !l.pass.Cut() {
		l.close()
	}
	return nil
}

func (l *transfersLook) close() {
	for _, one := range l.open {
		l.alone(one)
	}
	clear(l.open)
}

func (l *transfersLook) alone(one half) {
	missing := "received"
	if !one.sent {
		missing = "sent"
	}
	l.pass.Report(daybook.FindingAt(one.Recorded, "the other half of the transfer, in which %d minor units are %s, was not recorded with it", one.amount, missing))
}

// compare reports each thing that the second half has otherwise than the first.
func (l *transfersLook) compare(a, b half) {
	differs := func(what, found, expected string) {
		if found == expected {
			return
		}
		f := daybook.FindingAt(b.Recorded, "the half of the transfer at position %d has another %s", a.Position, what)
		f.Found, f.Expected = found, expected
		l.pass.Report(f)
	}
	differs("amount", strconv.FormatInt(b.amount, 10), strconv.FormatInt(a.amount, 10))
	differs("reference", shown(b.reference), shown(a.reference))
	differs("correlation id", shown(b.Metadata.CorrelationID), shown(a.Metadata.CorrelationID))
	differs("account", b.Aggregate.ID.String(), AccountID(a.counterparty).ID.String())
	differs("counterparty", AccountID(b.counterparty).ID.String(), a.Aggregate.ID.String())
}
