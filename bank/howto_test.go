package bank_test

import (
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/daybooktest"
	"github.com/daybook-go/daybook/sqlite"
)

// What docs/howto shows with the bank is here, and works.

// docs/howto/change-an-event.md
func TestAnAccountFromTheDaysWithoutCurrencies(t *testing.T) {
	t.Parallel()
	type AccountOpened struct {
		AccountID string `json:"account_id"`
		OwnerName string `json:"owner_name"`
	}
	stored, err := json.Marshal(AccountOpened{AccountID: "alice", OwnerName: "Alice"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := bank.Events.Decode(daybook.Recorded{EventType: "AccountOpened", SchemaVersion: 1, Payload: stored})
	want := bank.AccountOpened{AccountID: "alice", OwnerName: "Alice", Currency: "EUR"}
	if err != nil || got != any(want) {
		t.Errorf("decoded %+v, %v, want %+v", got, err, want)
	}
}

// docs/howto/test-a-decider.md
func TestSomebodyDrawsMoreThanThereIs(t *testing.T) {
	t.Parallel()
	rules := daybooktest.Given(bank.Accounts)
	rules.Events(
		bank.AccountOpened{AccountID: "alice", OwnerName: "Alice", Currency: "EUR"},
		bank.MoneyDeposited{Amount: 100},
	).
		When(bank.Withdraw{Amount: bank.Money{Minor: 101, Currency: "EUR"}}).
		ThenRefused(t, bank.ErrInsufficientFunds)
}

// docs/howto/snapshots.md
func TestSnapshotsOfAnotherFoldAreDropped(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "book.db")
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	db, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	book, err := daybook.Open(ctx, db, "main", bank.Events)
	if err != nil {
		t.Fatal(err)
	}
	alice := bank.AccountID("alice")
	keep := func(decider daybook.Decider[bank.Account, bank.Command, bank.Event]) {
		t.Helper()
		if _, err := daybook.NewRepository(book, decider, daybook.Snapshots{}).Keep(ctx, alice); err != nil {
			t.Fatal(err)
		}
	}
	accounts := daybook.NewRepository(book, bank.Accounts, daybook.Snapshots{})
	defer accounts.Flush(ctx)
	if _, err := accounts.Execute(ctx, alice, bank.Open{Handle: "alice", Owner: "Alice", Currency: "EUR"}); err != nil {
		t.Fatal(err)
	}
	raised := bank.Accounts
	raised.FoldVersion++
	keep(raised)
	keep(bank.Accounts)

	var old []daybook.Snapshot
	for s, err := range book.Snapshots(ctx, daybook.SnapshotQuery{}) {
		if err == nil && s.Aggregate.Type == bank.AccountType && s.Fold != accounts.Fold() {
			old = append(old, s)
		}
	}
	err = book.DropSnapshots(ctx, old...)

	var left []daybook.Fold
	for s, listErr := range book.Snapshots(ctx, daybook.SnapshotQuery{}) {
		left, err = append(left, s.Fold), errors.Join(err, listErr)
	}
	if diff := cmp.Diff([]daybook.Fold{accounts.Fold()}, left); err != nil || len(old) != 1 || diff != "" {
		t.Errorf("dropped %d, %v, and the folds left differ: %s", len(old), err, diff)
	}
}
