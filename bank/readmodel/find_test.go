package readmodel_test

import (
	"bytes"
	stdcmp "cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/daybook-go/daybook"
	"github.com/daybook-go/daybook/bank"
	"github.com/daybook-go/daybook/bank/readmodel"
)

// day is noon of a day in January.
func day(n int) time.Time { return time.Date(2026, 1, n, 12, 0, 0, 0, time.UTC) }

// transferID is the id of the transfer with a number.
func transferID(n byte) daybook.UUID { return daybook.UUID{15: n} }

// findBook has accounts in two currencies, and a transfer in every state.
func findBook(t *testing.T, driver daybook.Driver) *daybook.Book {
	t.Helper()
	opened := func(handle, owner string, code bank.Currency) fact {
		return fact{handle, bank.AccountOpened{AccountID: handle, OwnerName: owner, Currency: code}, day(1)}
	}
	sent := func(n byte, from, to string, amount int64, reference string, on int) fact {
		return fact{from, bank.TransferSent{To: to, Amount: amount, TransferID: transferID(n), Reference: reference}, day(on)}
	}
	received := func(n byte, to, from string, amount int64, reference string, on int) fact {
		return fact{to, bank.TransferReceived{From: from, Amount: amount, TransferID: transferID(n), Reference: reference}, day(on)}
	}
	book := openInline(t, driver, "main")
	record(t, book,
		opened("alice", "Alice", "EUR"), opened("bob", "bob the Builder", "EUR"), opened("yuko", "Yuko", "JPY"),
		fact{"alice", bank.MoneyDeposited{Amount: 100}, day(2)}, fact{"alice", bank.MoneyDeposited{Amount: 11}, day(2)},
		fact{"bob", bank.MoneyDeposited{Amount: 50}, day(2)}, fact{"bob", bank.MoneyWithdrawn{Amount: 7}, day(4)},
		sent(5, "alice", "bob", 20, "rent", 3), received(5, "bob", "alice", 20, "rent", 3),
		received(4, "alice", "bob", 10, "Rent back", 5), sent(4, "bob", "alice", 10, "Rent back", 6),
		sent(3, "alice", "zoe", 10, "100%", 3),
		received(2, "yuko", "ghost", 300, "", 2),
		sent(1, "alice", "bob", 20, "", 4), received(1, "bob", "alice", 19, "", 4),
		sent(7, "bob", "alice", 1, "", 6), sent(7, "bob", "alice", 1, "", 6),
		sent(6, "ghost", "zoe", 2, "", 1),
		fact{"yuko", bank.MoneyWithdrawn{Amount: 300}, day(7)}, fact{"yuko", bank.AccountClosed{}, day(7)},
	)
	catchUp(t, book)
	return book
}

// orNone draws a value, or the zero value, which asks for nothing.
func orNone[T any](t *rapid.T, label string, values ...T) T {
	var none T
	return rapid.SampledFrom(append([]T{none}, values...)).Draw(t, label)
}

func toEach[T any](values ...T) (pointers []*T) {
	for _, value := range values {
		pointers = append(pointers, &value)
	}
	return pointers
}

// paged collects pages until there is no next one, none of which is longer than limit.
func paged[T any](t fataler, limit int, find func(after string) (readmodel.Page[T], error)) (all []T) {
	t.Helper()
	for after := ""; ; {
		page, err := find(after)
		if err != nil {
			t.Fatal(err)
		}
		if limit > 0 && len(page.Rows) > limit || page.Next != "" && len(page.Rows) != limit {
			t.Fatal("a page of", limit, "has", len(page.Rows), "rows, next is", page.Next)
		}
		all = append(all, page.Rows...)
		if after = page.Next; after == "" {
			return all
		}
	}
}

