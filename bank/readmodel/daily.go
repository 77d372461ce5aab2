package readmodel

import (
	"math/big"
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// Daily has what came in and what went out, for each account and each day on which
// something occurred, in UTC.
//
// Opening and closing balances are not in it. A row depends on its own events alone, and an
// event that is recorded today and occurred last year changes the closing balance of every
// day since: it would touch as many rows as the account has days, which only the table
// knows. [FindDays] adds them up on the way instead, over the days of one account in the
// order of the key, so that they are exact whatever is recorded late. In SQL, where carries
// are 0, a closing balance is
//
//	sum(in_minor - out_minor) OVER (PARTITION BY account_id ORDER BY day)
var Daily = &daybook.View[AccountDay, DayMovements]{
	Name:    "daily",
	Indexes: []string{"day"},
	Keys:    dayOf,
	Evolve:  evolveDay,
	Aggregates: func(key AccountDay) []daybook.AggregateID {
		return []daybook.AggregateID{{Type: bank.AccountType, ID: key.AccountID}}
	},
}

// Day is a day in UTC, as in "2026-11-24". Days sort as text.
type Day string

const dayLayout = "2006-01-02"

// DayOf returns the day of a moment.
func DayOf(t time.Time) Day { return Day(t.UTC().Format(dayLayout)) }

// ParseDay reads a day, or says how to write one.
func ParseDay(text string) (Day, error) {
	t, err := time.Parse(dayLayout, text)
	if err != nil {
		return "", refused("day", "%q is no day: write it as in 2026-11-24", short(text))
	}
	return DayOf(t), nil
}

// AccountDay is the key of [Daily].
type AccountDay struct {
	AccountID daybook.UUID
	Day       Day
}

// DayMovements is what occurred to an account on a day.
type DayMovements struct {
	// Sums of what came in and of what went out, in minor units of the account's currency:
	// the sum is InCarry × 2⁶² + InMinor. Carries are 0 unless an odd history has moved more
	// than four quintillions in a day; an int64 could not be exact then.
	InMinor, InCarry   int64
	OutMinor, OutCarry int64
	// Deposits, Withdrawals, Sent and Received count the movements of each kind.
	Deposits, Withdrawals, Sent, Received int64
	// Currency is what the account was opened in, on the day of its opening, and Opened the
	// position of that; empty and 0 on other days. No other event knows a currency.
	Currency bank.Currency
	Opened   int64
	// Position is that of the last event in the row.
	Position int64
}

// In is what came in, in minor units.
func (m DayMovements) In() *big.Int { return sumOf(m.InMinor, m.InCarry) }

// Out is what went out, in minor units.
func (m DayMovements) Out() *big.Int { return sumOf(m.OutMinor, m.OutCarry) }

// dayOf is the row that an event touches: that of the day on which it occurred.
func dayOf(e daybook.ProjectedEvent) []AccountDay {
	event, ok := ofAccount(e)
	if !ok {
		return nil
	}
	if _, closed := event.(bank.AccountClosed); closed {
		return nil // it moves nothing
	}
	return []AccountDay{{e.Aggregate.ID, DayOf(e.OccurredAt)}}
}

func evolveDay(row DayMovements, _ AccountDay, e daybook.ProjectedEvent) (DayMovements, bool) {
	event, ok := ofAccount(e)
	if !ok {
		return row, false
	}
	row.Position = e.Position
	switch one := event.(type) {
	case bank.AccountOpened:
		row.Currency, row.Opened = one.Currency, e.Position
	case bank.MoneyDeposited:
		row.Deposits++
		row.InMinor, row.InCarry = plus(row.InMinor, row.InCarry, one.Amount)
	case bank.TransferReceived:
		row.Received++
		row.InMinor, row.InCarry = plus(row.InMinor, row.InCarry, one.Amount)
	case bank.MoneyWithdrawn:
		row.Withdrawals++
		row.OutMinor, row.OutCarry = plus(row.OutMinor, row.OutCarry, one.Amount)
	case bank.TransferSent:
		row.Sent++
		row.OutMinor, row.OutCarry = plus(row.OutMinor, row.OutCarry, one.Amount)
	case bank.AccountClosed:
	}
	return row, false
}

// carryUnit is what one of a carry stands for: so much that two of less fit into an int64.
const carryUnit = 1 << 62

// plus adds an amount to a sum. A sum has one form, whatever it was added up from: what is
// left over has the sign of the carry, and is less than carryUnit.
func plus(minor, carry, amount int64) (newMinor, newCarry int64) {
	if carry == 0 && -carryUnit < amount && amount < carryUnit {
		if sum := minor + amount; -carryUnit < sum && sum < carryUnit {
			return sum, 0
		}
	}
	sum := sumOf(minor, carry)
	sum.Add(sum, big.NewInt(amount))
	over, left := new(big.Int).QuoRem(sum, big.NewInt(carryUnit), new(big.Int))
	return left.Int64(), over.Int64()
}

func sumOf(minor, carry int64) *big.Int {
	sum := new(big.Int).Mul(big.NewInt(carry), big.NewInt(carryUnit))
	return sum.Add(sum, big.NewInt(minor))
}
