package bank

import (
	"context"
	"fmt"
	"maps"
	"math/big"
	"slices"

	"github.com/daybook-go/daybook"
)

// moneyCheck adds up every currency, by plain addition, and compares with what the
// accounts' histories fold into.
type moneyCheck struct {
	all map[Currency]*flow // of all passes
}

func (*moneyCheck) Name() string { return "money" }

func (c *moneyCheck) Begin(_ context.Context, p *daybook.Pass) (daybook.Look, error) {
	if p.Number() == 1 {
		c.all = map[Currency]*flow{}
	}
	return &moneyLook{check: c, pass: p, folds: daybook.NewFolds(p, purses), flows: map[Currency]*flow{}}, nil
}

// flow is what has moved in one currency. Sums of amounts that fit into an int64 may
// not.
type flow struct{ in, out, received, sent, balances big.Int }

func (f *flow) add(o *flow) {
	f.in.Add(&f.in, &o.in)
	f.out.Add(&f.out, &o.out)
	f.received.Add(&f.received, &o.received)
	f.sent.Add(&f.sent, &o.sent)
	f.balances.Add(&f.balances, &o.balances)
}

// purse is what an account comes to in the sums. It is kept for every account, so it is
// not more than they need.
type purse struct {
	currency Currency
	balance  int64
	overflow bool
}

// purses folds as Accounts does.
var purses = daybook.Decider[purse, Command, Event]{
	Type:    AccountType,
	Initial: func() purse { return purse{} },
	Evolve: func(p purse, event Event) purse {
		a := evolve(Account{Currency: p.currency, Balance: p.balance, Overflow: p.overflow}, event)
		return purse{a.Currency, a.Balance, a.Overflow}
	},
}

type moneyLook struct {
	check  *moneyCheck
	pass   *daybook.Pass
	folds  *daybook.Folds[purse, Command, Event]
	flows  map[Currency]*flow
	amount big.Int
}

func (l *moneyLook) Event(e *daybook.CheckedEvent) {
	step, ok := l.folds.Next(e)
	if !ok {
		return
	}
	f := flowOf(l.flows, step.After.currency)
	switch event := step.Event.(type) {
	case MoneyDeposited:
		f.in.Add(&f.in, l.amount.SetInt64(event.Amount))
	case MoneyWithdrawn:
		f.out.Add(&f.out, l.amount.SetInt64(event.Amount))
	case TransferSent:
		f.sent.Add(&f.sent, l.amount.SetInt64(event.Amount))
	case TransferReceived:
		f.received.Add(&f.received, l.amount.SetInt64(event.Amount))
	case AccountOpened:
		if step.Before.currency != "" && step.Before.currency != event.Currency {
			l.pass.Report(daybook.FindingAt(e.Recorded, "the account's currency changes from %s to %s", shown(string(step.Before.currency)), shown(string(event.Currency))))
		}
	case AccountClosed:
	}
	if step.After.overflow && !step.Before.overflow {
		l.pass.Report(daybook.FindingAt(e.Recorded, "%v", &OverflowError{Balance: Money{step.After.balance, step.After.currency}}))
	}
}

func flowOf(flows map[Currency]*flow, c Currency) *flow {
	if flows[c] == nil {
		flows[c] = &flow{}
	}
	return flows[c]
}

// End compares the sums of this pass's accounts, and behind the last pass those of all.
func (l *moneyLook) End(context.Context) error {
	accounts := int64(0)
	for _, state := range l.folds.All() {
		accounts++
		f := flowOf(l.flows, state.currency)
		f.balances.Add(&f.balances, l.amount.SetInt64(state.balance))
	}
	l.pass.Looked(accounts, "account")
	for _, c := range slices.Sorted(maps.Keys(l.flows)) {
		f := l.flows[c]
		flowOf(l.check.all, c).add(f)
		want := new(big.Int).Sub(&f.in, &f.out)
		want.Add(want, &f.received).Sub(want, &f.sent)
		l.differs(c, "the sum of the balances is not what came in less what went out", &f.balances, want)
	}
	if !l.pass.Last() || !l.pass.Whole() || l.pass.Sampled() || l.pass.Cut() {
		return nil // not all halves of all transfers are here
	}
	for _, c := range slices.Sorted(maps.Keys(l.check.all)) {
		f := l.check.all[c]
		l.differs(c, "transfers do not cancel out: what was received is not what was sent", &f.received, &f.sent)
	}
	return nil
}

func (l *moneyLook) differs(c Currency, problem string, found, expected *big.Int) {
	if found.Cmp(expected) != 0 {
		l.pass.Report(daybook.Finding{
			Problem: fmt.Sprintf("%s: %s", shown(string(c)), problem),
			Found:   found.String() + " minor units", Expected: expected.String() + " minor units",
		})
	}
}
