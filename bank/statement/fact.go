package statement

import (
	"slices"
	"strings"
	"time"

	"github.com/daybook-go/daybook/bank"
)

// Fact is what one line of a file says happened: a [Transaction] or an [Account].
//
//sumtype:decl
type Fact interface {
	isFact()
	// LineNumber is the line of the file, counted from 1, the header included.
	LineNumber() int
}

// Transaction is money that came to an account or went from it.
type Transaction struct {
	Line int
	// ID is the bank's own id, unique together with the mapping's source.
	ID string
	// Account is the handle, one that [bank.CheckHandle] accepts.
	Account string
	// Credit: the money came. Otherwise it went.
	Credit bool
	// Amount is more than zero, whichever way it went.
	Amount bank.Money
	// Reference is a text that [bank.CheckText] accepts. It may be empty.
	Reference string
	// OccurredAt is the value date, in UTC.
	OccurredAt time.Time
}

// Account is an account that was opened.
type Account struct {
	Line int
	// Handle is one that [bank.CheckHandle] accepts.
	Handle string
	// Owner is a name that [bank.CheckOwner] accepts.
	Owner    string
	Currency bank.Currency
	// OpenedAt is the day it was opened, in UTC.
	OpenedAt time.Time
}

func (Transaction) isFact() {}
func (Account) isFact()     {}

// LineNumber is the line of the file, counted from 1, the header included.
func (t Transaction) LineNumber() int { return t.Line }

// LineNumber is the line of the file, counted from 1, the header included.
func (a Account) LineNumber() int { return a.Line }

// transactionReader reads the rows of one kind of file of transactions.
type transactionReader struct {
	file      *TransactionFile
	layout    dateLayout
	zone      *time.Location
	currency  bank.Currency
	separator string
}

func (t transactionReader) fact(r row) (Fact, error) {
	id, err := r.id(t.file.ID)
	if err != nil {
		return nil, err
	}
	account, err := r.handle(t.file.Account)
	if err != nil {
		return nil, err
	}
	occurredAt, err := r.date(t.file.Date.Column, t.layout, t.zone)
	if err != nil {
		return nil, err
	}
	currency, err := r.currencyOf(t.currency, t.file.CurrencyColumn)
	if err != nil {
		return nil, err
	}
	amount, credit, err := t.file.Amount.read(r, currency)
	if err != nil {
		return nil, err
	}
	reference, err := t.reference(r)
	if err != nil {
		return nil, err
	}
	return Transaction{
		Line: r.line, ID: id, Account: account, Credit: credit, Amount: amount,
		Reference: reference, OccurredAt: occurredAt,
	}, nil
}

// reference joins the columns that say something.
func (t transactionReader) reference(r row) (string, error) {
	var parts []string
	for _, column := range t.file.Reference.Columns {
		part := strings.Trim(r.value(column), " ")
		if part == "" || slices.Contains(t.file.Reference.Blank, part) {
			continue
		}
		if err := bank.CheckText(column.String(), part); err != nil {
			return "", r.refuse(column, reason(err))
		}
		parts = append(parts, part)
	}
	joined := strings.Join(parts, t.separator)
	if err := bank.CheckText("reference", joined); err != nil {
		return "", r.refuse(t.file.Reference.Columns[0], "with the other columns of the reference: "+reason(err))
	}
	return joined, nil
}

// accountReader reads the rows of one kind of file of accounts.
type accountReader struct {
	file     *AccountFile
	owner    template
	layout   dateLayout
	zone     *time.Location
	currency bank.Currency
}

func (a accountReader) fact(r row) (Fact, error) {
	handle, err := r.handle(a.file.Account)
	if err != nil {
		return nil, err
	}
	owner := a.owner.fill(r)
	if err := bank.CheckOwner(owner); err != nil {
		return nil, &LineError{Line: r.line, LastLine: r.line, Column: "owner", Value: shorten(owner), Reason: reason(err)}
	}
	openedAt, err := r.date(a.file.Opened.Column, a.layout, a.zone)
	if err != nil {
		return nil, err
	}
	currency, err := r.currencyOf(a.currency, a.file.CurrencyColumn)
	if err != nil {
		return nil, err
	}
	return Account{Line: r.line, Handle: handle, Owner: owner, Currency: currency, OpenedAt: openedAt}, nil
}
