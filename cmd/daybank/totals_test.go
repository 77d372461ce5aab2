package main

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// appendFacts records what no command would.
func appendFacts(t *testing.T, book *daybook.Book, handle string, events ...daybook.Event) {
	t.Helper()
	if _, err := book.Append(t.Context(), daybook.Entry{Aggregate: bank.AccountID(handle), Expected: daybook.Any(), Events: events}); err != nil {
		t.Fatal(err)
	}
}

// The report sees what no command can do to a book.
func TestReportDiffers(t *testing.T) {
	t.Parallel()
	id := daybook.NewUUID()
	for name, test := range map[string]struct {
		facts map[string]bank.Event
		says  []string
	}{
		"a transfer that never arrived": {
			map[string]bank.Event{"alice": bank.TransferSent{To: "bob", Amount: 1000, TransferID: id}},
			[]string{
				"EUR: deposited - withdrawn is 100.00, balances + in transit is 90.00", "EUR: sent - received is 10.00, in transit is 0.00",
				"position 5: TransferSent 3 of account/720aa6ab-56fc-5507-b69c-ece539740db3 (schema version 1) has no other half",
			},
		},
		"a transfer that was never sent": {
			map[string]bank.Event{"bob": bank.TransferReceived{From: "alice", Amount: 1000, TransferID: id}},
			[]string{"EUR: sent - received is -10.00, in transit is 0.00", "position 5: TransferReceived 2 of"},
		},
		"a transfer that arrived as less": {
			map[string]bank.Event{
				"alice": bank.TransferSent{To: "bob", Amount: 1000, TransferID: id}, "bob": bank.TransferReceived{From: "alice", Amount: 999, TransferID: id},
			},
			[]string{"EUR: sent - received is 0.01", "transfer " + id.String() + ": position "},
		},
		"a transfer that arrived in another currency": {
			map[string]bank.Event{
				"alice": bank.TransferSent{To: "yuko", Amount: 1000, TransferID: id}, "yuko": bank.TransferReceived{From: "alice", Amount: 1000, TransferID: id},
			},
			[]string{"EUR: sent - received is 10.00", "JPY: sent - received is -1000"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := inFile(t, t.TempDir())
			must(t, db, "open", "alice", "--owner", "Alice")
			must(t, db, "deposit", "alice", "100")
			must(t, db, "open", "bob", "--owner", "Bob")
			must(t, db, "open", "yuko", "--owner", "Yuko", "--currency", "JPY")
			book := openBook(t, db)
			for handle, event := range test.facts {
				appendFacts(t, book, handle, daybook.Event{Data: event})
			}
			must(t, db, "report", "--at-position", "4")
			got := cli(t, db, "report")
			if got.code != exitDiffers || strings.Contains(got.stdout, "At position") {
				t.Errorf("exit code %d, want %d\n%s", got.code, exitDiffers, got.stdout)
			}
			for _, want := range test.says {
				if !strings.Contains(got.stderr, want) {
					t.Errorf("does not say %q:\n%s", want, got.stderr)
				}
			}
			asJSON := cli(t, db, "report", "-o", "json")
			if r := decode[bankReport](t, asJSON.stdout); asJSON.code != exitDiffers || r.Agrees || len(r.Findings) == 0 {
				t.Errorf("exit code %d, %s", asJSON.code, asJSON.stdout)
			}
		})
	}
}

// The report also sees what somebody has done to the rows it takes the balances from.
func TestReportOfAnEditedReadModel(t *testing.T) {
	t.Parallel()
	for name, empty := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for what, one := range map[string]struct {
				statements []string
				want       string
			}{
				"a balance":   {[]string{"UPDATE {views}main_balances_g1 SET balance = 1 WHERE handle = 'alice'"}, "EUR: deposited - withdrawn is 56.00, balances + in transit is 1.01"},
				"a row gone":  {[]string{"DELETE FROM {views}main_balances_g1 WHERE handle = 'bob'"}, "the read model balances does not have account " + bank.AccountID("bob").ID.String()},
				"a row added": {forgedRow("{views}main_balances_g1", "account_id", bank.AccountID("eve").ID.String()), "balances has account " + bank.AccountID("eve").ID.String() + ", and no event"},
			} {
				t.Run(what, func(t *testing.T) {
					t.Parallel()
					db := empty(t, t.TempDir())
					smallBook(t, db)
					newVandal(t, db).do(one.statements...)
					if got := cli(t, db, "report"); got.code != exitDiffers || !strings.Contains(got.stderr, one.want) {
						t.Errorf("exit code %d\n%s%s\nwant %q", got.code, got.stdout, got.stderr, one.want)
					}
					must(t, db, "report", "--at-position", "8") // of which there are no rows
				})
			}
		})
	}
}

