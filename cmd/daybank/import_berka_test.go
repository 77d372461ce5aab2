package main

import (
	"encoding/csv"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// The real files, and how many lines they have.
const (
	berkaDir          = "../../../shared/data/berka"
	berkaMapping      = "../../examples/berka/mapping.json"
	berkaAccounts     = 4_500
	berkaTransactions = 30_200
)

// ledger is what the files say, worked out without any of our readers: by account,
// for each day of it, the sum of that day in minor units.
type ledger map[string]map[time.Time]int64

// berkaArgs are the arguments to import the real files, which are not part of the
// repository.
func berkaArgs(t *testing.T) []string {
	t.Helper()
	if testing.Short() {
		t.Skip("importing the real bank files takes seconds")
	}
	if _, err := os.Stat(berkaDir); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("the real bank files are not here: %s", berkaDir)
	}
	return []string{"import", "csv", "--mapping", berkaMapping,
		filepath.Join(berkaDir, "transactions.csv"), filepath.Join(berkaDir, "accounts.csv"), "-o", "json"}
}

// berkaLedger adds the files up.
func berkaLedger(t *testing.T) ledger {
	t.Helper()
	book := ledger{}
	for i, record := range berkaRecords(t, "accounts.csv") {
		if i > 0 {
			book[record[0]] = map[time.Time]int64{berkaDay(t, record[3]): 0}
		}
	}
	for i, record := range berkaRecords(t, "transactions.csv") {
		if i == 0 {
			continue
		}
		whole, fraction, _ := strings.Cut(record[5], ".")
		minor, err := strconv.ParseInt(whole+(fraction + "00")[:2], 10, 64)
		if err != nil || len(fraction) > 2 {
			t.Fatalf("line %d: amount %q", i+1, record[5])
		}
		if record[3] != "credit" {
			minor = -minor
		}
		book[record[1]][berkaDay(t, record[2])] += minor
	}
	return book
}

func berkaRecords(t *testing.T, name string) [][]string {
	t.Helper()
	file, err := os.Open(filepath.Join(berkaDir, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	reader := csv.NewReader(file)
	reader.Comma = ';'
	records, err := reader.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return records
}

// berkaDay is the beginning of a day such as 930101.
func berkaDay(t *testing.T, text string) time.Time {
	t.Helper()
	day, err := time.Parse("20060102", "19"+text)
	if err != nil {
		t.Fatal(err)
	}
	return day
}

func TestImportOfBerka(t *testing.T) {
	t.Parallel()
	args := berkaArgs(t)
	want := berkaLedger(t)
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := open(t, t.TempDir())
			began := time.Now()
			report := decode[importReport](t, must(t, db, args...))
			t.Logf("%s: %d accounts and %d transactions imported in %v", engine, berkaAccounts, berkaTransactions, time.Since(began).Round(time.Millisecond))
			if diff := cmp.Diff(lineCounts{Accepted: berkaAccounts + berkaTransactions}, report.lineCounts); diff != "" {
				t.Errorf("the first import (-want +got):\n%s", diff)
			}
			book := openBook(t, db)
			checkBalances(t, db, want)
			checkDayEnds(t, book, want)
			checkDaysByLoadAt(t, book, want)
			checkMonths(t, book, want)
			checkYears(t, db, want)

			head, err := book.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			report = decode[importReport](t, must(t, db, args...))
			if diff := cmp.Diff(lineCounts{Duplicate: berkaAccounts + berkaTransactions}, report.lineCounts); diff != "" {
				t.Errorf("the second import (-want +got):\n%s", diff)
			}
			again, err := book.Head(t.Context())
			if err != nil || again != head {
				t.Errorf("the second import moved the head from %+v to %+v (%v)", head, again, err)
			}
		})
	}
}

// Two processes import the real files at once.
func TestImportsOfBerkaAtOnce(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("imports the real files four times: skipped by -short")
	}
	args := berkaArgs(t)
	for engine, open := range engines() {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			db := open(t, t.TempDir())
			must(t, db, "migrate")
			var wait sync.WaitGroup
			var outcomes [2]outcome
			for i := range outcomes {
				cmd := command(t, db, args...)
				wait.Go(func() { outcomes[i] = finish(t, cmd) })
			}
			wait.Wait()
			recorded := int64(0)
			for _, o := range outcomes {
				if o.code != exitOK {
					t.Fatalf("exit code %d:\n%s", o.code, o.stderr)
				}
				recorded += decode[importReport](t, o.stdout).Recorded
			}
			if recorded != berkaAccounts+berkaTransactions {
				t.Errorf("%d lines were recorded by both together, want %d", recorded, berkaAccounts+berkaTransactions)
			}
			checkEachOnce(t, db, berkaAccounts+berkaTransactions)
			checkBalances(t, db, berkaLedger(t))
		})
	}
}

