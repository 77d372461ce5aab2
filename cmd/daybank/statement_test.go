package main

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
)

// until returns the events of an account's past that occurred by a time, as a cut does.
func until(events []past, t time.Time) (shown []past) {
	for _, e := range events {
		if (cut{position: e.rec.Position, occurredBy: instant{t, true}}).includes(e.rec) {
			shown = append(shown, e)
		}
	}
	return shown
}

// month is the period from the first to the last microsecond of a month.
func month(t *testing.T, first time.Time) *period {
	t.Helper()
	var p period
	for b, day := range map[*bound]time.Time{&p.from: first, &p.to: first.AddDate(0, 1, -1)} {
		if err := b.Set(day.Format(time.DateOnly)); err != nil {
			t.Fatal(err)
		}
	}
	return &p
}

// For every period between any two times at which something happened, and a microsecond
// to either side of them, a statement opens and closes with what the as-of queries of the
// library say, and its lines lead from one to the other.
func TestStatementsAgreeWithAsOf(t *testing.T) {
	t.Parallel()
	for name, open := range engines() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // G404: a test case, not a secret
			db := open(t, t.TempDir())
			first := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
			must(t, db, "open", "alice", "--owner", "Alice", "--occurred-at", timeText(first))
			book := openBook(t, db)
			id := bank.AccountID("alice")
			const days = 6 // few, so that many events share one
			for range 25 {
				var event bank.Event = bank.MoneyDeposited{Amount: 1 + random.Int64N(1000)}
				if random.IntN(2) == 0 {
					event = bank.MoneyWithdrawn{Amount: 1 + random.Int64N(1000)}
				}
				at := first.AddDate(0, 0, random.IntN(days)).Add(time.Duration(random.IntN(2)) * time.Microsecond)
				if _, err := book.Append(t.Context(), daybook.Entry{Aggregate: id, Expected: daybook.Any(), Events: []daybook.Event{{Data: event, OccurredAt: at}}}); err != nil {
					t.Fatal(err)
				}
			}
			s := &session{book: book, accounts: daybook.NewRepository(book, bank.Accounts)}
			head, err := book.Head(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			events, err := s.past(t.Context(), id, cut{position: head.Position})
			if err != nil {
				t.Fatal(err)
			}
			var moments []time.Time
			for day := range days {
				for _, offset := range []time.Duration{-1, 0, 1, 2} {
					moments = append(moments, first.AddDate(0, 0, day).Add(offset*time.Microsecond))
				}
			}
			for i, from := range moments {
				for _, to := range moments[i:] {
					p := &period{from: bound{instant: instant{from, true}}, to: bound{instant: instant{to, true}}}
					checkStatement(t, s, statementOf(id, until(events, to), p), p)
				}
			}
		})
	}
}

// checkStatement holds a statement against the as-of queries at both its ends.
func checkStatement(t *testing.T, s *session, st accountStatement, p *period) {
	t.Helper()
	for what, end := range map[string]struct {
		got account
		at  time.Time
	}{
		"opening": {st.opening, p.begin().Add(-time.Microsecond)},
		"closing": {st.closing, p.end()},
	} {
		want, err := s.accounts.LoadAt(t.Context(), st.closing.Aggregate, daybook.AsOfOccurred(end.at))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, end.got); diff != "" {
			t.Errorf("%s balance from %v to %v (-as of +statement):\n%s", what, p.begin(), p.end(), diff)
		}
	}
	balance, last := st.opening.State.Balance, p.begin()
	for _, line := range st.lines {
		balance += line.amount()
		if line.balance.Minor != balance {
			t.Errorf("after %s: %s, want %d", line.rec, line.balance, balance)
		}
		if at := line.rec.OccurredAt; at.Before(last) || at.After(p.end()) {
			t.Errorf("%s, of %v, is not in order or not in the period from %v to %v", line.rec, at, p.begin(), p.end())
		} else {
			last = at
		}
	}
	if balance != st.closing.State.Balance {
		t.Errorf("the lines lead to %d, the closing balance is %d", balance, st.closing.State.Balance)
	}
}