// The halves of a transfer may have occurred at different times, and an account may
// have been paid into before it was opened: the sums agree at every point all the same.
func TestReportAgreesAtEveryPoint(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	must(t, db, "open", "alice", "--owner", "Alice", "--occurred-at", "2020-01-03T00:00:00Z")
	must(t, db, "open", "bob", "--owner", "Bob", "--occurred-at", "2020-01-01T00:00:00Z")
	book := openBook(t, db)
	day := func(n int) time.Time { return time.Date(2020, 1, n, 0, 0, 0, 0, time.UTC) }
	appendFacts(t, book, "alice", daybook.Event{Data: bank.MoneyDeposited{Amount: 500}, OccurredAt: day(2)})
	appendFacts(t, book, "never", daybook.Event{Data: bank.MoneyDeposited{Amount: 7}, OccurredAt: day(2)})
	id := daybook.NewUUID()
	_, err := book.Append(t.Context(),
		daybook.Entry{Aggregate: bank.AccountID("alice"), Expected: daybook.Any(), Events: []daybook.Event{{Data: bank.TransferSent{To: "bob", Amount: 300, TransferID: id}, OccurredAt: day(5)}}},
		daybook.Entry{Aggregate: bank.AccountID("bob"), Expected: daybook.Any(), Events: []daybook.Event{{Data: bank.TransferReceived{From: "alice", Amount: 300, TransferID: id}, OccurredAt: day(4)}}})
	if err != nil {
		t.Fatal(err)
	}
	for position := range 7 {
		must(t, db, "report", "--at-position", strconv.Itoa(position))
	}
	type sums struct {
		Open, NotOpened               int64
		Deposited, InTransit, Balance string
	}
	want := map[int]sums{
		1: {1, 0, "0.00", "0.00", "0.00"},
		2: {1, 1, "5.00", "0.00", "5.00"},
		3: {2, 0, "5.00", "0.00", "5.00"},
		4: {2, 0, "5.00", "-3.00", "8.00"},
		5: {2, 0, "5.00", "0.00", "5.00"},
	}
	got := map[int]sums{}
	for n := range want {
		r := decode[bankReport](t, must(t, db, "report", "-o", "json", "--as-of-occurred", day(n).Format(time.RFC3339)))
		for _, c := range r.Currencies {
			switch c.Currency {
			case "EUR":
				got[n] = sums{c.Open, c.NotOpened, c.Deposited, c.InTransit, c.Balance}
			case "": // what was never opened has no currency, and is not lost
				if n == 1 || c.Balance != "7" || c.NotOpened != 1 {
					t.Errorf("day %d: %+v", n, c)
				}
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A thousand largest accounts and more come to more than an int64 holds.
func TestReportCountsBeyondAnInt64(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	must(t, db, "migrate")
	book := openBook(t, db)
	const accounts = 1100
	var entries []daybook.Entry
	for i := range accounts {
		handle := "a" + strconv.Itoa(i)
		entries = append(entries, daybook.Entry{Aggregate: bank.AccountID(handle), Events: []daybook.Event{
			{Data: bank.AccountOpened{AccountID: handle, OwnerName: "A", Currency: "EUR"}}, {Data: bank.MoneyDeposited{Amount: bank.MaxAmount}},
		}})
	}
	for len(entries) > 0 {
		n := min(len(entries), 400)
		if _, err := book.Append(t.Context(), entries[:n]...); err != nil {
			t.Fatal(err)
		}
		entries = entries[n:]
	}
	const want = "99079191802150901.00" // 1100 times 90071992547409.91
	if out := must(t, db, "report"); !strings.Contains(out, want+"  ") || !strings.Contains(out, want+"\n") {
		t.Errorf("%s\nwant %s deposited, and as balances", out, want)
	}
}