// What a transfer is, in which currency, and who took part in it.
func TestFindTransfers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, driver daybook.Driver) { //nolint:thelper // it is the test itself
		book := findBook(t, driver)
		page, err := readmodel.FindTransfers(t.Context(), book, readmodel.TransferQuery{})
		if err != nil || page.Next != "" {
			t.Fatal(page.Next, err)
		}
		type line struct {
			ID             byte
			State          readmodel.TransferState
			Currency       bank.Currency
			From, To       string
			Amount         int64
			Sent, Received int64
		}
		var got []line
		for _, one := range page.Rows {
			got = append(got, line{one.ID[15], one.State, one.Currency, one.FromHandle, one.ToHandle, one.Amount, one.SentAmount, one.ReceivedAmount})
		}
		want := []line{
			{5, "complete", "EUR", "alice", "bob", 20, 20, 20},
			{4, "complete", "EUR", "bob", "alice", 10, 10, 10},
			{3, "only sent", "EUR", "", "zoe", 10, 10, 0},
			{2, "only received", "JPY", "ghost", "", 300, 0, 300},
			{1, "differs", "EUR", "alice", "bob", 20, 20, 19},
			{7, "repeated", "EUR", "", "alice", 1, 1, 0},
			{6, "only sent", "", "", "zoe", 2, 2, 0},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal("transfers (-want +got):\n" + diff)
		}
		rapid.Check(t, func(r *rapid.T) {
			q := drawTransferQuery(r)
			want := selectTransfers(page.Rows, q)
			found := paged(r, q.Limit, func(after string) (readmodel.Page[readmodel.FoundTransfer], error) {
				q.After = after
				return readmodel.FindTransfers(t.Context(), book, q)
			})
			if diff := cmp.Diff(want, found); diff != "" {
				r.Fatalf("%+v (-want +got):\n%s", q, diff)
			}
		})
	})
}

func drawTransferQuery(t *rapid.T) readmodel.TransferQuery {
	accounts := []daybook.UUID{bank.AccountID("alice").ID, bank.AccountID("bob").ID, bank.AccountID("ghost").ID}
	return readmodel.TransferQuery{
		From: orNone(t, "from", accounts...), To: orNone(t, "to", accounts...),
		Search: orNone(t, "search", "RENT", "ali", "%", "_", "nothing"),
		State:  orNone(t, "state", readmodel.TransferStates()...),
		Min:    orNone(t, "min", toEach[int64](10, 11)...), Max: orNone(t, "max", toEach[int64](10, 20)...),
		Since: orNone(t, "since", day(2), day(3)), Before: orNone(t, "before", day(4), day(6)),
		Sort: orNone(t, "sort", readmodel.TransferSorts()...), Reverse: rapid.Bool().Draw(t, "reverse"),
		Limit: rapid.IntRange(0, 3).Draw(t, "limit"),
	}
}

// selectTransfers says in plain Go what FindTransfers asks the database for.
func selectTransfers(all []readmodel.FoundTransfer, q readmodel.TransferQuery) (selected []readmodel.FoundTransfer) {
	for _, one := range all {
		text := strings.ToLower(one.FromHandle + "\n" + one.ToHandle + "\n" + one.Reference)
		if (q.From.IsZero() || one.FromAccount == q.From) && (q.To.IsZero() || one.ToAccount == q.To) &&
			strings.Contains(text, strings.ToLower(q.Search)) && (q.State == "" || one.State == q.State) &&
			(q.Min == nil || one.Amount >= *q.Min) && (q.Max == nil || one.Amount <= *q.Max) &&
			(q.Since.IsZero() || !one.OccurredAt.Before(q.Since)) && (q.Before.IsZero() || one.OccurredAt.Before(q.Before)) {
			selected = append(selected, one)
		}
	}
	slices.SortFunc(selected, func(x, y readmodel.FoundTransfer) int {
		by := stdcmp.Compare(x.Position, y.Position)
		switch q.Sort {
		case readmodel.ByPosition:
		case readmodel.ByOccurredAt:
			by = x.OccurredAt.Compare(y.OccurredAt)
		case readmodel.ByAmount:
			by = stdcmp.Compare(x.Amount, y.Amount)
		}
		if by = stdcmp.Or(by, bytes.Compare(x.ID[:], y.ID[:])); q.Reverse {
			return -by
		}
		return by
	})
	return selected
}

