package bank

import "github.com/daybook-go/daybook"

// Event is something that happened to an account. The types below are all there are.
//
//sumtype:decl
type Event interface{ accountEvent() }

// AccountOpened is the first event of every account. It is at schema version 2:
// version 1 had no currency, and meant EUR.
type AccountOpened struct {
	// AccountID is the handle the account was opened under, such as "alice".
	AccountID string `json:"account_id"`
	// OwnerName is the owner's name as it was given.
	OwnerName string `json:"owner_name"`
	// Currency is that of every amount of the account, for ever.
	Currency Currency `json:"currency"`
}

// MoneyDeposited says that money came in from outside the bank.
type MoneyDeposited struct {
	// Amount is in minor units of the account's currency.
	Amount int64 `json:"amount"`
	// Reference is the text that goes with the movement; may be empty.
	Reference string `json:"reference,omitzero"`
}

// MoneyWithdrawn says that money left the bank.
type MoneyWithdrawn struct {
	// Amount is in minor units of the account's currency.
	Amount int64 `json:"amount"`
	// Reference is the text that goes with the movement; may be empty.
	Reference string `json:"reference,omitzero"`
}

// TransferSent is the sender's half of a transfer. The receiver's half is a
// [TransferReceived] with the same TransferID, in the same append.
type TransferSent struct {
	// To is the receiver's handle, as the sender gave it.
	To string `json:"to"`
	// Amount is in minor units of the account's currency.
	Amount int64 `json:"amount"`
	// TransferID is shared by the two halves.
	TransferID daybook.UUID `json:"transfer_id"`
	// Reference is the text that goes with the movement; may be empty.
	Reference string `json:"reference,omitzero"`
}

// TransferReceived is the receiver's half of a transfer; see [TransferSent].
type TransferReceived struct {
	// From is the sender's handle.
	From string `json:"from"`
	// Amount is in minor units of the account's currency.
	Amount int64 `json:"amount"`
	// TransferID is shared by the two halves.
	TransferID daybook.UUID `json:"transfer_id"`
	// Reference is the text that goes with the movement; may be empty.
	Reference string `json:"reference,omitzero"`
}

// AccountClosed is the last event of an account.
type AccountClosed struct{}

func (AccountOpened) accountEvent()    {}
func (MoneyDeposited) accountEvent()   {}
func (MoneyWithdrawn) accountEvent()   {}
func (TransferSent) accountEvent()     {}
func (TransferReceived) accountEvent() {}
func (AccountClosed) accountEvent()    {}

// Events is how the events are stored. The names are for ever.
var Events = daybook.NewRegistry(
	daybook.Type[AccountOpened]("AccountOpened", daybook.Upcast(accountOpenedV1.upcast)),
	daybook.Type[MoneyDeposited]("MoneyDeposited"),
	daybook.Type[MoneyWithdrawn]("MoneyWithdrawn"),
	daybook.Type[TransferSent]("TransferSent"),
	daybook.Type[TransferReceived]("TransferReceived"),
	daybook.Type[AccountClosed]("AccountClosed"),
)

// accountOpenedV1 is AccountOpened from the days when every account was in EUR.
type accountOpenedV1 struct {
	AccountID string `json:"account_id"`
	OwnerName string `json:"owner_name"`
}

func (old accountOpenedV1) upcast() AccountOpened {
	return AccountOpened{AccountID: old.AccountID, OwnerName: old.OwnerName, Currency: "EUR"}
}
