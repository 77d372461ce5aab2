package bank

import (
	"fmt"

	"github.com/daybook-go/daybook"
)

// decide returns the event a command causes, or the rule that refuses it. The
// account is judged first, then the values of the command, then what they would
// do to the balance.
func decide(a Account, command Command) ([]Event, error) {
	if a.Overflow {
		return nil, &OverflowError{Account: a.Handle, Balance: a.Money()}
	}
	switch c := command.(type) {
	case Open:
		return one(c.decide(a))
	case Deposit:
		return one(c.decide(a))
	case Withdraw:
		return one(c.decide(a))
	case Send:
		return one(c.decide(a))
	case Receive:
		return one(c.decide(a))
	case Close:
		return one(c.decide(a))
	}
	return nil, fmt.Errorf("bank: %T is no command of an account: pass one of this package's commands, by value", command)
}

func one(event Event, err error) ([]Event, error) {
	if err != nil {
		return nil, err
	}
	return []Event{event}, nil
}

func (c Open) decide(a Account) (Event, error) {
	if err := a.mustBeNew(); err != nil {
		return nil, err
	}
	if err := CheckHandle(c.Handle); err != nil {
		return nil, err
	}
	if err := CheckOwner(c.Owner); err != nil {
		return nil, err
	}
	if _, err := ParseCurrency(string(c.Currency)); err != nil {
		return nil, err
	}
	return AccountOpened{AccountID: c.Handle, OwnerName: c.Owner, Currency: c.Currency}, nil
}

func (c Deposit) decide(a Account) (Event, error) {
	if err := a.mayMove("", c.Amount, c.Reference); err != nil {
		return nil, err
	}
	if err := a.mayTake(c.Amount); err != nil {
		return nil, err
	}
	return MoneyDeposited{Amount: c.Amount.Minor, Reference: c.Reference}, nil
}

func (c Withdraw) decide(a Account) (Event, error) {
	if err := a.mayMove("", c.Amount, c.Reference); err != nil {
		return nil, err
	}
	if err := a.mayGive(c.Amount); err != nil {
		return nil, err
	}
	return MoneyWithdrawn{Amount: c.Amount.Minor, Reference: c.Reference}, nil
}

func (c Send) decide(a Account) (Event, error) {
	if err := a.mayTransfer(c.From, c.From, c.To, c.TransferID); err != nil {
		return nil, err
	}
	if err := a.mayMove(c.From, c.Amount, c.Reference); err != nil {
		return nil, err
	}
	if err := a.mayGive(c.Amount); err != nil {
		return nil, err
	}
	return TransferSent{To: c.To, Amount: c.Amount.Minor, TransferID: c.TransferID, Reference: c.Reference}, nil
}

func (c Receive) decide(a Account) (Event, error) {
	if err := a.mayTransfer(c.To, c.From, c.To, c.TransferID); err != nil {
		return nil, err
	}
	if err := a.mayMove(c.To, c.Amount, c.Reference); err != nil {
		return nil, err
	}
	if err := a.mayTake(c.Amount); err != nil {
		return nil, err
	}
	return TransferReceived{From: c.From, Amount: c.Amount.Minor, TransferID: c.TransferID, Reference: c.Reference}, nil
}

func (Close) decide(a Account) (Event, error) {
	if err := a.mayClose(); err != nil {
		return nil, err
	}
	return AccountClosed{}, nil
}

// mustBeNew refuses to open what was opened before.
func (a Account) mustBeNew() error {
	switch a.Status {
	case StatusOpen:
		return &AlreadyOpenError{Account: a.Handle}
	case StatusClosed:
		return &ClosedError{Account: a.Handle}
	case StatusNotOpened:
	}
	return nil
}

// mayClose refuses to close an account that has money, or owes some.
func (a Account) mayClose() error {
	if err := a.mustBeOpen(""); err != nil {
		return err
	}
	if a.Balance != 0 {
		return &NotEmptyError{Account: a.Handle, Balance: a.Money()}
	}
	return nil
}

// mustBeOpen refuses what only an open account can do. handle names an account
// that was never opened, and so does not know its own.
func (a Account) mustBeOpen(handle string) error {
	switch a.Status {
	case StatusNotOpened:
		return &NotOpenedError{Account: handle}
	case StatusClosed:
		return &ClosedError{Account: a.Handle}
	case StatusOpen:
	}
	return nil
}

// mayTransfer refuses a transfer that names no counterparty, no transfer, or the
// same account twice.
func (a Account) mayTransfer(own, from, to string, id daybook.UUID) error {
	if err := a.mustBeOpen(own); err != nil {
		return err
	}
	if err := CheckHandle(from); err != nil {
		return err
	}
	if err := CheckHandle(to); err != nil {
		return err
	}
	if AccountID(from) == AccountID(to) {
		return &SameAccountError{Account: a.Handle}
	}
	if id.IsZero() {
		return &daybook.InvalidError{Field: "transfer_id", Reason: "the nil UUID names no transfer: give a real one"}
	}
	return nil
}

// mayMove refuses an amount that no movement on the account can have.
func (a Account) mayMove(handle string, amount Money, reference string) error {
	if err := a.mustBeOpen(handle); err != nil {
		return err
	}
	if amount.Currency != a.Currency {
		return &CurrencyMismatchError{Account: a.Handle, Currency: a.Currency, Amount: amount}
	}
	switch {
	case amount.Minor <= 0:
		return &AmountError{Text: amount.Decimal(), Currency: amount.Currency, Reason: "an amount is more than zero"}
	case amount.Minor > MaxAmount:
		return &AmountError{Text: amount.Decimal(), Currency: amount.Currency, Reason: "the largest amount is " + largest(amount.Currency).String()}
	}
	return CheckText("reference", reference)
}

// mayTake refuses an amount that would lift the balance over MaxAmount. Neither
// side of the comparison can overflow: amount is between 1 and MaxAmount.
func (a Account) mayTake(amount Money) error {
	if a.Balance > MaxAmount-amount.Minor {
		return &OverflowError{Account: a.Handle, Balance: a.Money(), Requested: amount}
	}
	return nil
}

// mayGive refuses an amount the account does not have.
func (a Account) mayGive(amount Money) error {
	if amount.Minor > a.Balance {
		return &InsufficientFundsError{Account: a.Handle, Balance: a.Money(), Requested: amount}
	}
	return nil
}
