package bank

import (
	"fmt"

	"github.com/daybook-go/daybook"
)

// MetadataSource is the name in an event's metadata that says that it was imported,
// and from where: as a fact, which no rule of the bank was asked about.
const MetadataSource = "source"

// Checks returns what must hold for a book of accounts, for [daybook.Verify]:
//
//   - "rules": every event that was not imported is one that the account would have
//     granted in the state before it.
//   - "transfers": the two halves of every transfer were recorded at one moment, and
//     agree.
//   - "money": in every currency, what came in less what went out is the sum of the
//     balances, and as much was received by transfers as was sent.
//   - "snapshots of account": every snapshot equals the replay.
//
// They are one verification's at a time.
func Checks() []daybook.Check {
	return []daybook.Check{daybook.Rule("rules", Accounts, holds), transfersCheck{}, &moneyCheck{}, daybook.SnapshotCheck(Accounts)}
}

// holds returns the rule that a recorded event breaks. What is asked is what depends
// on the account: the forms of handles, names and references, and the currencies in
// use, may have been others when it was recorded.
func holds(step daybook.Step[Account, Event]) error {
	a := step.Before
	if e, ok := step.Event.(AccountOpened); ok {
		if AccountID(e.AccountID) != step.Aggregate {
			return fmt.Errorf("bank: the account was opened as %s, which is another account", shown(e.AccountID))
		}
	}
	if amount, moves := amountOf(step.Event); moves && (amount <= 0 || amount > MaxAmount) {
		return fmt.Errorf("bank: an amount of %d minor units: it must be between 1 and %d", amount, int64(MaxAmount))
	}
	if _, imported := step.Metadata.Extra[MetadataSource]; imported {
		return nil
	}
	if a.Overflow {
		return &OverflowError{Account: a.Handle, Balance: a.Money()}
	}
	switch e := step.Event.(type) {
	case AccountOpened:
		return a.mustBeNew()
	case MoneyDeposited:
		return a.holdsIn(e.Amount)
	case MoneyWithdrawn:
		return a.holdsOut(e.Amount)
	case TransferSent:
		if AccountID(e.To) == step.Aggregate {
			return &SameAccountError{Account: a.Handle}
		}
		return a.holdsOut(e.Amount)
	case TransferReceived:
		if AccountID(e.From) == step.Aggregate {
			return &SameAccountError{Account: a.Handle}
		}
		return a.holdsIn(e.Amount)
	case AccountClosed:
		return a.mayClose()
	}
	return nil
}

func (a Account) holdsIn(amount int64) error {
	if err := a.mustBeOpen(""); err != nil {
		return err
	}
	return a.mayTake(Money{Minor: amount, Currency: a.Currency})
}

func (a Account) holdsOut(amount int64) error {
	if err := a.mustBeOpen(""); err != nil {
		return err
	}
	return a.mayGive(Money{Minor: amount, Currency: a.Currency})
}

// amountOf is the amount that an event moves, where it moves one.
func amountOf(event Event) (amount int64, moves bool) {
	switch e := event.(type) {
	case MoneyDeposited:
		return e.Amount, true
	case MoneyWithdrawn:
		return e.Amount, true
	case TransferSent:
		return e.Amount, true
	case TransferReceived:
		return e.Amount, true
	case AccountOpened, AccountClosed:
	}
	return 0, false
}
