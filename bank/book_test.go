package bank_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/sqlite"
)

type accounts = daybook.Repository[bank.Account, bank.Command, bank.Event]

// newBank returns the accounts of a fresh book in which alice has 100.00 EUR, bob
// has none and taro's account is in JPY.
func newBank(t *testing.T) (*accounts, *daybook.Book) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bank.db")
	if err := sqlite.Migrate(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	driver, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := driver.Close(); err != nil {
			t.Error(err)
		}
	})
	book, err := daybook.Open(t.Context(), driver, "main", bank.Events)
	if err != nil {
		t.Fatal(err)
	}
	repository := daybook.NewRepository(book, bank.Accounts)
	for _, c := range []struct {
		handle  string
		command bank.Command
	}{
		{"alice", bank.Open{Handle: "alice", Owner: "Alice", Currency: "EUR"}},
		{"bob", bank.Open{Handle: "bob", Owner: "Bob", Currency: "EUR"}},
		{"taro", bank.Open{Handle: "taro", Owner: "太郎", Currency: "JPY"}},
		{"alice", bank.Deposit{Amount: eur(100_00), Reference: "salary"}},
	} {
		if _, err := repository.Execute(t.Context(), bank.AccountID(c.handle), c.command); err != nil {
			t.Fatal(err)
		}
	}
	return repository, book
}

func balance(t *testing.T, repository *accounts, handle string) int64 {
	t.Helper()
	loaded, err := repository.Load(t.Context(), bank.AccountID(handle))
	if err != nil {
		t.Fatal(err)
	}
	return loaded.State.Balance
}

func TestATransferMovesMoneyInOneAppend(t *testing.T) {
	t.Parallel()
	repository, book := newBank(t)
	results, err := repository.ExecuteAll(t.Context(), bank.Transfer("alice", "bob", eur(30_00), transferID, "rent"), daybook.Key("rent-2026-11"))
	if err != nil {
		t.Fatal(err)
	}
	if got := []int64{results[0].State.Balance, results[1].State.Balance}; !cmp.Equal(got, []int64{70_00, 30_00}) {
		t.Errorf("alice and bob have %v cents, want 7000 and 3000", got)
	}
	sent, received := results[0].Events[0], results[1].Events[0]
	if received.Position != sent.Position+1 || !received.RecordedAt.Equal(sent.RecordedAt) {
		t.Errorf("the halves are %v and %v, want one append", sent, received)
	}
	again, err := repository.ExecuteAll(t.Context(), bank.Transfer("alice", "bob", eur(30_00), transferID, "rent"), daybook.Key("rent-2026-11"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(results, again); diff != "" {
		t.Errorf("the retry is answered otherwise (-first +retry):\n%s", diff)
	}
	if head, err := book.Head(t.Context()); err != nil || head.Position != received.Position {
		t.Errorf("the head is %v, %v, want position %d", head, err, received.Position)
	}
}

func TestARefusedTransferLeavesNoHalf(t *testing.T) {
	t.Parallel()
	repository, book := newBank(t)
	if _, err := repository.Execute(t.Context(), bank.AccountID("carol"), bank.Open{Handle: "carol", Owner: "C", Currency: "EUR"}); err != nil {
		t.Fatal(err)
	}
	if _, err := repository.Execute(t.Context(), bank.AccountID("carol"), bank.Close{}); err != nil {
		t.Fatal(err)
	}
	before, err := book.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		to     string
		amount int64
		want   error
	}{
		"to itself":                     {"alice", 1, bank.ErrSameAccount},
		"to itself by the aggregate id": {bank.AccountID("alice").ID.String(), 1, bank.ErrSameAccount},
		"to an unknown account":         {"nobody", 1, bank.ErrNotOpened},
		"to a closed account":           {"carol", 1, bank.ErrClosed},
		"to another currency":           {"taro", 1, bank.ErrCurrencyMismatch},
		"of more than there is":         {"bob", 100_01, bank.ErrInsufficientFunds},
	} {
		if _, err := repository.ExecuteAll(t.Context(), bank.Transfer("alice", c.to, eur(c.amount), transferID, "")); !errors.Is(err, c.want) {
			t.Errorf("a transfer %s: error %v, want %v", name, err, c.want)
		}
	}
	if after, err := book.Head(t.Context()); err != nil || after != before {
		t.Errorf("the head went from %v to %v, %v", before, after, err)
	}
	if got := balance(t, repository, "alice"); got != 100_00 {
		t.Errorf("alice has %d cents, want 10000", got)
	}
}

func TestWithdrawalsAtOnceNeverOverdraw(t *testing.T) {
	t.Parallel()
	repository, _ := newBank(t)
	errs := make([]error, 8)
	var wait sync.WaitGroup
	for i := range errs {
		wait.Go(func() {
			_, errs[i] = repository.Execute(t.Context(), bank.AccountID("alice"), bank.Withdraw{Amount: eur(30_00)})
		})
	}
	wait.Wait()
	granted := 0
	for _, err := range errs {
		if err == nil {
			granted++
		} else if !errors.Is(err, bank.ErrInsufficientFunds) {
			t.Errorf("error %v, want ErrInsufficientFunds", err)
		}
	}
	if got := balance(t, repository, "alice"); granted != 3 || got != 10_00 {
		t.Errorf("%d withdrawals of 30.00 from 100.00 were granted and %d cents are left, want 3 and 1000", granted, got)
	}
}