// The table answers as the rows of any other moment do, whatever is asked.
func TestFindBalances(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, driver daybook.Driver) { //nolint:thelper // it is the test itself
		book := findBook(t, driver)
		all, err := readmodel.FindBalances(t.Context(), book, readmodel.BalanceQuery{})
		if err != nil {
			t.Fatal(err)
		}
		alice := all.Rows[1].Row
		if alice.OpenedAt == nil || !alice.OpenedAt.Equal(day(1)) || alice.Deposits != 2 || alice.Withdrawals != 0 || alice.Sent != 3 || alice.Received != 1 {
			t.Errorf("alice is %+v", alice)
		}
		opened, closed, not := bank.StatusOpen, bank.StatusClosed, bank.StatusNotOpened
		first, last := alice.LastRecordedAt, all.Rows[3].Row.LastRecordedAt // of alice and yuko
		for _, one := range []struct {
			want string
			q    readmodel.BalanceQuery
		}{
			{"? alice bob yuko", readmodel.BalanceQuery{}},
			{"bob", readmodel.BalanceQuery{Search: "BUILD"}},
			{"?", readmodel.BalanceQuery{Status: &not}},
			{"yuko", readmodel.BalanceQuery{Currency: "JPY", Status: &closed}},
			{"bob alice", readmodel.BalanceQuery{Status: &opened, Reverse: true}},
			{"yuko bob alice", readmodel.BalanceQuery{Min: new(int64(0)), Reverse: true}},
			{"alice", readmodel.BalanceQuery{Min: new(int64(71)), Max: new(int64(71))}},
			{"? yuko", readmodel.BalanceQuery{Max: new(int64(0)), Sort: readmodel.ByBalance}},
			{"alice bob ?", readmodel.BalanceQuery{To: last, Sort: readmodel.ByLastEvent}},
			{"alice bob ? yuko", readmodel.BalanceQuery{From: first, Sort: readmodel.ByLastEvent}},
			{"yuko bob ?", readmodel.BalanceQuery{From: first.Add(time.Microsecond), Sort: readmodel.ByOwner, Reverse: true}},
		} {
			page, err := readmodel.FindBalances(t.Context(), book, one.q)
			var handles []string
			for _, row := range page.Rows {
				handles = append(handles, stdcmp.Or(row.Row.Handle, "?"))
			}
			if got := strings.Join(handles, " "); err != nil || got != one.want {
				t.Errorf("%+v: %q, error %v, want %q", one.q, got, err, one.want)
			}
		}
		rapid.Check(t, func(r *rapid.T) {
			q := readmodel.BalanceQuery{
				Search: orNone(r, "search", "ALI", "o", "\n"), Currency: orNone[bank.Currency](r, "currency", "EUR", "JPY"),
				Status: orNone(r, "status", toEach(opened, closed, not)...),
				Min:    orNone(r, "min", toEach[int64](0, 71)...), Max: orNone(r, "max", toEach[int64](0, 71)...),
				From: orNone(r, "from", first, last), To: orNone(r, "to", first, last),
				Sort: orNone(r, "sort", readmodel.BalanceSorts()...), Reverse: rapid.Bool().Draw(r, "reverse"), Limit: rapid.IntRange(0, 3).Draw(r, "limit"),
			}
			in := func(find func(q readmodel.BalanceQuery) (readmodel.Page[readmodel.AccountBalance], error)) []readmodel.AccountBalance {
				return paged(r, q.Limit, func(after string) (readmodel.Page[readmodel.AccountBalance], error) {
					q.After = after
					return find(q)
				})
			}
			table := in(func(q readmodel.BalanceQuery) (readmodel.Page[readmodel.AccountBalance], error) {
				return readmodel.FindBalances(t.Context(), book, q)
			})
			among := in(func(q readmodel.BalanceQuery) (readmodel.Page[readmodel.AccountBalance], error) {
				return q.Among(all.Rows)
			})
			if diff := cmp.Diff(among, table); diff != "" {
				r.Fatalf("%+v (-among +table):\n%s", q, diff)
			}
		})
	})
}

// Days are those asked for, and add up from the first one of all.
func TestFindDays(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, driver daybook.Driver) { //nolint:thelper // it is the test itself
		book := findBook(t, driver)
		bob := bank.AccountID("bob").ID
		page, err := readmodel.FindDays(t.Context(), book, bob, readmodel.DaysQuery{From: "2026-01-03", To: "2026-01-05"})
		if err != nil || page.Next != "" || len(page.Rows) != 2 {
			t.Fatalf("%+v, %v", page, err)
		}
		for i, want := range []string{"2026-01-03 EUR 50 20 0 70: 0 0 0 1", "2026-01-04 EUR 70 19 7 82: 0 1 0 1"} {
			if got := dayText(page.Rows[i]); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		all := paged(t, 2, func(after string) (readmodel.Page[readmodel.DayBalance], error) {
			return readmodel.FindDays(t.Context(), book, bob, readmodel.DaysQuery{Limit: 2, After: after})
		})
		if len(all) != 5 || dayText(all[4]) != "2026-01-06 EUR 82 0 12 70: 0 0 3 0" {
			t.Errorf("%d days, the last %s", len(all), dayText(all[len(all)-1]))
		}
	})
}

