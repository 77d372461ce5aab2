package readmodel_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

var (
	handles = rapid.SampledFrom([]string{"alice", "bob", "carol", "Zoë", "straße", "dave"})
	owners  = rapid.SampledFrom([]string{"Alice", "ALICE", "Bob", "", "太郎", "Zoë Ünal", "STRASSE 5"})
	amounts = rapid.OneOf(rapid.Int64Range(1, 1_000), rapid.Int64Range(-5, 5), rapid.SampledFrom([]int64{1<<53 - 1, -(1<<53 - 1)}))
	ids     = rapid.SampledFrom([]daybook.UUID{{15: 1}, {15: 2}, {15: 3}, {15: 4}})
	texts   = rapid.SampledFrom([]string{"", "", "rent", "Miete"})
	// A late event, one of a day that has begun elsewhere already, and none given.
	moments = rapid.SampledFrom([]time.Time{
		{}, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(2026, 1, 2, 0, 30, 0, 0, time.FixedZone("", 3600)), time.Date(2025, 12, 31, 12, 0, 0, 0, time.UTC), time.Date(1000, 1, 1, 0, 0, 0, 0, time.UTC),
	})

	// anyFact is anything that can be recorded, whatever the bank's rules say of it.
	anyFact = rapid.Custom(func(t *rapid.T) fact {
		handle, amount, id, text := handles.Draw(t, "handle"), amounts.Draw(t, "amount"), ids.Draw(t, "transfer"), texts.Draw(t, "text")
		return fact{handle, rapid.SampledFrom([]bank.Event{
			bank.AccountOpened{AccountID: handle, OwnerName: owners.Draw(t, "owner"), Currency: rapid.SampledFrom([]bank.Currency{"EUR", "JPY"}).Draw(t, "currency")},
			bank.MoneyDeposited{Amount: amount, Reference: text},
			bank.MoneyWithdrawn{Amount: amount, Reference: text},
			bank.TransferSent{To: handles.Draw(t, "to"), Amount: amount, TransferID: id, Reference: text},
			bank.TransferReceived{From: handles.Draw(t, "from"), Amount: amount, TransferID: id, Reference: text},
			bank.AccountClosed{},
		}).Draw(t, "event"), moments.Draw(t, "occurred")}
	})
)

// mostBooks bounds how many books are made: each costs a database a dozen tables.
const mostBooks = 40

