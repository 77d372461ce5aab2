package bank

import "github.com/daybook-go/daybook"

// Command is a wish that an account grants or refuses. The types below are all
// there are; they are passed by value.
//
//sumtype:decl
type Command interface{ accountCommand() }

// Open opens an account. Run it on AccountID(Handle).
type Open struct {
	// Handle is what the account is called; see [CheckHandle].
	Handle string
	// Owner is the owner's name; see [CheckOwner].
	Owner string
	// Currency is that of every amount of the account, for ever.
	Currency Currency
}

// Deposit brings money in from outside the bank.
type Deposit struct {
	// Amount is at least one minor unit, in the account's currency.
	Amount Money
	// Reference is the text that goes with the movement; may be empty. See [CheckText].
	Reference string
}

// Withdraw takes money out of the bank.
type Withdraw struct {
	// Amount is at least one minor unit, in the account's currency, and at most
	// the balance.
	Amount Money
	// Reference is the text that goes with the movement; may be empty. See [CheckText].
	Reference string
}

// Send is the sender's half of a transfer. Alone it would destroy money: use [Transfer].
type Send struct {
	// From is the handle of the account the command is for, To the receiver's.
	From, To string
	// Amount is as in Withdraw.
	Amount Money
	// TransferID is shared by the two halves.
	TransferID daybook.UUID
	// Reference is the text that goes with the movement; may be empty. See [CheckText].
	Reference string
}

// Receive is the receiver's half of a transfer. Alone it would create money: use
// [Transfer].
type Receive struct {
	// From is the sender's handle, To that of the account the command is for.
	From, To string
	// Amount is as in Deposit.
	Amount Money
	// TransferID is shared by the two halves.
	TransferID daybook.UUID
	// Reference is the text that goes with the movement; may be empty. See [CheckText].
	Reference string
}

// Close closes an account whose balance is exactly zero.
type Close struct{}

func (Open) accountCommand()     {}
func (Deposit) accountCommand()  {}
func (Withdraw) accountCommand() {}
func (Send) accountCommand()     {}
func (Receive) accountCommand()  {}
func (Close) accountCommand()    {}

// Transfer returns the commands that move amount from one account to another, for
// [daybook.Repository.ExecuteAll]: the sender's first. Either both take effect or
// neither. transferID is recorded with both halves; a transfer that is tried again
// needs the same one.
//
// Where from and to are the same account, in whatever spelling, there is only the
// sender's half, which the account refuses with [ErrSameAccount].
func Transfer(from, to string, amount Money, transferID daybook.UUID, reference string) []daybook.Addressed[Command] {
	sender, receiver := AccountID(from), AccountID(to)
	commands := []daybook.Addressed[Command]{{
		Aggregate: sender,
		Command:   Send{From: from, To: to, Amount: amount, TransferID: transferID, Reference: reference},
	}}
	if sender == receiver {
		return commands // ExecuteAll takes an aggregate once
	}
	return append(commands, daybook.Addressed[Command]{
		Aggregate: receiver,
		Command:   Receive{From: from, To: to, Amount: amount, TransferID: transferID, Reference: reference},
	})
}
