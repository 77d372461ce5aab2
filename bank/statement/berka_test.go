package statement

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// repository is the directory with go.mod.
func repository(t *testing.T) string {
	t.Helper()
	directory, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(directory, "go.mod")); err == nil {
			return directory
		}
		parent := filepath.Dir(directory)
		if parent == directory {
			t.Fatal("no go.mod in any directory above")
		}
		directory = parent
	}
}

// berka is the path of one of the real files. They are not part of the repository.
func berka(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(repository(t), "..", "shared", "data", "berka", name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the real bank files are not here: %s", path)
	}
	return path
}

func berkaMapping(t *testing.T) *Mapping {
	t.Helper()
	mapping, err := ReadMapping(filepath.Join(repository(t), "examples", "berka", "mapping.json"))
	if err != nil {
		t.Fatal(err)
	}
	return mapping
}

func openPath(t *testing.T, mapping *Mapping, path string) *File {
	t.Helper()
	reader, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reader.Close() })
	file, err := mapping.Open(filepath.Base(path), reader)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// totals are what an independent count of the file must agree with.
type totals struct {
	Credits, Debits, CreditSum, DebitSum int64
}

func TestBerkaTransactions(t *testing.T) {
	t.Parallel()
	path := berka(t, "transactions.csv")
	file := openPath(t, berkaMapping(t), path)
	if file.Kind != Transactions {
		t.Fatalf("the file is taken for one of %s", file.Kind)
	}
	got := map[string]totals{}
	count, ids := 0, map[string]bool{}
	for fact, err := range file.Facts() {
		if err != nil {
			t.Fatal(err)
		}
		transaction := fact.(Transaction)
		count++
		ids[transaction.ID] = true
		if transaction.Line != count+1 {
			t.Fatalf("fact %d says it is line %d", count, transaction.Line)
		}
		sum := got[transaction.Account]
		if transaction.Credit {
			sum.Credits++
			sum.CreditSum += transaction.Amount.Minor
		} else {
			sum.Debits++
			sum.DebitSum += transaction.Amount.Minor
		}
		got[transaction.Account] = sum
		from, to := time.Date(1995, 4, 1, 0, 0, 0, 0, time.UTC), time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)
		if transaction.OccurredAt.Before(from) || !transaction.OccurredAt.Before(to) {
			t.Fatalf("line %d occurred at %s", transaction.Line, transaction.OccurredAt)
		}
	}
	if count != 30_200 || len(ids) != 30_200 {
		t.Errorf("%d transactions with %d ids, want 30200", count, len(ids))
	}
	if diff := cmp.Diff(independentTotals(t, path), got); diff != "" {
		t.Errorf("sums per account (-want +got)\n%s", diff)
	}
}

// independentTotals adds up a file with nothing of this package: split at every
// semicolon, and read "900.00" as 90000.
func independentTotals(t *testing.T, path string) map[string]totals {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]totals{}
	for _, text := range strings.Split(string(data), "\n")[1:] {
		if text == "" {
			continue
		}
		fields := strings.Split(text, ";")
		minor, err := strconv.ParseInt(strings.ReplaceAll(fields[5], ".", ""), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		sum := sums[fields[1]]
		if fields[3] == "credit" {
			sum.Credits++
			sum.CreditSum += minor
		} else {
			sum.Debits++
			sum.DebitSum += minor
		}
		sums[fields[1]] = sum
	}
	return sums
}

func TestBerkaAccounts(t *testing.T) {
	t.Parallel()
	mapping := berkaMapping(t)
	file := openPath(t, mapping, berka(t, "accounts.csv"))
	if file.Kind != Accounts {
		t.Fatalf("the file is taken for one of %s", file.Kind)
	}
	opened := map[string]Account{}
	for fact, err := range file.Facts() {
		if err != nil {
			t.Fatal(err)
		}
		account := fact.(Account)
		opened[account.Handle] = account
	}
	if len(opened) != 4_500 {
		t.Errorf("%d accounts, want 4500", len(opened))
	}
	want := Account{
		Line: 2, Handle: "576", Owner: "Account 576", Currency: "CZK",
		OpenedAt: time.Date(1993, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	if diff := cmp.Diff(want, opened["576"]); diff != "" {
		t.Errorf("the first account (-want +got)\n%s", diff)
	}
	for fact, err := range openPath(t, mapping, berka(t, "transactions.csv")).Facts() {
		if err != nil {
			t.Fatal(err)
		}
		transaction := fact.(Transaction)
		account, there := opened[transaction.Account]
		if !there || account.OpenedAt.After(transaction.OccurredAt) {
			t.Fatalf("line %d is on account %s, opened %v at %s", transaction.Line, transaction.Account, there, account.OpenedAt)
		}
	}
}