func dayText(d readmodel.DayBalance) string {
	return fmt.Sprintf("%s %s %d %d %d %d: %d %d %d %d", d.Day, d.Currency, d.Opening, d.In, d.Out, d.Closing, d.Deposits, d.Withdrawals, d.Sent, d.Received)
}

// What occurred on a day is asked for across all accounts.
func TestFindMovements(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, driver daybook.Driver) { //nolint:thelper // it is the test itself
		book := findBook(t, driver)
		in := map[string]int64{"alice": 111, "bob": 50, "yuko": 300}
		for limit := range 4 {
			rows := paged(t, limit, func(after string) (readmodel.Page[readmodel.AccountMovements], error) {
				return readmodel.FindMovements(t.Context(), book, "2026-01-02", limit, after)
			})
			got := map[string]int64{}
			for _, row := range rows {
				for handle := range in {
					if row.Key.AccountID == bank.AccountID(handle).ID {
						got[handle] = row.Row.In().Int64()
					}
				}
			}
			ordered := slices.IsSortedFunc(rows, func(x, y readmodel.AccountMovements) int {
				return bytes.Compare(x.Key.AccountID[:], y.Key.AccountID[:])
			})
			if diff := cmp.Diff(in, got); diff != "" || len(rows) != 3 || !ordered {
				t.Errorf("%d rows by %d (-want +got):\n%s", len(rows), limit, diff)
			}
		}
	})
}

// A question that makes no sense is refused, with the field that is to be mended.
func TestQuestionsThatAreRefused(t *testing.T) {
	t.Parallel()
	driver := onSQLite(t)
	t.Cleanup(func() { _ = driver.Close() })
	book := findBook(t, driver)
	page, err := readmodel.FindTransfers(t.Context(), book, readmodel.TransferQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	transfers := func(q readmodel.TransferQuery) error {
		_, err := readmodel.FindTransfers(t.Context(), book, q)
		return err
	}
	days := func(q readmodel.DaysQuery) error {
		_, err := readmodel.FindDays(t.Context(), book, bank.AccountID("bob").ID, q)
		return err
	}
	movements := func(day readmodel.Day, limit int, after string) error {
		_, err := readmodel.FindMovements(t.Context(), book, day, limit, after)
		return err
	}
	for _, one := range []struct {
		err   error
		field string
	}{
		{transfers(readmodel.TransferQuery{Sort: "age"}), "sort"},
		{transfers(readmodel.TransferQuery{State: "completed"}), "state"},
		{transfers(readmodel.TransferQuery{Limit: -1}), "limit"},
		{transfers(readmodel.TransferQuery{Limit: -1, After: page.Next}), "limit"},
		{transfers(readmodel.TransferQuery{After: "nonsense"}), "after"},
		{transfers(readmodel.TransferQuery{After: page.Next, Sort: readmodel.ByAmount}), "after"},
		{transfers(readmodel.TransferQuery{After: page.Next, Reverse: true}), "after"},
		{days(readmodel.DaysQuery{From: "yesterday"}), "from"},
		{days(readmodel.DaysQuery{To: "2026-1-2"}), "to"},
		{days(readmodel.DaysQuery{After: "2026-02-30"}), "after"},
		{days(readmodel.DaysQuery{Limit: -1}), "limit"},
		{movements("2026-01-02", -1, ""), "limit"},
		{movements("2026-01-02", 1, "bob"), "after"},
		{movements("today", 1, ""), "day"},
	} {
		var refused *daybook.InvalidError
		if !errors.As(one.err, &refused) || refused.Field != one.field {
			t.Errorf("got %v, want it to refuse %s", one.err, one.field)
		}
	}
}
