package readmodel

import (
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// Transfers has a row for each transfer, by its id, in which the halves of the two accounts
// come together, whichever was recorded first.
//
// Its amounts are in the currency of the accounts, which no half of a transfer knows:
// [FindTransfers] takes it from [Balances], and SQL joins it by from_account or to_account.
var Transfers = &daybook.View[daybook.UUID, Transfer]{
	Name:       "transfers",
	Key:        "transfer_id",
	Indexes:    []string{"position", "occurred_at", "from_account,position", "to_account,position"},
	EventTypes: []string{"TransferSent", "TransferReceived"},
	Keys:       transferOf,
	Evolve:     evolveTransfer,
}

// TransferState says which halves of a transfer there are.
type TransferState string

// The states. One half is a fault, or of an account that another program keeps.
const (
	// TransferComplete has both halves, and they agree.
	TransferComplete TransferState = "complete"
	// TransferOnlySent and TransferOnlyReceived lack the other half.
	TransferOnlySent     TransferState = "only sent"
	TransferOnlyReceived TransferState = "only received"
	// TransferDiffers has both halves, and they differ in amount, accounts or reference.
	TransferDiffers TransferState = "differs"
	// TransferRepeated has more halves than one of each: the first of each are shown.
	TransferRepeated TransferState = "repeated"
)

// TransferStates returns all states.
func TransferStates() []TransferState {
	return []TransferState{TransferComplete, TransferOnlySent, TransferOnlyReceived, TransferDiffers, TransferRepeated}
}

// Transfer is what is known of a transfer.
type Transfer struct {
	State TransferState
	// FromAccount and ToAccount are the accounts' ids: each as its own half has it, and as
	// the other half names it where that is missing. FromHandle and ToHandle are what the
	// other half calls the account; empty where that is missing.
	FromAccount, ToAccount daybook.UUID
	FromHandle, ToHandle   string
	// Amount is what was sent or, where that half is missing, received. SentAmount and
	// ReceivedAmount are what each half has, 0 where it is missing; in minor units.
	Amount, SentAmount, ReceivedAmount int64
	// Reference is the text of the half that came first.
	Reference string
	// Search is both handles and the reference without regard to case, on a line each.
	Search string
	// Where each half is recorded: position in the book and number in its account; 0 where
	// it is missing.
	SentPosition, SentNumber         int64
	ReceivedPosition, ReceivedNumber int64
	// Position, OccurredAt and RecordedAt are those of the half that was recorded first.
	Position               int64
	OccurredAt, RecordedAt time.Time
	// Halves is how many there are, of either kind.
	Halves int64
	// SentTo and ReceivedFrom are the accounts that the halves name, and References says
	// that both have the same: what the state is told from.
	SentTo, ReceivedFrom daybook.UUID
	SameReference        bool
}

// transferOf is the transfer that an event is half of.
func transferOf(e daybook.ProjectedEvent) []daybook.UUID {
	event, ok := ofAccount(e)
	if !ok {
		return nil
	}
	switch half := event.(type) {
	case bank.TransferSent:
		return []daybook.UUID{half.TransferID}
	case bank.TransferReceived:
		return []daybook.UUID{half.TransferID}
	default:
		return nil
	}
}

func evolveTransfer(row Transfer, _ daybook.UUID, e daybook.ProjectedEvent) (Transfer, bool) {
	event, ok := ofAccount(e)
	if !ok {
		return row, false
	}
	switch half := event.(type) {
	case bank.TransferSent:
		row.begin(e, half.Reference)
		if row.SentPosition == 0 {
			row.sent(e, half)
		}
	case bank.TransferReceived:
		row.begin(e, half.Reference)
		if row.ReceivedPosition == 0 {
			row.received(e, half)
		}
	default:
		return row, false
	}
	row.State = row.state()
	row.Search = folded(row.FromHandle) + "\n" + folded(row.ToHandle) + "\n" + folded(row.Reference)
	return row, false
}

// begin notes what the first half says of the transfer, and counts every half.
func (t *Transfer) begin(e daybook.ProjectedEvent, reference string) {
	if t.Halves++; t.Halves == 1 {
		t.Position, t.OccurredAt, t.RecordedAt, t.Reference = e.Position, e.OccurredAt, e.RecordedAt, reference
	}
	t.SameReference = t.Reference == reference
}

func (t *Transfer) sent(e daybook.ProjectedEvent, half bank.TransferSent) {
	t.SentPosition, t.SentNumber, t.SentAmount, t.Amount = e.Position, e.SequenceNumber, half.Amount, half.Amount
	t.FromAccount, t.SentTo, t.ToHandle = e.Aggregate.ID, bank.AccountID(half.To).ID, half.To
	if t.ReceivedPosition == 0 {
		t.ToAccount = t.SentTo
	}
}

func (t *Transfer) received(e daybook.ProjectedEvent, half bank.TransferReceived) {
	t.ReceivedPosition, t.ReceivedNumber, t.ReceivedAmount = e.Position, e.SequenceNumber, half.Amount
	t.ToAccount, t.ReceivedFrom, t.FromHandle = e.Aggregate.ID, bank.AccountID(half.From).ID, half.From
	if t.SentPosition == 0 {
		t.FromAccount, t.Amount = t.ReceivedFrom, half.Amount
	}
}

// state tells what there is.
func (t *Transfer) state() TransferState {
	switch sent, received := t.SentPosition != 0, t.ReceivedPosition != 0; {
	case t.Halves > 2 || t.Halves == 2 && (!sent || !received):
		return TransferRepeated
	case !received:
		return TransferOnlySent
	case !sent:
		return TransferOnlyReceived
	case t.SentAmount != t.ReceivedAmount || t.SentTo != t.ToAccount || t.ReceivedFrom != t.FromAccount || !t.SameReference:
		return TransferDiffers
	}
	return TransferComplete
}
