package readmodel

import (
	"time"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// Balances has a row for each account that anything has happened to, by the UUID of its
// aggregate. It is cheap enough to be inline: an event touches one row.
var Balances = &daybook.View[daybook.UUID, Balance]{
	Name: "balances",
	Key:  "account_id",
	// Both are only ever raised, so the sum says that one of them was.
	Version: balancesVersion + bank.Accounts.FoldVersion,
	// None on balance or position: every event changes both, and as long as no index has
	// them PostgreSQL need not touch any index of the table. To sort by them is to sort the
	// accounts.
	Indexes: []string{"handle_key", "owner_key"},
	Keys:    accountOf,
	Evolve:  evolveBalance,
	Aggregates: func(id daybook.UUID) []daybook.AggregateID {
		return []daybook.AggregateID{{Type: bank.AccountType, ID: id}}
	},
}

// balancesVersion is to be raised with every change of what evolveBalance makes of events.
const balancesVersion = 0

// Balance is an account as it is now, and what was the last thing to happen to it.
type Balance struct {
	// Account is the state that a replay gives: handle, owner, currency, balance in minor
	// units, status; and whether its history adds up to more than can be counted.
	bank.Account
	// HandleKey is the beginning of the handle, and OwnerKey of the owner's name without
	// regard to case: rows are sorted by them first.
	HandleKey, OwnerKey string
	// Search is handle and owner, without regard to case, on a line each.
	Search string

	// Deposits, Withdrawals, Sent and Received count the movements of each kind.
	Deposits, Withdrawals, Sent, Received int64
	// OpenedAt is when it was opened, for the first time; nil where it was not.
	OpenedAt *time.Time

	// SequenceNumber, Position and LastEvent, the type, are those of the last event; when
	// that occurred, and when it was recorded.
	SequenceNumber, Position       int64
	LastEvent                      string
	LastOccurredAt, LastRecordedAt time.Time
}

// accountOf is the account that an event is about.
func accountOf(e daybook.ProjectedEvent) []daybook.UUID {
	if _, ok := ofAccount(e); !ok {
		return nil
	}
	return daybook.PerAggregate(e)
}

// evolveBalance leaves what an event means to the bank's own fold, and adds what that does
// not keep.
func evolveBalance(row Balance, _ daybook.UUID, e daybook.ProjectedEvent) (Balance, bool) {
	event, ok := ofAccount(e)
	if !ok {
		return row, false
	}
	row.Account = bank.Accounts.Evolve(row.Account, event)
	row.SequenceNumber, row.Position, row.LastEvent = e.SequenceNumber, e.Position, e.EventType
	row.LastOccurredAt, row.LastRecordedAt = e.OccurredAt, e.RecordedAt
	switch event.(type) {
	case bank.AccountOpened:
		row.HandleKey, row.OwnerKey = beginning(row.Handle), beginning(folded(row.Owner))
		row.Search = folded(row.Handle) + "\n" + folded(row.Owner)
		if row.OpenedAt == nil {
			at := e.OccurredAt // else every event is copied to the heap
			row.OpenedAt = &at
		}
	case bank.MoneyDeposited:
		row.Deposits++
	case bank.MoneyWithdrawn:
		row.Withdrawals++
	case bank.TransferSent:
		row.Sent++
	case bank.TransferReceived:
		row.Received++
	case bank.AccountClosed:
	}
	return row, false
}
