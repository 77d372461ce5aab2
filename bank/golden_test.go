package bank_test

import (
	"errors"
	"testing"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/daybooktest"
)

func TestWhatProductionHasStoredIsReadForEver(t *testing.T) {
	t.Parallel()
	rent := uuid(t, "019a7b3c-5d6e-7f80-91a2-b3c4d5e6f708")
	daybooktest.Golden(t, bank.Events, "testdata/events", map[string]any{
		"AccountOpened.1":                      bank.AccountOpened{AccountID: "alice", OwnerName: "Alice Liddell", Currency: "EUR"},
		"AccountOpened.2":                      bank.AccountOpened{AccountID: "alice", OwnerName: "Alice Liddell", Currency: "EUR"},
		"AccountOpened.2.uuid-handle":          bank.AccountOpened{AccountID: "017f22e2-79b0-7cc3-98c4-dc0c0c07398f", OwnerName: "山田 太郎", Currency: "JPY"},
		"MoneyDeposited.1":                     bank.MoneyDeposited{Amount: 100_00, Reference: "salary 2026-11"},
		"MoneyDeposited.1.without-reference":   bank.MoneyDeposited{Amount: bank.MaxAmount},
		"MoneyWithdrawn.1":                     bank.MoneyWithdrawn{Amount: 30_00, Reference: "cash"},
		"MoneyWithdrawn.1.without-reference":   bank.MoneyWithdrawn{Amount: 1},
		"TransferSent.1":                       bank.TransferSent{To: "bob", Amount: 25_00, TransferID: rent, Reference: "rent"},
		"TransferSent.1.without-reference":     bank.TransferSent{To: "bob", Amount: 25_00, TransferID: rent},
		"TransferReceived.1":                   bank.TransferReceived{From: "alice", Amount: 25_00, TransferID: rent, Reference: "rent"},
		"TransferReceived.1.without-reference": bank.TransferReceived{From: "alice", Amount: 25_00, TransferID: rent},
		"AccountClosed.1":                      bank.AccountClosed{},
	})
}

func TestStoredEventsThatCannotBeReadAreErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rec  daybook.Recorded
		want error
	}{
		"a version 1 with the currency of version 2":   {record("AccountOpened", 1, `{"account_id":"a","owner_name":"A","currency":"EUR"}`), daybook.ErrDecode},
		"a version from the future":                    {record("AccountOpened", 3, `{}`), daybook.ErrUnknownEvent},
		"an event type from the future":                {record("InterestPaid", 1, `{}`), daybook.ErrUnknownEvent},
		"an amount that is a text":                     {record("MoneyDeposited", 1, `{"amount":"5"}`), daybook.ErrDecode},
		"an amount with a fraction":                    {record("MoneyDeposited", 1, `{"amount":0.5}`), daybook.ErrDecode},
		"an amount of null":                            {record("MoneyDeposited", 1, `{"amount":null}`), daybook.ErrDecode},
		"a transfer id that is no UUID":                {record("TransferSent", 1, `{"to":"b","amount":1,"transfer_id":"x"}`), daybook.ErrDecode},
		"a transfer id in capitals":                    {record("TransferSent", 1, `{"to":"b","amount":1,"transfer_id":"019A7B3C-5D6E-7F80-91A2-B3C4D5E6F708"}`), daybook.ErrDecode},
		"a member nobody knows":                        {record("AccountClosed", 1, `{"reason":"moved"}`), daybook.ErrDecode},
		"a payload that is cut off":                    {record("MoneyWithdrawn", 1, `{"amount":1`), daybook.ErrDecode},
		"an event type in another case than it stored": {record("accountclosed", 1, `{}`), daybook.ErrUnknownEvent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if value, err := bank.Events.Decode(c.rec); !errors.Is(err, c.want) {
				t.Errorf("decoded to %#v, error %v, want %v", value, err, c.want)
			}
		})
	}
}

func record(eventType string, version int, payload string) daybook.Recorded {
	return daybook.Recorded{EventType: eventType, SchemaVersion: version, Payload: []byte(payload)}
}

func uuid(t *testing.T, text string) daybook.UUID {
	t.Helper()
	id, err := daybook.ParseUUID(text)
	if err != nil {
		t.Fatal(err)
	}
	return id
}
