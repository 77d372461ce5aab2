package bank

import (
	"errors"
	"fmt"
)

// ErrRefused is every refusal by a rule of the bank: the command was understood,
// and the account said no. Nothing was recorded. Each of the sentinels below, and
// each of the types, is also an ErrRefused.
var ErrRefused = errors.New("bank: refused")

// The rules. Each is matched with errors.Is; the types below carry the particulars
// and are matched with errors.As.
var (
	// ErrNotOpened: there is no such account yet.
	ErrNotOpened = rule("not opened")
	// ErrAlreadyOpen: the handle is taken.
	ErrAlreadyOpen = rule("already open")
	// ErrClosed: nothing happens to a closed account any more.
	ErrClosed = rule("closed")
	// ErrInsufficientFunds: the account has less than it should give.
	ErrInsufficientFunds = rule("insufficient funds")
	// ErrCurrencyMismatch: an account moves amounts of its own currency only.
	ErrCurrencyMismatch = rule("currency mismatch")
	// ErrNotEmpty: only an account with a balance of zero can be closed.
	ErrNotEmpty = rule("not empty")
	// ErrSameAccount: a transfer needs two accounts.
	ErrSameAccount = rule("same account")
	// ErrOverflow: the balance would exceed MaxAmount, or the recorded history
	// already exceeds what can be counted.
	ErrOverflow = rule("overflow")
)

func rule(name string) error { return fmt.Errorf("%w: %s", ErrRefused, name) }

// NotOpenedError says that a command needs an account that is not there.
type NotOpenedError struct {
	// Account is the handle the command gave. It is empty for Deposit, Withdraw
	// and Close, which give none: who ran the command knows it and may fill it in.
	Account string
}

func (e *NotOpenedError) Error() string {
	return subject(e.Account) + " is not opened: open it first"
}

// Unwrap returns [ErrNotOpened].
func (e *NotOpenedError) Unwrap() error { return ErrNotOpened }

// AlreadyOpenError says that an account cannot be opened again.
type AlreadyOpenError struct {
	// Account is the handle it was opened under.
	Account string
}

func (e *AlreadyOpenError) Error() string {
	return subject(e.Account) + " is already open: choose another handle"
}

// Unwrap returns [ErrAlreadyOpen].
func (e *AlreadyOpenError) Unwrap() error { return ErrAlreadyOpen }

// ClosedError says that the account was closed. That is for ever, and so is its handle.
type ClosedError struct {
	// Account is the handle it was opened under.
	Account string
}

func (e *ClosedError) Error() string {
	return subject(e.Account) + " is closed, for ever: use another account"
}

// Unwrap returns [ErrClosed].
func (e *ClosedError) Unwrap() error { return ErrClosed }

// InsufficientFundsError says how much there is and how much was wanted.
type InsufficientFundsError struct {
	Account            string
	Balance, Requested Money
}

func (e *InsufficientFundsError) Error() string {
	return fmt.Sprintf("%s has %s, cannot withdraw %s", subject(e.Account), e.Balance, e.Requested)
}

// Unwrap returns [ErrInsufficientFunds].
func (e *InsufficientFundsError) Unwrap() error { return ErrInsufficientFunds }

// CurrencyMismatchError says that an amount is not in the account's currency.
type CurrencyMismatchError struct {
	Account string
	// Currency is the account's.
	Currency Currency
	// Amount is what it was asked to move.
	Amount Money
}

func (e *CurrencyMismatchError) Error() string {
	return fmt.Sprintf("%s is kept in %s, cannot move an amount in %s: give it in %[2]s", subject(e.Account), shown(string(e.Currency)), shown(string(e.Amount.Currency)))
}

// Unwrap returns [ErrCurrencyMismatch].
func (e *CurrencyMismatchError) Unwrap() error { return ErrCurrencyMismatch }

// NotEmptyError says what has to go before an account can be closed.
type NotEmptyError struct {
	Account string
	// Balance is not zero; it may be negative in an imported history.
	Balance Money
}

func (e *NotEmptyError) Error() string {
	return fmt.Sprintf("%s has %s, cannot be closed: bring the balance to zero first", subject(e.Account), e.Balance)
}

// Unwrap returns [ErrNotEmpty].
func (e *NotEmptyError) Unwrap() error { return ErrNotEmpty }

// SameAccountError says that a transfer goes to where it comes from.
type SameAccountError struct{ Account string }

func (e *SameAccountError) Error() string {
	return subject(e.Account) + " cannot transfer to itself: name two different accounts"
}

// Unwrap returns [ErrSameAccount].
func (e *SameAccountError) Unwrap() error { return ErrSameAccount }

// OverflowError says that a balance would become, or has become, too large.
type OverflowError struct {
	Account string
	// Balance is the last one that was right.
	Balance Money
	// Requested is what would be too much. It is zero where it is the recorded
	// history that adds up to too much; see [Account].
	Requested Money
}

func (e *OverflowError) Error() string {
	if e.Requested == (Money{}) {
		return fmt.Sprintf("%s has a history that adds up to more than can be counted (%s and then more): nothing can be done with it", subject(e.Account), e.Balance)
	}
	return fmt.Sprintf("%s has %s, cannot take %s: the largest balance is %s", subject(e.Account), e.Balance, e.Requested, largest(e.Balance.Currency))
}

// Unwrap returns [ErrOverflow].
func (e *OverflowError) Unwrap() error { return ErrOverflow }

// subject is a handle for a message. One from an imported history may be anything.
func subject(handle string) string {
	if handle == "" {
		return "the account"
	}
	return shown(handle)
}
