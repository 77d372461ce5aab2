package bank

import (
	"math"

	"github.com/daybook-go/daybook"
)

// AccountType is the aggregate type of accounts, as it is stored.
const AccountType = "account"

// Accounts is what may happen to an account and what comes of it, for
// [daybook.NewRepository]. It depends on nothing but its arguments.
var Accounts = daybook.Decider[Account, Command, Event]{
	Type:    AccountType,
	Initial: func() Account { return Account{} },
	Decide:  decide,
	Evolve:  evolve,
	// To be raised with every change of what evolve makes of an event.
	FoldVersion: 1,
}

// Status is where an account is in its life.
type Status string

// The statuses. An account that nothing has happened to is not opened.
const (
	StatusNotOpened Status = ""
	StatusOpen      Status = "open"
	StatusClosed    Status = "closed"
)

// Account is the state of an account. The zero value is one that was never opened.
type Account struct {
	// Handle is what the account was opened under.
	Handle string
	// Owner is the owner's name, as it was given.
	Owner string
	// Currency is that of the balance and of every movement.
	Currency Currency
	// Balance is in minor units. No command makes it negative; an imported
	// history, which is recorded as it was, can. In a snapshot it is text, so that
	// every reader of JSON keeps all its digits.
	Balance int64 `json:",string"`
	// Status is where the account is in its life.
	Status Status
	// Overflow says that the history adds up to more than an int64 holds. Balance
	// is the last one that was right, and every command is refused.
	Overflow bool
}

// Money returns the balance with its currency.
func (a Account) Money() Money { return Money{Minor: a.Balance, Currency: a.Currency} }

// evolve returns the account after an event. It judges nothing: a fact that breaks
// a rule, such as an imported overdraft or a payment to a closed account, is a
// fact. An Event that is none of the types (nil, a pointer) changes nothing; the
// registry decodes to none.
func evolve(a Account, event Event) Account {
	switch e := event.(type) {
	case AccountOpened:
		a.Handle, a.Owner, a.Currency, a.Status = e.AccountID, e.OwnerName, e.Currency, StatusOpen
	case MoneyDeposited:
		return a.credit(e.Amount)
	case MoneyWithdrawn:
		return a.debit(e.Amount)
	case TransferSent:
		return a.debit(e.Amount)
	case TransferReceived:
		return a.credit(e.Amount)
	case AccountClosed:
		a.Status = StatusClosed
	}
	return a
}

func (a Account) credit(amount int64) Account {
	if amount > 0 && a.Balance > math.MaxInt64-amount || amount < 0 && a.Balance < math.MinInt64-amount {
		a.Overflow = true
	}
	if !a.Overflow { // once wrong, a later event must not make it look right
		a.Balance += amount
	}
	return a
}

func (a Account) debit(amount int64) Account {
	if amount < 0 && a.Balance > math.MaxInt64+amount || amount > 0 && a.Balance < math.MinInt64+amount {
		a.Overflow = true
	}
	if !a.Overflow {
		a.Balance -= amount
	}
	return a
}