// checkMonths makes a statement of every account for every month of the data. Opening and
// closing are compared with the sums of the files up to then; of some accounts, chosen at
// random, also with the library's as-of queries.
func checkMonths(t *testing.T, book *daybook.Book, want ledger) {
	t.Helper()
	const asked = 20
	s := &session{book: book, accounts: daybook.NewRepository(book, bank.Accounts)}
	head, err := book.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	months, number := 0, 0
	for handle := range want { // in no order, so that another few are asked each time
		number++
		id := bank.AccountID(handle)
		events, err := s.past(t.Context(), id, cut{position: head.Position})
		if err != nil {
			t.Fatal(err)
		}
		last := int64(0)
		for first := time.Date(1993, 1, 1, 0, 0, 0, 0, time.UTC); first.Year() < 1999; first = first.AddDate(0, 1, 0) {
			p := month(t, first)
			st := statementOf(id, until(events, p.end()), p)
			if st.closing.State.Status == bank.StatusNotOpened {
				continue
			}
			months++
			if opening, closing := want.sumBefore(handle, first), want.sumBefore(handle, first.AddDate(0, 1, 0)); st.opening.State.Balance != opening ||
				st.closing.State.Balance != closing || opening != last {
				t.Fatalf("account %s, %s: from %d to %d after %d, the files say from %d to %d",
					handle, first.Format("2006-01"), st.opening.State.Balance, st.closing.State.Balance, last, opening, closing)
			}
			last = st.closing.State.Balance
			if number <= asked {
				checkStatement(t, s, st, p)
			}
		}
	}
	t.Logf("%d monthly statements compared, those of %d accounts with as-of queries too", months, asked)
}

// checkYears asks for all accounts at once as of the end of each year, and has the sums
// proved.
func checkYears(t *testing.T, db string, want ledger) {
	t.Helper()
	for year := 1993; year < 1999; year++ {
		next := time.Date(year+1, 1, 1, 0, 0, 0, 0, time.UTC)
		end := timeText(next.Add(-time.Microsecond))
		sums, total := map[string]int64{}, int64(0)
		for handle, days := range want {
			for day := range days {
				if day.Before(next) { // the account's first day is the one it was opened on
					sums[handle] = want.sumBefore(handle, next)
				}
			}
			total += sums[handle]
		}
		got := map[string]int64{}
		for _, row := range decode[[]accountRow](t, must(t, db, "accounts", "-o", "json", "--as-of-occurred", end)) {
			got[row.Account] = row.BalanceMinor
		}
		if diff := cmp.Diff(sums, got); diff != "" {
			t.Errorf("accounts at the end of %d (-want +got):\n%s", year, diff)
		}
		report := decode[bankReport](t, must(t, db, "report", "-o", "json", "--as-of-occurred", end))
		if len(report.Currencies) != 1 || string(report.Currencies[0].BalanceMinor) != strconv.FormatInt(total, 10) || !report.Agrees {
			t.Errorf("the report at the end of %d is %+v, want a balance of %d", year, report, total)
		}
	}
}

// sumBefore is what the files say an account has before a day.
func (l ledger) sumBefore(account string, day time.Time) (sum int64) {
	for d, amount := range l[account] {
		if d.Before(day) {
			sum += amount
		}
	}
	return sum
}

// What a spreadsheet would take for a formula gets an apostrophe, and only that.
func TestCSVTextIsNoFormula(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"": "", "rent": "rent", "a=b": "a=b", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "＝1": "'＝1",
		"'quoted'": "''quoted'", "\t=1": `\u{9}=1`, "\r=1": `\u{d}=1`, "a\nb": `a\u{a}b`, "½": "½", `"x"`: `"x"`, "a,b": "a,b",
	} {
		if got := csvText(text); got != want {
			t.Errorf("csvText(%q) is %q, want %q", text, got, want)
		}
	}
}

// The CSV is one that others can read, and has what the JSON has.
func TestStatementCSV(t *testing.T) {
	t.Parallel()
	db := inFile(t, t.TempDir())
	must(t, db, "open", "=alice", "--owner", "Alice", "--currency", "KWD")
	for i, reference := range []string{"", "=1", `say "hi"`, "a,b", "'", " padded "} {
		must(t, db, "deposit", "=alice", fmt.Sprintf("%d.00%d", i, i+1), "--reference", reference)
	}
	records, err := csv.NewReader(strings.NewReader(must(t, db, "statement", "=alice", "-o", "csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	doc := decode[statementDocument](t, must(t, db, "statement", "=alice", "-o", "json"))
	if len(records) != len(doc.Events)+3 {
		t.Fatalf("%d records for %d events", len(records), len(doc.Events))
	}
	for i, e := range doc.Events {
		got := records[i+2]
		want := []string{"event", "'=alice", "KWD", csvText(e.Reference), e.Amount, e.Balance}
		if diff := cmp.Diff(want, []string{got[0], got[1], got[2], got[9], got[10], got[11]}); diff != "" {
			t.Errorf("record %d (-want +got):\n%s", i+2, diff)
		}
	}
	if closing := records[len(records)-1]; closing[0] != "closing" || closing[11] != "15.021" || doc.ClosingBalance != "15.021" {
		t.Errorf("%v, %s", closing, doc.ClosingBalance)
	}
}