// Whatever has happened, and however the views were made, they are what a fold of the
// events gives: now, and at any position of the past.
func TestEachViewEqualsTheFold(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, driver daybook.Driver) { //nolint:thelper // it is the test itself
		var books atomic.Int64
		rapid.Check(t, func(t *rapid.T) {
			number := books.Add(1)
			if number > mostBooks {
				return
			}
			name := fmt.Sprintf("book-%d", number)
			before := rapid.SliceOfN(anyFact, 0, 15).Draw(t, "before the views")
			after := rapid.SliceOfN(anyFact, 0, 15).Draw(t, "after")
			record(t, openBook(t, driver, name), before...)
			book := openInline(t, driver, name)
			if rapid.Bool().Draw(t, "behind from the beginning") {
				catchUp(t, book)
			}
			record(t, book, after...)
			catchUp(t, book)
			if rapid.Bool().Draw(t, "rebuilt") {
				for _, name := range readmodel.Names() {
					if _, err := book.Rebuild(t.Context(), readmodel.Named(name), daybook.RebuildOptions{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			total := int64(len(before) + len(after))
			wantViews(t, book, total, rapid.IntRange(0, 4).Draw(t, "limit"))
			wantPast(t, book, rapid.Int64Range(0, total).Draw(t, "position"))
			wantProved(t, book)
		})
	})
}

// wantViews compares the views with the model, by pages of limit rows.
func wantViews(t fataler, book *daybook.Book, head int64, limit int) {
	t.Helper()
	want := modelOf(t, book, head)
	var balances []balanceLine
	q := readmodel.BalanceQuery{Limit: limit}
	for {
		page, err := readmodel.FindBalances(t.Context(), book, q)
		if err != nil {
			t.Fatal(err)
		}
		balances = append(balances, balanceLines(page.Rows)...)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if diff := cmp.Diff(want.balances(), balances); diff != "" {
		t.Fatal("balances (-want +got):\n" + diff)
	}
	for id := range want.states {
		days, err := dayLines(t.Context(), book, id, limit)
		if diff := cmp.Diff(want.daysOf(id), days); err != nil || diff != "" {
			t.Fatal(err, "daily (-want +got):\n"+diff)
		}
		if state := want.states[id]; !state.Overflow && len(days) > 0 && days[len(days)-1].Closing != fmt.Sprint(state.Balance) {
			t.Fatal("the last closing balance is", days[len(days)-1].Closing, "and the account has", state.Balance)
		}
	}
	var transfers []transferLine
	for q := (readmodel.TransferQuery{Limit: limit}); ; {
		page, err := readmodel.FindTransfers(t.Context(), book, q)
		if err != nil {
			t.Fatal(err)
		}
		transfers = append(transfers, foundLines(page.Rows)...)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if diff := cmp.Diff(want.transferLines(t, book), transfers); diff != "" {
		t.Fatal("transfers (-want +got):\n" + diff)
	}
}

func wantPast(t fataler, book *daybook.Book, position int64) {
	t.Helper()
	past, err := readmodel.Balances.At(t.Context(), book, daybook.AtPosition(position))
	if err != nil {
		t.Fatal(err)
	}
	page, err := readmodel.BalanceQuery{}.Among(past.Rows)
	if diff := cmp.Diff(modelOf(t, book, position).balances(), balanceLines(page.Rows)); err != nil || diff != "" {
		t.Fatal(err, fmt.Sprintf("balances at %d (-want +got):\n%s", position, diff))
	}
}

// Eight writers at once, two programs of four: at every moment a reader has, the balances
// are those of the events.
func TestBalancesUnderConcurrentWriters(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, driver daybook.Driver) { //nolint:thelper // it is the test itself
		const accounts, commands = 5, 40
		programs := []*daybook.Book{openInline(t, driver, "main"), openInline(t, driver, "main")}
		setUp := daybook.NewRepository(programs[0], bank.Accounts)
		for n := range accounts {
			handle := fmt.Sprintf("account-%d", n)
			if _, err := setUp.Execute(t.Context(), bank.AccountID(handle), bank.Open{Handle: handle, Owner: handle, Currency: "EUR"}); err != nil {
				t.Fatal(err)
			}
		}
		var writers sync.WaitGroup
		for n := range 8 {
			repository := daybook.NewRepository(programs[n%2], bank.Accounts)
			random := rand.New(rand.NewPCG(uint64(n), 7)) //nolint:gosec // the same rows in every run
			writers.Go(func() {
				for range commands {
					if err := oneCommand(t, repository, random, accounts); err != nil && !errors.Is(err, bank.ErrRefused) {
						t.Error(err)
					}
				}
			})
		}
		done := make(chan struct{})
		go func() { writers.Wait(); close(done) }()
		reader := openInline(t, driver, "main")
		for running := true; running; {
			select {
			case <-done:
				running = false
			default:
			}
			wantOneMoment(t, reader)
		}
		catchUp(t, reader)
		head, err := reader.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		wantViews(t, reader, head.Position, 2)
		wantProved(t, reader)
	})
}

func oneCommand(t *testing.T, repository *daybook.Repository[bank.Account, bank.Command, bank.Event], random *rand.Rand, accounts int) error {
	t.Helper()
	from, to := fmt.Sprintf("account-%d", random.IntN(accounts)), fmt.Sprintf("account-%d", random.IntN(accounts))
	amount := bank.Money{Minor: 1 + random.Int64N(100), Currency: "EUR"}
	if random.IntN(2) == 0 {
		_, err := repository.Execute(t.Context(), bank.AccountID(from), bank.Deposit{Amount: amount})
		return err
	}
	_, err := repository.ExecuteAll(t.Context(), bank.Transfer(from, to, amount, daybook.NewUUID(), ""))
	return err
}

// wantOneMoment reads all balances at once: they are those of the position of the last
// event among them.
func wantOneMoment(t *testing.T, book *daybook.Book) {
	t.Helper()
	page, err := readmodel.FindBalances(t.Context(), book, readmodel.BalanceQuery{})
	if err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for _, row := range page.Rows {
		last = max(last, row.Row.Position)
	}
	if diff := cmp.Diff(modelOf(t, book, last).balances(), balanceLines(page.Rows)); diff != "" {
		t.Errorf("the balances of one moment (-want +got):\n%s", diff)
	}
}

// What the book may hold, though no program writes it: amounts that add up to more than an
// int64, recorded past the library's own limits.
func TestAmountsThatCannotBeCounted(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, driver daybook.Driver) { //nolint:thelper // it is the test itself
		id, err := driver.OpenBook(t.Context(), "main")
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			outcomes, err := driver.Append(t.Context(), id, []daybook.Append{{Entries: []daybook.EncodedEntry{{
				Aggregate: bank.AccountID("alice"), Expected: daybook.Any(),
				Events: []daybook.Recorded{{EventID: daybook.NewUUID(), EventType: "MoneyDeposited", SchemaVersion: 1, Payload: []byte(`{"amount":9223372036854775807}`)}},
			}}}}, daybook.InlineWork{})
			if err != nil || outcomes[0].Err != nil {
				t.Fatal(err, outcomes)
			}
		}
		book := openInline(t, driver, "main")
		catchUp(t, book)
		wantViews(t, book, 3, 0)
		days, err := dayLines(t.Context(), book, bank.AccountID("alice").ID, 0)
		if err != nil || len(days) != 1 || days[0].Closing != "27670116110564327421" {
			t.Errorf("days %v, error %v", days, err)
		}
		row, found, err := readmodel.Balances.Get(t.Context(), book, bank.AccountID("alice").ID)
		if err != nil || !found || !row.Overflow {
			t.Errorf("the row is %+v, %t, %v, want it to say that it is not counted", row, found, err)
		}
		wantProved(t, book)
	})
}
