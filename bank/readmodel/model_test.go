package readmodel_test

import (
	"bytes"
	"cmp"
	"context"
	"math/big"
	"slices"
	"strings"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// model is what the views must be, worked out from the events in plain Go, without views.
type model struct {
	states    map[daybook.UUID]bank.Account
	last      map[daybook.UUID]daybook.Recorded
	days      map[readmodel.AccountDay]*movements
	transfers map[daybook.UUID]*halves
}

type movements struct{ in, out *big.Int }

// halves are the events of a transfer, of each side.
type halves struct{ sent, received []daybook.Recorded }

// modelOf reads a book up to a position.
func modelOf(t fataler, book *daybook.Book, until int64) model {
	t.Helper()
	m := model{map[daybook.UUID]bank.Account{}, map[daybook.UUID]daybook.Recorded{}, map[readmodel.AccountDay]*movements{}, map[daybook.UUID]*halves{}}
	if until == 0 {
		return m
	}
	for rec, err := range book.Read(t.Context(), daybook.Query{UntilPosition: until}) {
		if err != nil {
			t.Fatal(err)
		}
		m.add(t, book, rec)
	}
	return m
}

func (m model) add(t fataler, book *daybook.Book, rec daybook.Recorded) {
	t.Helper()
	data, err := book.Decode(rec)
	if err != nil {
		t.Fatal(err)
	}
	event := data.(bank.Event)
	id := rec.Aggregate.ID
	m.states[id] = bank.Accounts.Evolve(m.states[id], event)
	m.last[id] = rec
	day := readmodel.AccountDay{AccountID: id, Day: readmodel.Day(rec.OccurredAt.Format("2006-01-02"))}
	switch e := event.(type) {
	case bank.AccountOpened:
		m.move(day, 0, 0)
	case bank.MoneyDeposited:
		m.move(day, e.Amount, 0)
	case bank.MoneyWithdrawn:
		m.move(day, 0, e.Amount)
	case bank.TransferSent:
		m.move(day, 0, e.Amount)
		h := m.transfer(e.TransferID)
		h.sent = append(h.sent, rec)
	case bank.TransferReceived:
		m.move(day, e.Amount, 0)
		h := m.transfer(e.TransferID)
		h.received = append(h.received, rec)
	case bank.AccountClosed:
	}
}

func (m model) move(day readmodel.AccountDay, in, out int64) {
	if m.days[day] == nil {
		m.days[day] = &movements{new(big.Int), new(big.Int)}
	}
	m.days[day].in.Add(m.days[day].in, big.NewInt(in))
	m.days[day].out.Add(m.days[day].out, big.NewInt(out))
}

func (m model) transfer(id daybook.UUID) *halves {
	if m.transfers[id] == nil {
		m.transfers[id] = &halves{}
	}
	return m.transfers[id]
}

// balanceLine is what is compared of an account.
type balanceLine struct {
	ID               daybook.UUID
	State            bank.Account
	Number, Position int64
	Type             string
}

func (m model) balances() (lines []balanceLine) {
	for id, state := range m.states {
		last := m.last[id]
		lines = append(lines, balanceLine{id, state, last.SequenceNumber, last.Position, last.EventType})
	}
	slices.SortFunc(lines, func(x, y balanceLine) int {
		return cmp.Or(strings.Compare(x.State.Handle, y.State.Handle), bytes.Compare(x.ID[:], y.ID[:]))
	})
	return lines
}

func balanceLines(rows []readmodel.AccountBalance) (lines []balanceLine) {
	for _, row := range rows {
		lines = append(lines, balanceLine{row.Key, row.Row.Account, row.Row.SequenceNumber, row.Row.Position, row.Row.LastEvent})
	}
	return lines
}

// dayLine is what is compared of an account's day.
type dayLine struct{ Day, Opening, In, Out, Closing string }

func (m model) daysOf(id daybook.UUID) (lines []dayLine) {
	var days []string
	for key := range m.days {
		if key.AccountID == id {
			days = append(days, string(key.Day))
		}
	}
	slices.Sort(days)
	balance := new(big.Int)
	for _, day := range days {
		sums := m.days[readmodel.AccountDay{AccountID: id, Day: readmodel.Day(day)}]
		line := dayLine{Day: day, Opening: balance.String(), In: sums.in.String(), Out: sums.out.String()}
		balance.Add(balance, sums.in).Sub(balance, sums.out)
		line.Closing = balance.String()
		lines = append(lines, line)
	}
	return lines
}

// dayLines reads the days of an account, a page at a time.
func dayLines(ctx context.Context, book *daybook.Book, id daybook.UUID, limit int) (lines []dayLine, err error) {
	q := readmodel.DaysQuery{Limit: limit}
	for {
		page, err := readmodel.FindDays(ctx, book, id, q)
		if err != nil {
			return nil, err
		}
		for _, day := range page.Rows {
			lines = append(lines, dayLine{string(day.Day), day.Opening.String(), day.In.String(), day.Out.String(), day.Closing.String()})
		}
		if q.After = page.Next; q.After == "" {
			return lines, nil
		}
	}
}

// transferLine is what is compared of a transfer.
type transferLine struct {
	ID             daybook.UUID
	State          readmodel.TransferState
	Sent, Received int64 // positions of the first of each
	Position       int64
	From, To       daybook.UUID
	Halves         int64
}

func (m model) transferLines(t fataler, book *daybook.Book) (lines []transferLine) {
	t.Helper()
	for id, h := range m.transfers {
		line := transferLine{ID: id, Halves: int64(len(h.sent) + len(h.received)), Position: 1 << 62}
		var sent bank.TransferSent
		var received bank.TransferReceived
		if len(h.received) > 0 {
			data, _ := book.Decode(h.received[0])
			received = data.(bank.TransferReceived)
			line.Received, line.To, line.From = h.received[0].Position, h.received[0].Aggregate.ID, bank.AccountID(received.From).ID
			line.Position = line.Received
		}
		if len(h.sent) > 0 {
			data, _ := book.Decode(h.sent[0])
			sent = data.(bank.TransferSent)
			line.Sent, line.From = h.sent[0].Position, h.sent[0].Aggregate.ID
			line.Position = min(line.Position, line.Sent)
			if len(h.received) == 0 {
				line.To = bank.AccountID(sent.To).ID
			}
		}
		switch {
		case len(h.sent) > 1 || len(h.received) > 1:
			line.State = "repeated"
		case len(h.received) == 0:
			line.State = "only sent"
		case len(h.sent) == 0:
			line.State = "only received"
		case sent.Amount != received.Amount || bank.AccountID(sent.To).ID != line.To || bank.AccountID(received.From).ID != line.From || sent.Reference != received.Reference:
			line.State = "differs"
		default:
			line.State = "complete"
		}
		lines = append(lines, line)
	}
	slices.SortFunc(lines, func(x, y transferLine) int { return cmp.Compare(x.Position, y.Position) })
	return lines
}

func foundLines(rows []readmodel.FoundTransfer) (lines []transferLine) {
	for _, row := range rows {
		lines = append(lines, transferLine{row.ID, row.State, row.SentPosition, row.ReceivedPosition, row.Position, row.FromAccount, row.ToAccount, row.Halves})
	}
	return lines
}