// checkBalances compares every account's final balance, as the program shows it.
func checkBalances(t *testing.T, db string, want ledger) {
	t.Helper()
	got := map[string]int64{}
	for _, row := range decode[[]accountRow](t, must(t, db, "accounts", "-o", "json")) {
		got[row.Account] = row.BalanceMinor
	}
	final := map[string]int64{}
	for account, days := range want {
		for _, sum := range days {
			final[account] += sum
		}
	}
	if diff := cmp.Diff(final, got); diff != "" {
		t.Errorf("final balances (-want +got):\n%s", diff)
	}
}

// checkDayEnds compares every account's balance at the end of every day of it, by
// the time of occurrence. It reads the book once and adds each account's events up
// by day, which is what asking for each day would do 30,000 times over.
func checkDayEnds(t *testing.T, book *daybook.Book, want ledger) {
	t.Helper()
	got := ledger{}
	handles := map[daybook.AggregateID]string{}
	for rec, err := range book.Read(t.Context(), daybook.Query{}) {
		if err != nil {
			t.Fatal(err)
		}
		value, err := book.Decode(rec)
		if err != nil {
			t.Fatal(err)
		}
		amount := int64(0)
		switch event := value.(type) {
		case bank.AccountOpened:
			handles[rec.Aggregate] = event.AccountID
			got[event.AccountID] = map[time.Time]int64{}
		case bank.MoneyDeposited:
			amount = event.Amount
		case bank.MoneyWithdrawn:
			amount = -event.Amount
		}
		got[handles[rec.Aggregate]][rec.OccurredAt.Truncate(24*time.Hour)] += amount
	}
	days := 0
	for account := range want {
		wantEnds, gotEnds := want.dayEnds(account), got.dayEnds(account)
		days += len(wantEnds)
		if diff := cmp.Diff(wantEnds, gotEnds); diff != "" {
			t.Fatalf("account %s, balance at the end of each day (-want +got):\n%s", account, diff)
		}
	}
	t.Logf("%d balances at the end of a day compared", days)
}

// dayEnds is an account's balance at the end of each of its days.
func (l ledger) dayEnds(account string) map[time.Time]int64 {
	ends, balance := map[time.Time]int64{}, int64(0)
	for _, day := range slices.SortedFunc(maps.Keys(l[account]), time.Time.Compare) {
		balance += l[account][day]
		ends[day] = balance
	}
	return ends
}

// checkDaysByLoadAt asks the library for the balance at the end of some days, of
// accounts chosen at random, with snapshots and without.
func checkDaysByLoadAt(t *testing.T, book *daybook.Book, want ledger) {
	t.Helper()
	const samples = 40
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // G404: a sample, not a secret
	replaying := daybook.NewRepository(book, bank.Accounts)
	keeping := daybook.NewRepository(book, bank.Accounts, daybook.Snapshots{Every: 20, CheckOneIn: -1})
	handles := slices.Sorted(maps.Keys(want))
	for i := range samples {
		handle := handles[random.IntN(len(handles))]
		accounts := replaying
		if i%2 == 1 {
			accounts = keeping
			if _, err := accounts.Keep(t.Context(), bank.AccountID(handle)); err != nil {
				t.Fatal(err)
			}
		}
		for day, balance := range want.dayEnds(handle) {
			end := day.Add(24*time.Hour - time.Microsecond)
			loaded, err := accounts.LoadAt(t.Context(), bank.AccountID(handle), daybook.AsOfOccurred(end))
			if err != nil {
				t.Fatal(err)
			}
			if loaded.State.Balance != balance || loaded.State.Status != bank.StatusOpen {
				t.Errorf("account %s at %v: %s, %s; want %d", handle, end, loaded.State.Status, loaded.State.Money(), balance)
			}
		}
	}
	if stats := keeping.SnapshotStats(); stats.Used == 0 || stats.Corrupt > 0 {
		t.Errorf("the snapshots: %+v", stats)
	}
}
